"""The commands and the handling of their errors. A command parses options, calls a public function and prints."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from isogloss.cli.audit import audit
from isogloss.cli.catalogue import corpora, languages, metrics, models
from isogloss.cli.compare import compare
from isogloss.cli.doctor import doctor
from isogloss.cli.gate import gate
from isogloss.cli.plan import plan
from isogloss.cli.preview import preview
from isogloss.cli.report import report
from isogloss.cli.sensitivity import sensitivity
from isogloss.cli.side_effects import side_effects
from isogloss.cli.store import store
from isogloss.cli.tune import tune
from isogloss.errors import IsoglossError, StoreError, UsageError

#: Exit code after Ctrl-C, as in shells: 128 plus the number of SIGINT.
INTERRUPTED = 130
#: What the system may refuse wherever a file, a folder, memory or the terminal is used.
SYSTEM_FAULTS = (MemoryError, OSError, OverflowError, RecursionError, UnicodeError)

app = typer.Typer(
    name="isogloss",
    help="Measure how far an LLM's safety alignment reaches beyond English.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # decorated help takes twice as long to start
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    audit,
    report,
    compare,
    gate,
    plan,
    preview,
    sensitivity,
    doctor,
    tune,
    side_effects,
    corpora,
    models,
    languages,
    metrics,
):
    app.command()(command)
app.add_typer(store, name="store")


def main() -> None:
    """Run the command line; errors that a user can mend are one line on stderr."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except IsoglossError as error:
        _stop(error, 2 if isinstance(error, UsageError) else 1)
    except TyperException as error:
        _stop_usage(error)
    except BrokenPipeError:
        _close_output()  # the reader of a pipe has left, which is no fault
        sys.exit(1)
    except SYSTEM_FAULTS as error:
        _stop(_system_error(error), 1)
    if code == INTERRUPTED:  # typer has caught the KeyboardInterrupt
        typer.echo("isogloss: interrupted; run the same command to go on", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(error: IsoglossError, code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        _close_output()
    try:
        typer.echo(f"isogloss: {error}", err=True)
    except OSError:
        code = max(code, 1)  # stderr is closed or full as well
    sys.exit(code)


def _stop_usage(error: TyperException) -> NoReturn:
    """Print an error of the command line's parser as one line; the help of a bare `isogloss` as it is."""
    code = getattr(error, "exit_code", 2)
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(message, err=True)
        sys.exit(code)
    command = getattr(getattr(error, "ctx", None), "command_path", "isogloss")
    _stop(
        UsageError(
            "command line",
            found=message.strip().rstrip("."),
            expected="options and values of this command",
            do=f"see {command} --help",
        ),
        code,
    )


def _system_error(error: BaseException) -> StoreError:
    """Describe what the system refused, without the content of any file."""
    if isinstance(error, OSError):
        where = str(error.filename) if error.filename else "output or a folder for passing files (TMPDIR)"
        return StoreError(
            where,
            found=error.strerror or type(error).__name__,
            expected="a path that can be read or written",
            do="check the path, the space and the rights there",
        )
    found = "text that cannot be written" if isinstance(error, UnicodeError) else str(error) or "more than fits"
    return StoreError(
        type(error).__name__, found=found, expected="a smaller or simpler input", do="check the values of the options"
    )


def _close_output() -> None:
    """Let nothing more be written to stdout, so that the interpreter does not fail again when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
