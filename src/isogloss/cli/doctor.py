"""`isogloss doctor`."""

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
    from isogloss.auditing.doctor import doctor as examine  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.hidden_states.spec import ExtractSpec  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415

    spec = ExtractSpec(dtype=dtype, quantize=quantize)  # checks the options
    findings = examine(ModelRef.parse(model), dtype=spec.dtype, quantize=spec.quantize, device=device, track=track)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings], ensure_ascii=False, indent=1))
    else:
        show({"": one.verdict, "check": one.check, "found": one.found} for one in findings)
    if any(one.verdict == "failed" for one in findings):
        raise typer.Exit(1)
