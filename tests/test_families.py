"""Every family on its real class, tiny and untrained: loaded as a user would, and read to the last bit.

The oracle is always the model itself as transformers runs it, one text at a time, with `output_hidden_states`.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from families import BY_NAME, FAMILIES, SAME, UNKNOWN, Fact, Family, build, make_family
from hub_server import COMMIT, pointed_at, serve
from isogloss.hidden_states.extract import check_states
from isogloss.hidden_states.self_check import in_float32, sample_rows, settle
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.likelihoods.lm_head import check_head
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.depth import read_depth
from isogloss.models.load import load_model
from isogloss.models.pairs import MODEL_PAIRS, ModelRef
from isogloss.models.prompts import encode
from running import OURS, PLAIN, as_prompts, run

SOURCE = Path(__file__).resolve().parents[1] / "src" / "isogloss"
TEXTS = [
    "a",
    "two words",
    "a sentence that is much longer than any sliding window of eight tokens, or a chunk of sixteen",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "and a last one.",
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small wait longer for a second thread than they take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=FAMILIES, ids=[family.name for family in FAMILIES])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return make_family(family, tmp_path_factory.mktemp("family") / "model", bos=family.bos is not False)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(fetch(ModelRef(base=str(folder))), device="cpu")


@pytest.fixture(scope="module")
def rows(model):
    return encode(model.tokenizer, TEXTS).ids


@pytest.fixture(scope="module")
def layers(model):
    return ExtractSpec(layers=("all",)).resolve(model.depth)


@pytest.fixture(scope="module")
def own(model, rows):
    """What the model itself says: (depth + 1) arrays (texts, width), the last after the final norm."""
    with torch.inference_mode():
        outs = [
            model.causal(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False).hidden_states
            for row in rows
        ]
    return [np.stack([out[depth][0, -1].float().numpy() for out in outs]) for depth in range(model.depth + 1)]


def moved(a, b):
    return float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max())


def test_the_papers_seven_are_here():
    """Every aligned model of the paper's table has a row whose class is its own."""
    seven = {"llama-2-7b", "llama-3.1-8b", "llama-guard-3-8b", "qwen-2.5-7b", "gemma-2-9b", "gemma-3-12b", "phi-4"}
    assert {MODEL_PAIRS[name].aligned.base for name in seven} <= {family.repo for family in FAMILIES}


def test_every_value_names_its_source(family):
    for fact in family.facts:
        assert fact.source
        if fact.source == UNKNOWN:
            assert fact.real is None, fact.name
    assert (family.bos is None) == (family.bos_source == UNKNOWN)


def test_the_checkpoint_has_the_peculiarities_of_the_real_one(family, folder, model):
    config = json.loads((folder / "config.json").read_text())
    assert type(model.causal).__name__ == family.model
    assert config["dtype"] == "bfloat16"
    text = model.causal.config.get_text_config().to_dict() | {"architectures": config["architectures"]}
    for fact in family.facts:
        found = text
        for name in fact.name.split("."):
            found = found[name]
        if fact.tiny is SAME or isinstance(fact.tiny, (int, float)):
            assert found == fact.used, fact.name
    assert {weight.dtype for weight in model.decoder.parameters()} == {torch.float32}


def test_the_decoder_is_that_of_the_language_model(family, folder, model):
    assert model.depth == 4 == read_depth(fetch(ModelRef(base=str(folder))))
    assert "vision" not in type(model.blocks[0]).__name__.lower()
    assert not any("vision" in name for name, _ in model.decoder.named_modules())
    assert next(iter(model.decoder.children())).num_embeddings == 300


def test_all_layers_are_the_models_own(model, rows, layers, own):
    """The read-out token is the last real one, at every layer, with and without shortcuts."""
    for execution, budget in ((PLAIN, 1), (PLAIN, None), (OURS, None)):
        states = run(model, rows, layers, execution=execution, token_budget=budget)
        for layer in layers:
            if layer.norm != "pre":
                assert moved(states[layer], own[layer.index]) < 1e-4, (layer, execution)
        check_states(states, "tiny", TEXTS)


def test_pre_and_post_norm_are_told_apart(model, rows, layers):
    pre, post = layers[-2:]
    assert (pre.norm, post.norm) == ("pre", "post")
    states = run(model, rows, (pre, post))
    (norm,) = [
        module for name, module in model.decoder.named_children() if re.fullmatch("norm|ln_f|final_layer_norm", name)
    ]
    with torch.inference_mode():
        assert moved(norm(torch.tensor(states[pre])).numpy(), states[post]) < 1e-5
    assert moved(states[pre], states[post]) > 0.1


def test_shortcuts_are_kept_for_this_family(model, rows, layers):
    """`settle` would drop them if they changed a number, and the family would be slow."""
    sample = sample_rows(as_prompts(rows))
    execution, drift = settle(model, sample, {"last": layers}, execution=OURS, spec=ExtractSpec())
    assert execution == OURS
    assert drift.max < 1e-4


def test_a_bfloat16_model_is_compared_with_itself_in_float32(folder, model, rows, layers):
    """Upcast block by block, it gives the float32 model's states; left alone it does not; then it is as it was."""
    rounded = load_model(fetch(ModelRef(base=str(folder))), dtype="bfloat16", device="cpu")
    before = {name: weight.clone() for name, weight in rounded.causal.state_dict().items()}
    exact = run(model, rows, layers, execution=PLAIN, token_budget=1)
    with in_float32(rounded):
        upcast = run(rounded, rows, layers, execution=PLAIN, token_budget=1)
    usual = run(rounded, rows, layers, execution=PLAIN, token_budget=1)
    final = layers[-1]
    # Gemma scales its embeddings by a number that bfloat16 rounds; all else is exact.
    scaled = any(hasattr(module, "embed_scale") for module in model.decoder.children())
    assert moved(upcast[final], exact[final]) < (1e-2 if scaled else 1e-4)
    assert moved(upcast[final], exact[final]) < moved(usual[final], exact[final]) / 2
    assert all(torch.equal(weight, before[name]) for name, weight in rounded.causal.state_dict().items())
    assert {weight.dtype for weight in rounded.blocks.parameters()} == {torch.bfloat16}


def test_a_shared_beginning_changes_no_row(model, rows, layers):
    """Chat templates begin alike; the beginning is run once, across sliding windows and chunks."""
    bos = rows[0][:1]
    start = (*bos, *range(60, 90))
    longer = [(*start, *row[1:], 40 + i) for i, row in enumerate(rows)]
    shared = run(model, longer, layers)
    alone = run(model, longer, layers, execution=PLAIN, token_budget=1)
    assert max(moved(shared[layer], alone[layer]) for layer in layers) < 1e-4


def test_what_stands_after_a_text_changes_no_row(model, rows, layers):
    """Padding and neighbours: each row alone, and in one batch with a row that is far longer."""
    long = (*rows[0][:1], *range(3, 203))
    together = run(model, [*rows, long], layers, token_budget=10**6)
    alone = run(model, rows, layers, token_budget=1)
    assert max(moved(together[layer][: len(rows)], alone[layer]) for layer in layers) < 1e-4
    assert moved(run(model, [(*row, 7) for row in rows], layers)[layers[-1]], alone[layers[-1]]) > 1e-2


def test_one_bos_where_the_family_has_one(family, folder, tmp_path):
    ways = [True, False] if family.bos is None else [family.bos]
    for bos in ways:
        place = make_family(family, tmp_path / str(bos), bos=bos)
        tokenizer = load_model(fetch(ModelRef(base=str(place), random_seed=0)), device="cpu").tokenizer
        tokenizer.chat_template = "{{ bos_token or '' }}{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
        for prompt_format in ("raw", "chat"):
            prompts = encode(tokenizer, TEXTS, prompt_format=prompt_format)
            assert prompts.bos == bos
            assert {row.count(1) for row in prompts.ids} == {int(bos)}


def test_an_adapter_goes_on_top(folder, model, rows, layers, own, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model

    adapted = get_peft_model(
        load_model(fetch(ModelRef(base=str(folder))), device="cpu").causal,
        LoraConfig(r=2, target_modules="all-linear", exclude_modules=".*router.*", task_type="CAUSAL_LM"),
    )
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))) * 0.3
    adapted.save_pretrained(tmp_path)
    checkpoint = fetch(ModelRef(base=str(folder), adapter=str(tmp_path)))
    with use_checkpoint(model, checkpoint):
        ours = run(model, rows, layers[-1:])[layers[-1]]
    fresh = load_model(fetch(ModelRef(base=str(folder))), device="cpu").causal
    peft = PeftModel.from_pretrained(fresh, str(tmp_path)).eval()
    with torch.inference_mode():
        oracle = [
            peft(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False).hidden_states[-1][0, -1]
            for row in rows
        ]
    assert moved(ours, torch.stack(oracle).numpy()) < 1e-4
    assert moved(ours, own[-1]) > 1e-2
    with use_checkpoint(model, fetch(ModelRef(base=str(folder)))):
        assert moved(run(model, rows, layers[-1:])[layers[-1]], own[-1]) < 1e-4


def test_likelihoods_come_from_the_models_own_logits(model):
    check_head(model)


def test_a_hub_id_gives_the_same_model_as_the_folder(family, folder, rows, layers, own, monkeypatch, tmp_path):
    with serve({family.repo: folder}) as server:
        pointed_at(server, monkeypatch, tmp_path)
        checkpoint = fetch(ModelRef.parse(family.repo))
        assert checkpoint.revision == COMMIT
        assert checkpoint.base_sha256 == fetch(ModelRef(base=str(folder))).base_sha256
        loaded = load_model(checkpoint, device="cpu")
    assert moved(run(loaded, rows, layers[-1:])[layers[-1]], own[-1]) < 1e-4


def test_bfloat16_is_near_and_finite(folder, rows, layers, own):
    half = load_model(fetch(ModelRef(base=str(folder))), device="cpu", dtype="bfloat16")
    states = run(half, rows, layers, execution=PLAIN)
    check_states(states, "tiny", TEXTS)
    assert moved(states[layers[0]], own[0]) < 1e-2


#: Tables of pairs, of what ships with isogloss and of published sizes: names are what they are for.
TABLES = {"pairs.py", "checkpoints.py", "published_models.py"}


def test_no_family_is_known_by_name_to_the_code():
    """An eighth family needs no code: nothing under models/ and activations/ asks what a model is called."""
    kinds = {re.match("[a-z]+", family.repo.split("/")[1].lower())[0] for family in FAMILIES}
    pattern = re.compile(rf"""["'][^"']*\b({"|".join(sorted(kinds))})[^"']*["']""", re.IGNORECASE)
    for room in ("models", "activations"):
        for path in (SOURCE / room).rglob("*.py"):
            if path.name in TABLES:
                continue
            code = re.sub(r'""".*?"""|#.*', "", path.read_text("utf-8"), flags=re.DOTALL)
            assert not pattern.search(code), path
    assert pattern.search("if 'gemma' in name:")


#: A family that nothing else here mentions, as a person would add it: one row.
EIGHTH = Family(
    name="Granite",
    repo="ibm-granite/granite-3.0-2b-base",
    model="GraniteForCausalLM",
    config="GraniteConfig",
    facts=(Fact("embedding_multiplier", None, UNKNOWN, 2.0), Fact("residual_multiplier", None, UNKNOWN, 0.5)),
    bos=None,
    bos_source=UNKNOWN,
)


def test_an_eighth_family_is_a_row_of_the_table(parallel_file, monkeypatch, tmp_path):
    """One row of MODEL_PAIRS, and the whole audit runs on it, from the hub."""
    import isogloss
    from isogloss.models.pairs import _pair, model_pair

    assert EIGHTH.name not in BY_NAME
    base = make_family(EIGHTH, tmp_path / "base", bos=True)
    aligned = shutil.copytree(base, tmp_path / "aligned")
    tuned = build(EIGHTH)
    for parameter in tuned.parameters():
        parameter.data *= 1.1
    tuned.save_pretrained(aligned)
    monkeypatch.setitem(MODEL_PAIRS, "granite", _pair("granite", EIGHTH.repo, "org/granite-dpo", "a test"))
    with serve({EIGHTH.repo: base, "org/granite-dpo": aligned}) as server:
        pointed_at(server, monkeypatch, tmp_path)
        config = isogloss.AuditConfig(permutations=20, controls=(), per_class=20)
        corpus = isogloss.load_corpus(parallel_file)
        found = isogloss.audit(model_pair("granite"), corpus, config=config, store=tmp_path / "store", device="cpu")
    assert found.models["aligned"]["revision"] == COMMIT
    assert found.value(kind="gain", language="de", metric="between_class_variance", components=10) is not None
