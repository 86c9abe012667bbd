"""`isogloss tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isogloss.cli.options import columns, split


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

    codes = split(languages) or ()
    config = isogloss.TuneConfig(
        languages=codes,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        beta=beta,
        rank=rank,
        seed=seed,
    )
    texts = isogloss.load_corpus(corpus, languages=codes, columns=columns(column))
    folder = isogloss.tune(ModelRef.parse(model), texts, out, config=config, device=device, track=track)
    typer.echo(f"Wrote {folder}", err=True)
