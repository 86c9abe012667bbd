"""A result by hand that holds rows of every analysis."""

from dataclasses import replace

from handmade import HERE, estimate
from isogloss.records import NAN, Estimate, Row
from test_behaviour_report import behaving_audit

CODES = ("en", "sw", "am")


def rich_audit():
    """The small audit with behaviour, chat template, ablation, cross-lingual transfer and semantic layers."""
    audit = behaving_audit()
    rows = [*audit.rows, *chat_rows(), *ablation_rows(), *cross_lingual_rows()]
    analyses = audit.config["analyses"] | {"matched": {"match": ["length", "edit"]}}
    return replace(audit, rows=tuple(rows), config=audit.config | {"analyses": analyses})


def chat_rows():
    """Separation and gain in the chat template, and the difference of gains."""
    for code in CODES:
        for model, value in (("reference", 0.1), ("aligned", 0.2)):
            yield Row(kind="score", language=code, model=model, sample="chat", estimate=around(value), **HERE)
        yield Row(kind="gain", language=code, sample="chat", verdict="lagging", estimate=around(0.1), **HERE)
        yield Row(kind="prompt_format", language=code, sample="chat", estimate=around(-0.1), **HERE)


def ablation_rows():
    """Margins and AUROCs of the aligned, the ablated and two random models."""
    for code in (*CODES, ""):
        for model, value in (("aligned", 2.0), ("ablated", 0.5), ("random_0", 1.9), ("random_1", 1.7)):
            for metric, shift in (("refusal_margin", 0.0), ("refusal_auroc", -1.2), ("auroc", -1.1)):
                yield control(code, model, metric, value + shift)
            yield control(code, model, "refusal_margin_change", value - 2.0)
        yield control(code, "ablated", "refusal_margin_beyond_random", -1.25)
        yield control(code, "ablated", "auroc_change", -0.3)


def control(code, model, metric, value):
    """One row of the ablation control."""
    return Row(kind="behaviour_control", language=code, model=model, metric=metric, estimate=around(value))


def cross_lingual_rows():
    """Transfer and cosines of every two languages, what is shared with the pivot, and silhouettes at two layers."""
    for model in ("reference", "aligned"):
        for number, code in enumerate(CODES):
            for other in CODES:
                auroc = around(0.9 if code == other else 0.55 + 0.1 * number, null_low=0.4, null_high=0.6)
                yield Row(kind="transfer", language=code, other=other, model=model, estimate=auroc, **probe("auroc"))
                if code != other:
                    cosine = replace(around(0.5 - 0.3 * number), plug_in=0.3)
                    pair = {"language": code, "other": other, "model": model}
                    yield Row(kind="cosine", estimate=cosine, **pair, **probe("cosine"))
                    yield Row(kind="ceiling", estimate=around(0.8), **pair, **probe("ceiling"))
            for kind in ("share", "reliability"):
                yield Row(kind=kind, language=code, model=model, estimate=around(0.4), **probe("harm_direction"))
        for layer, norm in ((2, ""), (4, "post")):
            yield Row(
                kind="meaning", language="", model=model, layer=layer, norm=norm, basis="states",
                metric="meaning_minus_language", estimate=around(0.1 * layer),
            )  # fmt: skip
            yield Row(
                kind="meaning", language="", model=model, layer=layer, norm=norm, basis="states", metric="bottleneck",
                estimate=estimate(0.75),
            )  # fmt: skip
    for code in CODES:
        yield Row(kind="frozen", language=code, estimate=around(0.2), **HERE)
        missing = Estimate(value=NAN, n=84, seed=0, reason="no shift")
        rank = missing if code == "am" else around(3.5)
        yield Row(kind="rank", language=code, estimate=rank, **probe("effective_rank"))


def probe(metric):
    """The key of a number at the primary layer that reads no components."""
    return {"layer": 4, "norm": "post", "basis": "states", "metric": metric}


def around(value, **more):
    """An estimate with an interval around it."""
    return estimate(value, value - 0.1, value + 0.1, **more)
