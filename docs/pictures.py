"""Make the pictures of README.md and docs/report.md from run folders.

python docs/pictures.py RUN           what the terminal shows, and two figures; prints the README's table
python docs/pictures.py --page RUN    the report page; needs playwright and chromium
"""

import argparse
import shutil
from pathlib import Path

from rich.console import Console

from isogloss import Audit
from isogloss.analyses.audit import audit_sections
from isogloss.report.exports import export_tables
from isogloss.report.render_markdown import render_markdown
from isogloss.report.render_terminal import print_audit
from isogloss.report.view import view

IMAGES = Path(__file__).parent / "images"
#: Name, width and height of the window, colours, and what stands at its top.
SCREENS = (
    ("report-light", 1440, 860, "light", "body"),
    ("report-dark", 1440, 1000, "dark", "[data-figure=scatter]"),
    ("report-narrow", 360, 1040, "light", "body"),
)
ABOVE = 55


def figures(run: Path) -> None:
    """Write the terminal picture (SVG) and copy the figures (PNG)."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=160, file=nowhere, force_terminal=True)
        print_audit(Audit.load(run), console, audit_sections(Audit.load(run)))
        console.save_svg(str(IMAGES / "terminal.svg"), title="isogloss audit")
    print(render_markdown(export_tables(view(Audit.load(run)))[:1]))  # noqa: T201
    for name in ("scatter", "separation"):
        shutil.copy(run / "figures" / f"{name}.png", IMAGES / f"{name}.png")


def page(run: Path) -> None:
    """Photograph RUN/report.html, wide and narrow, light and dark (PNG)."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the dev extra

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, width, height, colours, top in SCREENS:
            shown = browser.new_page(viewport={"width": width, "height": height}, color_scheme=colours)
            shown.goto((run / "report.html").resolve().as_uri())
            shown.locator(f"{top} svg").first.wait_for()
            if top != "body":
                shown.evaluate(
                    "([top, above]) => window.scrollTo({top: document.querySelector(top).getBoundingClientRect().top "
                    "+ window.scrollY - above, behavior: 'instant'})",
                    [top, ABOVE],
                )
            shown.wait_for_timeout(3000)  # until every figure is drawn
            shown.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--page", action="store_true", help="photograph the report page")
    arguments.add_argument("run", type=Path, help="a run folder")
    given = arguments.parse_args()
    (page if given.page else figures)(given.run)
