"""The page without a browser: its numbers are the audit's, it asks for nothing, and it says what is missing."""

import base64
import hashlib
import html
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import polars as pl
import pytest

from handmade import estimate, language_rows, make_audit, small_audit
from hostile import HOSTILE
from isogloss.io.files import write_atomic
from isogloss.records import LanguageVerdict
from isogloss.report.audit_tables import metrics_of
from isogloss.report.command import command
from isogloss.report.lost_pairs import losses, margins
from isogloss.report.page import page_html
from isogloss.report.page.page_points import choose, shown_per_layer
from isogloss.report.page.render import ESCAPED, _environment, embedded
from isogloss.report.palette import _IN_DARK, DARK, LIGHT, ON_PAPER, OPEN, _colours
from isogloss.report.sentences import VERDICTS, headline, join_names, metric_title, next_steps, verdict_meanings
from isogloss.report.view import view
from isogloss.stats.thresholds import THRESHOLDS, Thresholds
from isogloss.warnings import WARNINGS
from pages import (
    LAYERS,
    data_of,
    layered_audit,
    page_of,
    points_for,
    rows_of,
    texts_for,
    with_bhattacharyya,
    without_reference,
)


class Elements(HTMLParser):
    """All start tags of a page with their attributes, and the text of scripts and styles."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.found, self.inside, self.source = [], None, {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self.inside = len(self.found)
            self.source[self.inside] = (tag, dict(attrs), [])

    def handle_endtag(self, tag):
        self.inside = None if tag in {"script", "style"} else self.inside

    def handle_data(self, data):
        if self.inside:
            self.source[self.inside][2].append(data)


@pytest.fixture(scope="module")
def page():
    return page_of(run={"finished": "2026-11-21T10:00:00+00:00", "host": {"machine": "x86_64"}})


# Numbers


def test_every_number_in_the_data_is_the_audits(page):
    audit = small_audit()
    figures = data_of(page)["figures"]
    languages = [one.code for one in view(audit).languages]
    metrics = [(m, k) for m, k in (("between_class_variance", 10), ("auroc", None), ("bhattacharyya", 10))]
    scores = rows_of(figures["scores"]["scores"])
    assert len(scores) == len(audit.find(kind="score"))
    for one in scores:
        metric, components = metrics[one["metric"]]
        found = audit.value(
            kind="score",
            language=languages[one["language"]],
            model=one["model"],
            metric=metric,
            components=components,
            layer=4,
        )
        for name in ("value", "low", "high", "null_low", "null_high"):
            there = getattr(found, name)
            assert one[name] == (None if math.isnan(there) else there)
        assert one["reason"] == (found.reason or "")
    for one, code in zip(figures["answer"]["rows"], languages, strict=True):
        kept = audit.value(kind="retention", language=code)
        expected = (1.0, None, None) if code == "en" else (kept.value, kept.low, kept.high)
        assert (one["value"], one["low"], one["high"]) == expected
    controls = {"n-grams": "ngram_auroc", "text length": "length_auroc", "permuted labels": "permuted_labels_auroc"}
    names_of = {one.name: one.code for one in view(audit).languages}
    for one in figures["controls"]["rows"]:
        wanted = {"kind": "control", "metric": controls.get(one["what"]), "language": names_of[one["label"]]}
        if one["what"] == "probe":
            wanted |= {"kind": "score", "metric": "auroc", "model": "aligned"}
        found = audit.value(**wanted)
        assert (one["value"], one["low"], one["high"]) == (found.value, found.low, found.high)


class Tables(HTMLParser):
    """The tables of a page by name: by row and heading what a cell shows, its number, and what stands below."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.found, self.headings, self.cell, self.small = {}, [], None, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "data-table" in attributes:
            self.headings, self.lines = [], []
            self.found[attributes["data-table"]] = self.lines
        elif tag == "th" and attributes.get("scope") == "col":
            self.headings.append("")
            self.cell = None
        elif tag in {"th", "td"}:
            if tag == "th":
                self.lines.append({})
            value = attributes.get("data-value")
            self.cell = {"text": "", "below": "", "value": None if value is None else float(value)}
            self.lines[-1][self.headings[len(self.lines[-1])]] = self.cell
        self.small = tag == "small" or (self.small and tag == "bdi")

    def handle_endtag(self, tag):
        if tag == "table":
            self.headings, self.cell = [], None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell["below" if self.small else "text"] += data.strip()
        elif self.headings:
            self.headings[-1] += data.strip()


def same(cell, found, *, digits=3, signed=False, bounds=True):
    """True if a cell shows an estimate: its number exactly, its digits and interval as text."""
    if found is None or math.isnan(found.value):
        return (cell["value"], cell["text"]) == (None, "–")
    sign = "+" if signed else ""
    shown = f"{found.value:{sign}.{digits}f}"
    interval = f"[{found.low:{sign}.{digits}f}, {found.high:{sign}.{digits}f}]"
    interval = "" if math.isnan(found.low) else ("≈" if found.approximate else "") + interval
    return cell["value"] == found.value and cell["text"] == shown and (not bounds or interval in cell["below"])


def test_every_cell_of_the_tables_is_its_number_in_the_audit(page):
    audit = small_audit()
    tables, chosen = Tables(page).found, {"metric": "between_class_variance", "components": 10}
    languages = view(audit).languages
    assert [line["language"]["text"] for line in tables["languages"]] == [one.name for one in languages]
    for line, one in zip(tables["languages"], languages, strict=True):
        gain = audit.find(kind="gain", language=one.code, **chosen)[0]
        kept = audit.value(kind="retention", language=one.code, **chosen)
        assert one.pivot or same(line["retention"], kept, digits=2)
        assert same(line["gain"], gain.estimate, signed=True)
        for model in ("reference", "aligned"):
            assert same(line[model], audit.value(kind="score", language=one.code, model=model, **chosen))
        gap = line["MDE"]["value"]
        assert gap == (None if math.isnan(gain.mde) else gain.mde)
        probe = audit.value(kind="score", language=one.code, model="aligned", metric="auroc")
        assert line["probe AUROC"]["value"] == probe.value
    names_of = {one.name: one.code for one in languages}
    titles = {metric_title(*metric): metric for metric in metrics_of(audit)}
    assert len(tables["scores"]) == len(titles) * len(languages)
    for line in tables["scores"]:
        metric, components = titles[line["metric"]["text"]]
        wanted = {"language": names_of[line["language"]["text"]], "metric": metric, "components": components}
        wanted |= {"sample": "all"}
        for model in ("reference", "aligned"):
            assert same(line[model], audit.value(kind="score", model=model, **wanted))
        aligned = audit.value(kind="score", model="aligned", **wanted)
        known = [p for p in (aligned.p_family, aligned.fdr, aligned.p_value) if not math.isnan(p)] if aligned else []
        assert line["p of score"]["value"] == (known[0] if known else None)
        assert same(line["gain"], audit.value(kind="gain", **wanted), signed=True)
    for line in tables["controls"]:
        code = names_of[line["language"]["text"]]
        for heading, metric in (("length", "length_auroc"), ("n-grams", "ngram_auroc")):
            found = audit.value(kind="control", language=code, metric=metric)
            assert line[heading]["value"] == (found.value if found else None)
        permuted = audit.value(kind="control", language=code, metric="permuted_labels_auroc")
        assert line["null 97.5%"]["value"] == (permuted.high if permuted else None)


def test_pairs_that_lose_most_have_the_margins_of_their_points():
    audit = small_audit()
    points = points_for(audit, items=True)
    page = page_of(audit, points)
    tables = Tables(page).found
    found = losses(margins(points), "en")
    assert len(data_of(page)["figures"]["lost"]) == 2
    for i, lost in enumerate(data_of(page)["figures"]["lost"]):
        code = view(audit).languages[lost["language"]].code
        mine = found.filter(pl.col("language") == code).head(5)
        lines = tables[f"lost-{lost['language']}"]
        assert [line["loss"]["value"] for line in lines] == mine["loss"].to_list(), i
        assert [line["margin, aligned"]["value"] for line in lines] == mine["after"].to_list()
        assert [line["margin, pivot"]["value"] for line in lines] == mine["before"].to_list()
        assert lost["ids"] == [list(ids) for ids in mine.select("harmful_id", "harmless_id").iter_rows()]


def test_scores_and_points_of_every_layer_are_those_of_the_audit():
    audit = layered_audit()
    points = points_for(audit, pairs=5, layers=LAYERS)
    data = data_of(page_of(audit, points))
    codes, metrics = [one.code for one in view(audit).languages], metrics_of(audit)
    scores = rows_of(data["figures"]["scores"]["scores"])
    assert len(scores) == len(audit.find(kind="score"))
    for one in scores:
        (metric, components), (layer, norm) = metrics[one["metric"]], LAYERS[one["layer"]]
        wanted = {"metric": metric, "components": components, "layer": layer, "norm": norm, "model": one["model"]}
        found = audit.value(kind="score", language=codes[one["language"]], **wanted)
        for name in ("value", "low", "high", "null_low", "null_high"):
            there = getattr(found, name)
            assert one[name] == (None if math.isnan(there) else there)
    for code, texts in zip(codes, data["figures"]["scatter"]["languages"], strict=True):
        for (layer, norm), place in zip(LAYERS, texts["layers"], strict=True):
            for model, numbers in place.items():
                here = points.filter(language=code, layer=layer, norm=norm, model=model)
                there = {row["text_id"]: row for row in here.iter_rows(named=True)}
                for short, name in (("x", "pc1"), ("y", "pc2"), ("s", "score")):
                    wanted = [there[text][name] for text in texts["text"]]
                    assert numbers[short] == pytest.approx(wanted, rel=1e-3)


def test_numbers_in_sentences_are_the_audits(page):
    audit = small_audit()
    gain = audit.find(kind="gain", language="en", metric="between_class_variance")[0]
    assert f"in English by {gain.estimate.value:+.3f}" in html.unescape(page)
    assert f"{audit.find(kind='score')[0].estimate.n} harmful and" in page


def test_every_number_in_the_tables_is_the_audits(page):
    audit = small_audit()
    known = {
        number
        for row in audit.rows
        for number in (row.mde, *(v for v in vars(row.estimate).values() if isinstance(v, int | float)))
    }
    known |= {2, 3, 4, 5}  # resource classes
    body, lost = page.split("Pairs that lose most")[0], page.count('data-lost="')
    shown = [float(number) for number in re.findall(r'data-value="([^"]+)"', body)]
    assert len(shown) > 50
    assert lost
    assert set(shown) <= known


def test_a_changed_number_would_be_noticed(page):
    audit = small_audit()
    row = audit.rows[0]
    other = replace(audit, rows=(replace(row, estimate=replace(row.estimate, value=0.123)), *audit.rows[1:]))
    assert data_of(page_of(other))["figures"]["scores"] != data_of(page)["figures"]["scores"]


def test_what_is_missing_is_shown_with_its_reason(page):
    reason = "fewer than 100 texts per class for 10 components"
    assert reason in {one["reason"] for one in rows_of(data_of(page)["figures"]["scores"]["scores"])}
    assert re.search(rf"–</bdi><small><bdi class=\"foreign\">{reason}", page)
    assert "nan" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL).lower().split()


def test_approximate_intervals_are_marked(page):
    rows = {one["label"]: one for one in data_of(page)["figures"]["answer"]["rows"]}
    assert rows["Swahili"]["approximate"]
    assert not rows["Amharic"]["approximate"]
    assert "≈[-0.25, 0.24]" in page


def test_distances_that_are_not_positive_have_their_place_on_a_log_axis():
    figures = data_of(page_of(with_bhattacharyya()))["figures"]
    spec = next(one["spec"]["light"] for one in figures["scores"]["metrics"] if "Bhattacharyya" in one["title"])
    scale = spec["layer"][-1]["encoding"]["x"]["scale"]
    assert (scale["type"], scale["clamp"]) == ("log", True)
    assert 0 < scale["domain"][0] < 0.02
    assert scale["domain"][1] > 1.75
    assert any("isValid(datum.low) && datum.low <" in str(layer.get("transform")) for layer in spec["layer"])


# Points


def test_at_most_200_points_per_language_the_same_for_both_models():
    audit = small_audit()
    points = points_for(audit, pairs=150)
    figures = data_of(page_of(audit, points))["figures"]
    for one, code in zip(figures["scatter"]["languages"], (one.code for one in view(audit).languages), strict=True):
        assert len(one["text"]) == 200 == len(set(one["text"]))
        assert sum(one["harmful"]) == 100
        assert all(one["pair"].count(pair) == 2 for pair in one["pair"])
        there = points.filter((pl.col("language") == code) & (pl.col("model") == "aligned"))
        place = dict(zip(there["text_id"], there["pc1"], strict=True))
        for text, x in zip(one["text"], one["layers"][0]["aligned"]["x"], strict=True):
            assert x == pytest.approx(place[text], rel=1e-3)
    assert "Up to 200 of 300 texts per language are shown, whole pairs" in page_of(audit, points)


def test_the_choice_does_not_depend_on_the_order_of_the_file():
    points = points_for(small_audit(), pairs=150)
    permuted = points.sample(fraction=1.0, shuffle=True, seed=3)
    assert choose(points, 50).equals(choose(permuted, 50))


def test_single_texts_are_chosen_by_class():
    points = points_for(small_audit(), pairs=150).with_columns(pair_id=pl.lit(None, pl.String))
    chosen = choose(points, 60)
    assert chosen.group_by("language", "harmful").len()["len"].unique().to_list() == [30]


def test_many_layers_share_the_room():
    assert shown_per_layer(9, 1) == 200
    assert shown_per_layer(12, 25) == 200
    assert shown_per_layer(12, 40) == 124
    assert shown_per_layer(100, 100) == 40


def test_points_of_older_runs_have_no_scores_and_the_page_says_so():
    points = points_for(small_audit()).with_columns(item_id=pl.lit(None, pl.String), score=pl.lit(None, pl.Float64))
    page = page_of(points=points)
    assert "holds no probe score" in page
    assert data_of(page)["figures"]["margins"] == {}


def test_margins_are_shares_with_an_edge_at_zero(page):
    found = data_of(page)["figures"]["margins"]
    assert any(abs(edge) < 1e-9 for edge in found["edges"])
    for one in found["languages"]:
        for model in ("reference", "aligned"):
            assert sum(one[model]["shares"]) == pytest.approx(1)
            assert one[model]["pairs"] == 84
    assert found["languages"][0]["aligned"]["above"] > found["languages"][0]["reference"]["above"]


def test_pairs_that_lose_most_are_compared_with_the_pivot_where_items_are_shared():
    audit = small_audit()
    with_items = page_of(audit, points_for(audit, items=True))
    assert "margin, pivot" in with_items
    assert "margin, reference" in page_of(audit)
    assert "margin, pivot" not in page_of(audit)


# One file that asks for nothing


def test_the_page_loads_nothing(page):
    for tag, attributes in Elements(page).found:
        for name in ("src", "srcset", "data", "poster", "action", "formaction", "background"):
            assert name not in attributes, (tag, attributes)
        if "href" in attributes:
            assert tag == "a"
            assert attributes["href"].startswith("#"), attributes
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert "style" not in attributes


def test_only_our_scripts_and_styles_may_run(page):
    elements = Elements(page)
    policy = next(a["content"] for t, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert "unsafe" not in policy
    assert "http" not in policy
    hashes = {"script": [], "style": []}
    for tag, attributes, source in elements.source.values():
        if attributes.get("type") != "application/json":
            digest = hashlib.sha256("".join(source).encode()).digest()
            hashes[tag].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    assert rules["script-src"].split() == hashes["script"]
    assert rules["style-src"].split() == hashes["style"]


def test_json_cannot_end_its_element():
    for text in HOSTILE:
        written = embedded({"x": text})
        assert not set(written) & {chr(code) for code in ESCAPED}
        if not any("\ud800" <= letter <= "\udfff" for letter in text):
            assert json.loads(written) == {"x": text}


def test_every_string_of_a_template_is_escaped_and_made_visible():
    environment = _environment()
    assert environment.autoescape is True
    written = environment.from_string("{{ x }}").render(x="<b>\u202e\x00{{ 7*7 }}")
    assert written == "&lt;b&gt;⟨U+202E⟩␀{{ 7*7 }}"
    assert environment.from_string("{{ x }}").render(x=["<b>\x00"]) == "[&#39;&lt;b&gt;\\x00&#39;]"


def test_a_name_that_a_template_lacks_is_an_error():
    with pytest.raises(Exception, match="undefined"):
        _environment().from_string("{{ nonsense }}").render()


def test_a_page_of_twelve_languages_is_small():
    codes = ("am", "ar", "bn", "de", "es", "fr", "hi", "ru", "sw", "uk", "zh")
    rows = [row for code in ("en", *codes) for row in language_rows(code, 0.05, 0.3, (0.25, 0.2, 0.3), (1.0, 0.8, 1.2))]
    layers = tuple((i, "") for i in range(1, 20))
    rows = [replace(row, layer=layer, norm=norm) for row in rows for layer, norm in (*layers, (4, "post"))]
    audit = make_audit(rows, [])
    page = page_of(audit, points_for(audit, pairs=120, layers=(*layers, (4, "post"))))
    assert len(page.encode()) < 6_000_000


def test_equal_audits_give_equal_pages(page):
    run = {"finished": "2026-11-21T10:00:00+00:00", "host": {"machine": "x86_64"}}
    assert page_of(run=run) == page


def test_the_file_appears_whole(tmp_path, page):
    audit = small_audit()
    path = tmp_path / "report.html"
    path.write_text("old")
    write_atomic(path, page_html(audit, points_for(audit)))
    assert path.read_text("utf-8") == page_html(audit, points_for(audit))
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


# Texts


def test_texts_are_embedded_only_when_given():
    audit = small_audit()
    points = points_for(audit)
    texts = texts_for(points)
    bare, full = page_of(audit, points), page_of(audit, points, texts=texts)
    assert "مرحبا" not in bare
    assert data_of(bare)["texts"] is None
    assert "holds no text of the corpus" in bare
    assert 'id="uncover"' not in bare
    found = data_of(full)["texts"]
    assert set(found.items()) <= set(texts.items())
    shown = {one for language in data_of(full)["figures"]["scatter"]["languages"] for one in language["text"]}
    assert shown <= set(found)
    assert "مرحبا" not in re.sub(r"<script.*?</script>", "", full, flags=re.DOTALL)


def test_texts_that_the_page_does_not_show_stay_out():
    audit = small_audit()
    points = points_for(audit, pairs=300)
    assert len(data_of(page_of(audit, points, texts=texts_for(points)))["texts"]) < 3 * 300


def test_a_text_whose_id_hides_something_is_found_under_its_visible_id():
    audit = small_audit()
    points = points_for(audit, pairs=12).with_columns(text_id=pl.concat_str(pl.lit("\u202e\x00"), "text_id"))
    found = data_of(page_of(audit, points, texts=texts_for(points)))
    lost = {one for language in found["figures"]["lost"] for ids in language["ids"] for one in ids}
    shown = {one for language in found["figures"]["scatter"]["languages"] for one in language["text"]}
    assert lost
    assert all(one.startswith("⟨U+202E⟩␀") for one in lost | shown)
    assert lost | shown <= set(found["texts"])


# What is said


@pytest.mark.parametrize("word", sorted(set(VERDICTS) - {"not measured"}))
def test_every_verdict_has_its_sentence(word):
    rows = [row for code in ("en", "sw") for row in language_rows(code, 0.0, 0.3, (0.25, 0.1, 0.4), (1.0, 0.9, 1.1))]
    verdicts = [LanguageVerdict(language="en", verdict="pivot"), LanguageVerdict(language="sw", verdict=word)]
    answer = headline(view(make_audit(rows, verdicts)), names="name")
    assert answer.rest == f"{VERDICTS[word]}: Swahili."
    assert ("demonstrably" in answer.first) == (word in OPEN - {"not measured"})


def test_the_page_and_the_terminal_say_the_same_sentence(page):
    answer = headline(view(small_audit()), names="name")
    assert answer.first in html.unescape(page)
    assert answer.rest in html.unescape(page)


def test_thresholds_on_the_page_are_those_of_the_audit():
    audit = replace(small_audit(), thresholds=Thresholds(reached=0.65, not_reached=0.15))
    page = page_of(audit)
    body = re.sub(r"<script.*?</script>|[^<>]*of pairs right", "", page, flags=re.DOTALL)
    assert body.count("65 %") >= 4
    assert "80 %" not in body
    assert "25 %" not in body
    spec = data_of(page)["figures"]["answer"]["spec"]["light"]
    assert 0.65 in [row.get("from") for rows in spec["datasets"].values() for row in rows]
    assert spec["layer"][0]["encoding"]["x"]["axis"]["values"] == [0.0, 0.15, 0.65, 1.0]


def test_many_names_are_counted():
    assert join_names([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5 and 6 more"


def test_all_verdicts_have_words_colours_and_advice():
    verdicts = {"pivot", *VERDICTS}
    assert set(verdict_meanings(THRESHOLDS)) == verdicts == set(LIGHT.verdicts) == set(DARK.verdicts)
    assert {word for words, _, _ in next_steps(THRESHOLDS) for word in words} | {"pivot"} == verdicts


def test_no_verdict_looks_like_success_or_failure():
    for theme in (LIGHT, DARK):
        open_colours = {theme.verdicts[word] for word in OPEN}
        assert open_colours == {theme.open}
        assert not open_colours & {theme.verdicts[word] for word in set(theme.verdicts) - OPEN}
    rows = {one["label"]: one for one in data_of(page_of())["figures"]["answer"]["rows"]}
    assert rows["Amharic"]["open"]
    assert not rows["Swahili"]["open"]


def test_every_light_colour_has_one_dark_colour():
    assert len(set(zip(_colours(LIGHT), _colours(DARK), strict=True))) == len(_IN_DARK) == len(ON_PAPER)


def test_every_code_is_explained_in_one_section():
    assert {kind.section for kind in WARNINGS.values()} == {"measured", "noise", "text"}


def test_warnings_stand_in_their_section_with_their_code(page):
    sections = dict(re.findall(r'<section id="(\w+)"(.*?)</section>', page, re.DOTALL))
    assert "84 per class; there were ä 90" in sections["measured"]
    assert 'href="#code-S004"' in sections["noise"]
    assert 'href="#code-S009"' in sections["text"]
    assert all(f'id="code-{code}"' in sections["methods"] for code in WARNINGS)


def test_provenance_is_whole(page):
    for text in ("org/base", "r0", "a0", "org/base-it", "b0", "CC-BY-4.0", "x86_64", "2026-11-21", "isogloss audit"):
        assert text in page


def test_the_command_stands_line_by_line_as_a_shell_reads_it():
    audit = small_audit()
    shown = command(audit)
    assert "\n" in shown
    block = re.search(r"Command that repeats the audit\"><code>(.*?)</code>", page_of(audit), re.DOTALL)[1]
    assert html.unescape(re.sub(r"<[^>]*>", "", block)) == shown


def test_the_five_questions_are_the_headings(page):
    headings = re.findall(r"<h2 [^>]*>(.*?)</h2>", page)
    assert headings == [
        "What was measured?",
        "Is it real, or noise?",
        "Could the text explain it?",
        "Which languages need work?",
        "What do I do next?",
        "Methods, limits, provenance",
    ]
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


# Unusual audits


def test_without_a_reference_there_is_separation_only():
    audit = without_reference()
    page = page_of(audit)
    found = data_of(page)["figures"]
    assert found["answer"]["kind"] == "score"
    assert found["scatter"]["models"] == ["aligned"]
    assert "No reference model is public" in page
    body = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert "retention" not in body.split('id="methods"')[0]


def test_one_language_has_nothing_to_compare():
    audit = make_audit(
        language_rows("en", 0.1, 0.3, (0.2, 0.1, 0.3)), [LanguageVerdict(language="en", verdict="pivot")]
    )
    page = page_of(audit)
    assert "Only English was measured" in page
    assert data_of(page)["figures"]["answer"]["kind"] == "gain"


def test_an_unclear_pivot_gives_gains_and_no_retention():
    reason = "the pivot's gain is not clear of zero"
    rows = [
        *language_rows("en", 0.1, 0.11, (0.01, -0.1, 0.1)),
        *language_rows("sw", 0.1, 0.12, (0.02, -0.1, 0.1)),
        *[
            replace(row, kind="retention", estimate=estimate(math.nan, reason=reason))
            for row in language_rows("sw", 0, 0, (0.0, 0.0, 0.0))
            if row.kind == "gain"
        ],
    ]
    verdicts = [
        LanguageVerdict(language="en", verdict="pivot"),
        LanguageVerdict(language="sw", verdict="inconclusive", reason=reason),
    ]
    page = page_of(make_audit(rows, verdicts))
    assert "did not clearly raise the separation in English" in page
    assert data_of(page)["figures"]["answer"]["kind"] == "gain"
    assert reason in html.unescape(page)


def test_several_layers_have_curves_and_a_slider():
    audit = layered_audit()
    page = page_of(audit, points_for(audit, layers=LAYERS))
    found = data_of(page)
    assert found["layers"] == ["2", "4-pre", "4-post"]
    assert 'id="layer" min="0" max="2" value="2"' in page
    assert all("layers" in one for one in found["figures"]["scores"]["metrics"])
    assert 'id="layer"' not in page_of()


def test_languages_that_isogloss_does_not_know_keep_their_code():
    audit = small_audit()
    swap = {"sw": "xx-<b>"}
    rows = [replace(row, language=swap.get(row.language, row.language)) for row in audit.rows]
    verdicts = [replace(one, language=swap.get(one.language, one.language)) for one in audit.verdicts]
    page = page_of(replace(audit, rows=tuple(rows), verdicts=tuple(verdicts), warnings=()))
    assert "xx-&lt;b&gt;" in page
    assert "<b>" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
