"""Text between two marks of a page in docs/."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
END = "<!-- end -->"


def write_between(page: str, begin: str, text: str) -> None:
    """Put text between the mark `begin` and the next END of a page.

    Raises:
        ValueError: the page lacks a mark.
    """
    path = DOCS / page
    before, marker, rest = path.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(END)
    if not marker or not closed:
        raise ValueError(f"{path}: no {END if marker else begin}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{END}{after}", "utf-8")
