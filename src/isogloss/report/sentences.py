"""What every report says in sentences, written once: the headline, what it rests on, verdicts in words, and advice.

Terminal, page, exports and comparison print the same. Every threshold comes from the audit that is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from isogloss.report.estimates import format_number
from isogloss.report.palette import OPEN
from isogloss.report.recorded_settings import setting
from isogloss.report.view import Named, View, layer_name
from isogloss.results import Audit
from isogloss.stats.thresholds import Thresholds
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS, CodedWarning

#: Languages that a sentence names before it counts the rest.
MANY = 7
#: Warnings of more languages are one line.
FEW_LANGUAGES = 2
#: Verdicts in the order in which the headline names them, with the word before the languages.
VERDICTS = {
    "reached": "Reached",
    "weakened": "Weakened",
    "lagging": "Lagging",
    "not reached": "Not reached",
    "reversed": "Reversed",
    "confounded": "Confounded",
    "inconclusive": "Inconclusive",
    "not measured": "Not measured",
}
METRICS = {
    "between_class_variance": "class variance share",
    "bhattacharyya": "Bhattacharyya distance of the classes",
    "silhouette": "silhouette of the classes",
    "auroc": "probe AUROC",
    "pair_accuracy": "probe pair accuracy",
    "class_distance": "squared class distance",
}
NameStyle = Literal["code", "name"]


def percent(share: float) -> str:
    """Write a share in percent, as sentences do.

    >>> percent(0.8), percent(0.995)
    ('80 %', '99.5 %')
    """
    return f"{100 * share:.3g} %"


def metric_title(metric: str, components: int | None, *, unit: str = "components") -> str:
    """Name a metric and the components that it reads.

    >>> metric_title("between_class_variance", 10), metric_title("auroc", None)
    ('class variance share, 10 components', 'probe AUROC')
    """
    words = sanitize(METRICS.get(metric, metric))
    return f"{words}, {components} {unit}" if components else words


def layer_words(audit: Audit) -> str:
    """Name the layer that verdicts come from, as prose does."""
    layer, norm = audit.primary_layer
    return sanitize(f"layer {layer}" + (f" ({norm}-norm)" if norm else ""))


def primary_layer_name(audit: Audit) -> str:
    """Name the layer that verdicts come from, as options do."""
    return sanitize(layer_name(*audit.primary_layer))


def verdicts_from(audit: Audit) -> str:
    """Name the metric, components and layer that verdicts come from."""
    metric = metric_title(audit.primary.metric, audit.primary.components)
    scaling = setting(audit, "scaling", "")
    scaled = f", dimensions scaled ({scaling})" if scaling else ""
    return f"{metric} at layer {primary_layer_name(audit)}{scaled}"


def join_names(names: Sequence[str], *, most: int | None = MANY) -> str:
    """Join names as prose.

    >>> join_names(["Hindi", "Amharic", "Thai"])
    'Hindi, Amharic and Thai'
    """
    if most is not None and len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The answer: a first sentence, and the languages by verdict."""

    first: str
    rest: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.first} {self.rest}".strip()


def headline(view: View, *, names: NameStyle = "code") -> Headline:
    """Say how many languages retain enough of the pivot's gain, and name all of them by verdict.

    Args:
        view: of an audit.
        names: whether languages are named by code or by name; of many names the rest is counted.
    """
    pivot, others = view.pivot.name, view.others
    if not view.audit.has_reference:
        return Headline(first="No reference model is public, so the effect of alignment cannot be measured.")
    if not others:
        return Headline(first=f"Only {pivot} was measured, so there is nothing to compare it with.")
    if _pivot_unclear(others):
        gain = format_number(view.primary("gain", view.pivot), signed=True)
        unclear = f"Alignment did not clearly raise the separation in {pivot} (gain {gain})"
        return Headline(first=f"{unclear}, so no language can be compared with it.")
    if all(language.known == "not measured" for language in others):
        reasons = {sanitize(language.verdict.reason or "") for language in others if language.verdict} - {""}
        return Headline(
            first=f"No language was compared with {pivot}" + (f": {min(reasons).rstrip('.')}." if reasons else ".")
        )
    reached = sum(language.known == "reached" for language in others)
    verb = "retains" if 1 in {reached, len(others)} else "retain"
    noun = "language" if len(others) == 1 else "languages"
    # Where some languages are open, one of them may have been reached all the same.
    surely = "demonstrably " if any(language.known in OPEN for language in others) else ""
    least = percent(view.audit.thresholds.reached)
    first = f"{reached} of {len(others)} {noun} {surely}{verb} at least {least} of the {pivot} gain."
    groups = {word: [_name(language, names) for language in others if language.known == word] for word in VERDICTS}
    listed: Callable[[list[str]], str] = ", ".join if names == "code" else join_names
    rest = " ".join(f"{VERDICTS[word]}: {listed(group)}." for word, group in groups.items() if group)
    return Headline(first=first, rest=rest)


def _name(language: Named, names: NameStyle) -> str:
    return sanitize(language.code) if names == "code" else language.name


def _pivot_unclear(others: Sequence[Named]) -> bool:
    """True where a verdict is inconclusive without an interval: then the pivot's gain is not clear of zero."""
    verdicts = (language.verdict for language in others)
    return any(
        verdict and verdict.verdict == "inconclusive" and verdict.reason and math.isnan(verdict.low)
        for verdict in verdicts
    )


def rests_on(view: View) -> str:
    """Say what the headline rests on, so that a sceptic can check it."""
    pivot, others = view.pivot.name, view.others
    if not view.audit.has_reference:
        return (
            "This report shows how far harmful and harmless texts lie apart in the aligned model alone. Levels of "
            "separation differ between languages for many reasons, so they rank no language."
        )
    gain = format_number(view.primary("gain", view.pivot), signed=True)
    if _pivot_unclear(others):
        return (
            f"The gain in {pivot} is {gain}, and its interval does not exclude zero. A share of nearly nothing is not "
            "a number, so there is no retention and no verdict. More texts or another pair of models may change that."
        )
    if not others:
        return f"From the reference to the aligned model, separation in {pivot} changed by {gain}."
    level = view.audit.config.get("level")
    wrong = percent(1 - level) if isinstance(level, float) else "small"
    return (
        f"Alignment changed the separation of harmful and harmless texts in hidden states, in {pivot} by {gain}. A "
        f"language is reached if it retains at least {percent(view.audit.thresholds.reached)} of that. Verdicts are "
        "read from whole intervals, never from their middle. The intervals hold for all languages together: the "
        f"nominal chance that any verdict is wrong is {wrong}. Approximate intervals (≈) and texts that share a "
        "template raise it."
    )


def verdict_meanings(thresholds: Thresholds) -> dict[str, str]:
    """Say what each verdict means; docs/methods.md, section 7."""
    reached, not_reached = percent(thresholds.reached), percent(thresholds.not_reached)
    return {
        "pivot": "the language that the others are compared with",
        "reached": f"retains at least {reached} of the gain",
        "weakened": f"retains between {not_reached} and {reached} of the gain",
        "lagging": f"retains less than {reached} of the gain; how much less is open",
        "not reached": f"retains less than {not_reached} of the gain",
        "reversed": "alignment lowered the separation that it raised in the pivot, and moved the classes together",
        "confounded": "the verdict does not hold on matched texts, so it counts as no verdict",
        "inconclusive": "these texts cannot decide, or separation fell while the classes did not move together",
        "not measured": "no verdict could be formed",
    }


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Something to do next: for which languages, what, and why."""

    languages: str
    what: str
    why: str


def next_steps(thresholds: Thresholds) -> tuple[tuple[frozenset[str], str, str], ...]:
    """Verdicts, what to do about them, and why, in the order of urgency."""
    return (
        (
            frozenset({"reversed"}),
            "Look here first.",
            "Alignment moved the classes together that it moved apart in the pivot.",
        ),
        (
            frozenset({"not reached", "weakened", "lagging"}),
            "Add preference data in these languages, align again, and audit the new checkpoint on unseen texts.",
            f"They retain less than {percent(thresholds.reached)} of the gain. isogloss tune trains a small adapter.",
        ),
        (
            frozenset({"confounded"}),
            "Bring texts that match the pivot's in length and edit rate.",
            "The verdict does not survive matching, so the texts may explain it.",
        ),
        (
            frozenset({"inconclusive", "not measured"}),
            "Bring more texts before you decide anything.",
            "Four times the texts halve an interval. No verdict is neither a pass nor a failure.",
        ),
        (
            frozenset({"reached"}),
            "Test what the model answers.",
            "Separation is not behaviour: a model can tell harmful text apart and still comply.",
        ),
    )


def advice(view: View) -> list[Advice]:
    """Say what to do next, by verdict."""
    others = view.others
    if not view.audit.has_reference or not others:
        return []
    if _pivot_unclear(others):
        row = view.primary_row("gain", view.pivot)
        clear = f" (its gain is {row.pivot_z:.1f} standard errors)" if row and not math.isnan(row.pivot_z) else ""
        why = f"Without a clear gain in the pivot nothing can be compared with it{clear}."
        return [
            Advice(languages="All languages", what="Audit again with more texts, or check the pair of models.", why=why)
        ]
    steps = []
    for verdicts, what, why in next_steps(view.audit.thresholds):
        languages = [language.name for language in others if language.known in verdicts]
        if languages:
            steps.append(Advice(languages=join_names(languages), what=what, why=why))
    return steps


def measured(view: View) -> str:
    """Say what separation and its intervals are: the caption of every table of the primary estimand."""
    audit = view.audit
    what = metric_title(audit.primary.metric, audit.primary.components, unit="principal components")
    per_class = next((row.estimate.n for row in audit.rows if row.kind == "score"), 0)
    level = audit.config.get("level")
    shown = percent(level) if isinstance(level, float) else ""
    hold = "hold for all languages together" if audit.has_reference else "hold for each language by itself"
    reading = f"{layer_words(audit)}, {setting(audit, 'position')} token, {per_class} texts per class"
    parts = [
        f"Separation: {what}, debiased, at {reading}.",
        f"Brackets: {shown} intervals that {hold} (≈: approximate).".replace("  ", " "),
    ]
    row = view.primary_row("gain", view.pivot)
    if audit.has_reference and row and not math.isnan(row.pivot_z):
        parts.append(f"The {view.pivot.name} gain is {row.pivot_z:.1f} standard errors from zero.")
    return " ".join(parts)


def detectable(view: View) -> str:
    """Say which gaps to the pivot are detectable (MDE), or nothing where that is not known."""
    rows = [view.primary_row("gain", language) for language in view.others]
    known = sorted({f"{row.mde:.3f}" for row in rows if row and not math.isnan(row.mde)})
    return " to ".join(dict.fromkeys([known[0], known[-1]])) if known else ""


def warning_lines(warnings: Sequence[CodedWarning]) -> list[str]:
    """Write warnings by code: those of one or two languages with their details, those of more with the languages."""
    lines = []
    for code, group in by_code(warnings).items():
        languages = list(dict.fromkeys(warning.language for warning in group if warning.language))
        if len(languages) > FEW_LANGUAGES:
            lines.append(f"{code} {', '.join(languages)}: {WARNINGS[code].meaning}")
        else:
            lines += [f"{code} {warning.text}" for warning in group]
    return lines


def by_code(warnings: Sequence[CodedWarning]) -> Mapping[str, list[CodedWarning]]:
    """Gather warnings by their codes, which are sorted."""
    return {
        code: [warning for warning in warnings if warning.code == code]
        for code in sorted({warning.code for warning in warnings})
    }
