"""Raw text and chat template: the same tokens for both models, two read-outs, and the two by two of an audit."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import isogloss
import isogloss.hidden_states.compute
from conftest import make_tokenizer, parallel_rows
from isogloss.analyses.chat_template.rows import chat_spec
from isogloss.analyses.chat_template.tables import sections
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.models.prompts import encode
from isogloss.recipes.build import config_of
from isogloss.recipes.settings import make_settings
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
    permutations=20, controls=(), metrics=("between_class_variance",), analyses=(isogloss.ChatTemplate(),)
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
    raw = audited(refs, tmp_path, analyses=())
    chat = audited(refs, tmp_path, analyses=(), spec=ExtractSpec(prompt_format="chat"))
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
    assert {row.analysis for row in both.rows if row.sample == "chat"} == {"chat_template"}
    (first, _) = rows_of(both)
    assert first["language"].text == "English"
    assert first["difference"].text[0] in "+-"
    assert sections(raw, {}) == ()


def test_a_verdict_that_depends_on_the_prompt_format_is_warned_of(refs, tmp_path, monkeypatch):
    """Alignment that works on raw text, and is undone by the template in one language."""
    from isogloss.auditing import score as score_language

    def planted(item):
        plan, sample, *_ = item
        rng = np.random.default_rng(0)
        chat = plan.activations["aligned"].spec.prompt_format == "chat"
        blocks = {}
        for role in plan.roles:
            hidden = rng.normal(size=(len(sample.rows), 12))
            undone = chat and sample.language == "de"
            hidden[:, 0] += 6 * sample.draws.harmful * (role == ("reference" if undone else "aligned"))
            blocks[role] = score_language.score_block(hidden, sample.draws, plan.metrics, plan.components)
        return blocks

    monkeypatch.setattr("isogloss.auditing.score.score_item", planted)
    found = audited(refs, tmp_path)
    (warning,) = [warning for warning in found.warnings if warning.code == "S013"]
    assert warning.language == "de"
    assert warning.detail == "reached on raw text, reversed in the chat template; the gain changes its sign"
    (cells,) = [cells for cells in rows_of(found) if cells["language"].text == "German"]
    assert [cells[f"verdict_{name}"].text for name in ("raw", "chat")] == ["reached", "reversed"]
    assert [one.verdict for one in found.verdicts if one.language == "de"] == ["reached"]


def rows_of(audit):
    """The rows of the table, each as column -> cell."""
    ((block,),) = [section.blocks for section in sections(audit, {})]
    (table,) = block.tables
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, row, strict=True)) for row in table.rows]


def test_the_table_has_the_two_by_two(refs, tmp_path):
    both = audited(refs, tmp_path)
    names = {"English": "en", "German": "de"}
    for cells in rows_of(both):
        language = names[cells["language"].text]
        difference = both.find(kind="prompt_format", language=language)[0].estimate
        assert cells["difference"].value == difference.value
        assert cells["gain_chat"].value - cells["gain_raw"].value == pytest.approx(difference.value)
        assert cells["verdict_chat"].text == both.find(kind="gain", sample="chat", language=language)[0].verdict


def test_an_aligned_model_alone_is_read_in_both_prompt_formats(refs, tmp_path):
    found = audited({"aligned": refs["aligned"]}, tmp_path)
    assert {row.kind for row in found.rows if row.sample == "chat"} == {"score"}
    assert all(cells["aligned_chat"].value is not None for cells in rows_of(found))
    assert "difference" not in rows_of(found)[0] or rows_of(found)[0]["difference"].value is None


def test_options_become_specs_and_requests(tmp_path):
    file = tmp_path / "template.jinja"
    file.write_text(TEMPLATE)

    def config(**settings):
        return config_of(make_settings({"max_tokens": 64, **settings}))

    raw = config(position="mean")
    assert (raw.spec.prompt_format, raw.spec.position, raw.analyses) == ("raw", "mean", ())
    chat = config(prompt_format="chat", position="last_prompt_token", chat_template=file).spec
    assert (chat.prompt_format, chat.position, chat.chat_template) == ("chat", "last", TEMPLATE)
    both = config(compare_chat=True, chat_position="last_instruction_token", chat_template=file)
    assert (both.spec.prompt_format, both.spec.position, both.spec.chat_template) == ("raw", "last", None)
    (request,) = both.analyses
    in_chat = chat_spec(request, both.spec)
    assert (in_chat.prompt_format, in_chat.position) == ("chat", "last_instruction_token")
    assert in_chat.chat_template == TEMPLATE
    assert chat_spec(isogloss.ChatTemplate(), raw.spec).position == "mean"
    assert len({both.spec.sha256, in_chat.sha256, replace(in_chat, chat_template="other").sha256}) == 3
    for settings in (
        {"position": "first"},
        {"prompt_format": "markdown"},
        {"position": "last_instruction_token"},
        {"position": "last_prompt_token"},
        {"chat_template": file},
        {"prompt_format": "chat", "chat_template": tmp_path / "missing"},
        {"chat_position": "mean"},
    ):
        with pytest.raises(UsageError):
            config(**settings)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (replace(CONFIG, spec=ExtractSpec(prompt_format="chat")), "--compare-chat: found --prompt-format chat"),
        (replace(CONFIG, analyses=(isogloss.ChatTemplate(chat_position="first"),)), "--chat-position: found 'first'"),
    ],
)
def test_requests_that_do_not_fit_are_refused(refs, tmp_path, config, words):
    with pytest.raises(UsageError, match=words):
        audited(refs, tmp_path, config)


def test_settings_that_were_there_before_keep_their_hash():
    """Stores that were filled before chat templates could be given are still read."""
    assert set(ExtractSpec().settings) == {"position", "prompt_format", "max_tokens", "dtype", "precision"}
