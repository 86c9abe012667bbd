"""`isogloss doctor`: check that a model is read correctly."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from isogloss.cli.options import show


def doctor(
    model: Annotated[
        str, typer.Argument(help="Folder, hub/id, file.gguf or base+adapter. Default: the embedded aligned model.")
    ] = "embedded/gemma-3-270m+embedded/english-dpo",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    quantize: Annotated[str | None, typer.Option(help="Weights in bnb-8bit, bnb-4bit or torchao-int8.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps, ... Default: a GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Check that a model's hidden states are read correctly: exit code 1 if a check fails."""
    from isogloss.auditing.doctor import doctor as run_checks  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.hidden_states.spec import ExtractSpec  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415

    spec = ExtractSpec(dtype=dtype, quantize=quantize)  # checks the options
    results = run_checks(ModelRef.parse(model), dtype=spec.dtype, quantize=spec.quantize, device=device, track=track)
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=1))
    else:
        show({"": result.verdict, "check": result.check, "found": result.found} for result in results)
    if any(result.verdict == "failed" for result in results):
        raise typer.Exit(1)
