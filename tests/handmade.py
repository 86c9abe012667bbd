"""Small results written by hand."""

from isogloss.records import NAN, Estimate, LanguageVerdict, Primary, Row
from isogloss.results import Audit
from isogloss.warnings import CodedWarning

PRIMARY = Primary(metric="between_class_variance", components=10, layer="4-post")
HERE = {"layer": 4, "norm": "post", "basis": "pca", "components": 10, "metric": "between_class_variance"}
PROBE = {"layer": 4, "norm": "post", "basis": "probe", "metric": "auroc", "scale": "logit"}


def estimate(value, low=NAN, high=NAN, **more):
    """An estimate of 84 texts per class."""
    return Estimate(value=value, low=low, high=high, n=84, seed=0, level=0.95, **more)


def language_rows(code, before, after, gain, kept=None, *, probes=(0.6, 0.9), **more):
    """Rows of one language at the primary layer; `gain` and `kept` are (value, low, high)."""
    found = [
        Row(kind="score", language=code, model=model, estimate=estimate(value, value - 0.05, value + 0.05), **HERE)
        for model, value in (("reference", before), ("aligned", after))
    ]
    found += [
        Row(
            kind="score",
            language=code,
            model=model,
            estimate=estimate(v, v - 0.05, v + 0.05),
            **(PROBE | {"scale": "plain"}),
        )
        for model, v in zip(("reference", "aligned"), probes, strict=True)
    ]
    approximate = more.pop("approximate", None)
    found.append(Row(kind="gain", language=code, estimate=estimate(*gain, approximate=approximate), **HERE, **more))
    if kept:
        found.append(
            Row(kind="retention", language=code, estimate=estimate(*kept, approximate=approximate), **HERE, **more)
        )
    return found


def make_audit(rows, verdicts, **changes):
    """An audit of a reference and an aligned model with these rows."""
    fields = {
        "corpus": {"name": "mini", "sha256": "c0", "revision": "1", "licence": "CC-BY-4.0"},
        "models": {
            "reference": {"name": "org/base", "revision": "r0", "sha256": "a0"},
            "aligned": {"name": "org/base-it", "revision": "r1", "sha256": "b0"},
        },
        "config": {"position": "last", "prompt_format": "raw", "layers": ["4-post"], "level": 0.95, "seed": 0},
        "versions": {"isogloss": "0.2.0"},
        "pivot": "en",
        "primary": PRIMARY,
        "rows": tuple(rows),
        "verdicts": tuple(verdicts),
        "warnings": (),
    }
    return Audit(**fields | changes)


def small_audit(**changes):
    """Three languages: the pivot, one that is not reached, one that is confounded; matched rows and controls too."""
    rows = [
        *language_rows("en", 0.05, 0.3, (0.25, 0.1875, 0.3125), pivot_z=8.0, verdict="pivot"),
        *language_rows(
            "sw",
            0.0625,
            0.09375,
            (0.03125, -0.0625, 0.125),
            (0.125, -0.25, 0.2421875),
            mde=0.125,
            pivot_z=8.0,
            verdict="not reached",
            approximate="fewer than 200 texts per class with fitted components",
        ),
        *language_rows(
            "am", 0.1, 0.35, (0.25, 0.125, 0.375), (1.0, 0.8125, 1.25), verdict="confounded", probes=(0.7, 0.75)
        ),
        Row(
            kind="gap",
            language="sw",
            estimate=estimate(
                0.21875, 0.1 + 0.2 - 1 / 3, 2**0.5, p_value=1e-5, method="jackknife t, independent samples"
            ),
            mde=0.125,
            pivot_z=8.0,
            verdict="not reached",
            **HERE,
        ),
        Row(
            kind="gain",
            language="am",
            estimate=estimate(0.0, -0.5, 0.5),
            sample="matched",
            verdict="confounded",
            **HERE,
        ),
        Row(
            kind="gain",
            language="sw",
            estimate=estimate(1.5, 1.0, 2.0, null_mean=-0.0, null_low=-0.5, null_high=0.5, p_value=0.001, fdr=0.002),
            verdict="not reached",
            **PROBE,
        ),
        Row(
            kind="score",
            language="sw",
            model="aligned",
            layer=4,
            norm="post",
            basis="pca",
            components=10,
            metric="bhattacharyya",
            estimate=Estimate(value=NAN, n=84, seed=0, reason="fewer than 100 texts per class for 10 components"),
            verdict="not reached",
        ),
        *(
            Row(kind="control", language=code, metric=metric, estimate=estimate(*numbers), verdict=verdict)
            for code, verdict in (("en", "pivot"), ("sw", "not reached"), ("am", "confounded"))
            for metric, numbers in (
                ("length_auroc", (0.625, 0.5, 0.75)),
                ("length_pair_accuracy", (0.09, 0.05, 0.15)),
                ("ngram_auroc", (0.7, 0.6, 0.8)),
                ("permuted_labels_auroc", (0.5, 0.375, 0.6328125)),
                ("edit_rate", (0.25, 0.2, 0.3)),
                ("tokens_per_character", (0.4375, 0.4, 0.5)),
            )
        ),
    ]
    # A plug-in value and p values on a score, as the measuring room writes them.
    first = rows[0]
    rows[0] = Row(
        **{
            **vars(first),
            "estimate": estimate(
                0.05, 0.01, 0.09, plug_in=0.0625, p_value=0.5, p_family=0.75, null_mean=0.006, method="jackknife"
            ),
        }
    )
    verdicts = (
        LanguageVerdict(language="en", verdict="pivot"),
        LanguageVerdict(language="am", verdict="confounded", low=0.8125, high=1.25, cross_check="inconclusive"),
        LanguageVerdict(language="sw", verdict="not reached", low=-0.25, high=0.2421875, disagree=True),
    )
    warnings = (
        CodedWarning(code="C005", detail="84 per class; there were ä 90"),
        CodedWarning(code="S009", detail="inconclusive when matched in length and edit", language="am"),
        CodedWarning(code="S004", detail="verdict not reached", language="sw"),
    )
    return make_audit(rows, verdicts, **{"warnings": warnings} | changes)
