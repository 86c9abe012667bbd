"""The command line: doors only. Each command parses, calls one public function, prints, and sets the exit code."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isogloss.errors import IsoglossError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from isogloss.models.pairs import ModelPair

app = typer.Typer(
    name="isogloss",
    help="Measure how far an LLM's safety alignment reaches beyond English.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EMBEDDED = "embedded"


def _list(text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def _columns(options: list[str] | None) -> dict[str, str]:
    columns = {}
    for option in options or []:
        ours, equals, theirs = option.partition("=")
        if not (ours and equals and theirs):
            raise UsageError(
                "--column", found=repr(option), expected="ours=theirs, such as text=comment", do="correct it"
            )
        columns[ours] = theirs
    return columns


@app.command()
def audit(
    pair: Annotated[str | None, typer.Option(help="A known pair: see `isogloss models`. Default: embedded.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="Model before alignment: folder, hub/id, file.gguf, base+adapter.")
    ] = None,
    aligned: Annotated[str | None, typer.Option(help="Model after alignment, in the same forms.")] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(help="Name (see `isogloss corpora`) or file; may be given twice. Default: mini.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="Name a column of your file, such as text=comment.")] = None,
    languages: Annotated[str | None, typer.Option(help="Codes, such as en,hi,am. Default: all in the corpus.")] = None,
    per_class: Annotated[
        int | None, typer.Option(help="Texts per language and class. Default: the most that all have.")
    ] = None,
    conflicts: Annotated[str, typer.Option(help="Texts under both labels: drop or refuse.")] = "drop",
    layers: Annotated[str, typer.Option(help="Such as 0,6,final; final-pre is before the last norm; all.")] = "final",
    position: Annotated[str, typer.Option(help="Read-out: last (token) or mean.")] = "last",
    rendering: Annotated[str, typer.Option(help="raw text, or chat template.")] = "raw",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    max_tokens: Annotated[int, typer.Option(help="Longer texts lose their end.")] = 512,
    metrics: Annotated[str | None, typer.Option(help="See `isogloss metrics`. Default: all.")] = None,
    primary: Annotated[
        str | None, typer.Option(help="Where verdicts come from: metric:components@layer, fixed before the run.")
    ] = None,
    match: Annotated[
        str | None, typer.Option(help="Repeat on texts matched with the pivot's: length, edit or both.")
    ] = None,
    controls: Annotated[
        str, typer.Option(help="Controls with forward passes of their own: random_weights, bits_per_character; none.")
    ] = "random_weights,bits_per_character",
    pivot: Annotated[str, typer.Option(help="Language that retention compares with.")] = "en",
    seed: Annotated[int, typer.Option(help="Of sample, shuffles and folds.")] = 0,
    shuffles: Annotated[int, typer.Option(help="Shuffled labelings for the null.", min=100)] = 500,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/<corpus>-<hash>.")] = None,
    store: Annotated[Path | None, typer.Option(help="Where hidden states are kept. Default: your cache.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... Default: a GPU if there is one.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Languages measured side by side; changes no number.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Compare an aligned model with its reference, language by language.

    Without options: the embedded pair (Gemma 3 270M, and an adapter aligned in English only) on the bundled corpus.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.activations.spec import ExtractSpec  # noqa: PLC0415
    from isogloss.auditing.plan import PRIMARY, AuditConfig, parse_primary  # noqa: PLC0415
    from isogloss.report.terminal import print_audit, track  # noqa: PLC0415

    if conflicts not in {"drop", "refuse"}:
        raise UsageError("--conflicts", found=repr(conflicts), expected="drop or refuse", do="choose one")
    texts = isogloss.load_corpus(
        corpus or ["mini"],
        languages=_list(languages),
        columns=_columns(column),
        conflicts="refuse" if conflicts == "refuse" else "drop",
    )
    config = AuditConfig(
        spec=ExtractSpec(
            layers=_list(layers) or (),
            position=position,  # type: ignore[arg-type]  # ExtractSpec checks it
            rendering=rendering,  # type: ignore[arg-type]
            max_tokens=max_tokens,
            dtype=dtype,
        ),
        metrics=_list(metrics) or tuple(isogloss.METRICS),
        primary=parse_primary(primary) if primary else PRIMARY,
        match=_list(match) or (),
        controls=() if controls == "none" else _list(controls) or (),
        per_class=per_class,
        pivot=pivot,
        seed=seed,
        shuffles=shuffles,
        workers=workers,
    )
    runs = None if out else Path("runs")
    result = isogloss.audit(
        _pair(pair, reference, aligned),
        texts,
        config=config,
        out=out,
        runs=runs,
        store=store,
        device=device,
        track=track,
    )
    if as_json:
        typer.echo(result.to_json(), nl=False)
    else:
        print_audit(result, _console())
    typer.echo(f"Wrote {out or result.folder_in(Path('runs'))}", err=True)


def _pair(pair: str | None, reference: str | None, aligned: str | None) -> ModelPair:
    from isogloss.models.pairs import ModelPair, ModelRef, model_pair  # noqa: PLC0415

    if pair and (reference or aligned):
        raise UsageError(
            "models", found="--pair and --reference or --aligned", expected="one way to name them", do="drop one"
        )
    if not (reference or aligned):
        return model_pair(pair or EMBEDDED)
    if not aligned:
        raise UsageError("models", found="--reference only", expected="--aligned as well", do="name the aligned model")
    return ModelPair(
        name="own",
        reference=ModelRef.parse(reference) if reference else None,
        aligned=ModelRef.parse(aligned),
        source="command line",
    )


@app.command()
def tune(
    out: Annotated[Path, typer.Option(help="Adapter folder to write.")],
    corpus: Annotated[list[str], typer.Option(help="Name or file; its texts become prompts.")],
    model: Annotated[str, typer.Option(help="Base model to adapt.")] = "embedded/gemma-3-270m",
    column: Annotated[list[str] | None, typer.Option(help="Name a column of your file.")] = None,
    languages: Annotated[str, typer.Option(help="Languages to tune on.")] = "en",
    steps: Annotated[int, typer.Option(min=1)] = 90,
    batch_size: Annotated[int, typer.Option(min=1)] = 16,
    learning_rate: Annotated[float, typer.Option()] = 3e-4,
    beta: Annotated[float, typer.Option(help="Inverse temperature of DPO.")] = 0.1,
    rank: Annotated[int, typer.Option(help="Of the LoRA matrices.", min=1)] = 16,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... Default: a GPU if there is one.")] = None,
) -> None:
    """Train an adapter that refuses harmful and engages with harmless text (DPO, LoRA)."""
    import isogloss  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.report.terminal import track  # noqa: PLC0415

    codes = _list(languages) or ()
    config = isogloss.TuneConfig(
        languages=codes,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        beta=beta,
        rank=rank,
        seed=seed,
    )
    texts = isogloss.load_corpus(corpus, languages=codes, columns=_columns(column))
    folder = isogloss.tune(ModelRef.parse(model), texts, out, config=config, device=device, track=track)
    typer.echo(f"Wrote {folder}", err=True)


@app.command()
def corpora() -> None:
    """List the corpora that can be named."""
    from isogloss.corpora.sources import CORPORA  # noqa: PLC0415

    _show(
        {
            "corpus": row.name,
            "kind": row.kind,
            "languages": " ".join(row.languages),
            "licence": row.licence or "not stated",
            "about": row.about,
        }
        for row in CORPORA.values()
    )


@app.command()
def models() -> None:
    """List the model pairs that can be named."""
    from isogloss.models.pairs import MODEL_PAIRS  # noqa: PLC0415

    _show(
        {
            "pair": row.name,
            "reference": str(row.reference or "none published"),
            "aligned": str(row.aligned),
            "source": row.source,
        }
        for row in MODEL_PAIRS.values()
    )


@app.command()
def languages() -> None:
    """List the languages and their resource class (Joshi et al. 2020: 0 to 5)."""
    from isogloss.corpora.languages import LANGUAGES  # noqa: PLC0415

    _show(
        {
            "code": row.code,
            "language": row.name,
            "script": row.script,
            "resource class": "" if row.resource_class is None else str(row.resource_class),
        }
        for row in LANGUAGES.values()
    )


@app.command()
def metrics() -> None:
    """List the metrics."""
    from isogloss.separation.metrics import METRICS  # noqa: PLC0415

    _show(
        {
            "metric": row.name,
            "family": row.family,
            "range": f"{row.low:g} to {row.high:g}",
            "chance": f"{row.chance:g}",
            "about": row.about,
            "source": row.source,
        }
        for row in METRICS.values()
    )


def _show(rows: Iterable[dict[str, str]]) -> None:
    from isogloss.report.terminal import print_table  # noqa: PLC0415

    print_table(list(rows), _console())


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415

    # A pipe or file has no width: take what a wide table needs instead of rich's 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=shutil.get_terminal_size((160, 24)).columns)


def main() -> None:
    """Run the command line; errors that a user can mend are one line on stderr."""
    try:
        app()
    except IsoglossError as error:
        typer.echo(f"isogloss: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        typer.echo("isogloss: interrupted; run the same command to go on", err=True)
        sys.exit(130)
