"""Token ids: exactly one BOS, no EOS at the end, cut texts counted."""

import pytest
from tokenizers import processors

from conftest import make_tokenizer
from isogloss.errors import ModelError
from isogloss.models.prompts import encode

BOS, EOS = 1, 2


def test_raw_text_has_exactly_one_bos_and_ends_with_its_last_token():
    tokenizer = make_tokenizer()
    (row,) = encode(tokenizer, ["ab"]).ids
    assert row == (BOS, *tokenizer("ab", add_special_tokens=False)["input_ids"])


def test_an_appended_eos_is_left_out():
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    (row,) = encode(tokenizer, ["ab"]).ids
    assert row[0] == BOS
    assert EOS not in row


def test_no_bos_is_invented_for_tokenizers_that_add_none():
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    prompts = encode(tokenizer, ["ab"])
    assert not prompts.bos
    assert len(prompts.ids[0]) == 2


def test_chat_prompt_format_has_one_bos_though_template_and_tokenizer_both_write_one():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}[{{ m['content'] }}]{% endfor %}>"
    (row,) = encode(tokenizer, ["ab"], prompt_format="chat").ids
    assert row.count(BOS) == 1
    assert row[-1] == tokenizer(">", add_special_tokens=False)["input_ids"][-1]


def test_chat_prompt_format_without_a_template_is_refused():
    with pytest.raises(ModelError, match="without a chat template"):
        encode(make_tokenizer(), ["ab"], prompt_format="chat")


def test_long_texts_lose_their_end_and_are_counted():
    prompts = encode(make_tokenizer(), ["abcdefgh", "ab"], max_tokens=4)
    assert [len(row) for row in prompts.ids] == [4, 3]
    assert sum(prompts.cut) == 1


def test_a_text_without_tokens_is_refused():
    with pytest.raises(ModelError, match="no token"):
        encode(make_tokenizer(), [""])
