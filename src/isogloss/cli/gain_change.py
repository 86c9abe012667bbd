"""What `isogloss tune` prints of gains before and after; it imports torch, so commands import it late."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import typer

from isogloss.auditing.gain_change import GainChange, gain_change
from isogloss.cli.options import console, show
from isogloss.report.terminal import print_note, track

if TYPE_CHECKING:
    from isogloss.corpora.corpus import Corpus
    from isogloss.models.pairs import ModelRef
    from isogloss.tuning.config import TuneConfig


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
            f"No gains before and after: {why}. Audit both models with --part held-out, and compare the runs.", err=True
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
