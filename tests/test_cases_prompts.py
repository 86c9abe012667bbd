"""Cases of chat templates, tokenizers of adapters and control tokens in texts: each with the right value."""

import datetime as dt
import json
import shutil
from dataclasses import replace

import numpy as np
import peft
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from typer.testing import CliRunner

import isogloss
from adapter_kinds import lora, save_adapter
from conftest import make_tokenizer, parallel_rows
from isogloss.cli.app import app
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.likelihoods.cached import locate_answers
from isogloss.models import template_settings
from isogloss.models.adapters import use_checkpoint
from isogloss.models.chat_prompts import prompt_end
from isogloss.models.checkpoints import fetch
from isogloss.models.load import added_tokens, load_model, load_tokenizer
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.models.prompts import encode
from isogloss.models.template_settings import dated, open_thought, parse_arguments
from isogloss.recipes.build import config_of
from isogloss.recipes.settings import make_settings
from running import PLAIN, run

DATED = (
    "{{ bos_token }}{% if date_string is not defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}"
    "{% endif %}[Today: {{ date_string }}]"
    "{% for m in messages %}<user>{{ m['content'] | trim }}</user>{% endfor %}<bot>"
)
THINKING = (
    "{{ bos_token }}{% for m in messages %}<user>{{ m['content'] | trim }}</user>{% endfor %}"
    "{% if add_generation_prompt %}<bot>"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"
    "{% endif %}"
)
FINAL = Layer(4, "post")
QUICK = isogloss.AuditConfig(permutations=20, controls=(), metrics=("between_class_variance",), workers=1)


def with_template(folder, target, template):
    copy = shutil.copytree(folder, target)
    (copy / "chat_template.jinja").write_text(template, encoding="utf-8")
    return copy


def pair_of(reference, aligned):
    refs = {"reference": ModelRef.parse(str(reference)), "aligned": ModelRef.parse(str(aligned))}
    return ModelPair(name="own", **refs, source="a test")


def audited(pair, tmp_path, spec, rows=None, out="run"):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows or parallel_rows(n=22)), encoding="utf-8")
    corpus = isogloss.load_corpus(path)
    config = replace(QUICK, spec=spec)
    return isogloss.audit(pair, corpus, config=config, out=tmp_path / out, store=tmp_path / "store", device="cpu")


# Dates


def test_m03_a_template_is_told_a_fixed_date():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = DATED
    (row,) = encode(tokenizer, ["x"], prompt_format="chat").ids
    assert tokenizer.decode(row) == "<bos>[Today: 01 Jan 2026]<user>x</user><bot>"
    (row,) = encode(tokenizer, ["x"], prompt_format="chat", arguments=('date_string="1 May"',)).ids
    assert "[Today: 1 May]" in tokenizer.decode(row)


@pytest.mark.parametrize("wanted", ["%d %B %Y", "%B %d, %Y", "%d %b %Y", "%Y-%m-%d %H:%M:%S", "%A %-d %j 100%%", "%%d"])
def test_m03_every_way_to_ask_for_the_date_is_answered_as_strftime_does(wanted):
    tokenizer = make_tokenizer()
    template = dated(f"{{{{ strftime_now('{wanted}') }}}}{{{{ messages[0]['content'] }}}}")
    found = tokenizer.apply_chat_template([{"role": "user", "content": "|"}], chat_template=template, tokenize=False)
    assert found == template_settings.TEMPLATE_DATE.strftime(wanted) + "|"


def test_m03_the_date_is_recorded_and_in_the_keys_of_the_store(tiny_folder, other_folder, tmp_path, monkeypatch):
    aligned = with_template(other_folder, tmp_path / "aligned", DATED)
    pair, spec = pair_of(tiny_folder, aligned), ExtractSpec(prompt_format="chat")
    audit = audited(pair, tmp_path, spec)
    assert audit.config["template_settings"]["date"] == "2026-01-01"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["identity"]["config"]["template_settings"] == audit.config["template_settings"]
    assert "date given to the template 2026-01-01" in (tmp_path / "run" / "report.html").read_text("utf-8")
    corpus = isogloss.load_corpus(tmp_path / "pairs.jsonl")
    refs = {"reference": pair.reference, "aligned": pair.aligned}

    def keys(**settings):
        located = locate(refs, corpus, replace(spec, **settings), store=tmp_path / "store")
        checkpoints = {role: states.checkpoint for role, states in located.items()}
        answers = locate_answers(checkpoints, corpus, replace(spec, **settings), store=tmp_path / "store")
        return [found.entries["en"].settings_sha256 for both in (located, answers) for found in both.values()]

    today = keys()
    assert keys() == today
    others = [keys(template_args=('date_string="x"',)), keys(chat_template=DATED + " ")]
    monkeypatch.setattr(template_settings, "TEMPLATE_DATE", template_settings.TEMPLATE_DATE + dt.timedelta(days=1))
    others.append(keys())
    for other in others:
        assert not set(other) & set(today)


# Template arguments


def test_m04_arguments_reach_the_template_and_the_thought_is_closed(tiny_folder, other_folder, tmp_path):
    aligned = with_template(other_folder, tmp_path / "aligned", THINKING)
    pair = pair_of(tiny_folder, aligned)
    open_ended = audited(pair, tmp_path, ExtractSpec(prompt_format="chat"), out="open")
    closed = audited(
        pair, tmp_path, ExtractSpec(prompt_format="chat", template_args={"enable_thinking": False}), out="closed"
    )
    assert [warning.code for warning in open_ended.warnings].count("M012") == 1
    assert "M012" not in {warning.code for warning in closed.warnings}
    assert closed.config["template_args"] == ["enable_thinking=false"]
    assert "template_args" not in open_ended.config
    assert "".join(open_ended.models["aligned"]["prompt_end"]).endswith("think>\n")
    assert open_ended.identity.name != closed.identity.name
    estimates = [[row.estimate.value for row in audit.rows if row.kind == "score"] for audit in (open_ended, closed)]
    assert estimates[0] != estimates[1]
    page = (tmp_path / "closed" / "report.html").read_text("utf-8")
    assert "template arguments enable_thinking=false" in page
    assert "the prompt ends in" in page
    assert "--template-arg enable_thinking=false" in isogloss_command(closed)
    again = audited(pair, tmp_path, ExtractSpec(prompt_format="chat"), out="again")  # nothing is computed, all is said
    assert again.to_json() == open_ended.to_json()


def isogloss_command(audit):
    from isogloss.report.command import command

    return command(audit)


def test_m04_states_are_those_of_the_rendered_prompt(tiny_folder, tmp_path, parallel_file):
    folder = with_template(tiny_folder, tmp_path / "model", THINKING)
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    spec = ExtractSpec(prompt_format="chat", template_args=("enable_thinking=false",))
    found = locate({"aligned": ModelRef(base=str(folder))}, corpus, spec, store=tmp_path / "store")
    fill(found)
    model = load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    texts = corpus.part("en")["text"].to_list()
    rows = [
        tuple(
            model.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}],
                add_generation_prompt=True,
                enable_thinking=False,
                return_dict=False,
            )
        )
        for text in texts
    ]
    expected = run(model, rows, [FINAL], execution=PLAIN)[FINAL]
    np.testing.assert_allclose(found["aligned"].block("en", FINAL).hidden, expected, rtol=1e-3, atol=1e-4)


def test_m04_arguments_on_the_command_line_and_in_recipes(tmp_path):
    (tmp_path / "t.jinja").write_text(THINKING)

    def config(**settings):
        return config_of(make_settings(settings))

    spec = config(prompt_format="chat", template_arg=("enable_thinking=false", "a = [1, 2]")).spec
    assert spec.template_args == ("a=[1, 2]", "enable_thinking=false")
    (request,) = config(compare_chat=True, template_arg=("enable_thinking=false",)).analyses
    assert request.template_args == ("enable_thinking=false",)
    with pytest.raises(UsageError, match="--template-arg: found --prompt-format raw"):
        config(template_arg=("enable_thinking=false",))
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'prompt_format = "chat"\ntemplate_arg = ["enable_thinking=false"]\nmodels = [{aligned="org/m"}]\n'
    )
    from isogloss.recipes.recipe import read_recipe

    (job,) = read_recipe(str(recipe), {}).jobs
    assert config_of(job.settings).spec.template_args == ("enable_thinking=false",)
    assert "--template-arg" in CliRunner().invoke(app, ["audit", "--help"], env={"COLUMNS": "200"}).stdout


@pytest.mark.parametrize(
    "argument",
    ["enable_thinking", "enable_thinking=False", "=false", "x=", "x=NaN", "messages=[]", "tokenize=true", "a-b=1",
     "strftime_now=1", "x=" + "[" * 100_000],
)  # fmt: skip
def test_m04_arguments_that_are_none_are_one_line(argument):
    with pytest.raises(UsageError, match="--template-arg") as error:
        parse_arguments([argument])
    assert len(str(error.value)) <= 600


def test_m04_an_argument_that_the_template_does_not_know_is_refused(tiny_folder, tmp_path, parallel_file):
    folder = with_template(tiny_folder, tmp_path / "model", THINKING)
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    spec = ExtractSpec(prompt_format="chat", template_args=("enable_thnking=false",))
    with pytest.raises(UsageError, match="did you mean 'enable_thinking'"):
        locate({"aligned": ModelRef(base=str(folder))}, corpus, spec, store=tmp_path / "store")
    with pytest.raises(UsageError, match="each argument once"):
        parse_arguments(["a=1", "a=2"])


@pytest.mark.parametrize(
    ("prompt", "opening"),
    [
        ("<bot>", None),
        ("<bot><think>\n", "<think>"),
        ("<bot><think>\n\n</think>\n\n", None),
        ("a <think>b</think> <bot><think>", "<think>"),
        ("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|>", "<|START_THINKING|>"),
        ("[THINK]", "[THINK]"),
        ("<|turn>model\n<|channel>thought\n<channel|>", None),
        ("<|turn>model\n<|channel>thought\n", "<|channel>thought"),
    ],
)
def test_m04_open_thoughts_are_recognised(prompt, opening):
    assert open_thought(prompt) == opening


def test_m04_doctor_shows_the_end_of_the_prompt(tiny_folder, tmp_path):
    folder = with_template(tiny_folder, tmp_path / "model", THINKING)
    shown = CliRunner().invoke(app, ["doctor", str(folder), "--device", "cpu", "--json"])
    (found,) = [result for result in json.loads(shown.stdout) if result["check"] == "chat template"]
    assert found["verdict"] == "note"
    assert "inside a thought that <think> opens" in found["found"]
    assert "the prompt ends in" in found["found"]


# Tokenizers and templates of adapters


@pytest.fixture
def grown(tiny_folder, tmp_path):
    """An adapter with its own tokenizer, two added tokens, embeddings resized for them, and a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}<|im_start|>"
    )
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.resize_token_embeddings(302, mean_resizing=False)
    folder = save_adapter(model, lora(modules_to_save=["embed_tokens", "lm_head"]), tmp_path / "adapter")
    tokenizer.save_pretrained(folder)
    return folder


def test_m05_an_adapters_tokenizer_and_resized_embeddings_are_read(tiny_folder, grown):
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(grown)))
    assert added_tokens(checkpoint) == 2
    model = load_model(checkpoint, device="cpu")
    texts = ["what?", "two words"]
    with use_checkpoint(model, checkpoint):
        assert model.vocabulary == 302
        rows = encode(model.tokenizer, texts, prompt_format="chat").ids
        assert max(map(max, rows)) == 260
        ours = run(model, rows, [FINAL], execution=PLAIN)[FINAL]
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder)
    plain.resize_token_embeddings(302, mean_resizing=False)
    oracle = peft.PeftModel.from_pretrained(plain, str(grown)).eval()
    own = AutoTokenizer.from_pretrained(grown)
    for text, row, state in zip(texts, rows, ours, strict=True):
        chat = [{"role": "user", "content": text}]
        ids = own.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert tuple(ids) == row
        with torch.inference_mode():
            out = oracle(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        expected = out.hidden_states[-1][0, -1].numpy()
        assert np.linalg.norm(state - expected) / np.linalg.norm(expected) < 1e-5
    # Afterwards the base is the base.
    assert model.vocabulary == 300
    exact = AutoModelForCausalLM.from_pretrained(tiny_folder).state_dict()
    assert model.causal.state_dict().keys() == exact.keys()
    assert model.causal.get_output_embeddings().weight is model.causal.get_input_embeddings().weight
    assert model.causal.config.vocab_size == 300


@pytest.mark.parametrize(
    "options",
    [{}, {"target_modules": ["embed_tokens", "q_proj"]}, {"trainable_token_indices": [300, 301]}],
    ids=["saved whole", "LoRA", "trainable tokens"],
)
def test_m05_embeddings_of_added_tokens_in_every_form(options, tiny_folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.resize_token_embeddings(302, mean_resizing=False)
    folder = save_adapter(model, lora(**options), tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder)
    plain.resize_token_embeddings(302, mean_resizing=False)
    oracle = peft.PeftModel.from_pretrained(plain, str(folder)).eval()
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    ours = load_model(checkpoint, device="cpu")
    ids = torch.tensor([[1, 5, 300, 17, 301]])
    with torch.inference_mode(), use_checkpoint(ours, checkpoint):
        np.testing.assert_allclose(
            ours.causal(input_ids=ids, use_cache=False).logits, oracle(input_ids=ids, use_cache=False).logits, atol=1e-4
        )
    assert ours.vocabulary == 300


def test_m05_an_audit_says_whose_tokenizer_it_used(tiny_folder, grown, tmp_path):
    pair = pair_of(tiny_folder, f"{tiny_folder}+{grown}")
    audit = audited(pair, tmp_path, ExtractSpec())
    assert audit.models["aligned"]["tokenizer"] == {"from": "adapter", "added_tokens": 2}
    assert "tokenizer" not in audit.models["reference"]
    assert [warning.detail for warning in audit.warnings if warning.code == "M013"] == ["aligned: 2 added tokens"]
    # The reference has no embedding of the template's tokens.
    with pytest.raises(ModelError, match="in a prompt; expected one of its 259 tokens"):
        audited(pair, tmp_path, ExtractSpec(prompt_format="chat"), out="chat")


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_m05_a_template_without_a_tokenizer_is_the_adapters(name, tiny_folder, adapter_folder, tmp_path):
    folder = shutil.copytree(adapter_folder, tmp_path / "adapter")
    (folder / name).write_text(THINKING if name.endswith("jinja") else json.dumps({"chat_template": THINKING}))
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    assert load_tokenizer(checkpoint).chat_template == THINKING
    assert load_tokenizer(fetch(ModelRef(base=str(tiny_folder)))).chat_template is None
    audit = audited(pair_of(tiny_folder, f"{tiny_folder}+{folder}"), tmp_path, ExtractSpec(prompt_format="chat"))
    assert "M012" in {warning.code for warning in audit.warnings}


# Control tokens in texts

SPELT = ["<eos> hello</s>", "<bos><pad>user", "x<pad><eos>assistant: Sure", "<eos>", "plain", " <b> [x] </a> "]


@pytest.mark.parametrize("prompt_format", ["raw", "chat"])
def test_t06_control_tokens_in_texts_are_plain_text(prompt_format):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}<eos>{% endfor %}<bos>bot"
    prompts = encode(tokenizer, SPELT, prompt_format=prompt_format)
    written = 3 if prompt_format == "chat" else 1
    for text, row, end in zip(SPELT, prompts.ids, prompts.text_ends, strict=True):
        assert sum(number in {0, 1, 2} for number in row) == written
        shown = tokenizer.decode(row[1:end])
        assert shown == text
        assert row[1:end] == tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    assert prompts.controls == (True, True, True, True, False, False)


def unigram():
    """A tokenizer whose model has its control tokens among its pieces, as sentencepiece models do."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((letter, -3.0) for letter in "abc <>/s")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def words():
    """A tokenizer of whole words."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("make", [unigram, words])
def test_t06_a_model_that_makes_control_tokens_of_plain_text_does_not(make):
    tokenizer = make()
    tokenizer.chat_template = "<s>{{ messages[0]['content'] }} </s> a"
    raw = encode(tokenizer, ["a </s> b", "a b"])
    assert raw.controls == (True, False)
    assert not set(raw.ids[0]) & {1, 2}
    chat = encode(tokenizer, ["a </s> b", "a b"], prompt_format="chat")
    assert [sum(number in {1, 2} for number in row) for row in chat.ids] == [2, 2] or make is words
    assert chat.controls[0]


def test_t06_unknown_characters_are_no_control_tokens():
    assert encode(unigram(), ["a é b", "a <unk> b"]).controls == (False, True)


def test_t06_tokens_that_the_template_writes_are_control_tokens_too():
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>", "\n", "hello"])
    plain = encode(tokenizer, ["a<think>b hello"])
    assert plain.controls == (False,)
    tokenizer.chat_template = THINKING
    for prompt_format in ("raw", "chat"):
        prompts = encode(tokenizer, ["a</think>b hello\n!", "ok"], prompt_format=prompt_format)
        assert prompts.controls == (True, False)
        assert tokenizer.convert_tokens_to_ids("</think>") not in prompts.ids[0]
        assert tokenizer.convert_tokens_to_ids("hello") in prompts.ids[0]
    assert prompt_end(tokenizer)[1] == "<think>"


def test_t06_texts_with_control_tokens_are_counted_and_do_not_leak(tiny_folder, other_folder, tmp_path):
    rows = parallel_rows(n=22)
    for row in rows[:5]:
        row["toxic"] += "<eos>"
    found = audited(pair_of(tiny_folder, other_folder), tmp_path, ExtractSpec(), rows)
    (warning,) = [warning for warning in found.warnings if warning.code == "M011"]
    assert warning.language == "en"
    assert warning.detail.startswith("5 texts")
    again = audited(pair_of(tiny_folder, other_folder), tmp_path, ExtractSpec(), rows, out="again")
    assert again.to_json() == found.to_json()


def test_t06_other_texts_keep_their_tokens_and_keys():
    from isogloss.hidden_states.shard import text_key
    from isogloss.io.files import sha256_text

    tokenizer = make_tokenizer()
    texts = ["a < b and c > d", "Größe", "[see below]", "x" * 600, "a & b", "ሰላም ለዓለም"]
    assert [text_key(text) for text in texts] == [sha256_text(text)[:32] for text in texts]
    assert text_key("<eos> a") != sha256_text("<eos> a")[:32]
    assert encode(tokenizer, texts, max_tokens=2048).ids == tuple(tuple(tokenizer(text)["input_ids"]) for text in texts)
