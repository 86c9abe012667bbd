"""`isogloss side-effects`: the side effects of alignment; and the table of gains before and after tuning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import DeviceOption, console, deliver, show, split
from isogloss.cli.settings import with_options
from isogloss.recipes.settings import READING_OPTIONS, read_corpus_options

if TYPE_CHECKING:
    from isogloss.data.corpus import Corpus
    from isogloss.models.pairs import ModelPair, ModelRef
    from isogloss.tuning.config import TuneConfig
    from isogloss.tuning.gain_change import GainChange
    from isogloss.tuning.side_effects import LanguageSideEffects, SideEffects


@with_options(READING_OPTIONS)
def side_effects(
    given: dict[str, Any],
    aligned: Annotated[str, typer.Option(help="Model after alignment: folder, hub/id, base+adapter or file.gguf.")],
    reference: Annotated[str, typer.Option(help="Model before alignment.")] = "embedded/gemma-3-270m",
    corpus: Annotated[
        list[str] | None, typer.Option(help="Name or file of a corpus. Default: mini.", show_default=False)
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Languages, such as en,hi. Default: all with answers.", show_default=False)
    ] = None,
    texts: Annotated[int, typer.Option(help="Texts per language and class, at most.", min=1)] = 60,
    generate: Annotated[int, typer.Option(help="Greedy answers per language to search for refusals.", min=0)] = 0,
    device: DeviceOption = None,
    out: Annotated[Path | None, typer.Option(help="Also write JSON to this file.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Measure the side effects of alignment: utility, over-refusal, and refusal of harmful text.

    Texts that an adapter was trained on are left out.
    """
    import isogloss  # noqa: PLC0415 - keeps `isogloss --help` fast
    from isogloss.models.pairs import ModelPair, ModelRef  # noqa: PLC0415

    codes = split(languages, "--languages")
    held_out = isogloss.load_corpus(corpus or ["mini"], languages=codes, **read_corpus_options(given))
    pair = ModelPair(
        name="own", reference=ModelRef.parse(reference), aligned=ModelRef.parse(aligned), source="command line"
    )
    measured = print_side_effects(pair, held_out, texts=texts, generate=generate, device=device, as_json=as_json)
    if out:
        deliver(measured.to_json(), out)


def print_side_effects(
    pair: ModelPair, corpus: Corpus, *, texts: int, generate: int, device: str | None, as_json: bool
) -> SideEffects:
    """Measure side effects and print them, with an explanation and a caution."""
    import isogloss  # noqa: PLC0415
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.report.render_terminal import print_note  # noqa: PLC0415
    from isogloss.tuning.side_effects import CAUTION, OVER_REFUSAL_LIMIT  # noqa: PLC0415

    config = isogloss.SideEffectConfig(texts=texts, generate=generate)
    measured = isogloss.side_effects(pair, corpus, config=config, device=device, track=track)
    if as_json:
        typer.echo(measured.to_json(), nl=False)
        return measured
    show(_side_effect_line(row) for row in measured.languages)
    note = (
        f"Before → after, on at most {texts} texts per class that no adapter of the pair was trained on. [up to]: "
        "one-sided 95 % upper bound for each language alone. bits/char: bits per character of harmless text. "
        "over-refusal: harmless texts after which refusals of the answer table are likelier than engaged answers. "
        "refused: the same share of harmful texts. margin: their median refusal log-odds. A claim of under "
        f"{OVER_REFUSAL_LIMIT:.0%} needs {measured.needed} texts without a refusal."
    )
    if generate:
        note += " greedy: answers that begin like a refusal of the table; refusals in other words are not recognised."
    print_note(note, console())
    print_note(CAUTION, console())
    return measured


def _side_effect_line(row: LanguageSideEffects) -> dict[str, str]:
    line = {
        "language": row.language,
        "texts": f"{row.harmless} + {row.harmful}",
        "bits/char": f"{row.bits_before:.2f} → {row.bits_after:.2f}",
        "utility loss": f"{row.utility_loss:+.1%} [{_known(row.utility_loss_high, '+.1%')}]",
        "over-refusal": f"{row.over_refusal_before:.0%} → {row.over_refusal:.0%} [{row.over_refusal_high:.0%}]",
        "refused": f"{_known(row.refusal_before, '.0%')} → {_known(row.refusal, '.0%')}",
        "margin": f"{_known(row.margin_before, '+.1f')} → {_known(row.margin, '+.1f')}",
    }
    if row.generated:
        line["greedy"] = f"{row.greedy_refusal:.0%} [{row.greedy_refusal_high:.0%}] of {row.generated}"
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
    """Measure and print the change of every language's gain, tuned or not; or print why it cannot be measured."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.report.render_terminal import print_note  # noqa: PLC0415
    from isogloss.tuning.gain_change import gain_change  # noqa: PLC0415

    if before is None or config.pivot not in corpus.languages:
        why = (
            f"there are no held-out texts in {config.pivot}" if before else "no aligned model to compare with is known"
        )
        typer.echo(
            f"Gains before and after tuning are not measured: {why}. Audit both models with --split held-out, and "
            "compare the runs.",
            err=True,
        )
        return
    weak = tuple(code for code in config.targets if code in corpus.languages)
    change = gain_change(reference, before, after, corpus, weak=weak, pivot=config.pivot, device=device, track=track)
    show(_gain_lines(change, config))
    for sentence in _gain_sentences(change, weak):
        print_note(sentence, console())


def _gain_lines(change: GainChange, config: TuneConfig) -> list[dict[str, str]]:
    mark = "≈" if change.approximate else ""
    return [
        {
            "language": row.language,
            "tuned": "yes" if row.language in config.trained_languages else "no",
            "gain before": f"{row.before:+.3f}",
            "gain after": f"{row.after:+.3f}",
            "change": f"{row.change:+.3f}",
            "[low, high]": f"{mark}[{row.low:+.3f}, {row.high:+.3f}]",
        }
        for row in change.languages
    ]


def _gain_sentences(change: GainChange, weak: tuple[str, ...]) -> list[str]:
    """Write the pivot's gain and the mean gap as ratios to those before, and explain the numbers."""
    ratio = _format_ratio(change.pivot_ratio, change.pivot_ratio_low, change.pivot_ratio_high, change)
    summary = f"Gain of {change.pivot}, after / before: {ratio}."
    if gap := change.gap:
        ratio = _format_ratio(gap.value, gap.low, gap.high, change)
        summary += (
            f" Mean gap to {change.pivot} over {', '.join(weak)}: {gap.before:.3f} → {gap.after:.3f}, "
            f"after / before: {ratio}."
        )
    note = (
        "Gain: separation in the aligned model minus the reference, as in an audit, on "
        f"{change.texts} texts per class that no adapter was trained on. Intervals of changes: 95 %, simultaneous over "
        "languages. Intervals of ratios: 95 % (Fieller), over texts, for these two models."
    )
    if change.approximate:
        note += f" ≈: approximate ({change.approximate})."
    return [summary, note]


def _format_ratio(value: float, low: float, high: float, change: GainChange) -> str:
    if math.isnan(value) or math.isnan(low):
        return "unknown (the denominator is not clear of zero)"
    return f"{value:.2f} {'≈' if change.approximate else ''}[{low:.2f}, {high:.2f}]"
