"""`isogloss gate`: judge a finished run by rules."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args
from urllib.parse import quote

import typer

from isogloss.cli.options import console, deliver, path_option, refuse_unwritable, run_argument
from isogloss.errors import UsageError, unknown
from isogloss.gating.rules import RULES, read_rules
from isogloss.io.paths import AnyPath

if TYPE_CHECKING:
    from isogloss.gating.formats import Format
    from isogloss.gating.judgement import Judgement, Policy


def gate(
    run: Annotated[AnyPath, run_argument()],
    rules: Annotated[
        Path | None, typer.Option(help="Rules file (TOML). Options override the rules at its top.")
    ] = None,
    min_retention: Annotated[float | None, typer.Option(help=RULES["min_retention"].about)] = None,
    min_gain: Annotated[float | None, typer.Option(help=RULES["min_gain"].about)] = None,
    no_reversed: Annotated[  # noqa: FBT002
        bool, typer.Option("--no-reversed", help=RULES["no_reversed"].about)
    ] = False,
    no_verdicts: Annotated[str | None, typer.Option(help=RULES["no_verdicts"].about)] = None,
    no_warnings: Annotated[str | None, typer.Option(help=RULES["no_warnings"].about)] = None,
    baseline: Annotated[
        AnyPath | None, path_option("Run folder that --margin and --gain-margin compare this run with.")
    ] = None,
    margin: Annotated[float | None, typer.Option(help=RULES["margin"].about)] = None,
    gain_margin: Annotated[float | None, typer.Option(help=RULES["gain_margin"].about)] = None,
    languages: Annotated[str | None, typer.Option(help="Judge only these languages, such as hi,am.")] = None,
    estimand: Annotated[
        str | None, typer.Option(help="Judge metric:components@layer instead of the primary estimand.")
    ] = None,
    inconclusive: Annotated[
        str, typer.Option(help="Count an inconclusive verdict as separate (exit code 4), fail (3) or pass (0).")
    ] = "separate",
    form: Annotated[
        str | None, typer.Option("--format", help="Print json, junit, sarif, markdown or github instead of a table.")
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Also write this file: .json, .xml (JUnit), .sarif or .md. May be repeated."),
    ] = None,
) -> None:
    """Judge a finished run by rules: exit code 0 for pass, 3 for fail, 4 for inconclusive. Loads no model.

    A rule on a number passes if the whole interval meets it, fails if no part of the interval does, and is inconclusive
    otherwise.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.report.read_run import read_audit  # noqa: PLC0415

    output = _check_output(inconclusive, form, out or ())
    given: dict[str, object] = {
        "min_retention": min_retention,
        "min_gain": min_gain,
        "no_reversed": no_reversed or None,
        "no_verdicts": _read_list(no_verdicts),
        "no_warnings": _read_list(no_warnings),
        "margin": margin,
        "gain_margin": gain_margin,
        "languages": _read_list(languages),
        "estimand": estimand,
    }
    chosen = read_rules(rules, {name: value for name, value in given.items() if value is not None})
    judgement = isogloss.gate(read_audit(run), chosen, baseline=read_audit(baseline) if baseline else None)
    _write(judgement, output, location=_uri(rules or run / "audit.json"))
    sys.exit(judgement.exit_code(output.policy))


class GateOutput(NamedTuple):
    """What an inconclusive verdict counts as, the format to print (None: a table), and files with their formats."""

    policy: Policy
    printed: Format | None
    files: list[tuple[Path, Format]]


def _check_output(inconclusive: str, form: str | None, out: Sequence[Path]) -> GateOutput:
    """Check the options of the output before a run is read."""
    from isogloss.gating.formats import FORMATS, format_of  # noqa: PLC0415
    from isogloss.gating.judgement import Policy  # noqa: PLC0415

    policy: Any = inconclusive
    if policy not in get_args(Policy):
        raise UsageError("--inconclusive", found=repr(policy), expected="separate, fail or pass", do="choose one")
    if form and form not in FORMATS:
        raise unknown(UsageError, "format", form, FORMATS, "--format")
    files = [(path, format_of(path.name)) for path in out]
    for path, _ in files:
        refuse_unwritable(path)
    return GateOutput(policy, FORMATS[form] if form else None, files)


def _write(judgement: Judgement, output: GateOutput, location: str) -> None:
    """Write the files, and print."""
    from isogloss.gating.formats import gate_table  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415

    for path, row in output.files:
        deliver(row.write(judgement, location=location, inconclusive=output.policy), path)
    if output.printed:
        typer.echo(output.printed.write(judgement, location=location, inconclusive=output.policy), nl=False)
    else:
        print_table(gate_table(judgement), console())


def _read_list(text: str | None) -> tuple[str, ...] | None:
    """Read a list. An empty list stays, so that it is refused: a rule must not be dropped unnoticed."""
    return None if text is None else tuple(item.strip() for item in text.split(",") if item.strip())


def _uri(path: AnyPath) -> str:
    """Write a path as a URI, relative to the working directory if it is inside it."""
    if not isinstance(path, Path):
        return str(path)
    folder, whole = Path.cwd(), path.absolute()
    return quote(whole.relative_to(folder).as_posix()) if whole.is_relative_to(folder) else whole.as_uri()
