"""Behaviour as a person sees it: terminal, page and command; nothing of it where it was not measured."""

import io
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from handmade import estimate, small_audit
from isogloss.analyses.audit import audit_sections
from isogloss.analyses.behaviour import figures
from isogloss.analyses.behaviour.tables import link_findings, sections
from isogloss.errors import StoreError
from isogloss.records import NAN, Row
from isogloss.report.command import command
from isogloss.report.grammar import Axis
from isogloss.report.render_terminal import print_audit
from isogloss.result_checks import refuse_unsound
from isogloss.results import Audit
from pages import data_of, page_of

SLOPES = {"en": (0.3, 0.1, 0.5), "sw": (0.05, -0.1, 0.2)}


def behaving_audit():
    """The small audit with behaviour in two of its languages, and a link."""
    rows = []
    for code, slope in SLOPES.items():
        for model, margin in (("reference", 0.5), ("aligned", 2.0)):
            for metric, value in (("refusal_margin", margin), ("refusal_auroc", 0.5 + margin / 10)):
                numbers = estimate(value, value - 0.1, value + 0.1)
                rows.append(Row(kind="behaviour", language=code, model=model, metric=metric, estimate=numbers))
        rows += [
            Row(kind="behaviour_gain", language=code, metric=metric, estimate=estimate(*numbers))
            for metric, numbers in (("refusal_margin", (1.5, 1.2, 1.8)), ("text_preference_adjusted", (0.2, 0.1, 0.3)))
        ]
        rows.append(Row(kind="link", language=code, metric="item_slope", layer=3, norm="", estimate=estimate(*slope)))
    for metric, numbers in (
        ("item_slope_mean", (0.175, -0.1, 0.45)),
        ("across_spearman", (0.6,)),
        ("across_power", (0.35,)),
    ):
        found = replace(estimate(*numbers), n=9, p_value=0.09)
        rows.append(Row(kind="link", language="", metric=metric, layer=3, norm="", estimate=found))
    rows = [replace(row, analysis="behaviour") for row in rows]
    audit = small_audit()
    analyses = {"behaviour": {"options": {"behaviour": True, "generate": 3}}}
    return replace(audit, rows=(*audit.rows, *rows), config=audit.config | {"analyses": analyses})


def pairs_frame():
    rng = np.random.default_rng(0)
    numbers = {name: rng.normal(size=40) for name in figures.PAIRS if name not in {"pair_id", "language"}}
    return pl.DataFrame({"pair_id": [f"</script>{i}" for i in range(40)], "language": ["en", "sw"] * 20} | numbers)


def table_of(audit):
    (section,) = sections(audit, {})
    (table,) = section.tables
    return table


def test_the_table_has_the_languages_that_were_measured():
    table = table_of(behaving_audit())
    assert [cell.line for cell in table.column("language")] == ["en English", "sw Swahili"]
    first = {column.key: cell for column, cell in zip(table.columns, table.rows[0], strict=True)}
    assert (first["margin"].text, first["gain"].text, first["link"].text) == ("0.50 → 2.00", "+1.50", "+0.30")
    assert (first["gain"].interval, first["link"].interval) == ("[+1.20, +1.80]", "[+0.10, +0.50]")
    assert "refused" not in first
    assert list(sections(small_audit(), {})) == []


def test_every_number_of_the_table_has_the_value_that_it_sorts_by():
    """They were sorted as strings once: the cells held text alone."""
    for row in table_of(behaving_audit()).rows:
        assert all(isinstance(cell.value, float) for cell in row[1:])


def test_sentences_say_what_is_clear_and_what_could_have_been_found():
    mean, correlation = link_findings(behaving_audit())
    assert "not clear of zero" in mean
    assert "power for a true correlation of .6: 35 %" in correlation
    assert link_findings(small_audit()) == []
    rows = [
        replace(row, estimate=replace(row.estimate, value=NAN, reason="2 languages"))
        if row.metric in {"across_spearman", "item_slope_mean"}
        else row
        for row in behaving_audit().rows
    ]
    assert all("2 languages" in one for one in link_findings(replace(behaving_audit(), rows=tuple(rows))))


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_prints_it_below_the_verdicts(width):
    for audit, there in ((behaving_audit(), True), (small_audit(), False)):
        text = io.StringIO()
        print_audit(audit, Console(file=text, width=width), audit_sections(audit))
        assert ("Does the model act on it?" in text.getvalue()) == there
        assert ("mean slope" in " ".join(text.getvalue().split())) == there


def page_with(audit, pairs=None):
    """The page of an audit with the sections of its analyses."""
    return page_of(audit, sections=audit_sections(audit, {} if pairs is None else {"behaviour.parquet": pairs}))


def test_the_page_draws_every_language_and_every_pair():
    html = page_with(behaving_audit(), pairs_frame())
    drawn = data_of(html)["sections"]["figures"]
    assert set(drawn["behaviour-languages"]["rows"]["label"]) == {"English", "Swahili"}
    pairs = [figure for key, figure in drawn.items() if key.startswith("behaviour-pairs")]
    assert [figure["heading"] for figure in pairs] == ["English", "Swahili"]
    assert sum(len(figure["rows"]["pair"]) for figure in pairs) == 40
    frame = pairs_frame().filter(pl.col("language") == "sw")
    shift = (frame["latent_aligned"] - frame["latent_reference"]).to_list()
    assert pairs[1]["rows"]["x"] == pytest.approx(shift, rel=1e-3)
    assert html.count('data-key="behaviour-pairs') == 2
    assert {figure["spec"] for figure in pairs} == {"behaviour:pairs"}
    assert "</script>0" not in html


def test_a_page_without_behaviour_says_nothing_of_it():
    html = page_with(small_audit())
    assert "Does the model act on it?" not in html
    assert 'data-key="behaviour' not in html
    assert 'data-key="behaviour-pairs' not in page_with(behaving_audit())  # a run without behaviour.parquet


def test_the_command_repeats_it():
    assert " --behaviour --generate 3" in command(behaving_audit())
    assert "--behaviour" not in command(small_audit())


def test_rows_without_layer_or_language_are_sound_and_survive_json():
    audit = behaving_audit()
    refuse_unsound(audit)
    again = Audit.from_json(audit.to_json())
    assert again == audit
    assert again.languages == small_audit().languages


def test_a_file_that_lacks_a_column_is_refused():
    with pytest.raises(StoreError, match=r"behaviour\.parquet"):
        sections(behaving_audit(), {"behaviour.parquet": pairs_frame().drop("latent_aligned")})


def test_labels_of_languages_that_lie_together_do_not_cover_each_other():
    axis = Axis(title="", low=-1.0, high=11.0, form="~r")
    rows = [{"label": str(i), "x": 0.1 * i, "y": 0.05 * i} for i in range(8)] + [{"label": "far", "x": 10.0, "y": 0.1}]
    found = figures.place_labels(rows, axis, axis)
    heights = [row["at"] for row in found[:-1]]
    step = 12.0 * figures.LABEL / figures.TALL
    assert np.diff(heights).min() >= step - 1e-9
    assert found[-1]["at"] == pytest.approx(0.1 + step / 2)
    assert [{name: row[name] for name in ("label", "x", "y")} for row in found] == rows
