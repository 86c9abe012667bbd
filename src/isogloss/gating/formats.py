"""The FORMATS table: in what a judgement is written, and how such files end."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from isogloss.errors import UsageError
from isogloss.gating.judgement import Judgement, Policy
from isogloss.gating.table import to_markdown
from isogloss.gating.to_github import to_github
from isogloss.gating.to_json import to_json
from isogloss.gating.to_junit import to_junit
from isogloss.gating.to_sarif import to_sarif


class Write(Protocol):
    """Writes a judgement as text.

    `place` is the URI of the file that findings are shown at, `inconclusive` what such a verdict counts as.
    """

    def __call__(self, judgement: Judgement, *, place: str, inconclusive: Policy) -> str:
        """Write it."""


class Format(NamedTuple):
    """One row of FORMATS; `ending` is empty where it is for the log of a step only."""

    write: Write
    ending: str


FORMATS: dict[str, Format] = {
    "json": Format(to_json, ".json"),
    "junit": Format(to_junit, ".xml"),
    "sarif": Format(to_sarif, ".sarif"),
    "markdown": Format(to_markdown, ".md"),
    "github": Format(to_github, ""),
}


def format_of(name: str) -> Format:
    """Choose the format of a file by how its name ends.

    Raises:
        UsageError: no format has files that end so.
    """
    for one in FORMATS.values():
        if one.ending and name.lower().endswith(one.ending):
            return one
    endings = ", ".join(f"{one.ending} ({kind})" for kind, one in FORMATS.items() if one.ending)
    raise UsageError("--out", found=repr(name), expected=f"a name that ends in {endings}", do="name it so")
