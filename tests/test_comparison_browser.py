"""The page of several audits in Debian's chromium, with the network shut."""

# ruff: noqa: F811 - a test names the fixtures that are imported for it

import csv
import io
from pathlib import Path

import pytest

from handmade import small_audit
from hostile import HOSTILE
from isogloss.report.comparison.comparable import name_audits
from isogloss.report.comparison.page import comparison_html
from isogloss.text import sanitize
from test_comparison_matrix import HIGH, LOW, OTHERS, WIDE, model, pair
from test_page_browser import (  # noqa: F401 - fixtures
    CHROMIUM,
    browser,
    cycled,
    encodable,
    hostile_audit,
    opened,
    violations,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
CELLS = "[data-figure=heatmap] .mark-rect.role-mark path"


@pytest.fixture(scope="module")
def seven():
    kept = (LOW, HIGH, WIDE, LOW, HIGH, WIDE, (-0.5, -0.75, -0.25))
    return comparison_html([(f"org/model-{i}-instruct-of-some-size", model(str(i), one)) for i, one in enumerate(kept)])


@pytest.fixture(scope="module")
def two():
    return comparison_html([("small", small_audit()), ("two", model("two", LOW))])


def fills(one):
    return one.page.locator(CELLS).evaluate_all("cells => cells.map(cell => cell.getAttribute('fill'))")


def test_the_switch_changes_figure_scale_and_table(opened, seven):
    one = opened(seven)
    before = fills(one)
    assert len(before) == 14
    one.page.select_option("#quantity", label="gain: separation after minus before alignment")
    one.page.wait_for_function("document.querySelector('[data-figure=heatmap] svg').textContent.includes('+0.300')")
    assert fills(one) != before
    assert one.page.locator(".scale .to").inner_text() == "0.3"
    assert one.page.locator("figure .metric-name").inner_text().startswith("gain")
    one.page.get_by_text("As a table, with intervals").click()
    lines = one.page.locator("[data-table=cells] tbody tr:visible")
    assert lines.all_inner_texts()[0].split()[:4] == ["English", "en", "+0.300", "[+0.200,"]
    assert lines.count() == 2
    one.page.select_option("#quantity", label="verdict")
    one.page.wait_for_function("document.querySelector('[data-figure=heatmap] svg').textContent.includes('lagging')")
    assert not one.page.locator(".scale").is_visible()
    assert lines.all_inner_texts()[1].split()[2:4] == ["lagging", "lagging"]


def test_another_run_can_be_held_against(opened, seven):
    one = opened(seven)
    lines = one.page.locator("[data-table=against] tbody tr:visible")
    assert lines.count() == 1
    assert lines.inner_text().split()[2:4] == ["0.25", "[0.12,"]
    one.page.select_option("#baseline", index=1)
    assert lines.count() == 1
    assert lines.inner_text().split()[2] == "lower"


def test_tooltips_say_the_interval(opened, two):
    one = opened(two)
    cell = one.page.locator("[data-figure=heatmap] .mark-text text", has_text="0.25").first
    cell.hover()
    said = one.page.locator("#tip").inner_text().split("\n")
    assert [said[i + 1] for i in range(0, len(said), 2)] == ["German", "two", "25 %", "13 % to 50 %", "lagging"]


@pytest.mark.parametrize("kind", ["svg", "png", "csv"])
def test_the_heat_map_downloads(opened, seven, kind):
    one = opened(seven)
    one.page.locator("details.tools summary").click()
    with one.page.expect_download() as waiting:
        one.page.locator(f"[data-save={kind}]").click()
    content = Path(waiting.value.path()).read_bytes()
    if kind == "svg":
        assert content.startswith(b"<svg")
        assert b"lagging" in content
    elif kind == "png":
        assert content.startswith(b"\x89PNG")
    else:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        assert len(rows) == 14
        assert rows[7]["run"] == "org/model-0-instruct-of-some-size"
        assert {(row["retention"], row["low"], row["verdict"]) for row in rows[7:8]} == {("0.25", "0.125", "lagging")}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1920, "light"), (1920, "dark")])
def test_nothing_overflows_and_axe_finds_nothing_serious(opened, seven, width, scheme):
    one = opened(seven, width=width, scheme=scheme)
    for details in one.page.locator("details").all():
        details.evaluate("d => { d.open = true; }")
    one.page.wait_for_timeout(150)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    words = one.page.locator("[data-figure=heatmap] svg").text_content()
    assert ("◔" in words) == (width == 360)
    assert ("lagging" in words) == (width == 1920)
    serious = [found for found in violations(one) if found["impact"] in {"serious", "critical"}]
    assert [(found["id"], found["nodes"][0]["html"][:200]) for found in serious] == []


def test_what_is_not_comparable_still_opens(opened):
    audits = pair(**OTHERS["corpus"])
    one = opened(comparison_html(audits))
    assert one.page.locator("h1").inner_text() == "These audits are not comparable."
    assert one.page.locator(".caution").first.is_visible()


def test_it_prints(opened, seven):
    assert opened(seven).page.pdf().startswith(b"%PDF")


def test_a_dark_heat_map_is_printed_in_the_colours_of_paper(opened, seven):
    light, dark = opened(seven, scheme="light"), opened(seven, scheme="dark")
    fills_now = (
        "[...document.querySelectorAll('[data-figure=heatmap] .mark-rect path')].map(x => x.getAttribute('fill'))"
    )
    expected = light.page.evaluate(fills_now)
    assert dark.page.evaluate(fills_now) != expected
    assert dark.page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {fills_now})") == expected


@pytest.mark.parametrize("part", range(3))
def test_no_hostile_string_runs_or_breaks_out(opened, part):
    many = [encodable(text) for text in HOSTILE[part::3]]
    audits = [hostile_audit(cycled(part * len(HOSTILE) // 3 + i), many) for i in range(3)]
    folders = [Path(f"{i}-{encodable(HOSTILE[i]).replace(chr(0), '')}") for i in range(3)]
    one = opened(comparison_html(name_audits(folders, audits)))
    for details in one.page.locator("details").all():
        details.evaluate("d => { d.open = true; }")
    for select in ("#quantity", "#baseline"):
        for i in range(one.page.locator(f"{select} option").count()):
            one.page.select_option(select, index=i)
    one.page.locator("[data-figure=heatmap] .mark-text text").first.hover(position={"x": 2, "y": 2})
    for kind in ("svg", "csv"):
        with one.page.expect_download():
            one.page.locator(f"[data-save={kind}]").click()
    one.page.wait_for_timeout(200)
    assert one.page.evaluate("window.__pwned") is None
    tags = [
        "iframe",
        "object",
        "embed",
        "base",
        "link",
        "img",
        "form:not(.vega-bindings)",
        "input",
        "math",
        "video",
        "audio",
        "marquee",
    ]
    assert one.page.evaluate("t => t.filter(x => document.querySelector(x))", tags) == []
    assert one.page.locator("script").count() == 3
    handlers = "[...document.querySelectorAll('*')].some(e => [...e.attributes].some(a => a.name.startsWith('on')))"
    assert one.page.evaluate(handlers) is False


def test_every_hostile_name_of_a_run_is_shown_as_text(opened):
    names = [encodable(text) for text in HOSTILE]
    audits = [(text, model("same", LOW)) for text in names]
    one = opened(comparison_html(audits))
    assert one.page.evaluate("window.__pwned") is None
    shown = one.page.locator("[data-table=runs] tbody th bdi").evaluate_all("all => all.map(x => x.textContent)")
    assert shown == [sanitize(text) for text in names]
