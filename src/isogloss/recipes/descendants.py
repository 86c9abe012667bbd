"""Several aligned descendants of one reference: an audit each, on the same texts and the same reference states."""

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

    The reference's hidden states are computed once and read from the store after that. Intervals and verdicts hold
    within each audit; nothing corrects for choosing the best of several descendants.

    Args:
        reference: before alignment; None if none was published.
        aligned: its descendants.
        corpus: from `load_corpus`.
        config: see `AuditConfig`.
        out: a folder with a run folder for each descendant, named by it.
        runs: write run folders inside this one, named by corpus and settings; with neither, nothing is written.
        store: where hidden states are kept; None is the user's cache.
        device: a torch device; None takes a GPU if there is one.
        engine: as in `audit`; a cluster that is started for it is started once.
        track: progress display.

    Returns:
        Name -> audit, in the order given.

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
    """Name models by the last part of what tells them apart, or by a number after it where that is not enough.

    >>> list(short_names([ModelRef.parse("org/base+org/dpo"), ModelRef.parse("org/sft"), ModelRef.parse("new/sft")]))
    ['dpo', 'sft-1', 'sft-2']

    Raises:
        UsageError: a model is given twice.
    """
    if len(set(refs)) < len(refs):
        twice = next(ref for ref, count in Counter(refs).items() if count > 1)
        raise UsageError("--aligned", found=f"{twice} twice", expected="different models", do="drop one")
    last = [Path(ref.adapter or ref.base).name for ref in refs]
    counts, seen, named = Counter(last), Counter[str](), {}
    for name, ref in zip(last, refs, strict=True):
        seen[name] += 1
        named[f"{name}-{seen[name]}" if counts[name] > 1 else name] = ref
    return named
