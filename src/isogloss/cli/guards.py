"""`isogloss guards`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isogloss.cli.options import DeviceOption, columns, console, deliver, show, split

if TYPE_CHECKING:
    from isogloss.corpora.corpus import Corpus
    from isogloss.models.pairs import ModelPair
    from isogloss.tuning.guards import Guards, LanguageGuard


def guards(
    aligned: Annotated[str, typer.Option(help="Model after alignment: base+adapter, folder, hub/id, file.gguf.")],
    reference: Annotated[str, typer.Option(help="Model before alignment.")] = "embedded/gemma-3-270m",
    corpus: Annotated[list[str] | None, typer.Option(help="Name or file. Default: mini.", show_default=False)] = None,
    column: Annotated[list[str] | None, typer.Option(help="Name a column of your file.")] = None,
    languages: Annotated[str | None, typer.Option(help="Default: all that have answers.", show_default=False)] = None,
    texts: Annotated[int, typer.Option(help="Texts per language and class, at most.", min=1)] = 60,
    generate: Annotated[int, typer.Option(help="Greedy answers per language to look for refusals in.", min=0)] = 0,
    device: DeviceOption = None,
    out: Annotated[Path | None, typer.Option(help="Write JSON to this file as well.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Say what alignment cost: utility on harmless text, over-refusal, and whether harmful text is refused.

    Texts that an adapter was trained on are left out.
    """
    import isogloss  # noqa: PLC0415 - `isogloss --help` must not wait for it
    from isogloss.models.pairs import ModelPair, ModelRef  # noqa: PLC0415

    codes = split(languages)
    held_out = isogloss.load_corpus(corpus or ["mini"], languages=codes, columns=columns(column))
    pair = ModelPair(
        name="own", reference=ModelRef.parse(reference), aligned=ModelRef.parse(aligned), source="command line"
    )
    found = print_guards(pair, held_out, texts=texts, generate=generate, device=device, as_json=as_json)
    if out:
        deliver(found.to_json(), out)


def print_guards(
    pair: ModelPair, corpus: Corpus, *, texts: int, generate: int, device: str | None, as_json: bool
) -> Guards:
    """Compute guards and print them, with what they mean and the warning that belongs to them."""
    import isogloss  # noqa: PLC0415
    from isogloss.report.terminal import print_note, track  # noqa: PLC0415
    from isogloss.tuning.guards import LIMIT, WARNING  # noqa: PLC0415

    config = isogloss.GuardConfig(texts=texts, generate=generate)
    found = isogloss.guards(pair, corpus, config=config, device=device, track=track)
    if as_json:
        typer.echo(found.to_json(), nl=False)
        return found
    show(_line(one) for one in found.languages)
    note = (
        f"Before → after, on at most {texts} texts a class that no adapter of the pair was trained on. [up to]: "
        "one-sided 95 % upper bound, of each language alone. bits/char: what the model needs to write a character of "
        "harmless text; over-refusal: harmless texts after which it finds the table's refusals likelier than engaged "
        "answers; refused: harmful texts of which that is true; margin: their median log-odds. A claim of under "
        f"{LIMIT:.0%} needs {found.needed} texts without a single refusal."
    )
    if generate:
        note += " greedy: answers that begin like a refusal of the table; refusals in other words are not seen."
    print_note(note, console())
    print_note(WARNING, console())
    return found


def _line(one: LanguageGuard) -> dict[str, str]:
    line = {
        "language": one.language,
        "texts": f"{one.neutral} + {one.harmful}",
        "bits/char": f"{one.bits_before:.2f} → {one.bits_after:.2f}",
        "utility loss": f"{one.utility_loss:+.1%} [{_known(one.utility_loss_high, '+.1%')}]",
        "over-refusal": f"{one.over_refusal_before:.0%} → {one.over_refusal:.0%} [{one.over_refusal_high:.0%}]",
        "refused": f"{_known(one.refusal_before, '.0%')} → {_known(one.refusal, '.0%')}",
        "margin": f"{_known(one.margin_before, '+.1f')} → {_known(one.margin, '+.1f')}",
    }
    if one.generated:
        line["greedy"] = f"{one.greedy_refusal:.0%} [{one.greedy_refusal_high:.0%}] of {one.generated}"
    return line


def _known(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
