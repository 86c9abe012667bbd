"""What a user may hand in by mistake: each refused, or warned of, in one line that says what to do."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import isogloss
from conftest import make_model, make_tokenizer
from isogloss.errors import CorpusError, IsoglossError, ModelError
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.models.checkpoints import fetch
from isogloss.models.depth import read_depth
from isogloss.models.load import load_model, load_tokenizer
from isogloss.models.pairs import ModelPair, ModelRef

QUICK = {"permutations": 20, "controls": (), "per_class": 20}


@pytest.fixture
def copied(tiny_folder, tmp_path):
    """A copy of the tiny model to break."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def changed(folder, name, **values):
    """Write values into a JSON file of a model folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def pair(reference, aligned):
    return ModelPair(
        name="own",
        reference=ModelRef(base=str(reference)) if reference else None,
        aligned=ModelRef(base=str(aligned)),
        source="test",
    )


def run_audit(models, corpus, tmp_path, **settings):
    config = isogloss.AuditConfig(**QUICK | settings)
    return isogloss.audit(models, corpus, config=config, store=tmp_path / "store", device="cpu")


def one_line(error):
    assert isinstance(error.value, IsoglossError)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_same_model_twice_is_refused(tiny_folder, copied, parallel_file, tmp_path):
    with pytest.raises(ModelError, match=r"the same weights as reference .* leave --reference out") as error:
        run_audit(pair(tiny_folder, copied), isogloss.load_corpus(parallel_file), tmp_path)
    one_line(error)


def test_other_tokens_are_allowed_with_a_warning(tiny_folder, other_folder, copied, parallel_file, tmp_path):
    corpus = isogloss.load_corpus(parallel_file)
    tokenizer = json.loads((copied / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab["e"], vocab["n"] = vocab["n"], vocab["e"]
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer))
    for _ in range(2):  # the second time from the store
        found = run_audit(pair(other_folder, copied), corpus, tmp_path)
        assert [warning.detail for warning in found.warnings if warning.code == "M005"] == ["other tokens"]
    found = run_audit(pair(other_folder, tiny_folder), corpus, tmp_path)
    assert "M005" not in {warning.code for warning in found.warnings}


def test_other_widths_are_allowed_with_a_warning(tiny_folder, parallel_file, tmp_path):
    wide = make_model(tmp_path / "wide", seed=0, width=64)
    found = run_audit(pair(wide, tiny_folder), isogloss.load_corpus(parallel_file), tmp_path)
    assert [warning.detail for warning in found.warnings if warning.code == "M005"] == ["widths 64 and 32"]


def test_another_depth_is_refused(tiny_folder, parallel_file, tmp_path):
    deep = make_model(tmp_path / "deep", seed=0, depth=6)
    with pytest.raises(ModelError, match="6 blocks in the reference model, 4 blocks in the aligned model") as error:
        run_audit(pair(deep, tiny_folder), isogloss.load_corpus(parallel_file), tmp_path)
    one_line(error)


def test_code_of_a_model_is_not_run(copied):
    """A configuration, or a tokenizer, that would have its own code run."""
    (copied / "modeling_evil.py").write_text("raise SystemExit('run')")
    changed(copied, "config.json", model_type="evil", auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})
    checkpoint = fetch(ModelRef(base=str(copied)))
    with pytest.raises(ModelError, match=r"brings its own code .*code from a model is not run") as error:
        load_model(checkpoint)
    one_line(error)
    (copied / "config.json").write_text('{"model_type": "evil", "auto_map": {}}')
    with pytest.raises(ModelError, match="brings its own code"):
        read_depth(fetch(ModelRef(base=str(copied))))
    changed(
        copied,
        "tokenizer_config.json",
        tokenizer_class="EvilTokenizer",
        auto_map={"AutoTokenizer": ["modeling_evil.Evil", None]},
    )
    with pytest.raises(ModelError, match="brings its own code"):
        load_tokenizer(fetch(ModelRef(base=str(copied))))


def test_a_known_architecture_is_read_by_transformers_though_it_brings_code(copied):
    (copied / "modeling_evil.py").write_text("raise SystemExit('run')")
    changed(copied, "config.json", auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})
    assert load_model(fetch(ModelRef(base=str(copied))), device="cpu").depth == 4


def test_weights_that_are_not_whole_are_refused(copied):
    """transformers would draw them at random."""
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.2.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for 1 tensors, such as model\.layers\.2\.mlp\.up_proj") as error:
        load_model(fetch(ModelRef(base=str(copied))), device="cpu")
    one_line(error)


def test_weights_with_nan_are_refused_by_layer_and_text(copied, parallel_file, tmp_path):
    weights = load_file(copied / "model.safetensors")
    weights["model.layers.2.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    spec = ExtractSpec(layers=("2", "3"))
    with pytest.raises(ModelError, match=r"at layer 3: found infinite or undefined values in 60 of 60") as error:
        isogloss.extract(ModelRef(base=str(copied)), corpus, spec, store=tmp_path / "store", device="cpu")
    assert "check that the weights are complete" in one_line(error)


def test_a_text_longer_than_the_context_is_refused(copied, parallel_file, tmp_path):
    changed(copied, "config.json", max_position_embeddings=32)
    corpus, ref = isogloss.load_corpus(parallel_file, languages=["en"]), ModelRef(base=str(copied))
    with pytest.raises(ModelError, match=r"expected at most 32, its context; use --max-tokens 32") as error:
        isogloss.extract(ref, corpus, store=tmp_path / "store", device="cpu")
    one_line(error)
    found = isogloss.extract(ref, corpus, ExtractSpec(max_tokens=32), store=tmp_path / "store", device="cpu")
    assert found.cut("en") == 60


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (None, "a tokenizer without a chat template.*--chat-template FILE"),
        ("{{ raise_exception('no user may speak') }}", "no user may speak"),
        ("{% for m in messages %}", "Unexpected end of template|unexpected end"),
        ("{{ messages[0]['content'].nothing() }}", "nothing"),
        ("nothing of it", "it leaves the text out"),
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] | length }}", "changes with the text"),
    ],
)
def test_templates_that_are_missing_or_fail_are_refused(template, words, copied, parallel_file, tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(copied)
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    spec = ExtractSpec(prompt_format="chat")
    with pytest.raises(ModelError, match=words) as error:
        isogloss.extract(ModelRef(base=str(copied)), corpus, spec, store=tmp_path / "store", device="cpu")
    one_line(error)


def test_an_unknown_language_code_is_refused(parallel_file, tmp_path):
    with pytest.raises(CorpusError, match="unknown language: found 'xx'") as error:
        isogloss.load_corpus(parallel_file, languages=["xx"])
    one_line(error)
    strange = tmp_path / "strange.jsonl"
    strange.write_text(parallel_file.read_text().replace('"language": "de"', '"language": "qq"'))
    with pytest.raises(CorpusError, match="qq"):
        isogloss.load_corpus(strange)


def test_a_half_model_of_another_dtype_is_read_in_the_one_asked_for(copied):
    weights = {name: tensor.half() for name, tensor in load_file(copied / "model.safetensors").items()}
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    changed(copied, "config.json", dtype="float16")
    loaded = load_model(fetch(ModelRef(base=str(copied))), device="cpu")
    assert {parameter.dtype for parameter in loaded.causal.parameters()} == {torch.float32}
