"""docs/performance.md: each benchmark writes its own section, between two marks."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Write a GitHub Markdown table; all columns but the first are numbers."""
    rule = ["---", *(["---:"] * (len(header) - 1))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def machine() -> str:
    """Name the processor and how many of its cores there are."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text("utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return name


def versions(*packages: str) -> str:
    """Name the installed versions of packages; those that are not installed are left out."""
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(versions)


def put(part: str, text: str) -> None:
    """Replace a part of the page.

    Raises:
        ValueError: the page has no marks for it.
    """
    begin, end = f"<!-- {part}: written by benchmarks/{part}.py -->", f"<!-- end of {part} -->"
    page = PAGE.read_text("utf-8")
    before, mark, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not mark or not closed:
        raise ValueError(f"{PAGE}: no marks {begin} and {end}")
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
