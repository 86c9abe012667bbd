"""Files and hub data sets become rows, or an error that says where the fault is and what to do."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.data.addresses import SUFFIXES
from isogloss.data.corpus import MIN_PER_CLASS
from isogloss.data.curate import balance
from isogloss.data.load import load_corpus
from isogloss.data.named_corpora import CORPORA
from isogloss.data.shapes import ROW_SCHEMA, to_rows
from isogloss.data.source import Source, SourceFile
from isogloss.data.sources import read_source
from isogloss.data.tables import read_table
from isogloss.errors import CorpusError

KINDS = ("csv", "tsv", "jsonl", "json", "parquet")

# Texts that readers like to spoil: quotation marks, separators, numbers, spellings of "missing", other scripts.
AWKWARD = (
    'He said "no", twice',
    '"quoted" at the start',
    'one " alone',
    "a, b; c | d",
    "null",
    "NA",
    "NaN",
    "007",
    "1e5",
    "-",
    "naïve café",
    "日本語のテキスト",
    "हिन्दी का पाठ",
    "نص عربي",
    "back\\slash \\n",
    "# not a comment",
    "  padded  ",
    "😀 smile",
    "'single'",
    "True",
)


def labelled_rows():
    return [
        {"text": text, "label": i % 2, "language": "en" if i % 3 else "hi", "source": "somewhere", "item_id": f"0{i}"}
        for i, text in enumerate(AWKWARD)
    ]


def pair_rows():
    return [
        {"pair_id": f"0{i}", "language": "de", "toxic": text, "neutral": f"{text} please", "source": "somewhere"}
        for i, text in enumerate(AWKWARD)
    ]


def write(path, rows):
    """Write rows with the standard library (Parquet: polars), so that readers meet files they did not write."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    kind = path.suffix[1:]
    if kind == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif kind == "json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif kind == "tsv":
        lines = [names, *([str(row[name]) for name in names] for row in rows)]
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(buffer.getvalue(), encoding="utf-8")
    return path


def fault(action, *parts):
    """Run what must fail; the message is one line that holds all the parts."""
    with pytest.raises(CorpusError) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in ("found ", "expected ", *parts):
        assert part in message
    return message


# Same rows, any format


@pytest.mark.parametrize("make", [labelled_rows, pair_rows])
def test_every_format_gives_the_same_corpus(tmp_path, make):
    corpora = [load_corpus(write(tmp_path / f"rows.{kind}", make())) for kind in KINDS]
    assert len({corpus.sha256 for corpus in corpora}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_labelled_rows_arrive_as_they_were_written(tmp_path, kind):
    corpus = load_corpus(write(tmp_path / f"rows.{kind}", labelled_rows()))
    read = {(row.text, row.harmful, row.language, row.source, row.item_id, row.pair_id) for row in corpus}
    assert read == {
        (row["text"].strip(), row["label"] == 1, row["language"], "somewhere", row["item_id"], None)
        for row in labelled_rows()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_arrive_as_they_were_written(tmp_path, kind):
    corpus = load_corpus(write(tmp_path / f"rows.{kind}", pair_rows()))
    assert corpus.paired
    assert {(row.text, row.harmful, row.pair_id) for row in corpus} == {
        (row[role].strip(), role == "toxic", row["pair_id"]) for row in pair_rows() for role in ("toxic", "neutral")
    }


# Control characters and line separators are left out: a TSV cannot hold them.
LINE = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=30)


@settings(max_examples=40)
@given(texts=st.lists(LINE, min_size=1, max_size=6))
@pytest.mark.parametrize("kind", KINDS)
def test_tables_round_trip_any_line_of_text(tmp_path_factory, kind, texts):
    rows = [{"n": f"n{i}", "text": text} for i, text in enumerate(texts)]
    table = read_table(write(tmp_path_factory.mktemp("fuzz") / f"t.{kind}", rows)).frame
    assert table.to_dicts() == rows


def test_quoted_csv_fields_hold_commas_line_ends_and_doubled_quotes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label,language\n"one, ""two""\nthree",1,en\nplain,0,en\n')
    assert {text.text for text in load_corpus(path)} == {'one, "two"\nthree', "plain"}


def test_tsv_keeps_quotation_marks_even_unbalanced_ones(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\tlanguage\n"whole"\t1\ten\n"open\t0\ten\ntwo ""\t0\ten\n', encoding="utf-8")
    assert {text.text for text in load_corpus(path)} == {'"whole"', '"open', 'two ""'}


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
def test_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path, kind):
    plain = write(tmp_path / f"a.{kind}", labelled_rows())
    (tmp_path / "windows").mkdir()
    windows = tmp_path / "windows" / f"a.{kind}"
    windows.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    assert load_corpus(windows).sha256 == load_corpus(plain).sha256


def test_suffix_may_be_upper_case(tmp_path):
    path = write(tmp_path / "a.csv", labelled_rows())
    assert read_table(path.rename(tmp_path / "a.CSV")).frame.height == len(AWKWARD)


def test_blank_lines_of_jsonl_and_absent_keys_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1}\n\n{"text": "b", "label": 0, "language": "en"}\n', encoding="utf-8")
    assert read_table(path).frame.rows() == [("a", "1", None), ("b", "0", "en")]


# Labels


SPELLINGS = {
    **dict.fromkeys(("1", "1.0", "true", "toxic", "harmful", "hateful", "unsafe"), True),
    **dict.fromkeys(("0", "0.0", "false", "neutral", "non-toxic", "harmless", "non-hateful", "safe"), False),
}


@pytest.mark.parametrize(("spelling", "harmful"), SPELLINGS.items())
def test_label_spellings_are_read_whatever_their_case(spelling, harmful):
    table = pl.DataFrame({"text": ["a", "b"], "label": [spelling, f" {spelling.upper()} "], "language": ["en", "en"]})
    rows = to_rows(table, name="t", columns={}, source="t")
    assert rows["harmful"].to_list() == [harmful, harmful]


@pytest.mark.parametrize("labels", [[True, False], [1, 0], [1.0, 0.0], ["toxic", "neutral"]])
def test_typed_parquet_labels_are_read(tmp_path, labels):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["bad", "good"], "label": labels, "language": ["en", "en"]}).write_parquet(path)
    assert {row.text: row.harmful for row in load_corpus(path)} == {"bad": True, "good": False}


# Column names


def test_columns_are_renamed(tmp_path):
    rows = [{"comment": row["text"], "y": row["label"], "lang": row["language"]} for row in labelled_rows()]
    columns = {"text": "comment", "label": "y", "language": "lang"}
    corpus = load_corpus(write(tmp_path / "a.csv", rows), columns=columns)
    assert {(row.text, row.harmful) for row in corpus} == {
        (r["text"].strip(), r["label"] == 1) for r in labelled_rows()
    }


def test_label_column_may_be_called_toxic(tmp_path):
    path = write(tmp_path / "a.csv", [{"text": "bad", "toxic": 1, "language": "en"}])
    assert [row.harmful for row in load_corpus(path, columns={"label": "toxic"})] == [True]


def test_chosen_column_wins_over_one_that_has_our_name_already(tmp_path):
    rows = [
        {"text": "bad", "toxic": 1, "label": "insult", "neutral": "x", "language": "en"},
        {"text": "good", "toxic": 0, "label": "none", "neutral": "y", "language": "en"},
    ]
    corpus = load_corpus(write(tmp_path / "a.csv", rows), columns={"label": "toxic"})
    assert {row.text: row.harmful for row in corpus} == {"bad": True, "good": False}


def test_column_mapped_to_itself_changes_nothing(tmp_path):
    path = write(tmp_path / "a.csv", labelled_rows())
    assert load_corpus(path, columns={"text": "text"}).sha256 == load_corpus(path).sha256


def test_parallel_columns_are_renamed(tmp_path):
    rows = [{"id": "p", "lang": "en", "before": "bad", "after": "good"}]
    columns = {"pair_id": "id", "language": "lang", "toxic": "before", "neutral": "after"}
    corpus = load_corpus(write(tmp_path / "a.jsonl", rows), columns=columns)
    assert {(row.text, row.harmful, row.pair_id) for row in corpus} == {("bad", True, "p"), ("good", False, "p")}


def test_pairs_without_ids_are_told_apart_by_their_row(tmp_path):
    rows = [{"language": "en", "toxic": f"bad {i}", "neutral": f"good {i}"} for i in range(3)]
    corpus = load_corpus(write(tmp_path / "a.csv", rows))
    assert {row.text.split()[1]: row.pair_id for row in corpus} == {"0": "1", "1": "2", "2": "3"}


def test_source_column_is_kept_and_defaults_to_the_file_name(tmp_path):
    rows = [{"text": "a", "label": 1, "language": "en"}]
    assert [row.source for row in load_corpus(write(tmp_path / "a.csv", rows))] == ["a.csv"]
    rows[0]["source"] = "forum"
    assert [row.source for row in load_corpus(write(tmp_path / "b.csv", rows))] == ["forum"]


def test_only_language_asked_for_fills_an_absent_column(tmp_path):
    path = write(tmp_path / "a.csv", [{"text": "a", "label": 1}])
    assert load_corpus(path, languages=["sw"]).languages == ("sw",)
    fault(lambda: load_corpus(path, languages=["sw", "en"]), str(path), "missing: language")
    fault(lambda: load_corpus(path), str(path), "missing: language")


def test_language_column_is_never_overwritten(tmp_path):
    path = write(tmp_path / "a.csv", labelled_rows())
    assert set(load_corpus(path, languages=["hi"]).frame["text"]) == {
        row["text"].strip() for row in labelled_rows() if row["language"] == "hi"
    }
    fault(lambda: load_corpus(path, languages=["de"]), "a.csv", "no texts in de", "--languages")


# Bad input


def test_missing_file(tmp_path):
    path = tmp_path / "absent.csv"
    fault(lambda: load_corpus(path), str(path), "no such file", "check the path")


def test_folder_without_tables(tmp_path):
    fault(lambda: load_corpus(tmp_path), str(tmp_path), "a folder without tables")


def test_unknown_suffix(tmp_path):
    path = tmp_path / "table.docx"
    path.write_bytes(b"")
    fault(lambda: load_corpus(path), str(path), "'.docx'", *SUFFIXES, "convert it")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_column(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", [{"text": "a", "grade": "1", "language": "en"}])
    fault(lambda: load_corpus(path), str(path), "columns text, grade, language", "missing: label", "--column label=")


def test_half_a_parallel_file_is_not_read_as_labelled(tmp_path):
    path = write(tmp_path / "a.csv", [{"toxic": "a", "language": "en"}])
    fault(lambda: load_corpus(path), str(path), "columns toxic, language", "missing: text, label", "--column")


def test_missing_column_that_was_asked_for(tmp_path):
    path = write(tmp_path / "a.csv", labelled_rows())
    message = fault(lambda: load_corpus(path, columns={"text": "comment"}), str(path), "'comment'", "--column")
    assert "(for 'text')" in message


def test_unknown_language_gets_a_suggestion(tmp_path):
    path = write(tmp_path / "a.csv", [{"text": "a", "label": 1, "language": "hi-Latin"}])
    fault(lambda: load_corpus(path), "unknown language", "'hi-Latin'", "did you mean 'hi-Latn'")
    fault(lambda: load_corpus("mini", languages=["hi-Latin"]), "'hi-Latin'", "did you mean 'hi-Latn'")


def test_unknown_language_without_a_near_one_gets_the_list(tmp_path):
    path = write(tmp_path / "a.csv", [{"text": "a", "label": 1, "language": "Klingonese"}])
    fault(lambda: load_corpus(path), "'Klingonese'", "an ISO 639 code or an English name", "write the code")


def test_unknown_corpus_gets_a_suggestion():
    fault(lambda: load_corpus("multiparadetx"), "unknown corpus", "'multiparadetx'", "did you mean 'multiparadetox'")


def test_unknown_corpus_without_a_near_one_gets_the_list():
    fault(lambda: load_corpus("qqqq"), "unknown corpus", *CORPORA, "choose one")


@pytest.mark.parametrize("label", ["1", "0"])
def test_one_class_only(tmp_path, label):
    rows = [{"text": f"t{i}", "label": label, "language": "en"} for i in range(40)]
    path = write(tmp_path / "a.csv", rows)
    only = "harmful texts only" if label == "1" else "harmless texts only"
    fault(lambda: balance(load_corpus(path)), "a.csv", "language en", only, "--corpus")


def test_fewer_than_twenty_texts_of_a_class(tmp_path):
    rows = [{"text": f"t{i}", "label": int(i < MIN_PER_CLASS - 1), "language": "sw"} for i in range(60)]
    path = write(tmp_path / "a.csv", rows)
    fault(lambda: balance(load_corpus(path)), "a.csv", "language sw", "19 harmful and 41 harmless", "at least 20")


@pytest.mark.parametrize("blank", ["", " ", "\t\u00a0\u3000"])
@pytest.mark.parametrize("column", ["text", "language"])
def test_empty_cell_of_a_labelled_file(tmp_path, column, blank):
    rows = [{"text": f"t{i}", "label": "1", "language": "en"} for i in range(4)]
    for row in rows[2:]:
        row[column] = blank
    path = write(tmp_path / "a.csv", rows)
    fault(lambda: load_corpus(path), f"{path}, row 3, column {column}", "found no", "in 2 rows", "fill")


@pytest.mark.parametrize("blank", ["", " ", "\t\u00a0\u3000", "NaN"])
def test_rows_without_a_label_are_dropped_with_a_count(tmp_path, blank):
    rows = [{"text": f"t{i}", "label": "1", "language": "en"} for i in range(4)]
    for row in rows[2:]:
        row["label"] = blank
    corpus = load_corpus(write(tmp_path / "a.csv", rows))
    assert len(corpus) == 2
    assert [(w.detail, w.language) for w in corpus.warnings if w.code == "C010"] == [("2 rows dropped", "en")]


@pytest.mark.parametrize("gap", [None, "", "  "])
@pytest.mark.parametrize("column", ["toxic", "neutral"])
def test_half_of_a_pair_is_missing(tmp_path, column, gap):
    rows = [{"pair_id": f"p{i}", "language": "en", "toxic": f"bad {i}", "neutral": f"good {i}"} for i in range(3)]
    rows[1][column] = gap
    path = write(tmp_path / "a.jsonl", rows)
    fault(
        lambda: load_corpus(path, incomplete_pairs="refuse"),
        f"{path}, row 2, column {column}",
        "half of a pair is missing",
        "fill or remove",
    )
    corpus = load_corpus(path)
    assert corpus.counts().rows() == [("en", 2, 2)]
    assert [(w.detail, w.language) for w in corpus.warnings if w.code == "C011"] == [("1 pair dropped", "en")]


def test_doubled_pair(tmp_path):
    rows = [{"pair_id": f"p{i % 3}", "language": "en", "toxic": f"bad {i}", "neutral": f"good {i}"} for i in range(4)]
    path = write(tmp_path / "a.csv", rows)
    fault(lambda: load_corpus(path), f"{path}, row 1", "'p0'", "doubled pair", "its own id")


def test_pair_id_may_recur_in_another_language(tmp_path):
    rows = [{"pair_id": "p", "language": code, "toxic": "bad", "neutral": "good"} for code in ("de", "en")]
    corpus = load_corpus(write(tmp_path / "a.csv", rows))
    assert corpus.counts().rows() == [("de", 1, 1), ("en", 1, 1)]


@pytest.mark.parametrize("label", ["2", "maybe", "-1", "0.5", "toxic?"])
def test_label_that_is_neither_of_two_values(tmp_path, label):
    rows = [{"text": f"t{i}", "label": "1", "language": "en"} for i in range(3)]
    rows[1]["label"] = label
    path = write(tmp_path / "a.csv", rows)
    fault(lambda: load_corpus(path), f"{path}, row 2, column label", repr(label), "1 or 0", "--harmful")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
def test_invalid_utf8_names_the_line_and_the_byte(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes("first é line\nsecond\nthi".encode() + b"\xe9rd\nfourth\n")
    fault(lambda: load_corpus(path), f"{path}, line 3", "the byte 0xe9", "UTF-8")


def test_broken_jsonl(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1, "language": "en"}\n{"text": oops}\n', encoding="utf-8")
    fault(lambda: load_corpus(path), str(path), "column 10", "mend the file")


def test_broken_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"},\n\n {"text": oops}]', encoding="utf-8")
    fault(lambda: load_corpus(path), str(path), "line 3 column 11", "mend the file")


@pytest.mark.parametrize("text", ['{"text": "a"}', '["a", "b"]', "3", '[{"text": "a"}, null]'])
def test_json_that_is_not_a_list_of_objects(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    fault(lambda: load_corpus(path), str(path), "other JSON", "a list of objects")


@pytest.mark.parametrize("raw", [b"", b"PAR1", b"PAR1 this is no table PAR1", b"text,label\n"])
def test_broken_parquet(tmp_path, raw):
    path = tmp_path / "a.parquet"
    path.write_bytes(raw)
    fault(lambda: load_corpus(path), str(path), "a .parquet table", "mend the file")


def test_truncated_parquet(tmp_path):
    path = write(tmp_path / "a.parquet", labelled_rows())
    path.write_bytes(path.read_bytes()[:-9])
    fault(lambda: load_corpus(path), str(path), "a .parquet table")


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_row_with_too_many_cells(tmp_path, kind):
    mark = {"csv": ",", "tsv": "\t"}[kind]
    path = tmp_path / f"a.{kind}"
    path.write_text(f"text{mark}label{mark}language\n{mark.join('abcd')}\n", encoding="utf-8")
    fault(lambda: load_corpus(path), str(path), f"a .{kind} table", "mend the file")


@pytest.mark.parametrize("kind", KINDS)
def test_file_without_rows(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pl.DataFrame(schema=dict.fromkeys(("text", "label", "language"), pl.String)).write_parquet(path)
    else:
        path.write_text("[]" if kind == "json" else "", encoding="utf-8")
    fault(lambda: load_corpus(path), "a." + kind)


# The hub, with small tables in place of it. Columns are those of the data sets' cards.

PER_TABLE = 4


def mixed(split, text_column, label_column, labels=(1, 0)):
    texts = [f"{split} text {i}" for i in range(PER_TABLE)]
    return {text_column: texts, label_column: [labels[i % 2] for i in range(PER_TABLE)]}


def partners(split, toxic, neutral):
    return {
        toxic: [f"{split} bad {i}" for i in range(PER_TABLE)],
        neutral: [f"{split} ok {i}" for i in range(PER_TABLE)],
    }


MULTIJAIL = ("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")


#: Data sets that name the language of each row: repository -> columns of text, label and language, and the two labels.
BY_ROW = {
    "ToxicityPrompts/PolyGuardPrompts": ("prompt", "prompt_harm_label", "language", ("harmful", "unharmful")),
    "nvidia/Nemotron-Safety-Guard-Dataset-v3": ("prompt", "prompt_label", "language", ("unsafe", "safe")),
    "FredZhang7/toxi-text-3M": ("text", "is_toxic", "lang", (1, 0)),
    "ToxicityPrompts/RTP-LX": ("Prompt", "PromptAnnotations", "Locale", ({"Toxicity": 3.5}, {"Toxicity": 1.0})),
}


def by_row(repo):
    text, label, language, labels = BY_ROW[repo]
    rows = [
        {"id": i, text: f"{code} prompt {i}", label: labels[i % 2], language: code}
        for row in CORPORA.values()
        if any(file.hub == repo for file in row.files)
        for code in row.languages
        for i in range(PER_TABLE)
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}


def by_config(repo, config, split):
    texts = [f"{config} {split} {i}" for i in range(PER_TABLE)]
    if repo == "iNLP-Lab/multilingual-safety":
        return {"prompt": texts, "output": ["no"] * PER_TABLE}
    if repo == "ToxicityPrompts/PolygloToxicityPrompts":
        return {"text": texts, "toxicity": [0.9, 0.1] * (PER_TABLE // 2), "prompt": ["x"] * PER_TABLE}
    assert (repo, config) == ("aisingapore/SEASafeguardBench", "general")
    labels = ["Harmful", "Safe"] * (PER_TABLE // 2) + ["Sensitive"]
    return {"prompt": [*texts, "unclear"], "prompt_label": labels, "response": [None] * len(labels)}


def harmful_table(repo, split):
    if repo == "CohereLabs/aya_redteaming":
        return {"prompt": [f"{split} red {i}" for i in range(PER_TABLE)], "language": ["whatever"] * PER_TABLE}
    codes = ("en", "de", "fr", "es", "it") if repo == "felfri/M-ALERT" else MULTIJAIL
    ids = {"id": list(range(PER_TABLE)), "source": ["somewhere"] * PER_TABLE}
    return ids | {code: [f"{code} jail {i}" for i in range(PER_TABLE)] for code in codes}


def hub_table(repo, split, config=None):
    if config or repo in BY_ROW:
        return by_config(repo, config, split) if config else by_row(repo)
    if repo in {"CohereLabs/aya_redteaming", "felfri/M-ALERT", "DAMO-NLP-SG/MultiJail"}:
        return harmful_table(repo, split)
    if repo == "textdetox/multilingual_toxicity_dataset":
        return mixed(split, "text", "toxic")
    if repo == "textdetox/multilingual_paradetox":
        return partners(split, "toxic_sentence", "neutral_sentence")
    if repo == "s-nlp/paradetox":
        assert split == "train"
        return partners("en", "en_toxic_comment", "en_neutral_comment")
    assert repo.startswith("Paul/hatecheck")
    assert split == "test"
    language = repo.removeprefix("Paul/hatecheck").removeprefix("-") or "english"
    return mixed(language, "test_case", "label_gold", ("hateful", "non-hateful")) | {
        "functionality": ["F1"] * PER_TABLE
    }


def web_table(url):
    *_, name = url.split("/")
    texts = [f"{name} {i}" for i in range(PER_TABLE)]
    if name.startswith("XHate"):
        return {"text" if "-EN-" in name else "translation": texts, "label": [1, 0] * (PER_TABLE // 2)}
    if name.startswith("rabakbench"):
        return {"text": texts, "binary": [1, 0] * (PER_TABLE // 2), "hateful": [0] * PER_TABLE}
    translated = {} if name == "harmful_test_translated_en.json" else {"instruction_translated": texts}
    return {"instruction": [f"en {text}" for text in texts], "category": [None] * PER_TABLE} | translated


@pytest.fixture
def hub(monkeypatch):
    """Small tables instead of the network; returns the calls that were made."""
    import datasets

    from isogloss.data import hub_data
    from isogloss.io.hub import Snapshot

    calls, revisions = [], {}

    def download(repo, revision, **_):
        revisions[repo] = revision or f"commit of {repo}"
        return Snapshot(Path("hub") / repo, revisions[repo])

    def load_dataset(where, *, split, name=None, data_files=None, column_names=None, **separated):
        where = where.removeprefix("hub/")
        revision = revisions.get(where)
        calls.append(SimpleNamespace(where=where, split=split, revision=revision, url=data_files, names=column_names))
        if where == "json":
            table = web_table(data_files)
        elif where == "csv":
            texts = [f"{data_files} {i}" for i in range(PER_TABLE)]
            table = {column_names[0]: texts} if column_names else web_table(data_files)
        else:
            table = hub_table(where, split, name)
        return datasets.Dataset.from_dict(table)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub_data, "download", download)
    return calls


PUBLIC = [name for name, row in CORPORA.items() if row.files]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_source_yields_rows_in_all_its_languages(hub, name):
    source = CORPORA[name]
    rows, *_ = read_source(source, None)
    assert dict(rows.schema) == ROW_SCHEMA
    assert set(rows["language"]) == set(source.languages)
    assert rows.select("text", "harmful", "language", "source", "row").null_count().row(0) == (0, 0, 0, 0, 0)
    both = {"labelled": {True, False}, "parallel": {True, False}, "harmful-only": {True}}[source.kind]
    for part in rows.partition_by("language"):
        assert set(part["harmful"]) == both
    assert (rows["pair_id"].null_count() == 0) == (source.kind == "parallel")
    tables = sum(1 if file.language else len(source.languages) for file in source.files)
    assert rows.height == tables * PER_TABLE * (2 if source.kind == "parallel" else 1)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_source_makes_a_corpus(hub, name):
    source = CORPORA[name]
    corpus = load_corpus(name)
    assert corpus.languages == tuple(sorted(source.languages))
    assert corpus.licence == source.licence
    assert corpus.name == name
    # The stand-ins are in Latin letters and SEA-SafeguardBench has a row that is neither harmful nor safe.
    codes = {warning.code for warning in corpus.warnings} - {"L003"}
    assert codes == ({"C010"} if source.dropped else set()) | (set() if source.licence else {"C006"})


@pytest.mark.parametrize("name", PUBLIC)
def test_pinned_or_resolved_revision_is_what_is_read_and_recorded(hub, name):
    source = CORPORA[name]
    _, revision, _ = read_source(source, None)
    for call in hub:
        assert (call.revision is None) == (call.url is not None)
        if call.url:
            assert any(commit in call.url for commit in source.revision.split(" + "))
        else:
            assert call.revision == (source.revision or f"commit of {call.where}")
    repos = dict.fromkeys(call.where for call in hub)
    resolved = [f"{repo}@commit of {repo}" if len(repos) > 1 else f"commit of {repo}" for repo in repos]
    assert revision == (source.revision or ", ".join(resolved))


def test_labels_of_the_hub_keep_their_meaning(hub):
    toxicity, *_ = read_source(CORPORA["multilingual_toxicity"], ("am",))
    assert dict(toxicity.select("text", "harmful").iter_rows()) == {
        "am text 0": True,
        "am text 1": False,
        "am text 2": True,
        "am text 3": False,
    }
    hate, *_ = read_source(CORPORA["hatecheck"], ("zh", "en"))
    assert dict(hate.filter(harmful=True).select("text", "language").iter_rows()) == {
        "english text 0": "en",
        "english text 2": "en",
        "mandarin text 0": "zh",
        "mandarin text 2": "zh",
    }


def test_pairs_of_the_hub_keep_their_sides(hub):
    for name, code in (("multiparadetox", "uk"), ("paradetox", "en")):
        corpus = load_corpus(name, languages=[code])
        assert corpus.paired
        assert {text.text: text.harmful for text in corpus} == {
            f"{code} {word} {i}": word == "bad" for word in ("bad", "ok") for i in range(PER_TABLE)
        }


def test_side_by_side_languages_are_read_from_their_own_column(hub):
    rows, *_ = read_source(CORPORA["multijail"], ("sw", "jv"))
    assert sorted(rows.select("language", "text").rows()) == sorted(
        (code, f"{code} jail {i}") for code in ("sw", "jv") for i in range(PER_TABLE)
    )


def test_label_of_a_web_file_comes_from_which_file_it_is(hub):
    rows, revision, _ = read_source(CORPORA["polyrefuse"], ("yo",))
    assert set(rows.select("text", "harmful").rows()) == {
        (f"{kind}_test_translated_yo.json {i}", kind == "harmful")
        for kind in ("harmful", "harmless")
        for i in range(PER_TABLE)
    }
    assert revision == CORPORA["polyrefuse"].revision


def test_only_the_languages_asked_for_are_downloaded(hub):
    load_corpus("multiparadetox", languages=["uk", "am"])
    assert {call.split for call in hub} == {"uk", "am"}


def test_language_that_a_source_lacks(hub):
    fault(lambda: load_corpus("paradetox", languages=["en", "sw"]), "corpus paradetox", "no texts in sw", "some of en")
    fault(lambda: load_corpus("mini", languages=["ja"]), "corpus mini", "no texts in ja", "some of am, ar")
    assert not hub


def test_harmful_only_source_needs_a_harmless_one(hub, tmp_path):
    fault(lambda: balance(load_corpus("multijail")), "corpus multijail", "harmful texts only", "--corpus")
    harmless = [{"text": f"fine {i}", "label": 0, "language": "sw"} for i in range(PER_TABLE)]
    both = load_corpus(["multijail", write(tmp_path / "fine.csv", harmless)], languages=["sw"])
    assert both.counts().rows() == [("sw", PER_TABLE, PER_TABLE)]
    assert both.name == "multijail+fine.csv"
    assert (both.licence, both.revision) == ("MIT", "commit of DAMO-NLP-SG/MultiJail")


def test_hub_table_of_another_shape_names_source_and_language(hub, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_dict({"comment": ["a"]}))
    fault(lambda: load_corpus("hatecheck", languages=["de"]), "corpus hatecheck (de)", "comment", "'test_case'")


def test_unreachable_hub(hub, monkeypatch):
    import datasets

    def fail(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    fault(lambda: load_corpus("paradetox"), "s-nlp/paradetox", "no route", "check the connection")


def test_a_repository_that_datasets_cannot_read(hub, monkeypatch):
    import datasets

    def fail(*_, **__):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 's-nlp/paradetox' doesn't exist")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    fault(lambda: load_corpus("paradetox"), "s-nlp/paradetox", "doesn't exist", "give the file")


def test_single_files_are_read_by_the_real_library(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    headless, headed, listed = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.json"
    headless.write_text('"first, with a comma"\nsecond\n"third ""quoted"""\n', encoding="utf-8")
    headed.write_text("prompt\nfourth\n", encoding="utf-8")
    listed.write_text('[\n {"prompt": "fifth é", "category": null},\n {"prompt": "sixth"}\n]', encoding="utf-8")
    source = Source(
        name="local",
        kind="labelled",
        about="",
        languages=("en", "de", "fr"),
        licence=None,
        citation="",
        homepage="",
        revision="r1",
        columns={"text": "prompt"},
        files=(
            SourceFile(language="de", url=str(headed), label="0"),
            SourceFile(language="fr", url=str(listed), label="0"),
        ),
    )
    rows, revision, _ = read_source(source, None)
    assert revision == "r1"
    assert rows.select("language", "text", "harmful").rows() == [
        ("de", "fourth", False),
        ("fr", "fifth é", False),
        ("fr", "sixth", False),
    ]
    bare = Source(
        **vars(source)
        | {"columns": {}, "files": (SourceFile(language="en", url=str(headless), label="1", header=False),)}
    )
    rows, *_ = read_source(bare, None)
    assert rows["text"].to_list() == ["first, with a comma", "second", 'third "quoted"']
    assert rows["harmful"].all()


# Once only the first of the eleven repositories had its commit recorded.
def test_all_resolved_revisions_are_recorded(hub):
    _, revision, _ = read_source(CORPORA["hatecheck"], ("en", "de"))
    assert "commit of Paul/hatecheck-german" in revision


@pytest.mark.parametrize("at_once", [1, 2, 7, 100])
def test_lines_are_the_same_table_however_many_are_read_at_once(at_once, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.data.json_tables.LINES_AT_ONCE", at_once)
    rows = [{"text": f"text {i}\u2028", "label": i % 2} | ({"source": "late"} if i > 4 else {}) for i in range(7)]
    path = tmp_path / "a.jsonl"
    path.write_text("\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    expected = pl.DataFrame(
        {
            "text": [row["text"] for row in rows],
            "label": [str(row["label"]) for row in rows],
            "source": [row.get("source") for row in rows],
        }
    )
    assert read_table(path).frame.equals(expected)
    path.write_bytes(path.read_bytes() + b"\n{")
    with pytest.raises(CorpusError, match="line 14"):
        read_table(path)
