"""`isogloss compare`: several audits side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from isogloss.cli.options import console, deliver, path_option, run_argument
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath

#: A terminal that is narrower than this for each audit shows no intervals.
WIDE, FIRST = 34, 20
#: Names of pages end so.
PAGE = (".html", ".htm")


def compare(
    runs: Annotated[list[AnyPath], run_argument("Run folders: models or checkpoints.")],
    form: Annotated[str | None, typer.Option("--format", help="Print as md, latex or csv.")] = None,
    out: Annotated[
        AnyPath | None, path_option("File to write: a page such as compare.html, or tables in --format.")
    ] = None,
    anyway: Annotated[  # noqa: FBT002
        bool, typer.Option("--anyway", help="Compare even if corpus, pivot or primary metric differ.")
    ] = False,
) -> None:
    """Put audits side by side: retention and verdict, gain, separation, language by model."""
    from isogloss.report.comparison.comparable import name_audits, refuse_differences  # noqa: PLC0415
    from isogloss.report.comparison.tables import comparison_frame, comparison_tables  # noqa: PLC0415
    from isogloss.report.read_run import read_audit  # noqa: PLC0415
    from isogloss.report.render_csv import render_csv  # noqa: PLC0415
    from isogloss.report.render_latex import render_latex  # noqa: PLC0415
    from isogloss.report.render_markdown import render_markdown  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415

    if len(runs) < 2:  # noqa: PLR2004
        raise UsageError("compare", found="one run", expected="two or more", do="name another")
    if form and form not in {"md", "latex", "csv"}:
        raise UsageError("--format", found=repr(form), expected="md, latex or csv", do="choose one")
    if out and not form and out.suffix.lower() not in PAGE:
        raise UsageError(
            "--out",
            found=f"{out} without --format",
            expected="a page, such as compare.html, or md, latex or csv",
            do="name the page so, or say --format",
        )
    audits = name_audits(runs, [read_audit(run) for run in runs])
    if not anyway:
        refuse_differences(audits)
    if out and not form:
        from isogloss.report.comparison.page import comparison_html  # noqa: PLC0415

        deliver(comparison_html(audits), out)
    elif form == "csv":
        deliver(render_csv(comparison_frame(audits)), out)
    elif form:
        render = render_markdown if form == "md" else render_latex
        deliver(render(comparison_tables(audits)), out)
    else:
        screen = console()
        for table in comparison_tables(audits, intervals=screen.width >= FIRST + WIDE * len(audits)):
            print_table(table, screen)
