"""`isogloss gate`: does a finished run hold what was asked of it?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args
from urllib.parse import quote

import typer

from isogloss.cli.options import console, deliver, path_option, refuse_place, run_argument, split
from isogloss.errors import UsageError, unknown
from isogloss.gating.rules import RULES, read_rules
from isogloss.io.paths import AnyPath

if TYPE_CHECKING:
    from isogloss.gating.formats import Format
    from isogloss.gating.judgement import Judgement, Policy


def gate(
    run: Annotated[AnyPath, run_argument()],
    rules: Annotated[
        Path | None, typer.Option(help="Rules (TOML); options take the place of those at its top.")
    ] = None,
    min_retention: Annotated[float | None, typer.Option(help=RULES["min_retention"].about)] = None,
    min_gain: Annotated[float | None, typer.Option(help=RULES["min_gain"].about)] = None,
    no_reversed: Annotated[  # noqa: FBT002
        bool, typer.Option("--no-reversed", help=RULES["no_reversed"].about)
    ] = False,
    no_verdicts: Annotated[str | None, typer.Option(help=RULES["no_verdicts"].about)] = None,
    no_warnings: Annotated[str | None, typer.Option(help=RULES["no_warnings"].about)] = None,
    baseline: Annotated[
        AnyPath | None, path_option("Run folder that --margin and --gain-margin hold this run against.")
    ] = None,
    margin: Annotated[float | None, typer.Option(help=RULES["margin"].about)] = None,
    gain_margin: Annotated[float | None, typer.Option(help=RULES["gain_margin"].about)] = None,
    languages: Annotated[str | None, typer.Option(help="Judge only these, such as hi,am.")] = None,
    estimand: Annotated[
        str | None, typer.Option(help="Judge metric:components@layer in place of the primary estimand.")
    ] = None,
    inconclusive: Annotated[
        str, typer.Option(help="What an inconclusive verdict counts as: apart (exit code 4), fail (3) or pass (0).")
    ] = "apart",
    form: Annotated[
        str | None, typer.Option("--format", help="Print json, junit, sarif, markdown or github instead of a table.")
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File to write as well, by its ending: .json, .xml (JUnit), .sarif, .md; may be repeated."),
    ] = None,
) -> None:
    """Judge a finished run by rules: exit code 0 for pass, 3 for fail, 4 for inconclusive. No model is loaded.

    A rule on a number passes if the whole interval holds what is asked, fails if none of it does, and is inconclusive
    otherwise.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.report.read_run import read_audit  # noqa: PLC0415

    telling = _telling(inconclusive, form, out or ())
    given: dict[str, object] = {
        "min_retention": min_retention,
        "min_gain": min_gain,
        "no_reversed": no_reversed or None,
        "no_verdicts": _listed(no_verdicts),
        "no_warnings": _listed(no_warnings),
        "margin": margin,
        "gain_margin": gain_margin,
        "languages": _listed(languages),
        "estimand": estimand,
    }
    wanted = read_rules(rules, {name: value for name, value in given.items() if value is not None})
    judgement = isogloss.gate(read_audit(run), wanted, baseline=read_audit(baseline) if baseline else None)
    _tell(judgement, telling, place=_uri(rules or run / "audit.json"))
    sys.exit(judgement.exit_code(telling.policy))


class Telling(NamedTuple):
    """What an inconclusive verdict counts as, the format to print, if any, and files with their formats."""

    policy: Policy
    form: Format | None
    files: list[tuple[Path, Format]]


def _telling(inconclusive: str, form: str | None, out: Sequence[Path]) -> Telling:
    """Check how the judgement is to be told, before a run is read."""
    from isogloss.gating.formats import FORMATS, format_of  # noqa: PLC0415
    from isogloss.gating.judgement import Policy  # noqa: PLC0415

    policy: Any = inconclusive
    if policy not in get_args(Policy):
        raise UsageError("--inconclusive", found=repr(policy), expected="apart, fail or pass", do="choose one")
    if form and form not in FORMATS:
        raise unknown(UsageError, "format", form, FORMATS, "--format")
    files = [(path, format_of(path.name)) for path in out]
    for path, _ in files:
        refuse_place(path)
    return Telling(policy, FORMATS[form] if form else None, files)


def _tell(judgement: Judgement, telling: Telling, place: str) -> None:
    """Write the files that were asked for, and print."""
    from isogloss.gating.formats import gate_table  # noqa: PLC0415
    from isogloss.report.render_terminal import print_table  # noqa: PLC0415

    for path, one in telling.files:
        deliver(one.write(judgement, place=place, inconclusive=telling.policy), path)
    if telling.form:
        typer.echo(telling.form.write(judgement, place=place, inconclusive=telling.policy), nl=False)
    else:
        print_table(gate_table(judgement), console())


def _listed(text: str | None) -> tuple[str, ...] | None:
    """Read a list; one that is empty stays, to be refused: a rule must not be dropped in silence."""
    return None if text is None else split(text) or ()


def _uri(path: AnyPath) -> str:
    """Write a path as a URI, relative to where the command runs if it is in there."""
    if not isinstance(path, Path):
        return str(path)
    here, whole = Path.cwd(), path.absolute()
    return quote(whole.relative_to(here).as_posix()) if whole.is_relative_to(here) else whole.as_uri()
