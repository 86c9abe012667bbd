"""Audits of several descendants of one reference, on the same texts and with the same reference states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from isogloss.analyses.audit import audit
from isogloss.auditing.config import AuditConfig
from isogloss.data.corpus import Corpus
from isogloss.engines.config import EngineConfig
from isogloss.engines.engine import open_engine
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath, parse_path
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.progress import Track, silent
from isogloss.results import Audit


def audit_descendants(
    reference: ModelRef | None,
    aligned: Sequence[ModelRef],
    corpus: Corpus,
    *,
    config: AuditConfig | None = None,
    out: AnyPath | str | None = None,
    runs: AnyPath | str | None = None,
    store: AnyPath | str | None = None,
    device: str | None = None,
    engine: EngineConfig | None = None,
    track: Track = silent,
) -> dict[str, Audit]:
    """Audit each descendant of a reference (after SFT, after DPO, safety-tuned).

    The reference's hidden states are computed once and then read from the cache. Intervals and verdicts hold within
    each audit; nothing corrects for choosing the best of several descendants.

    Args:
        reference: before alignment; None if none was published.
        aligned: its descendants.
        corpus: from `load_corpus`.
        config: see `AuditConfig`.
        out: folder for the run folders, each named by its descendant.
        runs: folder for run folders named by corpus and settings. Without `out` and `runs`, nothing is written.
        store: cache of hidden states; None is the user's cache.
        device: a torch device; None takes a GPU if available.
        engine: as in `audit`; a cluster that it starts serves all audits.
        track: progress display.

    Returns:
        Name -> audit, in the given order.

    Raises:
        UsageError: a descendant is given twice.
        IsoglossError: see `audit`.
    """
    audits = {}
    with open_engine(engine or EngineConfig()):
        for name, ref in short_names(aligned).items():
            pair = ModelPair(name=name, reference=reference, aligned=ref, source="several descendants of one reference")
            folder = parse_path(out) / name if out else None
            audits[name] = audit(
                pair,
                corpus,
                config=config,
                out=folder,
                runs=runs,
                store=store,
                device=device,
                engine=engine,
                track=track,
            )
    return audits


def short_names(refs: Sequence[ModelRef]) -> dict[str, ModelRef]:
    """Name models by the last component of their adapter or base, with a number where that is not unique.

    >>> list(short_names([ModelRef.parse("org/base+org/dpo"), ModelRef.parse("org/sft"), ModelRef.parse("new/sft")]))
    ['dpo', 'sft-1', 'sft-2']

    Raises:
        UsageError: a model is given twice.
    """
    if len(set(refs)) < len(refs):
        twice = next(ref for ref, count in Counter(refs).items() if count > 1)
        raise UsageError("--aligned", found=f"{twice} twice", expected="different models", do="remove one")
    names = [Path(ref.adapter or ref.base).name for ref in refs]
    counts, seen, named = Counter(names), Counter[str](), {}
    for name, ref in zip(names, refs, strict=True):
        seen[name] += 1
        named[f"{name}-{seen[name]}" if counts[name] > 1 else name] = ref
    return named
