"""`isogloss audit`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isogloss.cli.options import columns, console, show, split
from isogloss.cli.rendering import specs
from isogloss.errors import UsageError

if TYPE_CHECKING:
    from isogloss.auditing.plan import AuditConfig
    from isogloss.corpora.corpus import Corpus
    from isogloss.models.pairs import ModelPair

EMBEDDED = "embedded"


def audit(
    pair: Annotated[str | None, typer.Option(help="A known pair: see `isogloss models`. Default: embedded.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="Model before alignment: folder, hub/id, file.gguf, base+adapter.")
    ] = None,
    aligned: Annotated[
        list[str] | None,
        typer.Option(help="Model after alignment, in the same forms; give several descendants one by one."),
    ] = None,
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
    position: Annotated[
        str,
        typer.Option(help="Read-out: last (token) or mean; with chat also t_inst (text's last), t_post (last)."),
    ] = "last",
    rendering: Annotated[str, typer.Option(help="raw text, chat (template), or both.")] = "raw",
    chat_template: Annotated[
        Path | None, typer.Option(help="Jinja file in place of the aligned model's chat template.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    precision: Annotated[
        str, typer.Option(help="exact, or fast: linear layers in bfloat16; the drift is measured and recorded.")
    ] = "exact",
    quantize: Annotated[str | None, typer.Option(help="Weights in bnb-8bit, bnb-4bit or torchao-int8.")] = None,
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
    from isogloss.auditing.plan import PRIMARY, AuditConfig, parse_primary  # noqa: PLC0415
    from isogloss.report.terminal import print_audit, track  # noqa: PLC0415

    if conflicts not in {"drop", "refuse"}:
        raise UsageError("--conflicts", found=repr(conflicts), expected="drop or refuse", do="choose one")
    texts = isogloss.load_corpus(
        corpus or ["mini"],
        languages=split(languages),
        columns=columns(column),
        conflicts="refuse" if conflicts == "refuse" else "drop",
    )
    spec, chat = specs(
        rendering, position, chat_template, max_tokens=max_tokens, dtype=dtype, precision=precision, quantize=quantize
    )
    config = AuditConfig(
        spec=replace(spec, layers=split(layers) or ()),
        chat=chat,
        metrics=split(metrics) or tuple(isogloss.METRICS),
        primary=parse_primary(primary) if primary else PRIMARY,
        match=split(match) or (),
        controls=() if controls == "none" else split(controls) or (),
        per_class=per_class,
        pivot=pivot,
        seed=seed,
        shuffles=shuffles,
        workers=workers,
    )
    if aligned and len(aligned) > 1:
        _several(pair, reference, aligned, texts, config, out=out, store=store, device=device, as_json=as_json)
        return
    runs = None if out else Path("runs")
    result = isogloss.audit(
        _pair(pair, reference, aligned[0] if aligned else None),
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
        print_audit(result, console())
    folder = out or result.folder_in(Path("runs"))
    typer.echo(f"Wrote {folder}; open {folder / 'report.html'}", err=True)


def _several(
    pair: str | None,
    reference: str | None,
    aligned: list[str],
    texts: Corpus,
    config: AuditConfig,
    *,
    out: Path | None,
    store: Path | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Audit several descendants of one reference, a run folder each, and print them side by side."""
    from isogloss.auditing.descendants import audit_descendants  # noqa: PLC0415
    from isogloss.models.pairs import ModelRef  # noqa: PLC0415
    from isogloss.report.descendants import CAPTION, descendant_rows  # noqa: PLC0415
    from isogloss.report.terminal import track  # noqa: PLC0415

    if pair:
        raise UsageError("models", found="--pair and --aligned", expected="one way to name them", do="drop one")
    runs = None if out else Path("runs")
    audits = audit_descendants(
        ModelRef.parse(reference) if reference else None,
        [ModelRef.parse(one) for one in aligned],
        texts,
        config=config,
        out=out,
        runs=runs,
        store=store,
        device=device,
        track=track,
    )
    if as_json:
        typer.echo(json.dumps({name: json.loads(one.to_json()) for name, one in audits.items()}, ensure_ascii=False))
    else:
        show(descendant_rows(audits))
        typer.echo(f"\n{CAPTION}")
    for name, one in audits.items():
        typer.echo(f"Wrote {out / name if out else one.folder_in(Path('runs'))}", err=True)


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
