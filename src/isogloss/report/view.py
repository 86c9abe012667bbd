"""An audit as reports look at it: languages named and ordered, rows found by what they say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isogloss.data.languages import find_language
from isogloss.records import Estimate, LanguageVerdict, Row
from isogloss.report.palette import LIGHT
from isogloss.report.table import Cell
from isogloss.results import Audit
from isogloss.text import sanitize

#: The models of a pair, before and after alignment.
MODELS = ("reference", "aligned")
#: Joshi et al.'s resource classes: the lowest of each group, with its name.
GROUPS = ((4, "high-resource"), (3, "middle"), (0, "low-resource"))
#: Names that are longer than this are cut; no language's is.
LONGEST = 40


@dataclass(frozen=True, kw_only=True)
class Named:
    """A language of an audit; `tag` is a BCP 47 tag for `lang`, or empty where the code is none."""

    code: str
    name: str
    tag: str
    resource_class: int | None
    group: str
    verdict: LanguageVerdict | None
    pivot: bool

    @property
    def word(self) -> str:
        """The verdict as shown."""
        return sanitize(self.verdict.verdict)[:LONGEST] if self.verdict else "no verdict"

    @property
    def known(self) -> str:
        """The verdict if isogloss knows it, so that a colour and a class name can depend on it."""
        return self.word if self.word in LIGHT.verdicts else "not measured"

    @property
    def cell(self) -> Cell:
        """The cell that heads a row of the language."""
        return Cell(text=self.name, language=sanitize(self.code))


#: kind, language, model, metric, components, sample
Key = tuple[str, str, str, str, int | None, str]


@dataclass(frozen=True, kw_only=True)
class View:
    """An audit at the layer that verdicts come from.

    `languages` are the pivot and then the others, from the most to the least of what `kind` and `model` say: retention,
    else gain, else the aligned model's separation.
    """

    audit: Audit
    languages: tuple[Named, ...]
    kind: str
    model: str
    rows: Mapping[Key, Row]

    @property
    def pivot(self) -> Named:
        """The language that the others are compared with."""
        return next(language for language in self.languages if language.pivot)

    @property
    def others(self) -> list[Named]:
        """All languages but the pivot."""
        return [language for language in self.languages if not language.pivot]

    def find(self, code: str) -> Named | None:
        """Find a language of the audit by its code."""
        return next((language for language in self.languages if language.code == code), None)

    def row(
        self,
        kind: str,
        language: Named,
        metric: str,
        *,
        model: str = "",
        components: int | None = None,
        sample: str = "all",
    ) -> Row | None:
        """Find a row of this layer, or one that belongs to no layer."""
        return self.rows.get((kind, language.code, model, metric, components, sample))

    def estimate(
        self, kind: str, language: Named, metric: str, *, model: str = "", components: int | None = None
    ) -> Estimate | None:
        """Find the estimate of a row on all texts."""
        row = self.row(kind, language, metric, model=model, components=components)
        return row.estimate if row else None

    def primary_row(self, kind: str, language: Named, *, model: str = "", sample: str = "all") -> Row | None:
        """Find the row of the number that verdicts come from."""
        primary = self.audit.primary
        return self.row(kind, language, primary.metric, model=model, components=primary.components, sample=sample)

    def primary(self, kind: str, language: Named, *, model: str = "", sample: str = "all") -> Estimate | None:
        """Find the estimate of the number that verdicts come from."""
        row = self.primary_row(kind, language, model=model, sample=sample)
        return row.estimate if row else None


def view(audit: Audit) -> View:
    """Look at an audit."""
    rows = {
        (row.kind, row.language, row.model, row.metric, row.components, row.sample): row
        for row in audit.rows
        if row.layer is None or (row.layer, row.norm) == audit.primary_layer
    }
    unordered = View(
        audit=audit, languages=tuple(_named(audit, code) for code in audit.languages), kind="", model="", rows=rows
    )
    kind, model = _quantity(unordered)

    def order(language: Named) -> tuple[bool, float, str]:
        estimate = unordered.primary(kind, language, model=model)
        value = estimate.value if estimate else math.nan
        return not language.pivot, math.inf if math.isnan(value) else -value, language.code

    languages = number_equal_names(sorted(unordered.languages, key=order))
    return replace(unordered, languages=tuple(languages), kind=kind, model=model)


def _quantity(unordered: View) -> tuple[str, str]:
    """Kind and model of what languages are ordered by."""
    for kind, model in (("retention", ""), ("gain", ""), ("score", "aligned")):
        estimates = [unordered.primary(kind, language, model=model) for language in unordered.languages]
        if any(estimate is not None and not math.isnan(estimate.value) for estimate in estimates):
            return kind, model
    return "score", "aligned"


def number_equal_names(languages: Sequence[Named]) -> list[Named]:
    """Number names that would look alike: a figure has a row per name."""
    twice = {name for name, times in Counter(language.name for language in languages).items() if times > 1}
    return [
        replace(language, name=f"{language.name} {number}") if language.name in twice else language
        for number, language in enumerate(languages)
    ]


def _named(audit: Audit, code: str) -> Named:
    """Name a language of an audit, whether or not its code is one."""
    known = find_language(code)
    level = known.resource_class if known else None
    group = next((word for lowest, word in GROUPS if level is not None and level >= lowest), "not classed")
    name = known.name if known else sanitize(code)
    return Named(
        code=code,
        name=name if len(name) <= LONGEST else name[: LONGEST - 1] + "…",
        tag=code if known else "",
        resource_class=level,
        group=group,
        verdict=audit.verdict(code),
        pivot=code == audit.pivot,
    )


def language_label(code: str) -> str:
    """Name a language by code and name; by its code alone where it is no canonical code.

    >>> language_label("sw"), language_label("xx")
    ('sw Swahili', 'xx')
    """
    known = find_language(code)
    return f"{code} {known.name}" if known else sanitize(code)


def layer_name(layer: int | None, norm: str) -> str:
    """Name a layer as options do: 12, 18-post."""
    return "" if layer is None else f"{layer}-{norm}" if norm else str(layer)
