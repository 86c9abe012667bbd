"""Audits and points for pages, made by hand; and a page read back."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl

from handmade import HERE, PROBE, estimate, language_rows, make_audit, small_audit
from isogloss.records import LanguageVerdict, Row
from isogloss.report.page import page_html

PAIRS = 84


def points_for(audit, *, pairs=PAIRS, layers=((4, "post"),), items=False, seed=0):
    """Points as in points.parquet; harmful text lies to the right and scores higher, more so in the aligned model."""
    rng = np.random.default_rng(seed)
    frames = []
    for code in audit.languages:
        ids = [f"{code}-{i}" for i in range(pairs)]
        for model in ("reference", "aligned") if audit.has_reference else ("aligned",):
            for layer, norm in layers:
                for harmful in (True, False):
                    shift = harmful * (1.0 if model == "aligned" else 0.3)
                    frames.append(
                        pl.DataFrame(
                            {
                                "text_id": [f"{one}-{int(harmful)}" for one in ids],
                                "pair_id": ids,
                                "item_id": [f"item-{i}" for i in range(pairs)] if items else [None] * pairs,
                                "language": code,
                                "harmful": harmful,
                                "model": model,
                                "layer": layer,
                                "norm": norm,
                                "fold": [i % 5 for i in range(pairs)],
                                "pc1": rng.normal(size=pairs) + shift,
                                "pc2": rng.normal(size=pairs),
                                "score": rng.normal(size=pairs) * 0.3 + shift,
                            },
                            schema_overrides={"item_id": pl.String},
                        )
                    )
    return pl.concat(frames)


def texts_for(points):
    """A text for every text id."""
    return {one: f"Text {one}: مرحبا ሰላም 你好" for one in points["text_id"].unique()}


def layered_audit():
    """Two languages at three layers."""
    rows = []
    for index, norm in ((2, ""), (4, "pre"), (4, "post")):
        for code, after in (("en", 0.3), ("sw", 0.1)):
            kept = (0.2, 0.1, 0.24) if code == "sw" else None
            rows += [
                replace(row, layer=index, norm=norm)
                for row in language_rows(code, 0.05, after + index / 100, (after, after - 0.05, after + 0.05), kept)
            ]
    verdicts = (LanguageVerdict(language="en", verdict="pivot"), LanguageVerdict(language="sw", verdict="not reached"))
    return make_audit(rows, verdicts)


LAYERS = ((2, ""), (4, "pre"), (4, "post"))


def without_reference():
    """An aligned model alone."""
    audit = small_audit()
    rows = [row for row in audit.rows if row.model != "reference" and row.kind in {"score", "control"}]
    models = {"reference": None, "aligned": audit.models["aligned"]}
    return replace(audit, rows=tuple(rows), models=models, verdicts=(), warnings=())


def with_bhattacharyya():
    """The small audit with distances, some of them below zero after debiasing."""
    audit = small_audit()
    chosen = {**HERE, "metric": "bhattacharyya"}
    found = [row for row in audit.rows if row.metric != "bhattacharyya"]
    for code, value in (("en", 1.25), ("am", 0.02), ("sw", -0.01)):
        for model in ("reference", "aligned"):
            numbers = estimate(value, value - 0.05, value + 0.5, null_low=-0.02, null_high=0.03)
            found.append(Row(kind="score", language=code, model=model, estimate=numbers, **chosen))
    return replace(audit, rows=tuple(found))


def page_of(audit=None, points=None, **more):
    """The page of an audit, the small one unless told otherwise."""
    audit = audit or small_audit()
    return page_html(audit, points_for(audit) if points is None else points, **more)


def data_of(page):
    """What the scripts of a page read."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def rows_of(columns):
    """Columns as rows."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


__all__ = ["HERE", "LAYERS", "PROBE", "data_of", "layered_audit", "page_of", "points_for", "rows_of", "texts_for"]
