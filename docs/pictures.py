"""Make the README's pictures from a run folder, and print its table: python docs/pictures.py RUN."""

import shutil
import sys
from pathlib import Path

from rich.console import Console

from isogloss import Audit
from isogloss.report.tables import markdown
from isogloss.report.terminal import print_audit

IMAGES = Path(__file__).parent / "images"


def main(run: Path) -> None:
    """Write the terminal picture (SVG) and copy the figures (PNG)."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=160, file=nowhere, force_terminal=True)
        print_audit(Audit.load(run), console)
        console.save_svg(str(IMAGES / "terminal.svg"), title="isogloss audit")
    print(markdown(Audit.load(run)))  # noqa: T201
    for name in ("scatter", "separation"):
        shutil.copy(run / "figures" / f"{name}.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
