"""The page in Debian's chromium, with the network shut: it works, it asks for nothing, and nothing of others runs."""

import csv
import io
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from handmade import estimate, small_audit
from hostile import HOSTILE
from isogloss.analyses.audit import audit_sections
from isogloss.records import Estimate, Row
from isogloss.report.cells import text_cell
from isogloss.report.page import page_html
from isogloss.report.palette import DARK, LIGHT
from isogloss.report.table import Block, Cell, Column, Field, Figure, Section, Table
from isogloss.text import sanitize
from isogloss.warnings import CodedWarning
from pages import LAYERS, layered_audit, page_of, points_for, texts_for, with_bhattacharyya, without_reference
from rich_results import rich_audit
from test_behaviour_report import pairs_frame

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
axe = pytest.importorskip("axe_playwright_python", reason="no axe-playwright-python")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
FLAGS = (
    "--disable-background-networking",
    "--disable-quic",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)
#: Pages that the hostile strings are dealt out to.
PARTS = 2
#: What a hostile string calls if it ever runs.
TRAP = "window.pwned = (x) => { window.__pwned = x ?? true; }; window.alert = window.pwned;"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Opened:
    """A page in a context of its own, with all that went wrong in it."""

    def __init__(self, browser, path, *, width=1280, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        self.faults = []
        self.context.add_init_script(TRAP)
        self.context.route("**", self._route)
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.page.on("console", lambda one: one.type in {"error", "warning"} and self.faults.append(one.text))
        self.page.on("pageerror", lambda one: self.faults.append(str(one)))
        self.page.on("dialog", lambda one: (self.faults.append(f"dialog {one.message}"), one.dismiss()))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("figure[data-figure] svg")

    def _route(self, route):
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            self.faults.append(f"request {route.request.url}")
            route.abort()

    def drawn(self, selector):
        """Scroll to a figure and wait until it is drawn."""
        self.page.locator(f"{selector} .chart").first.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"{selector} .chart svg")

    def draw_all(self):
        """Wait until every figure has been drawn; the page draws when there is time what nobody scrolls to."""
        self.until("[...document.querySelectorAll('figure .chart')].every(c => !c.clientWidth || c.childElementCount)")

    def open_all(self, selector="details"):
        """Open what is folded."""
        self.page.evaluate("s => document.querySelectorAll(s).forEach(d => { d.open = true; })", selector)
        self.page.wait_for_timeout(150)

    def until(self, expression):
        """Wait until a JavaScript expression is true. Playwright's own waiting needs eval, which the page forbids."""
        for _ in range(600):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page from HTML; faults are failures of the test."""
    contexts = []

    def open_page(page, **more):
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        contexts.append(Opened(browser, path, **more))
        return contexts[-1]

    yield open_page
    for one in contexts:
        one.context.close()
    assert [fault for one in contexts for fault in one.faults] == []


@pytest.fixture(scope="module")
def small():
    audit = with_bhattacharyya()
    points = points_for(audit, items=True)
    return page_html(audit, points, texts=texts_for(points))


@pytest.fixture(scope="module")
def layered():
    audit = layered_audit()
    return page_of(audit, points_for(audit, layers=LAYERS))


@pytest.fixture(scope="module")
def few():
    """All that a page can hold, but few texts: axe-core and layout look at every element."""
    audit = with_bhattacharyya()
    points = points_for(audit, pairs=8, items=True)
    return page_html(audit, points, texts=texts_for(points))


@pytest.fixture(scope="module")
def few_layered():
    audit = layered_audit()
    return page_of(audit, points_for(audit, pairs=8, layers=LAYERS))


# It works


def test_every_figure_is_drawn_without_an_error_or_a_request(opened, small, layered):
    for page in (small, layered, page_of(without_reference())):
        one = opened(page)
        one.draw_all()
        figures = one.page.locator("figure").count()
        assert one.page.locator("figure svg").count() == figures > 5


@pytest.fixture(scope="module")
def rich():
    """A page with the sections of all analyses."""
    audit = rich_audit()
    sections = audit_sections(audit, {"behaviour.parquet": pairs_frame()})
    return page_of(audit, points_for(audit, pairs=8), sections=sections)


def test_figures_of_analyses_have_tooltips_tables_and_files(opened, rich):
    one = opened(rich)
    one.draw_all()
    assert one.page.locator("figure").count() == one.page.locator("figure svg").count()
    matrix = "[data-key=transfer-aligned]"
    one.drawn(matrix)
    one.page.locator(f"{matrix} .mark-text text", has_text=".75").first.hover()
    said = one.page.locator("#tip").inner_text().split("\n")
    assert said[:6] == ["fitted on", "Amharic", "scored on", "English", "AUROC", "0.75"]
    assert "0.65 to 0.85" in said
    figure = one.page.locator(matrix)
    figure.get_by_text("As a table").click()
    assert figure.locator("tbody tr").count() == 9
    heading = figure.locator("th", has_text="AUROC")
    heading.locator("button").click()
    values = figure.locator("tbody tr td:nth-child(3)").evaluate_all("c => c.map(x => Number(x.dataset.value))")
    assert values == sorted(values, reverse=True)
    figure.locator("details.tools summary").click()
    with one.page.expect_download() as waiting:
        figure.locator("[data-save=csv]").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text("utf-8-sig"))))
    assert {(row["fitted on"], row["scored on"], row["AUROC"]) for row in rows} >= {("Amharic", "English", "0.75")}
    assert {"interval, low", "interval, high", "null 95 %, low"} <= set(rows[0])


def test_tables_of_analyses_sort_by_their_numbers(opened, rich):
    """As strings, +2.00 stood before +0.50, and -0.10 after both."""
    one = opened(rich)
    table = one.page.locator("[data-table=behaviour] table")
    heading = table.locator("th", has_text="link")
    heading.locator("button").click()
    assert table.locator("tbody th bdi").first.inner_text() == "English"
    heading.locator("button").click()
    assert table.locator("tbody th bdi").first.inner_text() == "Swahili"
    ranks = one.page.locator("[data-table=directions] table")
    for _ in range(2):  # in both directions, a number that is missing stands last
        ranks.locator("th", has_text="effective rank").locator("button").click()
        assert ranks.locator("tbody tr").last.locator("th bdi").first.inner_text() == "Amharic"


def test_a_dark_matrix_is_printed_in_the_colours_of_paper(opened, rich):
    light, dark = opened(rich, scheme="light"), opened(rich, scheme="dark")
    fills = (
        "[...document.querySelectorAll('[data-key=transfer-aligned] .mark-rect path')].map(x => x.getAttribute('fill'))"
    )
    for one in (light, dark):
        one.draw_all()
    expected = light.page.evaluate(fills)
    assert dark.page.evaluate(fills) != expected
    assert dark.page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {fills})") == expected


def test_a_language_without_a_number_keeps_its_word_in_the_first_figure(opened):
    audit = small_audit()
    lost = estimate(float("nan"), reason="too few texts")
    rows = [
        replace(row, estimate=lost) if row.kind == "retention" and row.language == "am" else row for row in audit.rows
    ]
    one = opened(page_of(replace(audit, rows=tuple(rows))))
    drawn = one.page.locator("[data-figure=answer] svg").evaluate("e => e.textContent")
    assert "Amharic" in drawn
    assert next(v.verdict for v in audit.verdicts if v.language == "am") in drawn


def test_the_first_paint_is_quick(opened, small):
    one = opened(small)
    paints = one.page.evaluate("performance.getEntriesByType('paint').map(e => e.startTime)")
    assert max(paints) < 2000


def test_the_metric_switch_changes_figure_and_table(opened, small):
    one = opened(small)
    one.drawn("[data-figure=separation]")
    figure = one.page.locator("[data-figure=separation]")
    axis = "[...document.querySelectorAll('[data-figure=separation] .role-axis-label text')].map(e => e.textContent)"
    assert "1" not in one.page.evaluate(axis)
    one.page.select_option("#metric", label="Bhattacharyya distance of the classes, 10 components")
    one.until(f"{axis}.includes('1')")  # the log axis of distances
    assert "Bhattacharyya" in figure.locator(".metric-name").inner_text()
    one.page.get_by_text("Every metric as a table").click()
    shown = one.page.locator("[data-table=scores] tbody tr:visible td:nth-child(2)").all_inner_texts()
    assert shown == ["Bhattacharyya distance of the classes, 10 components"] * 3


def test_a_metric_that_was_not_computed_says_why(opened):
    one = opened(page_of())
    one.page.select_option("#metric", label="Bhattacharyya distance of the classes, 10 components")
    one.page.wait_for_selector("[data-figure=separation] .missing:visible")
    said = one.page.locator("[data-figure=separation] .missing").inner_text()
    assert said == "Not computed for Swahili: fewer than 100 texts per class for 10 components."


def test_the_layer_slider_changes_the_scatter(opened, layered):
    one = opened(layered)
    one.drawn("[data-figure=scatter]")
    shapes = "[data-figure=scatter] .mark-symbol path"
    before = one.page.locator(shapes).first.get_attribute("transform")
    one.page.focus("#layer")
    one.page.keyboard.press("ArrowLeft")
    one.until(f"document.querySelector('{shapes}')?.getAttribute('transform') !== '{before}'")
    assert one.page.locator("#layer-name").inner_text() == "4-pre"
    assert one.page.get_attribute("#layer", "aria-valuetext") == "4-pre"


def faint(one):
    """How many points of either panel of the first scatter are faint."""
    return one.page.evaluate(
        """() => [...document.querySelectorAll('[data-figure=scatter]')][0]
        && [...document.querySelectorAll('[data-figure=scatter]')[0].querySelectorAll('.mark-symbol.role-mark')]
        .map(g => [...g.querySelectorAll('path')].filter(p => Number(p.getAttribute('opacity')) < 0.2).length)"""
    )


def test_brushing_one_panel_highlights_the_same_texts_in_the_other(opened, small):
    one = opened(small)
    one.drawn("[data-figure=scatter]")
    assert faint(one) == [0, 0]
    chart = one.page.locator("[data-figure=scatter] .chart svg").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    one.page.mouse.move(box["x"] + 20, box["y"] + 60)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.6, steps=4)
    one.page.mouse.up()
    one.page.wait_for_timeout(100)
    left, right = faint(one)
    assert left == right > 0
    assert left < 168


def test_a_text_is_pointed_out_from_the_keyboard(opened, small):
    one = opened(small)
    one.drawn("[data-figure=scatter]")
    figure = one.page.locator("[data-figure=scatter]").first
    figure.get_by_text("Texts as a table").press("Enter")
    button = figure.locator("tbody button[aria-pressed]").first
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    one.page.wait_for_timeout(100)
    sizes = one.page.evaluate(
        """() => [...document.querySelectorAll('[data-figure=scatter]')[0].querySelectorAll('.mark-symbol.role-mark')]
        .map(g => [...g.querySelectorAll('path')].filter(p => p.getBBox().width > 12).length)"""
    )
    assert sizes == [1, 1]


def test_tooltips_show_the_text_only_when_asked(opened, small):
    one = opened(small)
    one.drawn("[data-figure=scatter]")
    point = one.page.locator("[data-figure=scatter] .mark-symbol path").first
    point.hover()
    tip = one.page.locator("#tip")
    said = tip.inner_text()
    assert "English" in said
    assert "harm" in said
    assert "en-" in said
    assert "probe score, aligned" in said
    assert "مرحبا" not in said
    one.page.mouse.move(2, 2)
    one.page.click("#uncover")
    point.hover()
    assert "مرحبا" in tip.inner_text()
    assert tip.locator("bdi[dir=auto][lang=en]").count() == 1


def test_texts_are_covered_until_clicked(opened, small):
    one = opened(small)
    lost = one.page.locator("[data-lost]").first
    lost.locator("summary").click()
    assert "مرحبا" not in lost.inner_text()
    lost.locator("button.covered").first.click()
    assert lost.inner_text().count("مرحبا") == 1
    one.page.click("#uncover")
    assert lost.locator("button.covered").count() == 0
    one.page.click("#uncover")
    assert "مرحبا" not in lost.inner_text()


def test_tables_sort_and_copy(opened, small):
    one = opened(small)
    one.context.grant_permissions(["clipboard-read", "clipboard-write"])
    table = one.page.locator("[data-table=languages] table")
    heading = table.locator("th", has_text="gain")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    gains = [
        float(cell)
        for cell in table.locator("tbody tr td:nth-child(4)").evaluate_all("c => c.map(x => x.dataset.value)")
    ]
    assert gains == sorted(gains, reverse=True)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert table.locator("tbody th bdi").first.inner_text() == "Swahili"
    one.page.locator("[data-table=languages] .copy").click()
    copied = one.page.evaluate("navigator.clipboard.readText()")
    lines = [line.split("\t") for line in copied.splitlines()]
    assert lines[0][0] == "language"
    assert lines[1][0] == "Swahili sw"
    assert {len(line) for line in lines} == {len(lines[0])}


@pytest.mark.parametrize("kind", ["svg", "png", "csv"])
def test_every_kind_of_figure_downloads(opened, small, kind):
    one = opened(small)
    for name in ("answer", "scatter", "separation", "margins", "controls"):
        figure = one.page.locator(f"[data-figure={name}]").first
        figure.locator("details.tools summary").click()
        with one.page.expect_download() as waiting:
            figure.locator(f"[data-save={kind}]").click()
        content = Path(waiting.value.path()).read_bytes()
        assert waiting.value.suggested_filename.endswith(f".{kind}")
        if kind == "svg":
            assert content.startswith(b"<svg")
            assert b"#D55E00" in content or b"#009E73" in content
        elif kind == "png":
            assert content.startswith(b"\x89PNG")
            assert len(content) > 5000
        else:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
            assert len(rows) > 2
            assert {len(row) for row in rows} == {len(rows[0])}


def test_formulas_stay_text_in_csv_and_tsv(opened):
    audit = small_audit()
    points = points_for(audit, pairs=12).with_columns(text_id=pl.concat_str(pl.lit('=1+1,"'), "text_id"))
    one = opened(page_of(audit, points))
    figure = one.page.locator("[data-figure=scatter]").first
    figure.locator("details.tools summary").click()
    with one.page.expect_download() as waiting:
        figure.locator("[data-save=csv]").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text("utf-8-sig"))))
    assert all(row["text"].startswith("'=1+1,\"") for row in rows)
    assert all(float(row["reference_x"]) < 10 for row in rows)


# Everywhere


@pytest.mark.parametrize(
    ("width", "scheme", "name"),
    [
        (360, "light", "few"),
        (360, "dark", "few_layered"),
        (1920, "dark", "few"),
        (1920, "light", "few_layered"),
    ],
)
def test_nothing_overflows(opened, request, width, scheme, name):
    one = opened(request.getfixturevalue(name), width=width, scheme=scheme)
    one.draw_all()
    one.open_all("details:not(.tools)")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    sides = one.page.evaluate(
        """() => [...document.querySelectorAll('figure .chart svg')].map(e => e.getBoundingClientRect())
        .map(box => [box.left, box.right])"""
    )
    assert len(sides) > 5
    assert all(left >= 0 and right <= width + 1 for left, right in sides)


def test_dark_and_light_can_be_chosen_and_are_not_kept(opened, small):
    one = opened(small, scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    assert one.page.evaluate(background) == "rgb(253, 253, 251)"
    one.page.click("#theme")
    one.page.wait_for_selector("[data-figure=answer] .chart[data-drawn=dark]")
    assert one.page.evaluate(background) == "rgb(21, 24, 27)"
    assert one.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    one.page.reload()
    assert one.page.evaluate(background) == "rgb(253, 253, 251)"
    one.page.emulate_media(color_scheme="dark")
    one.page.wait_for_selector("[data-figure=answer] .chart[data-drawn=dark]")


def violations(one):
    """What axe-core finds on an opened page."""
    one.page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text("utf-8"))
    return one.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width", "name"), [("light", 360, "few"), ("dark", 1280, "few_layered")])
def test_axe_finds_nothing_serious(opened, request, scheme, width, name):
    one = opened(request.getfixturevalue(name), scheme=scheme, width=width)
    one.draw_all()
    one.open_all()
    found = violations(one)
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in {"serious", "critical"}] == []


def test_axe_would_notice(opened, few):
    bare = '<select id="metric">'
    one = opened(few.replace(f"<label>Metric {bare}", bare).replace("</select></label>", "</select>"))
    assert "select-name" in {found["id"] for found in violations(one)}


def test_the_keyboard_reaches_every_control(opened, layered):
    one = opened(layered)
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        one.page.keyboard.press("Tab")
        reached.add(one.page.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 20)"))
    assert {"theme", "layer", "Download", "Texts as a table"} <= reached


def test_it_prints(opened, small):
    one = opened(small)
    one.draw_all()
    printed = one.page.pdf()
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000


def test_figures_that_nobody_scrolled_to_are_there_to_be_printed(opened, small):
    one = opened(small)
    one.until("document.querySelectorAll('figure svg').length === document.querySelectorAll('figure').length")
    assert one.page.evaluate("window.scrollY") == 0


def test_a_dark_page_is_printed_in_the_colours_of_paper(opened, few):
    one = opened(few, scheme="dark")
    dark, light = DARK.verdicts["pivot"], LIGHT.verdicts["pivot"]
    count = "document.querySelectorAll('[data-figure=answer] svg [fill=\"{}\"]').length"
    before = one.page.evaluate(count.format(dark))
    assert before > 0
    one.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert one.page.evaluate(count.format(dark)) == 0
    assert one.page.evaluate(count.format(light)) == before
    one.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    one.until(count.format(dark) + f" === {before}")


def test_without_scripts_the_numbers_are_there(browser, tmp_path, small):
    path = tmp_path / "report.html"
    path.write_text(small, encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "switched off" in page.locator("noscript").inner_text()
    assert page.locator("[data-table=languages] tbody tr").count() == 3
    context.close()


# Nothing of others runs


def test_the_trap_works(opened, small):
    one = opened(small)
    one.page.evaluate("window.pwned(1)")
    assert one.page.evaluate("window.__pwned") == 1


def test_the_policy_stops_what_slips_through(browser, tmp_path, small):
    """Should escaping fail, nothing runs all the same: neither a script, nor a handler, nor a link's javascript."""
    slips = (
        "<script>pwned(1)</script><img src=x onerror=pwned(1)><svg onload=pwned(1)></svg>"
        "<a id=slip href='javascript:pwned(1)'>x</a><iframe srcdoc='<script>parent.pwned(1)</script>'></iframe>"
        "<img src='https://example.invalid/x.png'><style>body{display:none}</style>"
    )
    path = tmp_path / "report.html"
    path.write_text(small.replace('<section id="measured"', slips + '<section id="measured"'), encoding="utf-8")
    one = Opened(browser, path)
    one.page.eval_on_selector("#slip", "link => link.click()")
    with pytest.raises(playwright.Error, match=r"writes no HTML|TrustedHTML"):
        one.page.evaluate("document.body.innerHTML = '<img src=x onerror=pwned(1)>'")
    one.page.wait_for_timeout(200)
    assert one.page.evaluate("window.__pwned") is None
    assert any("Content Security Policy" in fault for fault in one.faults)
    assert not any("request" in fault for fault in one.faults)
    one.context.close()


def hostile_audit(string, many):
    """An audit that says `string()` wherever it says one thing, and every one of `many` where it lists things.

    Args:
        string: gives the next string.
        many: all strings, for warnings, versions, hosts.
    """
    audit = small_audit()
    codes = {code: encodable(string()) for code in audit.languages}
    while len(set(codes.values())) < len(codes):
        codes = {code: f"{text}{i}" for i, (code, text) in enumerate(codes.items())}

    def changed(row, i):
        numbers = replace(row.estimate, approximate=string(), method=string())
        if math.isnan(numbers.value):
            numbers = replace(numbers, reason=string())
        other = {"metric": string()} if row.metric == "length_pair_accuracy" else {}
        return replace(row, language=codes[row.language], estimate=numbers, verdict=string(), **other)

    rows = [changed(row, i) for i, row in enumerate(audit.rows)]
    rows += [
        Row(
            kind="score",
            language=codes["sw"],
            model=model,
            metric=string(),
            layer=4,
            norm="post",
            basis=string(),
            components=10,
            estimate=number,
        )
        for model in ("reference", "aligned", string())
        for number in (estimate(0.5, 0.4, 0.6), Estimate(value=float("nan"), n=3, seed=0, reason=string()))
    ]
    # A layer whose norm is hostile, and a score there.
    rows.append(replace(rows[0], layer=2, norm=encodable(string())))
    verdicts = tuple(
        replace(
            one,
            language=codes[one.language],
            verdict="pivot" if one.verdict == "pivot" else string(),
            cross_check=string(),
            reason=string(),
        )
        for one in audit.verdicts
    )
    warnings = tuple(
        CodedWarning(code=("C005", "S003", "S011")[i % 3], detail=text, language=codes["sw"] if i % 2 else string())
        for i, text in enumerate(many)
    )
    return replace(
        audit,
        corpus={"name": string(), "sha256": string(), "revision": string(), "licence": string()},
        models={
            role: {"name": string(), "revision": string(), "sha256": string()} for role in ("reference", "aligned")
        },
        config={
            name: string()
            for name in ("position", "prompt_format", "dtype", "max_tokens", "seed", "permutations", "match")
        }
        | {
            "layers": [string(), "4-post"],
            "metrics": [string()],
            "controls": [string()],
            "level": 0.95,
            "pivot": codes["en"],
        },
        versions={text: text for text in many} | {"isogloss": string()},
        pivot=codes["en"],
        rows=tuple(rows),
        verdicts=verdicts,
        warnings=warnings,
    )


def hostile_page(string, many):
    audit = hostile_audit(string, many)
    points = points_for(audit, pairs=len(many) // 2 + 1, layers=((4, "post"), (2, audit.rows[-1].norm)))
    ids = {one: f"{many[i % len(many)]}{i}" for i, one in enumerate(sorted(points["text_id"].unique()))}
    pairs = {one: f"{many[i % len(many)]}{i}" for i, one in enumerate(sorted(points["pair_id"].unique()))}
    points = points.with_columns(
        text_id=pl.col("text_id").replace_strict(ids), pair_id=pl.col("pair_id").replace_strict(pairs)
    )
    texts = {one: many[i % len(many)] for i, one in enumerate(ids.values())}
    run = {"finished": string(), "host": {text: text for text in many}, string(): string()}
    return page_html(audit, points, sections=[hostile_section(string, many)], run=run, texts=texts)


def hostile_section(string, many):
    """A section of an analysis whose every word is hostile."""
    columns = tuple(Column(key=key, heading=string(), description=string(), align="left") for key in ("a", "b"))
    rows = tuple((text_cell(text), Cell(text=text, note=text, interval=text, language=text)) for text in many[:20])
    table = Table(key="hostile", title=string(), columns=columns, rows=rows, caption=string(), notes=(string(),))
    figure = Figure(
        key="hostile-figure",
        title=string(),
        heading=string(),
        caption=string(),
        legend=string(),
        spec="pairs",
        rows={"pair": many[:20], "x": [0.0] * len(many[:20]), "y": [1.0] * len(many[:20])},
        fields=(Field(name="pair", heading=string(), form="text"), Field(name="x", heading=string())),
    )
    spec = {"mark": "point", "data": {"name": "rows"}, "height": 50, "encoding": {"x": {"field": "x"}}}
    spec["padding"] = {"left": 5, "right": 5, "top": 5, "bottom": 5}
    block = Block(
        heading=string(), text=string(), findings=(string(),), figures=(figure,), tables=(table,), note=string()
    )
    return Section(key="hostile", title=string(), blocks=(block,), specs={"pairs": {"light": spec, "dark": spec}})


def encodable(text):
    """Polars and files hold no lone surrogates; audit.json can."""
    return text.encode("utf-8", "replace").decode()


def cycled(start):
    """Give one string after another, from a place in the corpus."""
    at = iter(HOSTILE[start:] + HOSTILE[:start] + HOSTILE)
    return lambda: next(at)


def explore(one):
    """Touch all that shows strings: figures, tooltips, tables, texts, metrics, layers, files."""
    one.draw_all()
    one.open_all()
    one.page.click("#uncover")
    for i in range(one.page.locator("#metric option").count()):
        one.page.select_option("#metric", index=i)
    one.page.select_option("#metric", index=0)
    one.page.evaluate("const s = document.querySelector('#layer'); s.value = 0; s.dispatchEvent(new Event('input'))")
    one.draw_all()
    one.page.locator("[data-figure=scatter] .mark-symbol path").first.hover()
    for kind in ("svg", "csv"):
        with one.page.expect_download():
            one.page.locator(f"[data-figure=answer] [data-save={kind}]").click()
    one.page.wait_for_timeout(200)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_hostile_string_runs_or_breaks_out(opened, part):
    assert len(HOSTILE) >= 200
    many = [encodable(text) for text in HOSTILE[part::PARTS]]
    page = hostile_page(cycled(part * len(HOSTILE) // PARTS), many)
    one = opened(page)
    explore(one)
    assert one.page.evaluate("window.__pwned") is None
    tags = [
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "base",
        "link",
        "form:not(.vega-bindings)",
        "img",
        "math",
        "video",
        "template",
    ]
    counts = {tag: one.page.locator(tag).count() for tag in tags}
    assert counts == dict.fromkeys(counts, 0) | {"script": 3, "style": 1}
    handlers = one.page.evaluate(
        """() => [...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => a.name.startsWith('on')
        || (['href', 'src', 'action'].includes(a.name) && /^\\s*javascript:/i.test(a.value))).length"""
    )
    assert handlers == 0
    shown = one.page.evaluate("document.body.textContent")
    for text in many:
        assert sanitize(text) in shown, text[:80]
    # Nothing reorders or hides what stands around it.
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\u200e\u200f\u200b\x00\x1b]",
        re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL),
    )
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_every_hostile_string_is_in_some_place_of_its_own(opened):
    """All strings in every single field at once: joined, so that each has stood in each."""
    everything = " ¦ ".join(text for text in HOSTILE if len(text) < 400)
    one = opened(hostile_page(lambda: everything, ["x", "y"]))
    one.draw_all()
    assert one.page.evaluate("window.__pwned") is None
    assert one.page.locator("body script").count() == 3
    shown = one.page.locator("#methods").evaluate("e => e.textContent")
    assert shown.count(sanitize(everything)) > 8
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 1280
