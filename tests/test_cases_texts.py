"""Inputs that people have, row by row: formats, labels, messages, splits, wide files. Ids name the rows of the list."""

import bz2
import csv
import gzip
import io
import json
import zipfile
from contextlib import suppress
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

import isogloss
from isogloss.data.addresses import HubName, language_in_name
from isogloss.errors import CorpusError, UsageError

N = 24


def records(label="label", true=1, false=0, **more):
    """N harmful and N harmless English texts."""
    return [
        {"text": f"{word} text number {i}", label: value, "language": "en"} | more
        for i in range(N)
        for word, value in (("bad", true), ("good", false))
    ]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def delimited(path, rows, separator=",", **options):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n", delimiter=separator, **options)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8")
    return path


def fault(action, *parts):
    """Run what must fail in one short line that holds all the parts and no text of the corpus."""
    with pytest.raises((CorpusError, UsageError)) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) <= 600, message
    assert "text number" not in message
    assert message.isprintable()
    for part in parts:
        assert part in message, message
    return message


def right(corpus, n=N):
    """The texts that begin with bad are the harmful ones, and all are there."""
    assert {text.text.split()[0] == "bad" for text in corpus if text.harmful} == {True}
    assert {text.text.split()[0] == "good" for text in corpus if not text.harmful} == {True}
    assert corpus.counts().rows() == [("en", n, n)]
    return corpus


def warned(corpus):
    return {warning.code: warning.detail for warning in corpus.warnings}


# Rows T01, polarity


@pytest.mark.parametrize(
    "name",
    ["is_safe", "safe", "harmless", "isHarmless", "benign", "clean", "non_toxic", "nontoxic", "not-hate", "Safe"],
)
@pytest.mark.parametrize(("true", "false"), [(False, True), (0, 1), ("no", "yes"), ("0.0", "1.0")])
def test_t01_label_column_whose_name_says_harmless(tmp_path, name, true, false):
    path = jsonl(tmp_path / "a.jsonl", records(name, true, false))
    fault(lambda: isogloss.load_corpus(path, columns={"label": name}), name, "harmless=", "--harmful")
    right(isogloss.load_corpus(path, columns={"harmless": name}))
    right(isogloss.load_corpus(path, columns={"label": name}, harmful=[json.dumps(true).strip('"')]))


@pytest.mark.parametrize("name", ["unsafe", "toxic", "notes", "unclean", "harmful", "hate", "label", "nonsense"])
def test_t01_other_names_need_no_polarity(tmp_path, name):
    right(isogloss.load_corpus(jsonl(tmp_path / "a.jsonl", records(name)), columns={"label": name}))


def test_t01_words_that_name_the_class_need_no_polarity(tmp_path):
    right(
        isogloss.load_corpus(
            jsonl(tmp_path / "a.jsonl", records("is_safe", "unsafe", "safe")), columns={"label": "is_safe"}
        )
    )
    right(
        isogloss.load_corpus(
            jsonl(tmp_path / "a.jsonl", records("is_safe", "unsafe", "safe")), columns={"harmless": "is_safe"}
        )
    )


def test_t01_score_of_safety(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", records("p_safe", 0.1, 0.9))
    fault(lambda: isogloss.load_corpus(path, columns={"label": "p_safe>=0.5"}), "harmless=p_safe>=0.5")
    right(isogloss.load_corpus(path, columns={"harmless": "p_safe>=0.5"}))
    right(isogloss.load_corpus(path, columns={"label": "p_safe<0.5"}))


def test_t01_two_ways_to_say_polarity_are_refused(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", records("is_safe", False, True))
    for options in (
        {"columns": {"label": "is_safe", "harmless": "is_safe"}},
        {"columns": {"harmless": "is_safe"}, "label": "harmful"},
        {"columns": {"harmless": "is_safe"}, "harmful": ["false"]},
        {"label": "harmful", "harmful": ["false"]},
    ):
        fault(lambda options=options: isogloss.load_corpus(path, **options))


# Rows T02, classes of the hub


@pytest.mark.parametrize("names", [["toxic", "neutral"], ["neutral", "toxic"]])
def test_t02_names_of_classes_decide(tmp_path, names):
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=names),
            "language": datasets.Value("string"),
        }
    )
    rows = [row | {"label": names.index("toxic" if row["label"] else "neutral")} for row in records()]
    data = datasets.Dataset.from_list(rows, features=features)
    right(isogloss.load_corpus(data))
    data.to_parquet(tmp_path / "a.parquet")  # the file describes its classes
    right(isogloss.load_corpus(tmp_path / "a.parquet"))


def test_t02_unknown_names_of_classes_are_asked_for(tmp_path):
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["A", "B"]),
            "language": datasets.Value("string"),
        }
    )
    data = datasets.Dataset.from_list(records(), features=features)
    fault(lambda: isogloss.load_corpus(data), "'A', 'B'", "--harmful")
    right(isogloss.load_corpus(data, harmful=["B"]))


# Rows T03, chat messages

USER = {"role": "user", "content": "bad text number 1"}


def chats(wrap):
    return [row | {"text": wrap(row["text"])} for row in records()]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv", "python"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: [{"role": "user", "content": text}],
        lambda text: [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}],
        lambda text: [{"role": "user", "content": text}, {"role": "assistant", "content": "No."}],
        lambda text: [{"from": "human", "value": text}, {"from": "gpt", "value": "No."}],
    ],
)
def test_t03_the_user_turn_is_the_text(tmp_path, wrap, kind):
    rows = chats(wrap)
    if kind == "jsonl":
        path = jsonl(tmp_path / "a.jsonl", rows)
    elif kind == "parquet":
        path = tmp_path / "a.parquet"
        pl.DataFrame(rows).write_parquet(path)
    else:
        write = json.dumps if kind == "csv" else str
        path = delimited(tmp_path / "a.csv", [row | {"text": write(row["text"])} for row in rows])
    corpus = right(isogloss.load_corpus(path))
    assert "C014" in warned(corpus)


def test_t03_parts_of_a_message(tmp_path):
    rows = chats(lambda text: [{"role": "user", "content": [{"type": "text", "text": text}]}])
    right(isogloss.load_corpus(jsonl(tmp_path / "a.jsonl", rows)))
    image = [{"role": "user", "content": [{"type": "image", "url": "x"}]}]
    rows[3]["text"] = image
    fault(lambda: isogloss.load_corpus(jsonl(tmp_path / "a.jsonl", rows)), "row 4", "a message without text")


def test_t03_several_turns_are_refused_with_the_row_and_the_way(tmp_path):
    rows = chats(lambda text: [{"role": "user", "content": text}])
    rows[4]["text"] = [USER, {"role": "assistant", "content": "No."}, USER]
    path = jsonl(tmp_path / "a.jsonl", rows)
    fault(lambda: isogloss.load_corpus(path), "row 5", "2 user turns", "--column text=text.0.content")
    right(isogloss.load_corpus(path, columns={"text": "text.0.content"}), n=N) if False else None
    first = isogloss.load_corpus(path, columns={"text": "text.0"})
    assert len(first) == 2 * N - 1 or len(first) == 2 * N


def test_t03_other_lists_are_refused(tmp_path):
    rows = chats(lambda text: [text, text])
    for path in (jsonl(tmp_path / "a.jsonl", rows),):
        fault(lambda path=path: isogloss.load_corpus(path), "row 1", "no chat messages")
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    fault(lambda: isogloss.load_corpus(tmp_path / "a.parquet"), "row 1", "no chat messages")


def test_t03_conversation_of_another_language_is_no_fault(tmp_path):
    rows = [*records(), {"text": [USER, USER], "label": 1, "language": "de"}]
    right(isogloss.load_corpus(jsonl(tmp_path / "a.jsonl", rows), languages=["en"]))


# Rows T07, T16, T21, tables of text


def test_t07_tsv_written_by_pandas_has_no_quotes_in_its_texts(tmp_path):
    rows = records()
    rows[0]["text"] = 'bad "quoted" word'
    rows[1]["text"] = "good line\nand another\twith a tab"
    path = delimited(tmp_path / "a.tsv", rows, "\t")
    texts = {row.text for row in right(isogloss.load_corpus(path))}
    assert {rows[0]["text"], rows[1]["text"]} <= texts
    whole = delimited(tmp_path / "b.tsv", records(), "\t", quoting=csv.QUOTE_ALL)
    right(isogloss.load_corpus(whole))


def test_t07_tsv_with_bare_quotes_keeps_them(tmp_path):
    rows = [row | {"text": f'{row["text"]} "so called"'} for row in records()]
    path = tmp_path / "a.tsv"
    path.write_text("\n".join("\t".join(map(str, line)) for line in [rows[0].keys(), *(row.values() for row in rows)]))
    assert all(row.text.endswith('"so called"') for row in isogloss.load_corpus(path))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_t16_t21_separator_is_recognised(tmp_path, separator, suffix):
    rows = records()
    rows[0]["text"] = "bad words, worse; and more | text"
    corpus = right(isogloss.load_corpus(delimited(tmp_path / f"a{suffix}", rows, separator)))
    assert rows[0]["text"] in {row.text for row in corpus}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", ["text, label, language", "Text,Label,Language", " TEXT ,LABEL , Language"])
def test_t16_names_of_columns_are_stripped_and_folded(tmp_path, mark, header):
    path = tmp_path / "a.csv"
    lines = [f'"{row["text"]}, really", {row["label"]}, {row["language"]}' for row in records()]
    if ", " not in header:
        lines = [line.replace(", 1,", ",1,").replace(", 0,", ",0,").replace(", en", ",en") for line in lines]
    path.write_text(mark + "\n".join([header, *lines]), encoding="utf-8")
    right(isogloss.load_corpus(path))


def test_t17_line_ends_of_old_systems(tmp_path):
    path = delimited(tmp_path / "a.csv", records())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    right(isogloss.load_corpus(path))


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_t17_file_without_a_header_shows_no_text(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    mark = "," if suffix == ".csv" else "\t"
    path.write_text("".join(f"{row['text']}{mark}{row['label']}{mark}en\n" for row in records()))
    fault(lambda: isogloss.load_corpus(path), "3 columns", "look like a row", "--no-header", "--column text=1")
    columns = {"text": "1", "label": "2", "language": "3"}
    right(isogloss.load_corpus(path, header=False, columns=columns))


SECRET = "I will find out where you live and text number"


def test_t17_messages_hold_no_text(tmp_path):
    rows = [row | {"text": f"{SECRET} {row['text']}"} for row in records()]
    path = delimited(tmp_path / "a.csv", rows)
    for options in (
        {"columns": {"label": "text"}},
        {"columns": {"language": "text"}},
        {"columns": {"label": "text>=0.5"}},
        {"columns": {"text": SECRET}},
        {"columns": {"label": "text"}, "harmful": [SECRET]},
        {"columns": {SECRET: "text"}},
    ):
        assert SECRET not in fault(lambda options=options: isogloss.load_corpus(path, **options))
    path.write_text(path.read_text().replace(f"\n{rows[6]['text']},1", f'\n"{rows[6]["text"]}" x,1'))
    assert SECRET not in fault(lambda: isogloss.load_corpus(path))
    path.write_text(f'text,label,language\n"{SECRET},1,en\nx,0,en\n')
    assert "find out" not in fault(lambda: isogloss.load_corpus(path), "never closed", "line 2")
    path.write_text(f"text,label,language\nx,0,en\n{SECRET},1,en,more\n")
    assert "find out" not in fault(lambda: isogloss.load_corpus(path), "line 3 with 4 cells")


# Rows T08, T13, splits and configurations


def hub_folder(tmp_path, files, configs):
    folder = tmp_path / "set"
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        jsonl(folder / name, rows)
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", "# Card", ""]))
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serve a data set as org/set from the stand-in for the hub."""
    from contextlib import ExitStack

    from hub_server import pointed_at, serve

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere/token")
    with ExitStack() as stack:

        def start(files, configs):
            server = stack.enter_context(serve({}, datasets={"org/set": hub_folder(tmp_path, files, configs)}))
            pointed_at(server, monkeypatch, tmp_path)

        yield start


def halves():
    rows = records()
    return {"a.jsonl": rows[:N], "b.jsonl": rows[N:]}


def test_t08_splits_that_are_read_together_are_named(hub):
    hub(halves(), {"default": {"train": "a.jsonl", "test": "b.jsonl"}})
    corpus = right(isogloss.load_corpus("org/set"))
    assert warned(corpus)["C016"] == "train, test"
    one = right(isogloss.load_corpus("org/set:default/test"), n=N // 2)
    assert "C016" not in warned(one)
    assert one.name == "org/set:default/test"
    fault(lambda: isogloss.load_corpus("org/set:default/dev"), "no split 'dev'", "train, test")


def test_t13_configurations_are_listed_and_named(hub):
    hub(halves(), {"small": {"train": "a.jsonl"}, "large": {"train": "b.jsonl"}})
    fault(lambda: isogloss.load_corpus("org/set"), "2 configurations", "small, large", "org/set:small")
    fault(lambda: isogloss.load_corpus("org/set:other"), "'other'", "small, large")
    right(isogloss.load_corpus("org/set:small"), n=N // 2)
    right(isogloss.load_corpus(["org/set:small/train", "org/set:large"]))


def test_t13_configuration_gives_the_language(hub):
    rows = [{key: value for key, value in row.items() if key != "language"} for row in records()]
    hub({"a.jsonl": rows, "b.jsonl": rows}, {"ptp-en": {"small": "a.jsonl"}, "ptp-de": {"small": "b.jsonl"}})
    assert "C013" in warned(right(isogloss.load_corpus("org/set:ptp-en")))
    assert isogloss.load_corpus(["org/set:ptp-en", "org/set:ptp-de"]).languages == ("de", "en")


def test_t13_names_of_the_hub():
    name = HubName.parse("org/name@v1:de/test")
    assert (name.repo, name.revision, name.config, name.split) == ("org/name", "v1", "de", "test")
    assert str(name) == "org/name@v1:de/test"
    assert str(HubName.parse("org/name:de").at("abc")) == "org/name@abc:de"


# Rows T12, labels


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("harmful", "unharmful"),
        ("toxic", "not toxic"),
        ("Toxic", "NON-TOXIC"),
        ("hate", "not_hate"),
        ("yes", "no"),
        ("1.00", "0.00"),
        (Decimal("1.00"), Decimal("0.00")),
        (1.0, 0.0),
        ("unsafe", "safe"),
        ("offensive", "not offensive"),
        ("not safe", "safe"),
    ],
)
def test_t12_words_of_both_polarities(tmp_path, true, false):
    right(isogloss.load_corpus(pl.DataFrame(records(true=true, false=false))))
    right(isogloss.load_corpus(delimited(tmp_path / "a.csv", records(true=true, false=false))))


def test_t12_values_that_are_named(tmp_path):
    rows = records(true="S5", false="none")
    rows[0]["label"] = "s9"
    path = delimited(tmp_path / "a.csv", rows)
    fault(lambda: isogloss.load_corpus(path), "'S5'", "--harmful")
    right(isogloss.load_corpus(path, harmful=["S5", "S9"]))
    fault(lambda: isogloss.load_corpus(path, harmful=["S7"]), "no row with 'S7'")
    numbers = delimited(tmp_path / "b.csv", records(true=4, false=2))
    right(isogloss.load_corpus(numbers, harmful=["4.0"]))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_t12_scores_and_rows_without_one(tmp_path, missing):
    rows = [*records("toxicity", 0.91, 0.03), {"text": "unknown", "toxicity": missing, "language": "en"}]
    path = jsonl(tmp_path / "a.jsonl", rows)
    fault(lambda: isogloss.load_corpus(path, columns={"label": "toxicity"}), "label=toxicity>=0.5")
    for spec in ("toxicity>=0.5", "toxicity > 0.5", "toxicity>=.91"):
        corpus = right(isogloss.load_corpus(path, columns={"label": spec}))
        assert warned(corpus)["C010"] == "1 row dropped"
    fault(lambda: isogloss.load_corpus(path, columns={"label": "toxicity>=high"}), "'high'", "a number")


@pytest.mark.parametrize("missing", [None, "", "nan"])
def test_t12_unlabelled_rows_are_dropped_with_a_count(tmp_path, missing):
    rows = [*records(), *({"text": f"x {i}", "label": missing, "language": "en"} for i in range(3))]
    assert warned(right(isogloss.load_corpus(jsonl(tmp_path / "a.jsonl", rows))))["C010"] == "3 rows dropped"
    assert warned(right(isogloss.load_corpus(rows)))["C010"] == "3 rows dropped"


def test_t12_a_column_without_any_label_is_refused(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", records(true=None, false=None))
    fault(lambda: isogloss.load_corpus(path), "no row with a label", "--label")


# Rows T14, one class, a column a language


def test_t14_one_class(tmp_path):
    rows = records()
    bad = delimited(tmp_path / "bad.csv", [{"text": row["text"], "language": "en"} for row in rows if row["label"]])
    good = delimited(
        tmp_path / "good.csv", [{"text": row["text"], "language": "en"} for row in rows if not row["label"]]
    )
    fault(lambda: isogloss.load_corpus(bad), "missing: label", "--label harmful")
    assert isogloss.load_corpus(bad, label="harmful").counts().rows() == [("en", N, 0)]
    right(isogloss.load_corpus([f"{bad}?label==harmful", f"{good}?label==harmless"]))
    right(isogloss.load_corpus([bad, f"{good}?label==harmless"], label="harmful"))
    fault(lambda: isogloss.load_corpus(bad, label="toxic"), "harmful or harmless")


def wide(extra=()):
    return [
        {"id": i, "en": f"{word} text number {i}", "de": f"{word}er Text {i}", "label": value}
        for i in range(N)
        for word, value in (("bad", 1), ("good", 0))
    ]


def test_t14_a_column_a_language(tmp_path):
    path = delimited(tmp_path / "a.csv", wide())
    corpus = isogloss.load_corpus(path, wide=["en", "de"])
    assert corpus.counts().rows() == [("de", N, N), ("en", N, N)]
    assert corpus.parallel
    assert {row.language for row in corpus if row.text.startswith("bader")} == {"de"}
    right(isogloss.load_corpus(path, wide=["en", "de"], languages=["en"]))
    named = isogloss.load_corpus(path, wide={"en": "en", "German": "de"})
    assert named.sha256 == corpus.sha256
    fault(lambda: isogloss.load_corpus(path, wide=["en", "fr"]), "fr")


def test_t14_wide_harmful_only_with_gaps(tmp_path):
    rows = [{"id": i, "en": f"bad text number {i}", "de": "" if i < 3 else f"böser Text {i}"} for i in range(N)]
    corpus = isogloss.load_corpus(delimited(tmp_path / "a.csv", rows), wide=["en", "de"], label="harmful")
    assert corpus.counts().rows() == [("de", N - 3, 0), ("en", N, 0)]
    assert warned(corpus)["C015"] == "3 cells without a text"


# Rows T15, formats


def test_t15_json_lines_under_other_names(tmp_path):
    for name in ("a.json", "a.ndjson", "a.txt", "a.csv"):
        right(isogloss.load_corpus(jsonl(tmp_path / name, records())))
    (tmp_path / "b.jsonl").write_text(json.dumps(records(), indent=1))
    right(isogloss.load_corpus(tmp_path / "b.jsonl"))
    (tmp_path / "c.json").write_text(json.dumps({"data": records()}))
    right(isogloss.load_corpus(tmp_path / "c.json"))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
@pytest.mark.parametrize("packing", ["gz", "zst", "bz2"])
def test_t15_compressed_files(tmp_path, kind, packing):
    plain = tmp_path / f"a.{kind}"
    if kind == "json":
        plain.write_text(json.dumps(records()))
    elif kind == "jsonl":
        jsonl(plain, records())
    else:
        delimited(plain, records(), "," if kind == "csv" else "\t")
    raw = plain.read_bytes()
    packed = {
        "gz": lambda: gzip.compress(raw),
        "bz2": lambda: bz2.compress(raw),
        "zst": lambda: pa.compress(raw, codec="zstd", asbytes=True),
    }[packing]()
    path = tmp_path / f"a.{kind}.{packing}"
    path.write_bytes(packed)
    right(isogloss.load_corpus(path))
    path.write_bytes(packed[: len(packed) // 2])
    fault(lambda: isogloss.load_corpus(path), "damaged bytes", "mend the file")


def workbook(path, rows):
    """Write the smallest .xlsx that holds rows of text."""
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{value}</t></is></c>' for value in row) + "</row>" for row in rows
    )
    space = "http://schemas.openxmlformats.org"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{space}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{space}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{space}/spreadsheetml/2006/main" '
        f'xmlns:r="{space}/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{space}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{space}/officeDocument/2006/relationships/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{space}/spreadsheetml/2006/main"><sheetData>{cells}</sheetData>'
        "</worksheet>",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_t15_excel(tmp_path):
    pytest.importorskip("fastexcel")
    rows = records()
    path = workbook(tmp_path / "a.xlsx", [rows[0].keys(), *(row.values() for row in rows)])
    right(isogloss.load_corpus(path))
    path.write_bytes(path.read_bytes()[:400])
    fault(lambda: isogloss.load_corpus(path), "an Excel workbook")


# Rows T18, no tracebacks


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "a", "label": %s, "language": "en"}' % ("1" * 5000),
        "[" * 100_000,
        '{"a":' * 100_000,
        '[{"text": "a"},' + "[" * 100_000,
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_t18_json_that_breaks_parsers(tmp_path, text, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    fault(lambda: isogloss.load_corpus(path), "mend the file")


def test_t18_column_of_durations(tmp_path):
    from datetime import timedelta

    path = tmp_path / "a.parquet"
    pl.DataFrame(
        [row | {"took": timedelta(seconds=1), "image": b"\xff", "points": [1.0]} for row in records()]
    ).write_parquet(path)
    right(isogloss.load_corpus(path))
    for column in ("took", "image"):
        fault(lambda column=column: isogloss.load_corpus(path, columns={"text": column}), column, "text or numbers")
        fault(lambda column=column: isogloss.load_corpus(path, columns={"label": column}), column)
    fault(lambda: isogloss.load_corpus(path, columns={"text": "points"}), "no chat messages")
    fault(lambda: isogloss.load_corpus(path, columns={"label": "points"}), "lists")


def test_t18_damaged_parquet(tmp_path):
    import random

    path = tmp_path / "a.parquet"
    pl.DataFrame(chats(lambda text: [{"role": "user", "content": text}])).write_parquet(path)
    raw, draw = path.read_bytes(), random.Random(0)
    for _ in range(150):
        damaged = bytearray(raw)
        for _ in range(draw.randint(1, 6)):
            damaged[draw.randrange(len(raw))] = draw.randrange(256)
        path.write_bytes(damaged)
        with suppress(CorpusError):
            isogloss.load_corpus(path)


@pytest.mark.parametrize(
    "where", ["x" * 5000, "/" + "y/" * 2500 + "a.csv", "a" * 5000 + ".csv", "org/" + "z" * 5000, "a\0b.csv"]
)
def test_t18_paths_that_are_too_long(where):
    fault(lambda: isogloss.load_corpus(where))


# Rows T20, one file a language


def by_language(tmp_path, names=("en", "de")):
    rows = [{"text": row["text"], "label": row["label"]} for row in records()]
    return [
        delimited(tmp_path / f"{name}.csv", [row | {"text": f"{row['text']} {i}"} for row in rows])
        for i, name in enumerate(names)
    ]


def test_t20_languages_from_the_names_of_files(tmp_path):
    en, de = by_language(tmp_path)
    for where in ([en, de], tmp_path, str(tmp_path / "*.csv")):
        corpus = isogloss.load_corpus(where, languages=["en", "de"])
        assert corpus.counts().rows() == [("de", N, N), ("en", N, N)]
        assert {warning.code for warning in corpus.warnings} == {"C006", "C013"}
    assert isogloss.load_corpus(tmp_path).name == tmp_path.name


def test_t20_language_as_a_constant(tmp_path):
    one, two = by_language(tmp_path, ("first", "second"))
    assert isogloss.load_corpus(one, columns={"language": "=de"}).languages == ("de",)
    corpus = isogloss.load_corpus([f"{one}?language==en", f"{two}?language==German"])
    assert corpus.counts().rows() == [("de", N, N), ("en", N, N)]
    fault(lambda: isogloss.load_corpus(one), "missing: language", "--column language==en")
    assert isogloss.load_corpus(one, languages=["sw"]).languages == ("sw",)


def test_t20_name_of_a_file_that_contradicts_the_language(tmp_path):
    (arabic,) = by_language(tmp_path, ("ar",))
    fault(lambda: isogloss.load_corpus(arabic, languages=["de"]), "ar", "--column language==de")
    assert isogloss.load_corpus(arabic, languages=["de"], columns={"language": "=de"}).languages == ("de",)


def test_t20_script_is_checked(tmp_path):
    rows = [{"text": f"نص عربي رقم {i}", "label": i % 2} for i in range(2 * N)]
    path = delimited(tmp_path / "a.csv", rows)
    assert "L003" in warned(isogloss.load_corpus(path, languages=["de"]))


NAMES = {
    "de": "de",
    "zh-CN": "zh",
    "pt_BR": "pt",
    "eng_Latn": "en",
    "train_de": "de",
    "german": "de",
    "ptp-ar": "ar",
    **dict.fromkeys(("train", "dev", "my_data", "my_set", "toxic_val", "pt-br"), None),
}


@pytest.mark.parametrize(("name", "code"), NAMES.items())
def test_t20_names_that_name_a_language(name, code):
    assert language_in_name(name) == code


# Rows T21, rows that are not UTF-8, nested fields, flags


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("damage", [b"\xf0\x9f\x98", b"\xed\xa0\xbd\xed\xb8\x80", b"\xe9"])
def test_t21_rows_that_are_not_utf8(tmp_path, kind, damage):
    rows = [*records(), {"text": "DAMAGED", "label": 1, "language": "en"}]
    path = tmp_path / f"a.{kind}"
    if kind == "json":
        path.write_text(json.dumps(rows, indent=1))
    elif kind == "jsonl":
        jsonl(path, rows)
    else:
        delimited(path, rows)
    path.write_bytes(path.read_bytes().replace(b"DAMAGED", b"cut " + damage))
    fault(lambda: isogloss.load_corpus(path), "line ", "UTF-8", "--encoding-errors drop")
    corpus = right(isogloss.load_corpus(path, encoding_errors="drop"))
    assert warned(corpus)["C012"] == "1 row dropped"


def test_t21_half_a_pair_of_surrogates_in_json(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", records())
    path.write_text(path.read_text() + '{"text": "cut \\ud83d", "label": 1, "language": "en"}\n')
    fault(lambda: isogloss.load_corpus(path), f"line {2 * N + 1}", "--encoding-errors drop")
    assert warned(right(isogloss.load_corpus(path, encoding_errors="drop")))["C012"] == "1 row dropped"


def test_t21_one_row_of_96_without_its_partner(tmp_path):
    rows = [{"language": "en", "toxic": f"bad text number {i}", "neutral": f"good text number {i}"} for i in range(96)]
    rows[40]["neutral"] = None
    path = jsonl(tmp_path / "a.jsonl", rows)
    assert warned(right(isogloss.load_corpus(path), n=95))["C011"] == "1 pair dropped"
    fault(lambda: isogloss.load_corpus(path, incomplete_pairs="refuse"), "row 41, column neutral")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_t21_nested_fields(tmp_path, kind):
    rows = [
        {"prompt": {"text": row["text"]}, "a": {"b": {"c": row["label"]}}, "meta": {"lang": "en"}} for row in records()
    ]
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        jsonl(path, rows)
    else:
        pl.DataFrame(rows).write_parquet(path)
    columns = {"text": "prompt.text", "label": "a.b.c", "language": "meta.lang"}
    right(isogloss.load_corpus(path, columns=columns))
    message = fault(lambda: isogloss.load_corpus(path), "prompt.text, a.b.c, meta.lang")
    assert "{" not in message


def test_t21_flags(tmp_path):
    rows = records("toxic")
    for i, row in enumerate(rows):
        row["obscene"], row["threat"] = int(row["toxic"] and i % 4 == 0), None if row["toxic"] else 0
        row["toxic"] = int(row["toxic"] and i % 4 != 0)
    path = jsonl(tmp_path / "a.jsonl", rows)
    right(isogloss.load_corpus(path, columns={"label": "toxic|obscene|threat"}))
    fault(lambda: isogloss.load_corpus(path, columns={"label": "toxic|insult"}), "'insult'")
    scores = [row | {"toxic": row["toxic"] * 0.9, "obscene": row["obscene"] * 0.7} for row in rows]
    right(isogloss.load_corpus(jsonl(tmp_path / "b.jsonl", scores), columns={"label": "toxic|obscene>=0.5"}))
    safe = jsonl(tmp_path / "c.jsonl", [row | {"is_safe": 1} for row in rows])
    fault(lambda: isogloss.load_corpus(safe, columns={"label": "toxic|is_safe"}), "'is_safe'")


# Rows T11, languages first


def test_t11_faults_in_other_languages_do_not_matter(tmp_path):
    rows = [
        *records(),
        {"text": "", "label": 1, "language": "de"},
        {"text": "x", "label": "what", "language": "fr"},
        {"text": "y", "label": 1, "language": None},
        {"text": "z", "label": 1, "language": "nonsense"},
    ]
    corpus = right(isogloss.load_corpus(jsonl(tmp_path / "a.jsonl", rows), languages=["en"]))
    assert "L004" in warned(corpus)


# Rows T24, tables in memory


@pytest.mark.parametrize("kind", ["polars", "lazy", "arrow", "pandas", "records", "columns", "dataset"])
def test_t24_tables_in_memory(kind):
    rows = records()
    table = {
        "polars": lambda: pl.DataFrame(rows),
        "lazy": lambda: pl.LazyFrame(rows),
        "arrow": lambda: pa.Table.from_pylist(rows),
        "pandas": lambda: pytest.importorskip("pandas").DataFrame(rows),
        "records": lambda: rows,
        "columns": lambda: {name: [row[name] for row in rows] for name in rows[0]},
        "dataset": lambda: __import__("datasets").Dataset.from_list(rows),
    }[kind]()
    corpus = right(isogloss.load_corpus(table))
    assert corpus.name == "table"
    if kind != "columns":
        right(isogloss.load_corpus([table]))


def test_t24_frames_with_messages_and_options():
    rows = [{"messages": [{"role": "user", "content": row["text"]}], "is_safe": not row["label"]} for row in records()]
    options = {"columns": {"text": "messages", "harmless": "is_safe", "language": "=en"}}
    right(isogloss.load_corpus(pl.DataFrame(rows), **options))
    right(isogloss.load_corpus(rows, **options))
    right(isogloss.load_corpus(pytest.importorskip("pandas").DataFrame(rows), **options))


@pytest.mark.parametrize("value", [3, [1, 2], [], object(), None, [["a"]]])
def test_t24_values_that_are_no_table(value):
    fault(lambda: isogloss.load_corpus(value))


def test_options_for_named_corpora_are_refused():
    fault(lambda: isogloss.load_corpus("mini", harmful=["x"]), "mini", "named corpora need none")


# Siblings of the rows above


def test_flags_named_like_pairs_are_no_texts():
    rows = [
        {"text": row["text"], "toxic": row["label"], "neutral": 1 - row["label"], "language": "en"} for row in records()
    ]
    fault(lambda: isogloss.load_corpus(rows), "--column label=toxic")
    right(isogloss.load_corpus(rows, columns={"label": "toxic"}))


def test_texts_beside_each_other_are_suggested_as_pairs():
    rows = [{"toxic": f"bad text number {i}", "non_toxic": f"good text number {i}", "language": "en"} for i in range(N)]
    fault(lambda: isogloss.load_corpus(rows), "--column neutral=non_toxic")
    right(isogloss.load_corpus(rows, columns={"neutral": "non_toxic"}))


def test_a_name_that_stands_twice_in_the_header_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,label,language\n" + "".join(f"{row['text']},1,0,en\n" for row in records()))
    fault(lambda: isogloss.load_corpus(path), "two columns named 'label'")
    path.write_text("text,label,note,note,language\n" + "".join(f"{r['text']},{r['label']},,,en\n" for r in records()))
    right(isogloss.load_corpus(path))


def test_json_of_columns_and_a_separator_that_excel_declares(tmp_path):
    rows = records()
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for value in (columns, {name: dict(enumerate(cells)) for name, cells in columns.items()}):
        (tmp_path / "a.json").write_text(json.dumps(value))
        right(isogloss.load_corpus(tmp_path / "a.json"))
    path = delimited(tmp_path / "a.csv", rows, ";")
    path.write_text("sep=;\n" + path.read_text())
    right(isogloss.load_corpus(path))
