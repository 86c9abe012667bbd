"""Sections of analyses: every table sorts by numbers, and terminal, page and exports show all of them by no name."""

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

import isogloss.report
from handmade import small_audit
from isogloss.analyses.audit import audit_sections
from isogloss.report.exports import export_tables
from isogloss.report.render_latex import render_latex
from isogloss.report.render_markdown import render_markdown
from isogloss.report.render_terminal import print_audit
from isogloss.report.table import DASH, Block, Cell, Column, Section, TableKind
from isogloss.report.view import view
from pages import data_of, page_of
from rich_results import rich_audit
from test_behaviour_report import pairs_frame


@pytest.fixture(scope="module")
def audit():
    return rich_audit()


@pytest.fixture(scope="module")
def sections(audit):
    return audit_sections(audit, {"behaviour.parquet": pairs_frame()})


def test_every_analysis_shows_a_section_and_nothing_of_an_audit_without_it(audit, sections):
    assert [section.key for section in sections] == [
        "matched",
        "prompt-formats",
        "behaviour",
        "ablation",
        "cross-lingual",
    ]
    assert [section.key for section in audit_sections(small_audit())] == ["matched"]


def test_every_number_of_every_table_has_the_value_that_it_sorts_by(sections):
    numbers = 0
    for section in sections:
        for table in section.tables:
            for row in table.rows:
                for column, cell in zip(table.columns[1:], row[1:], strict=True):
                    assert (cell.value is None) == (cell.text == DASH or column.align == "left"), (
                        table.key,
                        column.key,
                    )
                    numbers += cell.value is not None
    assert numbers > 60


def test_the_page_has_all_sections_figures_and_tables(audit, sections):
    html = page_of(audit, sections=sections)
    for section in sections:
        assert f'id="{section.key}"' in html
        for table in section.tables:
            assert f'data-table="{table.key}"' in html
        for block in section.blocks:
            for figure in block.figures:
                assert f'data-key="{figure.key}"' in html
    headings = re.findall(r'<section id="([\w-]+)"', html)
    assert headings == ["measured", "noise", "text", "behaviour", "cross-lingual", "work", "next", "methods"]
    links = re.findall(r'<li><a href="#([\w-]+)"', html)
    assert links == headings
    parts = dict(re.findall(r'<section id="([\w-]+)"(.*?)</section>', html, re.DOTALL))
    assert 'data-table="prompt-formats"' in parts["measured"]
    assert 'data-table="matched"' in parts["text"]
    assert 'data-table="ablation"' in parts["behaviour"]


def test_charts_that_figures_share_are_embedded_once(audit, sections):
    drawn = data_of(page_of(audit, sections=sections))["sections"]
    assert set(drawn["specs"]) == {
        "behaviour:languages",
        "behaviour:pairs",
        "cross-lingual:matrix",
        "cross-lingual:layers",
    }
    for figure in drawn["figures"].values():
        lengths = {len(values) for values in figure["rows"].values()}
        assert len(lengths) == 1
        for field in figure["fields"]:
            prefix = f"{field['name']}_" if field["name"] else ""
            needed = [f"{prefix}low", f"{prefix}high"] if field["form"] == "interval" else [field["name"]]
            assert set(needed) <= set(figure["rows"]), (figure["title"], field)


def printed(audit, sections, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_audit(audit, console, sections)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_terminal_prints_all_sections_and_squeezes_no_word(audit, sections, width):
    text = printed(audit, sections, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    for section in sections:
        assert section.title in text
        for finding in (finding for block in section.blocks for finding in block.findings):
            assert " ".join(finding.split()) in " ".join(text.split())


def test_exports_have_the_tables_of_all_sections(audit, sections):
    tables = export_tables(view(audit), sections)
    keys = {table.key for section in sections for table in section.tables}
    assert keys <= {table.key for table in tables}
    assert "Without the harm direction" not in render_markdown(tables)  # titles of sections are for page and terminal
    assert render_latex(tables).count(r"\begin{table}") == len(tables)


def test_an_analysis_that_nobody_knows_is_shown_like_any_other(audit):
    kind = TableKind(
        key="dreams",
        title="Dreams",
        columns=(
            Column(key="language", heading="language", description="Code.", align="left"),
            Column(key="sheep", heading="sheep", description="Electric sheep."),
        ),
    )
    table = kind.fill([{"language": Cell(text="English", language="en"), "sheep": Cell(text="9", value=9)}])
    section = Section(key="dreams", title="Do they dream?", blocks=(Block(findings=("They do.",), tables=(table,)),))
    html = page_of(audit, sections=[section])
    assert '<li><a href="#dreams">Do they dream?</a></li>' in html
    assert 'data-table="dreams"' in html
    text = printed(audit, [section], 80)
    assert "Do they dream?" in text
    assert "They do." in text


def test_the_room_of_reports_names_no_analysis():
    folder = Path(isogloss.report.__file__).parent
    named = re.compile(r"isogloss\.analyses|\b(ablation|cross_lingual|semantic|transfer)\b")
    files = [*folder.rglob("*.py"), *folder.rglob("*.j2"), *folder.rglob("*.js")]
    assert len(files) > 30
    found = {(path.name, match[0]) for path in files for match in named.finditer(path.read_text("utf-8"))}
    assert found == set()
