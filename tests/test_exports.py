"""The paper's tables in Markdown, LaTeX and CSV, and the model card: right numbers, and nothing that breaks out."""

import csv as standard_csv
import io
import re
from dataclasses import replace

import polars as pl
import pytest
from huggingface_hub import ModelCard

from handmade import HERE, estimate, language_rows, make_audit, small_audit
from isogloss.analyses.audit import audit_sections
from isogloss.records import Row
from isogloss.report.card import model_card
from isogloss.report.exports import export_tables
from isogloss.report.render_csv import guard, render_csv
from isogloss.report.render_latex import PREAMBLE, render_latex
from isogloss.report.render_latex import escape as latex_escape
from isogloss.report.render_markdown import escape as markdown_escape
from isogloss.report.render_markdown import render_markdown
from isogloss.report.table import Cell, Column, Table
from isogloss.report.view import view
from test_report_command import HOSTILE

NASTY = (
    *HOSTILE,
    r"\input{/etc/passwd}",
    r"\write18{ls}",
    r"}\end{table}",
    "$x^2_1$ & 100 % # ~",
    "a|b",
    "![x](http://evil)",
    "[x](javascript:alert(1))",
    "`code` **bold**",
    "[opt] first",
    "* starred",
    "=1+1",
    "@SUM(A1)",
    "+1+1",
    "-2+3",
    "\t=1",
    "中文 हिन्दी العربية",
)


def paper_tables(audit):
    """What `isogloss report --format` prints."""
    return export_tables(view(audit), audit_sections(audit))


def headings(table):
    return tuple(column.heading for column in table.columns)


def texts(table):
    """The cells of a table as lines of text."""
    return tuple(tuple(cell.line for cell in row) for row in table.rows)


def named(text):
    """An audit in which strangers chose every name."""
    models = {role: {"name": text, "sha256": "a0"} for role in ("reference", "aligned")}
    audit = small_audit(models=models, corpus={"name": text, "sha256": text, "revision": text})
    rows = tuple(
        replace(row, estimate=replace(row.estimate, reason=text)) if row.metric == "bhattacharyya" else row
        for row in audit.rows
    )
    return replace(audit, rows=rows)


# What stands in the tables


def test_the_first_table_is_the_primary_estimand_with_verdicts():
    first = paper_tables(small_audit())[0]
    assert headings(first) == ("language", "reference", "aligned", "gain", "retention", "verdict")
    assert texts(first)[0][:3] == ("en English", "0.050 [0.010, 0.090]", "0.300 [0.250, 0.350]")
    assert texts(first)[0][3:] == ("+0.250 [+0.188, +0.312]", "–", "pivot")
    assert [row[0] for row in texts(first)] == ["en English", "am Amharic", "sw Swahili"]
    assert texts(first)[2][3:] == ("+0.031 ≈[-0.062, +0.125]", "0.12 ≈[-0.25, 0.24]", "not reached, metrics disagree")
    assert [column.align for column in first.columns] == ["left", *["right"] * 4, "left"]
    assert "class variance share, 10 principal components, layer 4 (post-norm)" in first.title
    assert first.notes[0].startswith("0 of 2 languages demonstrably retain at least 80 % of the English gain.")


def test_every_metric_has_a_table_with_reasons_for_what_is_missing():
    tables = {table.key: table for table in paper_tables(small_audit())}
    assert list(tables) == ["between-class-variance-10", "auroc", "bhattacharyya-10", "matched"]
    assert headings(tables["auroc"]) == ("language", "reference", "aligned", "gain (log odds)", "retention")
    assert texts(tables["auroc"])[2][1:4] == ("0.600 [0.550, 0.650]", "0.900 [0.850, 0.950]", "+1.500 [+1.000, +2.000]")
    distance = tables["bhattacharyya-10"]
    assert texts(distance)[2] == ("sw Swahili", "–", "–", "–", "–")
    assert distance.reasons[-1] == "– sw: fewer than 100 texts per class for 10 components."
    (row,) = texts(
        tables["matched"].select(["language", "texts", "gain_matched", "retention_matched", "verdict_matched"])
    )
    assert row == ("am Amharic", "84", "+0.000 [-0.500, +0.500]", "–", "inconclusive")


def test_other_layers_do_not_count():
    audit = small_audit()
    moved = [replace(row, layer=2, norm="") for row in audit.rows if row.layer == 4]
    assert paper_tables(replace(audit, rows=(*audit.rows, *moved))) == paper_tables(audit)


def test_without_reference_there_is_one_column_of_numbers():
    rows = [row for row in language_rows("en", 0, 0.3, (0.2, 0.1, 0.3)) if row.model == "aligned"]
    alone = make_audit(rows, [], models={"reference": None, "aligned": {"name": "m", "sha256": "b0"}})
    first = paper_tables(alone)[0]
    assert headings(first) == ("language", "aligned")
    assert texts(first) == (("en English", "0.300 [0.250, 0.350]"),)
    assert "No reference model" in render_markdown([first])


# Markdown


def test_markdown_tables_have_rules_and_all_cells():
    text = render_markdown(paper_tables(small_audit())[:1])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[1] == "| :--- | ---: | ---: | ---: | ---: | :--- |"
    assert len(rows) == 5
    assert {row.count(" | ") for row in rows} == {5}
    assert "| sw Swahili | 0.062 [0.012, 0.113] |" in text


NUMBERS = re.compile(r"[+-]?\d+\.\d+")


def test_markdown_rounds_the_numbers_of_the_audit_and_no_others():
    audit = small_audit()
    lines = [line for line in render_markdown(paper_tables(audit)[:1]).splitlines() if line.startswith("|")][2:]
    here = {"metric": "between_class_variance", "components": 10, "sample": "all"}
    columns = (("score", "reference", 3), ("score", "aligned", 3), ("gain", "", 3), ("retention", "", 2))
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for cell, (kind, model, digits) in zip(cells[1:], columns, strict=False):
            found = audit.value(kind=kind, model=model, language=cells[0].split()[0], **here)
            parts = [found.value, found.low, found.high] if found else []
            assert [float(number) for number in NUMBERS.findall(cell)] == [
                float(f"{part:.{digits}f}") for part in parts
            ]


@pytest.mark.parametrize("address", ["https://example.invalid/x", "HTTP://x", "ftp://x", "www.example.invalid"])
def test_markdown_makes_no_link_of_an_address(address):
    written = markdown_escape(f"see {address}")
    assert not re.search(r"(?i)(https?|ftp)://|www\.", written)
    assert written.replace("\\", "") == f"see {address}"


def test_csv_is_read_back_as_it_was():
    table = small_audit().table()
    found = pl.read_csv(io.StringIO(render_csv(table)), schema=table.schema)
    floats = pl.selectors.float()
    assert found.select(floats).equals(table.select(floats.fill_nan(None)))
    assert found.select("kind", "language", "layer", "n").equals(table.select("kind", "language", "layer", "n"))


@pytest.mark.parametrize("text", NASTY)
def test_nothing_in_a_name_is_markup(text):
    written = markdown_escape(text)
    assert not re.search(r"(?<!\\)(\\\\)*[`*_<>|~$!]", written)
    assert "](" not in written
    assert "\n" not in written
    rows = [line for line in render_markdown(paper_tables(named(text))).splitlines() if line.startswith("|")]
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) in {6, 7, 9}


# LaTeX


COMMANDS = {
    *(
        "begin",
        "end",
        "centering",
        "small",
        "caption",
        "label",
        "toprule",
        "midrule",
        "bottomrule",
        "par",
        "footnotesize",
    ),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "textquotedbl"),
    *("textquotesingle", "textasciigrave", "approx", "to", "langle", "rangle"),
}


def check_latex(text):
    """What a compiler would trip over: unknown commands, open braces, a comment, math that does not end."""
    assert text.startswith(PREAMBLE)
    assert all(line.startswith("%") for line in PREAMBLE.splitlines())
    body = text.removeprefix(PREAMBLE)
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= COMMANDS
    assert set(re.findall(r"\\([^a-zA-Z])", body)) <= set("\\{}&%$#_ \n")
    bare = re.sub(r"\\.", "", body)
    assert "%" not in bare
    assert "#" not in bare
    assert "^" not in bare
    assert bare.count("$") % 2 == 0
    assert set(re.findall(r"\$([^$]*)\$", re.sub(r"\\[a-z]+", "m", body.replace(r"\$", "")))) <= {"m", "-"}
    depth = 0
    for brace in re.findall(r"[{}]", bare):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    for table in re.findall(r"\\midrule\n(.*?)\\bottomrule", body, re.DOTALL):
        rows = table.strip().splitlines()
        assert all(row.endswith(r" \\") for row in rows)
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
        assert not any(row.startswith(("[", "*")) for row in rows)


def test_latex_has_booktabs_rules_and_the_numbers():
    text = render_latex(paper_tables(small_audit()))
    check_latex(text)
    assert text.startswith("% Needs \\usepackage{booktabs}")
    for command in ("toprule", "midrule", "bottomrule", "begin{table}", "end{table}", "centering"):
        assert text.count(f"\\{command}") == 4
    assert r"\begin{tabular}{lrrrrl}" in text
    assert r"sw Swahili & 0.062 [0.012, 0.113] & 0.094 [0.044, 0.144] & +0.031 $\approx$[$-$0.062, +0.125]" in text
    assert r"\label{tab:isogloss-between-class-variance-10}" in text


@pytest.mark.parametrize("text", NASTY)
def test_nothing_in_a_name_is_a_command(text):
    check_latex(render_latex(paper_tables(named(text))))
    columns = tuple(Column(key=key, heading=text, description=text) for key in "ab")
    rows = ((Cell(text=text, interval=text, note=text), Cell(text=text, language=text)),) * 2
    table = Table(key=text, title=text, columns=columns, rows=rows, caption=text, notes=(text,))
    check_latex(render_latex([table]))


def test_the_check_of_latex_can_fail():
    for broken in (r"\input{x}", "{", "100 % &", "$x$", "a # b"):
        with pytest.raises(AssertionError):
            check_latex(f"% first\n{broken}")


def test_only_signs_of_numbers_become_minus_signs():
    assert latex_escape("gemma-3-270m 2026-11-21 [-0.5, -1]") == "gemma-3-270m 2026-11-21 [$-$0.5, $-$1]"


# CSV


def test_csv_holds_every_number_in_full():
    audit = small_audit()
    found = pl.read_csv(io.StringIO(render_csv(audit.table())), infer_schema_length=None)
    assert found.height == len(audit.rows)
    assert found["value"].drop_nulls().to_list() == audit.table()["value"].fill_nan(None).drop_nulls().to_list()
    assert "NaN" not in render_csv(audit.table())


@pytest.mark.parametrize("text", NASTY)
def test_no_cell_is_a_formula(text):
    table = named(text).table()
    rows = list(standard_csv.reader(io.StringIO(render_csv(table))))
    assert {len(row) for row in rows} == {table.width}
    for cell in (cell for row in rows for cell in row):
        assert cell == "" or cell[0] not in "=+-@\t\r\n" or re.fullmatch(r"[+-]?[0-9.]+(e-?[0-9]+)?", cell)


@pytest.mark.parametrize("text", ["-0.5", "+1", "1e-3", "-2.5E+10", "word", "0", ""])
def test_numbers_and_words_are_left_as_they_are(text):
    assert guard(text) == text


# Model card


def test_the_card_is_read_back_by_the_hubs_own_library():
    audit = small_audit(models=small_audit().models | {"aligned": {"name": "org/base-it", "sha256": "b0"}})
    card = ModelCard(model_card(audit))
    assert card.data.model_name == "org/base-it"
    found = {(one.dataset_config, one.metric_type.rsplit("_", 1)[1]): one for one in card.data.eval_results}
    assert set(found) == {
        *((code, name) for code in ("en", "am", "sw") for name in ("separation", "gain")),
        ("am", "retention"),
        ("sw", "retention"),
    }
    swahili = found["sw", "retention"]
    assert swahili.metric_value == 0.125
    assert swahili.metric_args == {
        "low": -0.25,
        "high": 0.2421875,
        "level": 0.95,
        "approximate": "fewer than 200 texts per class with fitted components",
        "verdict": "not reached",
        "layer": "4-post",
        "reference": "org/base",
    }
    assert (swahili.dataset_type, swahili.dataset_revision) == ("mini", "1")
    assert swahili.dataset_args == {"sha256": "c0", "texts_per_class": 84}
    assert found["en", "gain"].metric_value == 0.25
    assert "| sw Swahili |" in card.text
    assert "Separation is not behaviour" in card.text


def test_a_number_that_does_not_exist_is_not_in_the_index():
    gone = Row(kind="gain", language="de", estimate=estimate(float("nan"), reason="too few"), **HERE)
    audit = small_audit()
    card = ModelCard(model_card(replace(audit, rows=(*audit.rows, gone))))
    assert "de" not in {one.dataset_config for one in card.data.eval_results}
    assert "– de: too few." in card.text


def test_a_corpus_of_the_hub_is_named_as_the_hub_names_it():
    audit = small_audit(corpus={"name": "multiparadetox", "sha256": "c0", "revision": None})
    card = ModelCard(model_card(audit))
    assert {one.dataset_type for one in card.data.eval_results} == {"textdetox/multilingual_paradetox"}


@pytest.mark.parametrize("text", [*NASTY, "---", "a: b\n---\n# c", "!!python/object:os.system x"])
def test_names_stay_inside_their_yaml_values(text):
    audit = named(text)
    card = ModelCard(model_card(audit))
    assert set(card.data.to_dict()) == {"model-index"}
    assert len(card.data.eval_results) == 8
    assert card.text.lstrip().startswith("## Reach of safety alignment across languages")
