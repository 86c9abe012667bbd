"""The languages of an audit as the page names and orders them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from isogloss.corpora.languages import LANGUAGES
from isogloss.report.palette import LIGHT
from isogloss.report.tables import primary_layer
from isogloss.report.visible import visible
from isogloss.results import Audit, Estimate, LanguageVerdict, Row

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
        return visible(self.verdict.verdict)[:LONGEST] if self.verdict else "no verdict"

    @property
    def known(self) -> str:
        """The verdict if isogloss knows it, so that a colour and a class name can depend on it."""
        return self.word if self.word in LIGHT.verdicts else "not measured"


def named(audit: Audit, code: str) -> Named:
    """Name a language of an audit, whether or not isogloss knows it."""
    found = LANGUAGES.get(code)
    level = found.resource_class if found else None
    group = next((word for lowest, word in GROUPS if level is not None and level >= lowest), "not classed")
    name = found.name if found else visible(code)
    return Named(
        code=code,
        name=name if len(name) <= LONGEST else name[: LONGEST - 1] + "…",
        tag=code if found else "",
        resource_class=level,
        group=group,
        verdict=next((one for one in audit.verdicts if one.language == code), None),
        pivot=code == audit.pivot,
    )


def primary_row(audit: Audit, code: str, kind: str, model: str = "", sample: str = "all") -> Row | None:
    """Find the row of the primary estimand."""
    layer, norm = primary_layer(audit)
    chosen = {"metric": audit.primary.metric, "components": audit.primary.components}
    found = audit.find(kind=kind, language=code, model=model, layer=layer, norm=norm, sample=sample, **chosen)
    return found[0] if found else None


def primary(audit: Audit, code: str, kind: str, model: str = "") -> Estimate | None:
    """Find the estimate of the primary estimand."""
    row = primary_row(audit, code, kind, model)
    return row.estimate if row else None


def quantity(audit: Audit) -> tuple[str, str]:
    """Kind and model of what languages are ordered by: retention, else gain, else the aligned model's separation."""
    for kind, model in (("retention", ""), ("gain", ""), ("score", "aligned")):
        found = [primary(audit, code, kind, model) for code in audit.languages]
        if any(one is not None and not math.isnan(one.value) for one in found):
            return kind, model
    return "score", "aligned"


def ordered(audit: Audit) -> list[Named]:
    """The pivot, then the other languages from the most to the least of what `quantity` says; unknown ones last."""
    kind, model = quantity(audit)

    def place(code: str) -> tuple[bool, float, str]:
        found = primary(audit, code, kind, model)
        value = found.value if found else math.nan
        return code != audit.pivot, math.inf if math.isnan(value) else -value, code

    found = [named(audit, code) for code in sorted(audit.languages, key=place)]
    twice = {name for name, times in Counter(one.name for one in found).items() if times > 1}
    # A figure has a row per name.
    return [replace(one, name=f"{one.name} {i}") if one.name in twice else one for i, one in enumerate(found)]


def layer_name(layer: int | None, norm: str) -> str:
    """Name a layer as options do: 12, 18-post."""
    return "" if layer is None else f"{layer}-{norm}" if norm else str(layer)
