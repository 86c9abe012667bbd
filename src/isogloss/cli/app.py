"""The commands and the handling of their errors. A command parses options, calls a public function and prints."""

from __future__ import annotations

import sys

import typer

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
from isogloss.errors import IsoglossError, UsageError

#: Exit code after Ctrl-C, as in shells: 128 plus the number of SIGINT.
INTERRUPTED = 130

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
        app()
    except IsoglossError as error:
        typer.echo(f"isogloss: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # typer has caught the KeyboardInterrupt
            typer.echo("isogloss: interrupted; run the same command to go on", err=True)
        raise
