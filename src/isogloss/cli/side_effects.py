"""`isogloss side-effects`: what tuning cost; and the table of how gains changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isogloss.cli.options import DeviceOption, columns, console, deliver, show, split
from isogloss.cli.progress_bars import track
from isogloss.report.render_terminal import print_note
from isogloss.tuning.gain_change import GainChange, gain_change

if TYPE_CHECKING:
    from isogloss.data.corpus import Corpus
    from isogloss.models.pairs import ModelPair, ModelRef
    from isogloss.tuning.config import TuneConfig
    from isogloss.tuning.side_effects import LanguageGuard, SideEffects


def side_effects(
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
    found = print_side_effects(pair, held_out, texts=texts, generate=generate, device=device, as_json=as_json)
    if out:
        deliver(found.to_json(), out)


def print_side_effects(
    pair: ModelPair, corpus: Corpus, *, texts: int, generate: int, device: str | None, as_json: bool
) -> SideEffects:
    """Compute guards and print them, with what they mean and the warning that belongs to them."""
    import isogloss  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.report.render_terminal import print_note  # noqa: PLC0415
    from isogloss.tuning.side_effects import LIMIT, WARNING  # noqa: PLC0415

    config = isogloss.SideEffectConfig(texts=texts, generate=generate)
    found = isogloss.side_effects(pair, corpus, config=config, device=device, track=track)
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


def print_gain_change(
    reference: ModelRef,
    before: ModelRef | None,
    after: ModelRef,
    corpus: Corpus,
    *,
    config: TuneConfig,
    device: str | None,
) -> None:
    """Measure and print what tuning did to the gain of every language, tuned or not; or say why not."""
    if before is None or config.pivot not in corpus.languages:
        why = (
            f"the held-out texts have none in {config.pivot}" if before else "no aligned model to compare with is known"
        )
        typer.echo(
            f"No gains before and after: {why}. Audit both models with --split held-out, and compare the runs.",
            err=True,
        )
        return
    weak = tuple(code for code in config.targets if code in corpus.languages)
    found = gain_change(reference, before, after, corpus, weak=weak, pivot=config.pivot, device=device, track=track)
    show(_lines(found, config))
    for words in _sentences(found, weak):
        print_note(words, console())


def _lines(found: GainChange, config: TuneConfig) -> list[dict[str, str]]:
    mark = "≈" if found.approximate else ""
    return [
        {
            "language": one.language,
            "tuned": "yes" if one.language in config.trained_languages else "no",
            "gain before": f"{one.before:+.3f}",
            "gain after": f"{one.after:+.3f}",
            "change": f"{one.change:+.3f}",
            "[low, high]": f"{mark}[{one.low:+.3f}, {one.high:+.3f}]",
        }
        for one in found.languages
    ]


def _sentences(found: GainChange, weak: tuple[str, ...]) -> list[str]:
    """Say what the pivot kept, what became of the mean gap, and what the numbers are."""
    kept = _ratio(found.kept, found.kept_low, found.kept_high, found)
    words = f"{found.pivot} has {kept} of the gain that it had."
    if gap := found.gap:
        ratio = _ratio(gap.value, gap.low, gap.high, found)
        over = f"over {', '.join(weak)} went from {gap.before:.3f} to {gap.after:.3f}: {ratio} of what it was."
        words += f" The mean gap to {found.pivot} {over}"
    note = (
        f"Gain: separation in the aligned model minus the reference, as in an audit, on {found.texts} texts per class "
        "that no adapter was trained on. Brackets of changes: 95 % intervals that hold for all languages together; of "
        "shares: 95 % (Fieller), over texts, for these two models."
    )
    if found.approximate:
        note += f" ≈: approximate ({found.approximate})."
    return [words, note]


def _ratio(value: float, low: float, high: float, found: GainChange) -> str:
    if math.isnan(value) or math.isnan(low):
        return "an unknown share (what it is a share of is not clear of zero)"
    return f"{value:.2f} {'≈' if found.approximate else ''}[{low:.2f}, {high:.2f}]"
