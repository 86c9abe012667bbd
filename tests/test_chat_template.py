"""Raw text and chat template: the same tokens for both models, two read-outs, and the two by two of an audit."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import isogloss
import isogloss.hidden_states.compute
from conftest import make_tokenizer, parallel_rows
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.models.prompts import encode
from isogloss.recipes.build import specs
from isogloss.report.page.tables import prompt_format_table
from isogloss.report.page.view import view as look
from isogloss.report.prompt_formats import prompt_format_lines
from isogloss.results import Audit

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<user>{{ m['content'] | trim }}</user>{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)
FINAL = Layer(4, "post")


@pytest.fixture
def tokenizer():
    found = make_tokenizer()
    found.chat_template = TEMPLATE
    return found


def text_of(tokenizer, row):
    return tokenizer.decode(row)


def test_the_two_read_outs_end_where_they_say(tokenizer):
    for text in ("what?", "  spaces are trimmed \n", "</user> in the text", "हिन्दी 🙂"):
        prompts = encode(tokenizer, [text], prompt_format="chat")
        (row,), (end,) = prompts.ids, prompts.text_ends
        assert text_of(tokenizer, row) == f"<bos><user>{text.strip()}</user><bot>"
        assert text_of(tokenizer, row[:end]) == f"<bos><user>{text.strip()}"
        assert row.count(1) == 1
        raw = encode(tokenizer, [text])
        assert raw.text_ends == (len(raw.ids[0]),)


def test_a_long_text_loses_its_end_and_the_template_does_not(tokenizer):
    prompts = encode(tokenizer, ["abcdefghij", "ab"], prompt_format="chat", max_tokens=25)
    assert prompts.cut == (True, False)
    assert text_of(tokenizer, prompts.ids[0]) == "<bos><user>abcdef</user><bot>"
    assert len(prompts.ids[0]) == 25
    assert text_of(tokenizer, prompts.ids[0][: prompts.text_ends[0]]) == "<bos><user>abcdef"
    with pytest.raises(ModelError, match="a template of 12 tokens after the text"):
        encode(tokenizer, ["abcdefghij"], prompt_format="chat", max_tokens=12)


def test_a_template_of_ones_own_goes_before_the_tokenizers(tokenizer):
    (row,) = encode(tokenizer, ["x"], prompt_format="chat", template="{{ messages[0]['content'] }}!").ids
    assert text_of(tokenizer, row) == "x!"


def with_template(folder, target, template=TEMPLATE):
    copy = shutil.copytree(folder, target)
    path = copy / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    return copy


@pytest.fixture
def refs(tiny_folder, other_folder, tmp_path):
    """A base without a template, and a descendant that has one."""
    aligned = with_template(other_folder, tmp_path / "aligned")
    return {"reference": ModelRef(base=str(tiny_folder)), "aligned": ModelRef(base=str(aligned))}


def test_the_reference_is_lent_the_template(refs, parallel_file, tmp_path):
    """Its states are those of the rendered prompt, token for token, though it has no template of its own."""
    from isogloss.models.checkpoints import fetch
    from isogloss.models.load import load_model
    from running import PLAIN, run

    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    texts = corpus.part("en")["text"].to_list()
    aligned = load_model(fetch(refs["aligned"]), device="cpu")
    prompts = encode(aligned.tokenizer, texts, prompt_format="chat")
    cut = [row[:end] for row, end in zip(prompts.ids, prompts.text_ends, strict=True)]
    for rows, position in ((prompts.ids, "last"), (cut, "last_instruction_token")):
        spec = ExtractSpec(prompt_format="chat", position=position)
        found = locate(refs, corpus, spec, store=tmp_path / "store")
        fill(found)
        for role, ref in refs.items():
            oracle = run(load_model(fetch(ref), device="cpu"), rows, [FINAL], execution=PLAIN)[FINAL]
            np.testing.assert_allclose(found[role].block("en", FINAL).hidden, oracle, rtol=1e-3, atol=1e-4)
    alone = locate({"aligned": refs["reference"]}, corpus, ExtractSpec(prompt_format="chat"), store=tmp_path / "store")
    with pytest.raises(ModelError, match="without a chat template"):
        fill(alone)


def test_read_outs_of_the_same_prompts_share_their_forward_passes(refs, parallel_file, tmp_path, monkeypatch):
    """All positions at once give the states of each alone, in one pass a prompt format and one load a model."""
    from isogloss.hidden_states.extract import hidden_states

    corpus = isogloss.load_corpus(parallel_file, languages=["en", "de"])
    specs = [
        ExtractSpec(layers=("1", "final-pre", "final"), prompt_format=prompt_format, position=position)
        for prompt_format, position in (
            ("raw", "last"),
            ("raw", "mean"),
            ("chat", "last"),
            ("chat", "last_instruction_token"),
            ("chat", "mean"),
        )
    ]
    passes, loads = [], []
    load = isogloss.hidden_states.compute.load_model
    monkeypatch.setattr(
        "isogloss.hidden_states.compute.hidden_states",
        lambda model, plan, wanted, **how: passes.append(tuple(wanted)) or hidden_states(model, plan, wanted, **how),
    )
    monkeypatch.setattr(
        "isogloss.hidden_states.compute.load_model", lambda *a, **options: loads.append(1) or load(*a, **options)
    )
    together = [locate(refs, corpus, spec, store=tmp_path / "together") for spec in specs]
    assert fill(*together) == 2 * 2 * len(specs)
    assert len(loads) == 2
    assert passes == 2 * [*2 * [("last", "mean")], *2 * [("last", "last_instruction_token", "mean")]]
    assert not any(one.missing for found in together for one in found.values())
    for spec, found in zip(specs, together, strict=True):
        alone = locate(refs, corpus, spec, store=tmp_path / "alone")
        fill(alone)
        for role, one in alone.items():
            for layer in one.layers:
                expected = one.block("de", layer).hidden
                np.testing.assert_allclose(found[role].block("de", layer).hidden, expected, rtol=1e-3, atol=1e-4)


def test_what_one_read_out_has_is_not_computed_again_for_another(refs, parallel_file, tmp_path, monkeypatch):
    from isogloss.hidden_states.extract import hidden_states

    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    last, mean = ExtractSpec(), ExtractSpec(position="mean", layers=("2", "final"))
    fill(locate(refs, corpus, last, store=tmp_path))
    passes = []
    monkeypatch.setattr(
        "isogloss.hidden_states.compute.hidden_states",
        lambda model, plan, wanted, **how: passes.append(dict(wanted)) or hidden_states(model, plan, wanted, **how),
    )
    fill(*(locate(refs, corpus, spec, store=tmp_path) for spec in (last, mean)))
    assert passes == 2 * [{"mean": (Layer(2, ""), FINAL)}]


CONFIG = isogloss.AuditConfig(
    permutations=20, controls=(), metrics=("between_class_variance",), chat=ExtractSpec(prompt_format="chat")
)


def audited(refs, tmp_path, config=CONFIG, **settings):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in parallel_rows(n=40)))
    pair = ModelPair(name="own", reference=refs.get("reference"), aligned=refs["aligned"], source="test")
    return isogloss.audit(
        pair, isogloss.load_corpus(path), config=replace(config, **settings), store=tmp_path / "store", device="cpu"
    )


def test_both_prompt_formats_give_the_two_by_two(refs, tmp_path):
    """Each side is what an audit in that prompt format alone says; the difference is that of the gains."""
    both = audited(refs, tmp_path)
    raw = audited(refs, tmp_path, chat=None)
    chat = audited(refs, tmp_path, chat=None, spec=ExtractSpec(prompt_format="chat"))
    where = {"metric": "between_class_variance", "components": 10}
    for code in both.languages:
        for kind, model in (("score", "reference"), ("score", "aligned"), ("gain", "")):
            place = where | {"kind": kind, "model": model, "language": code}
            assert both.value(**place, sample="all").value == raw.value(**place).value
            assert both.value(**place, sample="chat").value == pytest.approx(chat.value(**place).value, abs=1e-6)
        gains = [both.value(**where, kind="gain", language=code, sample=sample).value for sample in ("all", "chat")]
        difference = both.value(**where, kind="prompt_format", language=code)
        assert difference.value == pytest.approx(gains[1] - gains[0])
        assert difference.low < difference.value < difference.high
    assert both.identity.name != raw.identity.name
    assert Audit.from_json(both.to_json()) == both
    table = both.table()
    assert set(table.filter(sample="chat")["prompt_format"]) == {"chat"}
    assert set(table.filter(sample="all")["prompt_format"]) == {"raw"}
    (first, _) = prompt_format_lines(both)
    assert first.language == "en English"
    assert first.difference[0] in "+-"
    assert prompt_format_lines(raw) == []


def test_a_verdict_that_depends_on_the_prompt_format_is_warned_of(refs, tmp_path, monkeypatch):
    """Alignment that works on raw text, and is undone by the template in one language."""
    from isogloss.auditing import score as score_language

    def planted(part):
        plan, sample, _ = part
        rng = np.random.default_rng(0)
        chat = plan.activations["aligned"].spec.prompt_format == "chat"
        blocks = {}
        for role in plan.roles:
            hidden = rng.normal(size=(len(sample.rows), 12))
            undone = chat and sample.language == "de"
            hidden[:, 0] += 6 * sample.draws.harmful * (role == ("reference" if undone else "aligned"))
            blocks[role] = score_language.score_block(hidden, sample.draws, plan.metrics, plan.components)
        return blocks

    monkeypatch.setattr("isogloss.auditing.score.score_part", planted)
    found = audited(refs, tmp_path)
    (warning,) = [warning for warning in found.warnings if warning.code == "S013"]
    assert warning.language == "de"
    assert warning.detail == "reached on raw text, reversed in the chat template; the gain changes its sign"
    (line,) = [line for line in prompt_format_lines(found) if line.language.startswith("de")]
    assert line.verdicts == "reached / reversed"
    assert [one.verdict for one in found.verdicts if one.language == "de"] == ["reached"]


def test_the_page_has_the_two_by_two(refs, tmp_path):
    both = audited(refs, tmp_path)
    table = prompt_format_table(look(both))
    columns = [f"{name}, {where}" for where in ("raw", "chat") for name in ("reference", "aligned", "gain")]
    assert table.headings == ("language", *columns, "difference of gains")
    for line in table.lines:
        shown = dict(zip(table.headings, line, strict=True))
        code = shown["language"].below
        difference = both.find(kind="prompt_format", language=code)[0].estimate
        assert shown["difference of gains"].value == difference.value
        assert shown["gain, chat"].value - shown["gain, raw"].value == pytest.approx(difference.value)
        assert shown["gain, chat"].below.startswith(both.find(kind="gain", sample="chat", language=code)[0].verdict)
    assert prompt_format_table(look(audited(refs, tmp_path, chat=None))) is None


def test_an_aligned_model_alone_is_read_in_both_prompt_formats(refs, tmp_path):
    found = audited({"aligned": refs["aligned"]}, tmp_path)
    assert {row.kind for row in found.rows if row.sample == "chat"} == {"score"}
    assert prompt_format_lines(found)[0].difference == "–"


def test_options_become_specs(tmp_path):
    file = tmp_path / "template.jinja"
    file.write_text(TEMPLATE)
    settings = {"max_tokens": 64, "dtype": "float32", "precision": "exact"}
    raw, none = specs("raw", "mean", None, **settings)
    assert (raw.prompt_format, raw.position, none) == ("raw", "mean", None)
    chat, none = specs("chat", "last_prompt_token", file, **settings)
    assert (chat.prompt_format, chat.position, chat.chat_template, none) == ("chat", "last", TEMPLATE, None)
    raw, chat = specs("both", "last_instruction_token", file, **settings)
    assert (raw.prompt_format, raw.position, raw.chat_template) == ("raw", "last", None)
    assert (chat.prompt_format, chat.position, chat.chat_template) == ("chat", "last_instruction_token", TEMPLATE)
    assert len({raw.sha256, chat.sha256, replace(chat, chat_template="other").sha256}) == 3
    for prompt_format, position, template in (
        ("both", "first", None),
        ("markdown", "last", None),
        ("raw", "last_instruction_token", None),
        ("raw", "last_prompt_token", None),
        ("raw", "last", file),
        ("chat", "last", tmp_path / "missing"),
    ):
        with pytest.raises(UsageError):
            specs(prompt_format, position, template, **settings)


def test_settings_that_were_there_before_keep_their_hash():
    """Stores that were filled before chat templates could be given are still read."""
    assert set(ExtractSpec().settings) == {"position", "prompt_format", "max_tokens", "dtype", "precision"}
