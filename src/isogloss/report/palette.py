"""Colours of charts and page in light and dark: one table, so that a picture and the words beside it agree."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

FONTS = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, '
    '"Noto Sans Arabic", "Geeza Pro", "Noto Sans Hebrew", "Noto Sans Devanagari", "Kohinoor Devanagari", '
    '"Nirmala UI", "Noto Sans Bengali", "Noto Sans Telugu", "Noto Sans Thai", "Noto Sans Ethiopic", '
    '"Ebrima", "Kefa", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", '
    '"Malgun Gothic", sans-serif'
)


@dataclass(frozen=True, kw_only=True)
class Theme:
    """One set of colours.

    `verdicts` has those of LanguageVerdict, `open` is that of those that judge nothing. `heat_low` to `heat_high` fill
    cells, all of them light (dark) enough for `ink` to be read on them.
    """

    name: str
    paper: str
    ink: str
    muted: str
    faint: str
    band: str
    accent: str
    harmful: str
    harmless: str
    reference: str
    aligned: str
    open: str
    heat_low: str
    heat_zero: str
    heat_high: str
    verdicts: MappingProxyType[str, str]

    @property
    def css(self) -> str:
        """The colours as CSS custom properties."""
        plain = {name: value for name, value in vars(self).items() if isinstance(value, str) and name != "name"}
        named = {f"verdict-{word.replace(' ', '-')}": colour for word, colour in self.verdicts.items()}
        return " ".join(f"--{name}: {value};" for name, value in (plain | named).items())

    def config(self) -> dict[str, Any]:
        """Vega-Lite configuration: quiet axes, no frame, colours of this theme."""
        axis = {
            "labelColor": self.muted,
            "titleColor": self.muted,
            "gridColor": self.faint,
            "tickColor": self.faint,
            "domain": False,
            "ticks": False,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelPadding": 6,
            "titlePadding": 8,
        }
        title = {"color": self.ink, "subtitleColor": self.muted, "anchor": "start"}
        return {
            "background": "transparent",
            "font": FONTS,
            "axis": axis,
            "view": {"stroke": None},
            "text": {"color": self.ink, "fontSize": 12},
            "title": title | {"fontSize": 13, "fontWeight": 600, "subtitleFontSize": 12},
        }


# Okabe and Ito's palette: told apart with any colour vision. Shape or a word repeats what colour says.
LIGHT = Theme(
    name="light",
    paper="#fdfdfb",
    ink="#1c2024",
    muted="#596068",
    faint="#e5e4df",
    band="#e6eeec",
    accent="#00695c",
    harmful="#D55E00",
    harmless="#0072B2",
    reference="#808080",
    aligned="#009E73",
    open="#808080",
    heat_low="#F0A27A",
    heat_zero="#f3f1ea",
    heat_high="#7DB8DD",
    verdicts=MappingProxyType(
        {
            "pivot": "#1c2024",
            "reached": "#0072B2",
            "weakened": "#A87200",
            "lagging": "#A87200",
            "not reached": "#D55E00",
            "reversed": "#9B2C7D",
            "confounded": "#808080",
            "inconclusive": "#808080",
            "not measured": "#808080",
        }
    ),
)

DARK = Theme(
    name="dark",
    paper="#15181b",
    ink="#e9e7e2",
    muted="#a6adb4",
    faint="#30353a",
    band="#1f2a2b",
    accent="#5fd0b5",
    harmful="#F08A4B",
    harmless="#56B4E9",
    reference="#9AA0A6",
    aligned="#2FC49A",
    open="#9AA0A6",
    heat_low="#8A4322",
    heat_zero="#22272b",
    heat_high="#1F6796",
    verdicts=MappingProxyType(
        {
            "pivot": "#e9e7e2",
            "reached": "#56B4E9",
            "weakened": "#E6B04A",
            "lagging": "#E6B04A",
            "not reached": "#F08A4B",
            "reversed": "#E389C9",
            "confounded": "#9AA0A6",
            "inconclusive": "#9AA0A6",
            "not measured": "#9AA0A6",
        }
    ),
)


def in_dark(value: Any) -> Any:  # noqa: ANN401 - JSON values have no narrower type
    """Exchange the colours of a chart that was built in LIGHT for those of DARK; nothing else differs."""
    if isinstance(value, str):
        return _IN_DARK.get(value, value)
    if isinstance(value, dict):
        return {key: in_dark(item) for key, item in value.items()}
    return [in_dark(item) for item in value] if isinstance(value, list) else value


def _colours(theme: Theme) -> list[str]:
    plain = [value for value in vars(theme).values() if isinstance(value, str) and value.startswith("#")]
    return [*plain, *theme.verdicts.values()]


_IN_DARK = dict(zip(_colours(LIGHT), _colours(DARK), strict=True))
#: Colours of dark charts -> those that they are printed in.
ON_PAPER = {dark: light for light, dark in _IN_DARK.items()}

#: Verdicts that judge nothing: drawn hollow, so that they look like neither success nor failure.
OPEN = frozenset({"confounded", "inconclusive", "not measured"})
