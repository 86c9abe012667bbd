"""An audit as the page looks at it: languages named and ordered, rows found by what they say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isogloss.data.languages import LANGUAGES
from isogloss.records import Estimate, LanguageVerdict, Row
from isogloss.report.palette import LIGHT
from isogloss.report.tables import primary_layer
from isogloss.results import Audit
from isogloss.text import sanitize

#: Joshi et al.'s resource classes: the lowest of each group, with its name.
GROUPS = ((4, "high-resource"), (3, "middle"), (0, "low-resource"))
#: Names that are longer than this are cut; no language's is.
LONGEST = 40


@dataclass(frozen=True, kw_only=True)
class Named:
    """A language on the page; `tag` is a BCP 47 tag for `lang`, or empty where the code is none we know."""

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
    def pivot(self) -> str:
        """The pivot's name."""
        return next(one.name for one in self.languages if one.pivot)

    @property
    def others(self) -> list[Named]:
        """All languages but the pivot."""
        return [one for one in self.languages if not one.pivot]

    def row(
        self, kind: str, one: Named, metric: str, *, model: str = "", components: int | None = None, sample: str = "all"
    ) -> Row | None:
        """Find a row of this layer, or a control."""
        return self.rows.get((kind, one.code, model, metric, components, sample))

    def estimate(
        self, kind: str, one: Named, metric: str, *, model: str = "", components: int | None = None
    ) -> Estimate | None:
        """Find the estimate of a row on all texts."""
        found = self.row(kind, one, metric, model=model, components=components)
        return found.estimate if found else None

    def primary_row(self, kind: str, one: Named, *, model: str = "", sample: str = "all") -> Row | None:
        """Find the row of the number that verdicts come from."""
        chosen = self.audit.primary
        return self.row(kind, one, chosen.metric, model=model, components=chosen.components, sample=sample)

    def primary(self, kind: str, one: Named, *, model: str = "") -> Estimate | None:
        """Find the estimate of the number that verdicts come from."""
        found = self.primary_row(kind, one, model=model)
        return found.estimate if found else None


def view(audit: Audit) -> View:
    """Look at an audit."""
    place = primary_layer(audit)
    here = [row for row in audit.rows if row.layer is None or (row.layer, row.norm) == place]
    rows = {(row.kind, row.language, row.model, row.metric, row.components, row.sample): row for row in here}
    first = View(
        audit=audit, languages=tuple(_named(audit, code) for code in audit.languages), kind="", model="", rows=rows
    )
    kind, model = _quantity(first)

    def order(one: Named) -> tuple[bool, float, str]:
        found = first.primary(kind, one, model=model)
        value = found.value if found else math.nan
        return not one.pivot, math.inf if math.isnan(value) else -value, one.code

    languages = told_apart(sorted(first.languages, key=order))
    return replace(first, languages=tuple(languages), kind=kind, model=model)


def _quantity(first: View) -> tuple[str, str]:
    """Kind and model of what languages are ordered by."""
    for kind, model in (("retention", ""), ("gain", ""), ("score", "aligned")):
        found = [first.primary(kind, one, model=model) for one in first.languages]
        if any(one is not None and not math.isnan(one.value) for one in found):
            return kind, model
    return "score", "aligned"


def told_apart(found: Sequence[Named]) -> list[Named]:
    """Number names that would look alike: a figure has a row per name."""
    twice = {name for name, times in Counter(one.name for one in found).items() if times > 1}
    return [replace(one, name=f"{one.name} {i}") if one.name in twice else one for i, one in enumerate(found)]


def _named(audit: Audit, code: str) -> Named:
    """Name a language of an audit, whether or not isogloss knows it."""
    found = LANGUAGES.get(code)
    level = found.resource_class if found else None
    group = next((word for lowest, word in GROUPS if level is not None and level >= lowest), "not classed")
    name = found.name if found else sanitize(code)
    return Named(
        code=code,
        name=name if len(name) <= LONGEST else name[: LONGEST - 1] + "…",
        tag=code if found else "",
        resource_class=level,
        group=group,
        verdict=next((one for one in audit.verdicts if one.language == code), None),
        pivot=code == audit.pivot,
    )


def layer_name(layer: int | None, norm: str) -> str:
    """Name a layer as options do: 12, 18-post."""
    return "" if layer is None else f"{layer}-{norm}" if norm else str(layer)
