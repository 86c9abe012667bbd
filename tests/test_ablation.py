"""The ablation control: edits against edited weights, a model whose behaviour hangs on one direction, the whole job."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import isogloss
from conftest import make_tokenizer, parallel_rows
from families import BY_NAME, make_family
from isogloss import Ablation, AuditConfig, Behaviour, ExtractSpec, ModelPair, ModelRef
from isogloss.analyses.ablation.needs import ABLATED, RANDOMS
from isogloss.analyses.ablation.statistics import beyond_random, harm_direction, mean_over, random_directions, split
from isogloss.analyses.ablation.tables import ablation_findings, sections
from isogloss.analyses.audit import ANALYSES
from isogloss.auditing.plan import make_plan, with_follow_ups
from isogloss.engines.remote_checkpoints import job_here
from isogloss.errors import UsageError
from isogloss.hidden_states import compute
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.shard import read_manifests
from isogloss.hidden_states.units import units_of
from isogloss.likelihoods.answers import answers
from isogloss.likelihoods.fill import fill_bits
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.edits import Edit, edit_of
from isogloss.models.load import load_model
from isogloss.models.prompts import encode
from isogloss.progress import silent
from isogloss.stats.permutations import draw
from running import OURS
from running import run as states_of

WIDTH = 32
IDS = torch.tensor([[1, 70, 80, 90, 75]])


def unit(seed, width=WIDTH):
    drawn = np.random.default_rng(seed).standard_normal(width)
    return drawn / np.linalg.norm(drawn)


def orthogonal(direction, seed=1):
    return random_directions(direction, 1, np.random.default_rng(seed))[0]


def streams(model):
    """The residual stream before the first block and after each: (blocks + 1, tokens, width)."""
    found = []
    keep = [
        model.blocks[0].register_forward_pre_hook(
            lambda _, args, kwargs: found.append(_first(args, kwargs)), with_kwargs=True
        )
    ]
    keep += [
        block.register_forward_hook(lambda *call: found.append(call[2][0] if isinstance(call[2], tuple) else call[2]))
        for block in model.blocks
    ]
    with torch.inference_mode():
        model.decoder(input_ids=IDS, use_cache=False)
    for one in keep:
        one.remove()
    return torch.stack([one[0].float() for one in found]).numpy()


def _first(args, kwargs):
    return args[0] if args else kwargs["hidden_states"]


@pytest.mark.parametrize("name", ["Llama 2", "Gemma 3 text", "GPT-NeoX", "BLOOM", "Llama 4 multimodal"])
def test_a_family_is_edited_and_is_as_it_was(name, tmp_path):
    folder = make_family(BY_NAME[name], tmp_path / "model", bos=True)
    model = load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    own = streams(model)
    v = unit(0)
    with edit_of(v, v)(model):
        harm = streams(model)
    with edit_of(v, orthogonal(v))(model):
        other = streams(model)
    assert np.abs(harm @ v).max() < 1e-5 * np.abs(own).max()
    assert np.abs(own @ v).max() > 0.1
    assert np.abs(harm - own)[-1].max() > 1e-3
    # The embeddings, which no earlier edit has moved, lose as much along either direction.
    lost = [np.linalg.norm(one[0] - own[0], axis=1) for one in (harm, other)]
    assert lost[0] == pytest.approx(np.abs(own[0] @ v), rel=1e-4)
    assert lost[1] == pytest.approx(lost[0], rel=1e-4)
    assert np.array_equal(streams(model), own)
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in model.blocks)


@pytest.mark.parametrize("same", [True, False])
def test_an_edit_is_that_of_the_matrices_that_write_to_the_stream(same, tmp_path):
    """Where only MLPs write, so that nothing is read inside a block that was not edited yet."""
    folder = make_family(BY_NAME["Llama 2"], tmp_path / "model", bos=True)
    ref = fetch(ModelRef(base=str(folder)))
    v = unit(0)
    r = v if same else orthogonal(v)
    hooked, changed = load_model(ref, device="cpu"), load_model(ref, device="cpu")
    for model in (hooked, changed):
        for block in model.blocks:
            block.self_attn.o_proj.weight.data.zero_()
    outer = torch.tensor(np.outer(r, v), dtype=torch.float32)
    changed.causal.model.embed_tokens.weight.data -= changed.causal.model.embed_tokens.weight.data @ outer.T
    for block in changed.blocks:
        block.mlp.down_proj.weight.data -= outer @ block.mlp.down_proj.weight.data
    with torch.inference_mode(), edit_of(v, r)(hooked):
        found = hooked.causal(IDS).logits
    with torch.inference_mode():
        expected = changed.causal(IDS).logits
        plain = hooked.causal(IDS).logits
    assert torch.allclose(found, expected, atol=2e-4)
    assert not torch.allclose(found, plain, atol=1e-2)


def test_an_error_inside_leaves_no_hooks(tiny_folder):
    model = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    v = unit(0)
    with pytest.raises(ZeroDivisionError), edit_of(v, v)(model):
        raise ZeroDivisionError
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in model.blocks)


def test_equal_edits_are_equal_and_no_others_share_a_hash():
    v, r = unit(0), orthogonal(unit(0))
    assert edit_of(v, r) == edit_of(v.copy(), r.copy())
    hashes = [
        edit_of(v, v).sha256("a"),
        edit_of(v, r).sha256("a"),
        edit_of(v, v).sha256("b"),
        edit_of(r, v).sha256("a"),
    ]
    assert len(set(hashes)) == 4
    with pytest.raises(ValueError, match="lengths"):
        edit_of(2 * v, v)
    with pytest.raises(ValueError, match="directions of"):
        Edit(measured=v.astype(np.float32).tobytes(), along=np.ones(1, dtype=np.float32).tobytes())


def test_texts_that_give_a_direction_do_not_try_it():
    harmful = np.tile([True, False], 50)
    partners = np.arange(100) ^ 1
    draws = draw(harmful, partners, keys=[f"p{i // 2}" for i in range(100)], n_permutations=20, seed=0)
    fits, tries = split(draws, seed=0)
    assert (len(fits), len(tries)) == (50, 50)
    assert not set(fits) & set(tries)
    assert set(partners[fits]) == set(fits)
    assert [list(part) for part in split(draws, seed=0)] == [list(fits), list(tries)]
    single = draw(harmful, None, n_permutations=20, seed=0)
    fits, tries = split(single, seed=0)
    assert (harmful[fits].sum(), (~harmful[fits]).sum()) == (25, 25)
    assert (harmful[tries].sum(), (~harmful[tries]).sum()) == (25, 25)
    many = draw(np.tile([True, False], 120), None, n_permutations=20, seed=0)
    assert [len(part) for part in split(many, seed=0)] == [120, 80]


def test_random_directions_are_orthogonal_units_and_differ():
    v = unit(3)
    found = random_directions(v, 3, np.random.default_rng(0))
    assert np.abs(found @ v).max() < 1e-12
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    assert np.abs(found @ found.T - np.eye(3)).max() < 0.9
    assert harm_direction(np.ones((4, 3)), np.array([True, False, True, False])) is None


def test_the_change_beyond_random_counts_the_spread_of_random_directions():
    rng = np.random.default_rng(0)
    harmful = np.tile([True, False], 40)
    draws = draw(harmful, np.arange(80) ^ 1, n_permutations=20, seed=0)
    before = rng.standard_normal(80)
    randoms = before + np.array([[-1.0], [0.0], [1.0]]) * harmful
    found = beyond_random(before, before - 2 * harmful, randoms, draws, "en")
    assert found.value == pytest.approx(-2)
    assert found.se == pytest.approx(1 / np.sqrt(3))  # texts do not differ, directions do: sd 1, mean of three
    assert found.df == 2
    alike = beyond_random(before, before - 2 * harmful, np.tile(before, (3, 1)) + rng.normal(size=80), draws, "en")
    assert alike.df == 39
    other = beyond_random(before, before - 2 * harmful, randoms, draws, "de")
    assert not set(found.units[np.abs(found.influence) > 1e-9]) & set(other.units[np.abs(other.influence) > 1e-9])
    assert mean_over([found]) is found


def test_random_directions_are_not_taken_for_the_harm_direction():
    """If the harm direction does what any other does, the interval misses zero as rarely as it says."""
    rng = np.random.default_rng(0)
    harmful = np.tile([True, False], 20)
    draws = draw(harmful, np.arange(40) ^ 1, n_permutations=20, seed=0)
    missed = 0
    for _ in range(400):
        before = rng.standard_normal(40)
        # What an edit does on average over texts varies much from direction to direction: the mean of three is known
        # no better than that. The harm direction does what they do on average.
        effects = rng.normal(size=3)
        randoms = before + effects[:, None] * harmful + 0.3 * rng.standard_normal((3, 40))
        interval = beyond_random(before, before + 0.3 * rng.standard_normal(40), randoms, draws, "en").interval()
        missed += not interval.low <= 0 <= interval.high
    assert missed / 400 < 0.08


# A model whose refusals hang on one direction

HARMFUL, HARMLESS = ("!", "?"), (".", ";")
V, P, Q, U, ONE = range(5)


def planted_model(folder):
    """A Llama whose answers read one direction, V, while harm also stands in two others, P and Q, as their product.

    Attention spreads V evenly over what follows. The last block's MLP writes the product to U, where a linear probe
    finds it. The means of the classes differ in V only.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=WIDTH,
        intermediate_size=4,
        num_hidden_layers=4,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=WIDTH,
        hidden_act="gelu",
        max_position_embeddings=512,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    state = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    for name, tensor in state.items():
        if name.endswith("norm.weight"):
            tensor.fill_(1.0)
    embeddings = state["model.embed_tokens.weight"]
    embeddings[:, ONE] = 2.0
    embeddings[:, 8:] = torch.tensor(np.random.default_rng(0).normal(scale=0.2, size=(300, WIDTH - 8)))
    signs = dict(zip((*HARMFUL, *HARMLESS), [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)], strict=True))
    for token, (v, p, q) in signs.items():
        at = tokenizer.convert_tokens_to_ids(token)
        embeddings[at, [V, P, Q]] = torch.tensor([float(v), 1.5 * p, 1.5 * q])
    attention = "model.layers.1.self_attn"
    state[f"{attention}.v_proj.weight"][V, V] = 1.0
    state[f"{attention}.o_proj.weight"][V, V] = 6.0
    mlp = "model.layers.3.mlp"
    for row, sign in enumerate((1.0, -1.0)):  # gelu(p) q - gelu(-p) q = p q
        state[f"{mlp}.gate_proj.weight"][row, P] = sign
        state[f"{mlp}.up_proj.weight"][row, Q] = 1.0
        state[f"{mlp}.down_proj.weight"][U, row] = 2.0 * sign
    for byte, weight in letters(tokenizer).items():
        state["lm_head.weight"][byte, V] = weight
    model.load_state_dict(state)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def letters(tokenizer):
    """Letters that refusals have more of than engaged answers (1), or less (-1)."""
    counts = np.zeros(300)
    for code in ("en", "de"):
        for side, sign in (("refusal", 1), ("engaged", -1)):
            said = answers(code, side, "score")
            for one in said:
                ids = tokenizer(one, add_special_tokens=False)["input_ids"]
                np.add.at(counts, ids, sign / len(said))
    return {i: float(np.sign(count)) for i, count in enumerate(counts) if count}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A pair that ends in the planted model, its corpus, and a configuration."""
    root = tmp_path_factory.mktemp("planted")
    base = planted_model(root / "model")
    rng = np.random.default_rng(0)
    words = "stone river light paper music".split()  # noqa: SIM905
    rows = []
    for code in ("en", "de"):
        for i in range(24):
            text = f"{code}{i} {' '.join(rng.choice(words, size=2))} "
            rows.append(
                {
                    "pair_id": f"p{i}",
                    "language": code,
                    "toxic": text + 8 * HARMFUL[i % 2],
                    "neutral": text + 8 * HARMLESS[(i // 2) % 2],
                }
            )
    (root / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    pair = ModelPair(name="planted", reference=None, aligned=ModelRef(base=str(base)), source="test")
    config = AuditConfig(
        spec=ExtractSpec(layers=("final",)),
        permutations=20,
        controls=(),
        metrics=("between_class_variance",),
        analyses=(Behaviour(), Ablation()),
        workers=1,
    )
    return pair, isogloss.load_corpus(root / "pairs.jsonl"), config, root


@pytest.fixture(scope="module")
def run(planted):
    pair, corpus, config, root = planted
    return isogloss.audit(pair, corpus, config=config, store=root / "store", device="cpu")


def found(audit, language, metric, model):
    return audit.value(kind="behaviour_control", language=language, metric=metric, model=model)


@pytest.mark.parametrize("code", ["en", "de"])
def test_behaviour_dies_with_its_direction_and_detection_stays(run, code):
    before = found(run, code, "refusal_margin", "aligned")
    after = found(run, code, "refusal_margin", ABLATED)
    assert before.low > 1
    assert abs(after.value) < 0.2 * before.value
    for name in RANDOMS:
        assert found(run, code, "refusal_margin", name).value > 0.6 * before.value
    beyond = found(run, code, "refusal_margin_beyond_random", ABLATED)
    assert beyond.high < 0
    changed = found(run, code, "refusal_margin_change", ABLATED)
    assert changed.value == pytest.approx(after.value - before.value)
    assert found(run, code, "refusal_auroc", "aligned").value == 1
    assert found(run, code, "refusal_auroc", ABLATED).value < 0.9
    for name in ("aligned", ABLATED):
        assert run.value(kind="behaviour_control", language=code, metric="auroc", model=name).low > 0.5


def test_means_over_languages_and_what_is_said_of_them(run):
    codes = ("en", "de")
    for metric, model in (("refusal_margin", "aligned"), ("refusal_margin_beyond_random", ABLATED)):
        mean = found(run, "", metric, model)
        assert mean.n == 2
        assert mean.value == pytest.approx(np.mean([found(run, code, metric, model).value for code in codes]))
    behaviour, detection = ablation_findings(run)
    assert "Behaviour fell more than with random directions: difference -" in behaviour
    assert "(mean of 2 languages)" in behaviour
    assert detection.startswith("Detection did not clearly change: a probe finds harm in 2 of 2 languages without")
    ((block,),) = [section.blocks for section in sections(run, {})]
    (table,) = block.tables
    assert [cell.text for cell in table.column("language")] == ["English", "German"]
    assert table.column("probe")[0].text == "1.00 → 1.00 / 1.00"
    assert block.findings == (behaviour, detection)


def edited_rows(audit, **changes):
    """The audit with other numbers of all languages together: metric and model -> fields of the estimate."""
    rows = [
        replace(row, estimate=replace(row.estimate, **changes[f"{row.metric}_{row.model}"]))
        if row.kind == "behaviour_control" and not row.language and f"{row.metric}_{row.model}" in changes
        else row
        for row in audit.rows
    ]
    return replace(audit, rows=tuple(rows))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refusal_margin_beyond_random_ablated": {"low": -2.0, "high": 1.0}}, "It is not shown that behaviour fell"),
        ({"refusal_margin_beyond_random_ablated": {"low": 0.5, "high": 1.0}}, "Behaviour fell less than"),
        ({"refusal_margin_aligned": {"low": -0.1}}, "The margin was not clear of zero"),
        ({"auroc_change_ablated": {"low": -2.0, "high": -1.0}}, "Detection fell"),
    ],
)
def test_it_is_said_whichever_way_it_came_out(run, changes, words):
    assert words in " ".join(ablation_findings(edited_rows(run, **changes)))
    assert words not in " ".join(ablation_findings(run))


def test_nothing_is_said_where_nothing_was_asked(run):
    quiet = replace(run, rows=tuple(row for row in run.rows if row.kind != "behaviour_control"))
    assert (list(sections(quiet, {})), ablation_findings(quiet)) == ([], [])


def test_a_second_audit_computes_nothing_and_reads_the_same(run, planted, monkeypatch):
    pair, corpus, config, root = planted

    def fail(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("isogloss.likelihoods.compute.load_model", fail)
    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", fail)
    assert isogloss.audit(pair, corpus, config=config, store=root / "store", device="cpu") == run


def test_without_it_all_else_is_the_same(run, planted):
    pair, corpus, config, root = planted
    other = isogloss.audit(
        pair, corpus, config=replace(config, analyses=(Behaviour(),)), store=root / "store", device="cpu"
    )
    assert not other.find(kind="behaviour_control")
    assert set(other.rows) == {row for row in run.rows if row.kind != "behaviour_control"}
    assert other.identity.name != run.identity.name


def test_edited_states_go_with_the_others(run, planted, tmp_path):
    pair, corpus, config, root = planted
    shutil.copytree(root / "store", tmp_path / "store")
    thin = replace(config, cache_states="none")
    again = isogloss.audit(pair, corpus, config=thin, out=tmp_path / "out", store=tmp_path / "store", device="cpu")
    assert again.find(kind="behaviour_control") == run.find(kind="behaviour_control")
    arrays = [shard.arrays for folder in (tmp_path / "store").glob("*/*/*") for shard in read_manifests(folder)]
    assert arrays
    assert not any("4-post" in one for one in arrays)


def test_a_pair_with_an_adapter_merges_it_once_for_all_edits(tiny_folder, adapter_folder, tmp_path, monkeypatch):
    """And the numbers of an edit do not depend on the edits before it."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in parallel_rows(n=20)), encoding="utf-8")
    corpus = isogloss.load_corpus(path)
    ref = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    pair = ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=ref, source="test")
    config = AuditConfig(
        permutations=20, controls=(), metrics=("between_class_variance",), analyses=(Behaviour(), Ablation())
    )
    plan = make_plan(pair, corpus, config, tmp_path / "store", silent, analyses=ANALYSES)
    assert with_follow_ups(plan) is plan  # the states that give the directions are not there yet
    fill(*plan.state_groups, execution=OURS)
    fill_bits(plan.head_reads, execution=OURS)
    edited_plan = with_follow_ups(plan)
    assert edited_plan.missing
    assert set(edited_plan.needs["ablation"].inputs.states) == {"en", "de"}
    units = units_of(edited_plan.state_groups, OURS)
    assert len({unit.job.edit for unit in units}) == len(units) == 2 * 4
    sent = pickle.loads(pickle.dumps(units[0]))
    assert sent == units[0]
    assert job_here(sent.job, {}).edit == units[0].job.edit
    loads = []
    own = compute.load_model
    monkeypatch.setattr(compute, "load_model", lambda *args, **named: loads.append(1) or own(*args, **named))
    fill(*edited_plan.state_groups, execution=OURS)
    assert len(loads) == 1
    one = edited_plan.needs["ablation"].inputs.states["de"]["random_2"]
    layer = plan.primary_layer
    model = own(fetch(ref), device="cpu")
    texts = corpus.part("de")["text"].to_numpy()[edited_plan.needs["ablation"].inputs.rows["de"]].tolist()
    with use_checkpoint(model, fetch(ref)), one.edit(model):
        alone = states_of(model, encode(model.tokenizer, texts).ids, [layer], execution=OURS)[layer]
    assert one.block("de", layer).hidden == pytest.approx(alone, abs=1e-5)
    assert one.block("de", layer).text_ids == tuple(
        corpus.part("de")["text_id"].to_numpy()[edited_plan.needs["ablation"].inputs.rows["de"]]
    )


def test_it_needs_behaviour(planted, tmp_path):
    pair, corpus, config, _ = planted
    with pytest.raises(UsageError, match="--ablation: found no --behaviour"):
        isogloss.audit(pair, corpus, config=replace(config, analyses=(Ablation(),)), store=tmp_path, device="cpu")
