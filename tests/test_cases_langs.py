"""Inputs that people have: language codes, copies that look different, languages that are not what they are called."""

import json
import re
import string
import subprocess
import sys
import unicodedata
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import isogloss
from conftest import parallel_rows
from hub_server import pointed_at, serve
from isogloss.cli.app import app
from isogloss.data.check_source import check_source
from isogloss.data.corpus import Corpus, content_key, content_keys
from isogloss.data.curate import balance
from isogloss.data.languages import LANGUAGES, canonical_code, find_language, language, language_of_name, script_codes
from isogloss.data.load import load_corpus
from isogloss.data.named_corpora import CORPORA
from isogloss.data.normalisation import normalise_content
from isogloss.data.source import UNCHECKED
from isogloss.data.splits import split_corpus
from isogloss.errors import CorpusError, UsageError
from isogloss.gating.rules import rules_from
from isogloss.models.trained_texts import mark_trained
from isogloss.models.tuning_record import TrainedTexts
from isogloss.report.view import language_label
from isogloss.tuning.config import TuneConfig
from pages import page_of

ENGLISH = [f"{word} number {i} stands here" for word in ("bad", "good") for i in range(30)]


def write(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def rows_in(code, n=24, text="{label} text {i} in {code}"):
    return [
        {"text": text.format(label=label, i=i, code=code), "label": label, "language": code}
        for i in range(n)
        for label in (0, 1)
    ]


def warnings_of(corpus, code):
    return {warning.language: warning.detail for warning in corpus.warnings if warning.code == code}


def one_line(error):
    text = str(error)
    assert len(text) <= 600
    assert text.isprintable()
    return text


# T10: language codes

SAME = {
    "zh": [
        "zh",
        "ZH",
        "zh-CN",
        "zh_CN",
        "zh_Hans",
        "zh-Hans-SG",
        "zho",
        "chi",
        "cmn",
        "cmn_Hani",
        "Chinese",
        "Mandarin",
    ],
    "zh-Hant": ["zh-TW", "zh_Hant", "zho_Hant", "zh-HK", "Traditional Chinese", "Chinese (Traditional)"],
    "en": ["en", "EN", "eng", "eng_Latn", "English", "ENGLISH", " en", "en\t", "en\u200b", "en-US", "en_XX", "en-UK"],
    "pt": ["pt-BR", "pt_br", "por", "Portuguese", "Brazilian Portuguese", "Portuguese (Brazil)"],
    "he": ["iw", "he", "heb", "heb_Hebr", "Hebrew"],
    "hi": ["hin", "hi_Deva", "Hindi"],
    "hi-Latn": ["hi-latn", "hin_Latn", "Hinglish", "Hindi (romanised)", "Hindi (Latin)"],
    "id": ["in", "id", "ind", "Indonesian"],
    "sr-Latn": ["sr_Latn", "sh", "srp-Latn", "sr-ME"],
    "ja": ["jpn_Jpan", "ja-JP"],
    "ko": ["kor_Hang", "ko-Kore", "Korean"],
    "ar": ["arb_Arab", "ar-EG", "ara"],
    "fa": ["fas", "per", "pes_Arab", "Farsi", "Persian"],
    "fil": ["tl", "tgl", "fil", "Tagalog"],
    "pa-Arab": ["pa-PK"],
}


@pytest.mark.parametrize(("code", "written"), [(code, text) for code, texts in SAME.items() for text in texts])
def test_t10_spellings_of_a_language_are_one_code(code, written):
    assert canonical_code(written) == code
    assert language(written) == language(code) == find_language(code)
    assert canonical_code(code) == code


@pytest.mark.parametrize(
    "code",
    [
        "sv",
        "ur",
        "fa",
        "id",
        "ms",
        "ta",
        "cs",
        "hu",
        "sr",
        "fil",
        "ro",
        "el",
        "kk",
        "my",
        "km",
        "si",
        "lt",
        "ceb",
        "yue",
        "quy",
        "ckb",
    ],
)
def test_t10_any_language_has_a_name_and_a_script_and_no_resource_class(code):
    row = language(code)
    assert row.code == code
    assert row.name[0].isupper()
    assert row.resource_class is None
    assert code not in LANGUAGES
    assert row.script == {
        "sv": "Latin",
        "ur": "Arabic",
        "fa": "Arabic",
        "ta": "Tamil",
        "sr": "Cyrillic",
        "el": "Greek",
        "kk": "Cyrillic",
        "my": "Myanmar",
        "km": "Khmer",
        "si": "Sinhala",
        "yue": "Han",
        "ckb": "Arabic",
        "quy": "",
    }.get(code, "Latin")
    assert language_label(code) == f"{code} {row.name}"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("und", "undetermined"),
        ("mul", "several languages"),
        ("zxx", "no language"),
        ("mis", "without a code"),
        ("qaa", "private"),
        ("x-klingon", "private"),
        ("en-x-pirate", "private"),
        ("xx", "write the code"),
        ("", "write the code"),
        ("jp", "did you mean 'ja'"),
        ("cn", "did you mean 'zh'"),
        ("gr", "did you mean 'el'"),
        ("ua", "did you mean 'uk'"),
        ("Germn", "did you mean 'German'"),
        ("hindii", "did you mean 'Hindi'"),
        ("English toxic comments", "write the code"),
        ("en,de", "write the code"),
        ("en-hi", "write the code"),
        ("Go away, nobody here likes you at all", "a text of 37 characters"),
        ("e" * 5000, "a text of 5000 characters"),
        ("\u202ede\x1b[31m", "unknown language"),
    ],
)
def test_t10_what_names_no_language_is_refused_in_one_line(written, hint):
    with pytest.raises(CorpusError, match=r"unknown language") as caught:
        canonical_code(written)
    text = one_line(caught.value)
    assert hint in text
    assert "nobody" not in text
    assert find_language(written) is None


def test_t10_a_corpus_of_many_spellings_is_read_with_a_warning(tmp_path):
    written = ["zh-CN", "zh_Hans", "eng_Latn", "EN", "English", "pt-BR", "iw", " en", "hin", "sv", "ur"]
    texts = {
        "zh": "{label} 的文本 {i}",
        "he": "{label} טקסט {i}",
        "hi": "{label} पाठ संख्या {i}",
        "ur": "{label} متن نمبر {i}",
    }
    rows = []
    for number, code in enumerate(written):
        form = texts.get(canonical_code(code), "{label} text {i} in {code}")
        rows += [row | {"text": f"{row['text']} {number}"} for row in rows_in(code, n=8, text=form)]
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows))
    assert corpus.languages == ("en", "he", "hi", "pt", "sv", "ur", "zh")
    assert corpus.part("en").height == 4 * 16
    (detail,) = warnings_of(corpus, "L001").values()
    for part in ("eng_Latn, English, ' en' as en", "iw as he", "hin as hi", "pt-BR as pt", "zh-CN, zh_Hans as zh"):
        assert part in detail
    assert "EN" not in detail.replace("English", "").replace("eng_Latn", "")
    assert not warnings_of(corpus, "L002")
    assert not warnings_of(corpus, "L003")
    chosen = load_corpus(tmp_path / "a.jsonl", languages=["zh_Hant-CN", "Swedish"][1:])
    assert chosen.languages == ("sv",)


def test_t10_case_alone_is_no_reason_to_warn(tmp_path):
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows_in("EN") + rows_in("De", text="{label} Satz {i}")))
    assert corpus.languages == ("de", "en")
    assert not warnings_of(corpus, "L001")


def test_t10_a_corpus_made_by_hand_needs_canonical_codes(tmp_path):
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows_in("en")))
    with pytest.raises(CorpusError, match=r"found the language 'eng'; expected en; build it with load_corpus"):
        Corpus(name="t", frame=corpus.frame.with_columns(language=pl.lit("eng")))


def test_t10_options_and_rules_take_any_spelling():
    assert isogloss.AuditConfig(pivot="zho_Hans").pivot == "zh"
    config = TuneConfig(languages=("hin", "Swedish"), pivot="EN")
    assert (config.languages, config.pivot, config.targets) == (("hi", "sv"), "en", ("hi", "sv"))
    rules = rules_from(
        {"min_retention": 0.5, "languages": ["zh-CN", "iw"], "language": {"pt-BR": {"min_retention": 0.1}}}
    )
    assert rules.languages == ("zh", "he")
    assert rules.for_language("pt") == {"min_retention": 0.1}
    assert rules.for_language("sv") == {"min_retention": 0.5}
    with pytest.raises(UsageError, match="two tables for zh"):
        rules_from({"language": {"zh": {"min_retention": 0.1}, "zh-CN": {"min_retention": 0.2}}})


def test_t10_settings_of_recipes_and_commands_take_any_spelling():
    from isogloss.recipes.settings import Settings

    settings = Settings(pivot="Swedish", languages=("zh-CN", "zh", "no language"))
    assert (settings.pivot, settings.languages) == ("sv", ("zh", "no language"))


def test_t10_languages_are_looked_up_on_the_command_line():
    result = CliRunner().invoke(app, ["languages", "zh-TW", "swe"])
    assert result.exit_code == 0
    assert re.search(r"zh-TW +zh-Hant +Chinese \(Traditional\) +Han +unknown", result.output)
    assert re.search(r"swe +sv +Swedish +Latin +unknown", result.output)


def test_t10_help_does_not_load_language_tables():
    code = (
        "import sys, isogloss.cli.app, isogloss.data.load, isogloss.report.view\n"
        "from isogloss.data.languages import canonical_code, find_language\n"
        "canonical_code('en'); find_language('hi-Latn')\n"
        "print('langcodes' in sys.modules, 'language_data' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_t10_an_audit_in_languages_outside_the_table(tiny_folder, other_folder, tmp_path):
    from isogloss.models.pairs import ModelPair, ModelRef
    from isogloss.report.audit_tables import language_table
    from isogloss.report.view import view

    latin = string.ascii_lowercase
    letters = {
        "sv": str.maketrans("", ""),
        "el": str.maketrans(latin, "αβγδεζηθικλμνξοπρστυφχψωάέ"),
        "lo": str.maketrans(latin, "".join(chr(0xE01 + i) for i in range(26))),
    }
    rows = []
    for row in parallel_rows(n=25):
        if row["language"] == "en":
            texts = {code: {key: row[key].translate(letters[code]) for key in ("toxic", "neutral")} for code in letters}
            rows += [row | texts[code] | {"language": {"sv": "swe"}.get(code, code)} for code in letters]
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows))
    assert corpus.languages == ("el", "lo", "sv")
    pair = ModelPair(
        name="t", reference=ModelRef(base=str(tiny_folder)), aligned=ModelRef(base=str(other_folder)), source="test"
    )
    config = isogloss.AuditConfig(permutations=20, controls=(), pivot="Swedish", workers=1)
    audit = isogloss.audit(pair, corpus, config=config, store=tmp_path / "store")
    assert set(audit.languages) == {"el", "lo", "sv"}
    shown = view(audit)
    assert [(row.name, row.tag, row.resource_class, row.group) for row in shown.languages if row.pivot] == [
        ("Swedish", "sv", None, "not classed")
    ]
    assert {row.code for row in shown.languages} == {"el", "lo", "sv"}
    assert "Greek" in json.dumps([str(row) for row in language_table(shown).rows])
    page = page_of(audit)
    assert all(name in page for name in ("Swedish", "Greek", "Lao"))
    assert warnings_of(corpus, "L003") == {"lo": "50 of 50 texts are mostly Thai, not Lao"}


# T05: one key for the content of a text

COPIES = {
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "zero width": lambda text: "\u200b".join(text) + "\u200d",
    "byte order mark": lambda text: f"\ufeff{text}",
    "soft hyphen": lambda text: text.replace("a", "a\u00ad"),
    "marks of direction": lambda text: f"\u202b{text}\u202c\u200f",
    "isolates": lambda text: f"\u2067{text}\u2069",
    "variation selector": lambda text: text + "\ufe0f",
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "case": str.upper,
    "white space": lambda text: f"\u00a0 {text.replace(' ', chr(9) + chr(0x3000))} \n",
    "controls": lambda text: text.replace(" ", " \x00\x1b"),
    "mathematical": lambda text: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text),
}


@pytest.mark.parametrize("change", COPIES)
@pytest.mark.parametrize("text", ["you are é bad, man!", "ä-text (7) ok? yes"])
def test_t05_copies_have_one_key(text, change):
    assert content_key(COPIES[change](text)) == content_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("İstanbul'da", "i̇stanbul'da"),
        ("İSTANBUL", "istanbul"),
        ("I\u0307stanbul", "istanbul"),
        ("نمی\u200cخواهم", "نمیخواهم"),
        ("क्\u200dष", "क्ष"),
        ("你好，世界！", "你好,世界!"),
        ("น้ำ", "น\u0e49\u0e4d\u0e32"),
        ("ﻻ", "لا"),
        ("ﬁne", "fine"),
        ("ﾊﾞｶ", "バカ"),
        ("ΟΔΟΣ", "οδος"),
        ("❤\ufe0f", "❤"),
    ],
)
def test_t05_copies_of_other_scripts_have_one_key(one, other):
    assert content_key(one) == content_key(other)


@pytest.mark.parametrize(("one", "other"), [("kısın", "kisin"), ("a b", "ab"), ("naive", "naïve"), ("10", "1o")])
def test_t05_different_texts_have_different_keys(one, other):
    assert content_key(one) != content_key(other)


def old_key(text):
    return isogloss.io.files.sha256_text(" ".join(unicodedata.normalize("NFC", text).lower().split()))[:16]


def test_t05_keys_of_ordinary_texts_are_what_they_were():
    corpus = load_corpus("mini")
    keys = content_keys(corpus.frame["text"])
    assert keys == [old_key(text) for text in corpus.frame["text"]]
    for text in ("Straße №7 – «да»… 50 %", "你好，世界！", "น้ำ", "قال: «لا»", "ısırdı", "m² ½"):
        assert content_key(text) == old_key(text), text


@given(st.text(alphabet="iIİıé\u0301\u0307\u0323 \u200d\u00a0\tＡa，,漢ßΣς\u0e4d\u0e32\u1160ﬁ한²\x1f", max_size=12))
def test_t05_normalising_twice_changes_nothing(text):
    texts = pl.Series([text])
    once = normalise_content(texts)
    assert texts.to_list() == [text]
    assert normalise_content(once).to_list() == once.to_list()
    assert normalise_content(pl.Series([unicodedata.normalize("NFD", text)])).to_list() == once.to_list()


@pytest.mark.parametrize("change", COPIES)
def test_t05_copies_are_duplicates_and_contradictions(tmp_path, change):
    texts = [f"é text, {i} stands here" for i in range(25)]
    same = [{"text": text, "label": i % 2, "language": "en"} for i, text in enumerate(texts)]
    copies = [row | {"text": COPIES[change](row["text"])} for row in same[:10]]
    corpus = load_corpus(write(tmp_path / "a.jsonl", same + copies))
    assert len(corpus) == 25
    assert warnings_of(corpus, "C001") == {"en": "10 copies dropped"}
    assert set(corpus.frame["text"]) == set(texts)
    swapped = [row | {"label": 1 - row["label"]} for row in copies]
    corpus = load_corpus(write(tmp_path / "b.jsonl", same + swapped))
    assert len(corpus) == 15
    assert warnings_of(corpus, "C002") == {"en": "10 texts"}
    with pytest.raises(CorpusError, match="10 en texts under both labels"):
        load_corpus(tmp_path / "b.jsonl", conflicts="refuse")


@pytest.mark.parametrize("change", COPIES)
def test_t05_copies_are_equal_and_shared_in_pairs(tmp_path, change):
    pairs = [{"toxic": f"é bad, {i}", "neutral": f"é ok, {i}", "language": "en", "pair_id": str(i)} for i in range(25)]
    pairs[3]["neutral"] = COPIES[change](pairs[3]["toxic"])
    pairs[5]["toxic"] = COPIES[change](pairs[4]["toxic"])
    corpus = load_corpus(write(tmp_path / "a.jsonl", pairs))
    assert warnings_of(corpus, "C003") == {"en": "1 pairs dropped"}
    assert warnings_of(corpus, "C004") == {"en": "1 pairs dropped"}


@pytest.mark.parametrize("change", COPIES)
def test_t05_copies_are_trained_texts_and_on_one_side_of_a_split(tmp_path, change):
    texts = [f"é text, {i} stands here" for i in range(120)]
    rows = [{"text": text, "label": i % 2, "language": "en"} for i, text in enumerate(texts)]
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows))
    copies = load_corpus(write(tmp_path / "b.jsonl", [row | {"text": COPIES[change](row["text"])} for row in rows]))
    trained = TrainedTexts(content=frozenset(map(content_key, texts[:7])))
    assert mark_trained(copies, trained).sum() == mark_trained(corpus, trained).sum() == 7
    training, _ = split_corpus(corpus)
    training_of_copies, _ = split_corpus(copies)
    assert sorted(content_keys(training.frame["text"])) == sorted(content_keys(training_of_copies.frame["text"]))


def test_t05_joiners_stay_in_the_text(tmp_path):
    rows = [{"text": f"نمی\u200cخواهم {i}", "label": i % 2, "language": "fa"} for i in range(40)]
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows))
    assert all("\u200c" in text for text in corpus.frame["text"])


@pytest.mark.parametrize(
    "text", ["\u200b", "\u200d\u200c\ufeff", "\u202b\u202c", "\u00ad", "\u3164", "\u2800 ", "\x00", "\ufe0f"]
)
def test_t05_a_text_that_shows_nothing_is_empty(tmp_path, text):
    path = write(tmp_path / "a.jsonl", [*rows_in("en"), {"text": text, "label": 1, "language": "en"}])
    with pytest.raises(CorpusError, match=r"row 49|empty"):
        load_corpus(path)


# T04: the same sentences under two languages; T20, T23: scripts


def test_t04_texts_that_stand_in_another_language_are_warned_of(tmp_path):
    english, german = rows_in("en"), rows_in("de", text="{label} Satz {i} auf Deutsch")
    copied = [row | {"language": "de"} for row in english[:4]]
    corpus = load_corpus(write(tmp_path / "a.jsonl", english + german + copied))
    assert warnings_of(corpus, "L002") == {"de": "4 of 52 texts, in en", "en": "4 of 48 texts, in de"}
    corpus = load_corpus(write(tmp_path / "b.jsonl", english + german + copied[:2]))
    assert not warnings_of(corpus, "L002")
    # Copies are recognised by content, not by letters.
    shouted = [row | {"text": f"\u200f{row['text'].upper()}", "language": "sv"} for row in english]
    corpus = load_corpus(write(tmp_path / "c.jsonl", english + german + shouted))
    assert warnings_of(corpus, "L002") == {"en": "48 of 48 texts, in sv", "sv": "48 of 48 texts, in en"}


def test_t04_the_untranslated_column_of_polyrefuse(tmp_path):
    rows = [
        {"instruction": f"Tell me about {i}", "instruction_translated": f"Erzähl mir von {i}", "label": i % 2}
        for i in range(50)
    ]
    paths = [write(tmp_path / f"{code}.jsonl", [row | {"language": code} for row in rows]) for code in ("en", "de")]
    corpus = load_corpus(paths, columns={"text": "instruction"})
    assert set(warnings_of(corpus, "L002")) == {"de", "en"}


def test_t20_an_arabic_file_that_is_called_german_is_warned_of(tmp_path):
    rows = [{"text": f"نص عربي رقم {i} هنا", "label": i % 2} for i in range(50)]
    corpus = load_corpus(write(tmp_path / "texts.jsonl", rows), columns={"language": "=de"})
    assert warnings_of(corpus, "L003") == {"de": "50 of 50 texts are mostly Arabic, not Latin"}


def test_t23_romanised_hindi_is_warned_of_and_hatecheck_calls_it_so(tmp_path):
    rows = rows_in("hi", text="yah vaaky {label} {i} hindi mein hai")
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows))
    assert warnings_of(corpus, "L003") == {"hi": "48 of 48 texts are mostly Latin, not Devanagari"}
    corpus = load_corpus(write(tmp_path / "b.jsonl", [row | {"language": "hi-Latn"} for row in rows]))
    assert not warnings_of(corpus, "L003")
    row = CORPORA["hatecheck"]
    assert {file.hub: file.language for file in row.files}["Paul/hatecheck-hindi"] == "hi-Latn"
    assert "hi" not in row.languages


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ja", "これは日本語の文 {i} です"),
        ("ja", "日本国憲法第{i}条"),
        ("ko", "이것은 {i} 번째 문장"),
        ("zh", "这是第{i}句话 abc"),
        ("zh-Hant", "這是第{i}句話"),
        ("el", "Αυτό είναι το {i}"),
        ("my", "ဒါက စာကြောင်း {i}"),
        ("yi", "דאָס איז {i}"),
        ("sr-Latn", "Ovo je rečenica {i}"),
        ("en", "https://example.org/{i}"),
        ("de", "{i} 🙂 12:30"),
    ],
)
def test_t23_texts_in_their_own_script_are_not_warned_of(tmp_path, code, text):
    rows = [{"text": text.replace("{i}", str(i)), "label": i % 2, "language": code} for i in range(50)]
    assert not warnings_of(load_corpus(write(tmp_path / "a.jsonl", rows)), "L003")


def test_t23_some_texts_in_another_script_are_counted(tmp_path):
    rows = rows_in("de", n=25, text="{label} Satz {i}")
    foreign = [row | {"text": f"предложение {i} {row['label']}"} for i, row in enumerate(rows[:3])]
    assert warnings_of(load_corpus(write(tmp_path / "a.jsonl", rows[3:] + foreign)), "L003") == {
        "de": "3 of 50 texts are mostly Cyrillic, not Latin"
    }
    assert not warnings_of(load_corpus(write(tmp_path / "b.jsonl", rows[2:] + foreign[:2])), "L003")


def test_t23_every_named_corpus_has_languages_whose_script_is_known():
    for row in CORPORA.values():
        for code in row.languages:
            assert script_codes(language(code)), (row.name, code)


def test_t23_real_sets_are_told_apart_by_their_script(shared_data):
    corpus = load_corpus(shared_data / "toxicity_textdetox.parquet")
    assert set(warnings_of(corpus, "L003")) == {"hi-Latn"}  # 29 % of its rows are in Devanagari
    assert not warnings_of(corpus, "L002")


# T11: rows without a language


def test_t11_without_wanted_languages_every_row_needs_one(tmp_path):
    rows = [*rows_in("en"), {"text": "nowhere", "label": 1, "language": None}]
    with pytest.raises(CorpusError, match=r"row 49, column language: found no language.*--languages") as caught:
        load_corpus(write(tmp_path / "a.jsonl", rows))
    assert "nowhere" not in one_line(caught.value)
    rows[-1]["language"] = "und"
    with pytest.raises(CorpusError, match=r"row 49, column language: unknown language: found 'und' \(undetermined\)"):
        load_corpus(write(tmp_path / "b.jsonl", rows))


@pytest.mark.parametrize(
    "strange", [None, "", "und", "xx", "nan", "NaN", "null", "a whole sentence that is no language"]
)
def test_t11_with_wanted_languages_rows_without_one_are_counted(tmp_path, strange):
    rows = [{"text": f"lost {i}", "label": 1, "language": strange} for i in range(3)]
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows_in("en") + rows + rows_in("de")), languages=["EN"])
    assert corpus.languages == ("en",)
    (detail,) = warnings_of(corpus, "L004").values()
    assert detail.startswith("3 rows")
    assert "sentence" not in detail


def test_t11_rows_in_other_languages_are_not_checked(tmp_path):
    broken = [{"text": "", "label": "perhaps", "language": "de"}, {"text": None, "label": None, "language": "fr"}]
    corpus = load_corpus(write(tmp_path / "a.jsonl", broken + rows_in("en")), languages=["en"])
    assert len(corpus) == 48


def test_t11_textdetox_by_its_name_on_the_hub(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    forms = {"en": "{label} text {i}", "hi": "{label} पाठ संख्या {i}", "hin": "{label} yah vaaky {i} hai"}
    for split, form in forms.items():
        rows = pl.DataFrame(rows_in("x", text=form)).select("text", toxic="label")
        rows.write_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    splits = "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in forms)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{splits}---\n", "utf-8")
    name = "textdetox/multilingual_toxicity_dataset"
    with serve({}, datasets={name: folder}) as server:
        pointed_at(server, monkeypatch, tmp_path)
        corpus = load_corpus(name, columns={"label": "toxic"})
        assert corpus.languages == ("en", "hi", "hi-Latn")
        assert not warnings_of(corpus, "L003")
        chosen = load_corpus(name, columns={"label": "toxic"}, languages=["en"])
        assert chosen.languages == ("en",)


@pytest.mark.parametrize(
    ("name", "code"),
    [("de", "de"), ("hin", "hi"), ("zho_Hans", "zh"), ("German", "de"), ("ceb", "ceb"), ("pt-br", "pt")]
    + [(name, None) for name in ("train", "test", "dev", "val", "validation", "all", "default", "raw", "new", "full")],
)
def test_t11_splits_that_are_named_by_languages(name, code):
    assert language_of_name(name) == code


# T25: named corpora


def test_t25_polyrefuse_is_read_from_its_test_files():
    row = CORPORA["polyrefuse"]
    assert "en" in row.languages
    assert "zh" not in row.languages  # it has no harmless test file
    for file in row.files:
        assert row.revision in file.url
        assert f"_test_translated_{file.language}.json" in file.url
        assert file.text == ("instruction" if file.language == "en" else "instruction_translated")
        assert file.items == ("harmful" if file.label == "1" else "harmless")


FORMS = {"de": "{i}. Satz, {n}", "en": "sentence {i}, {n}", "ru": "предложение {i}, {n}"}


def local_copy(row, folder, count):
    """The files of a source on the web as small files on disk."""
    files = []
    for number, file in enumerate(row.files):
        texts = [FORMS[file.language].format(i=i, n=number) for i in range(count)]
        if file.url.endswith(".json"):
            path = folder / f"{number}.json"
            column = "instruction" if file.language == "en" else "instruction_translated"
            records = [{"instruction": "English", "category": None} | {column: text} for text in texts]
            path.write_text(json.dumps(records), "utf-8")
        else:
            path = folder / f"{number}.csv"
            end = "," if number % 2 else ""  # a comma at the end of each line, as in one of the true files
            path.write_text("\ufeff" + "".join(f'"{text}"{end}\r\n' for text in texts), "utf-8")
        files.append(replace(file, url=str(path)))
    return replace(row, files=tuple(files))


@pytest.mark.parametrize("name", ["polyrefuse", "xsafety"])
def test_t25_instructions_have_english_both_classes_and_items(name, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    row = CORPORA[name]
    chosen = tuple(file for file in row.files if file.language in {"en", "de", "ru"})
    row = local_copy(replace(row, languages=("de", "en", "ru"), files=chosen), tmp_path, 25)
    monkeypatch.setitem(CORPORA, name, row)
    corpus = load_corpus(name)
    assert corpus.languages == ("de", "en", "ru")
    assert corpus.parallel
    harmful = 25 if name == "polyrefuse" else 100
    assert corpus.counts().rows() == [(code, harmful, 25) for code in corpus.languages]
    assert not {"L002", "L003"} & {warning.code for warning in corpus.warnings}
    sample = balance(corpus)
    assert sample.parallel
    assert isogloss.AuditConfig().pivot in sample.languages
    assert check_source(row, corpus).differences == ()


def test_t25_rows_say_what_was_checked():
    for row in CORPORA.values():
        assert row.checked in {UNCHECKED, "bundled"} or re.fullmatch(r"\d{4}-\d\d-\d\d", row.checked)
        assert row.citation
    result = CliRunner().invoke(app, ["corpora"])
    assert result.exit_code == 0
    assert "checked" in result.output
    assert "2026-11-28" in result.output


def test_t25_a_named_corpus_is_checked():
    result = CliRunner().invoke(app, ["corpora", "--check", "mini"])
    assert result.exit_code == 0
    assert re.search(r"sw +84 +84", result.output)
    assert "as listed" in result.output


def test_t25_a_check_says_what_differs(tmp_path):
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows_in("hi", text="yah {label} {i}")))
    row = replace(CORPORA["mini"], languages=("hi", "sw"), per_class=20)
    assert check_source(row, corpus).differences == (
        "no texts in sw",
        "24 texts in a class, not 20",
        "another script than that of the language in hi",
    )


def test_t25_without_the_hub_a_check_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9", raising=False)
    result = CliRunner().invoke(app, ["corpora", "--check", "polyguard"])
    assert isinstance(result.exception, CorpusError)
    assert "check the connection" in one_line(result.exception)
    result = CliRunner().invoke(app, ["corpora", "--check", "polygard"])
    assert "did you mean 'polyguard'" in one_line(result.exception)
