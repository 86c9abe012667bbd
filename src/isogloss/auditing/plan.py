"""What an audit has settled before it computes anything: sample, metrics, and where the hidden states are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isogloss.activations.activations import Activations, locate
from isogloss.activations.spec import ExtractSpec, Layer
from isogloss.corpora.corpus import Corpus
from isogloss.corpora.curate import balance
from isogloss.errors import CorpusError
from isogloss.models.pairs import ModelPair
from isogloss.progress import Track
from isogloss.results import Identity, Primary
from isogloss.separation.metrics import METRICS, Metric, metric

COMPONENTS = (2, 10)
LEVEL = 0.95
PRIMARY = Primary(metric="between_class_variance", components=10)


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What may be chosen, besides models and corpus.

    Attributes:
        spec: layers, read-out position, rendering, token limit, dtype. The last layer is the primary one.
        metrics: names from METRICS; between_class_variance, the primary metric, is always among them.
        per_class: texts per language and class; None takes what the smallest language has.
        pivot: the language that retention compares with.
        shuffles: number of shuffled labelings for the null.
        seed: of sample, shuffles, folds and groups.
    """

    spec: ExtractSpec = field(default_factory=ExtractSpec)
    metrics: tuple[str, ...] = tuple(METRICS)
    per_class: int | None = None
    pivot: str = "en"
    shuffles: int = 500
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A settled audit. `activations` is keyed by role: reference (if there is one) and aligned."""

    config: AuditConfig
    corpus: Corpus
    metrics: tuple[Metric, ...]
    activations: dict[str, Activations]

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages, the pivot first."""
        return (self.config.pivot, *(code for code in self.corpus.languages if code != self.config.pivot))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers in order; the last one is primary."""
        return self.activations["aligned"].layers

    @property
    def settings(self) -> dict[str, Any]:
        """Settings as they stand in audit.json."""
        config = self.config
        return {
            **asdict(config.spec),
            "layers": [layer.name for layer in self.layers],
            "metrics": [row.name for row in self.metrics],
            "components": list(COMPONENTS),
            "per_class": config.per_class,
            "shuffles": config.shuffles,
            "seed": config.seed,
            "level": LEVEL,
            "pivot": config.pivot,
        }

    @property
    def identity(self) -> Identity:
        """Everything that decides the result."""
        return Identity(
            corpus_name=self.corpus.name,
            corpus=self.corpus.sha256,
            models={role: one.checkpoint.sha256 for role, one in self.activations.items()},
            config=self.settings,
        )


def make_plan(pair: ModelPair, corpus: Corpus, config: AuditConfig, store: Path | str | None, track: Track) -> Plan:
    """Settle an audit: look names up, draw the sample, find the checkpoints and their states; no weights are loaded."""
    rows = [metric(name) for name in dict.fromkeys((PRIMARY.metric, *config.metrics))]
    if config.pivot not in corpus.languages:
        raise CorpusError(
            "--pivot",
            found=f"{config.pivot!r}",
            expected=f"a language of the corpus: {', '.join(corpus.languages)}",
            do="choose one, or add the language to --languages",
        )
    sample = balance(corpus, per_class=config.per_class, seed=config.seed)
    models = (
        {"aligned": pair.aligned} if pair.reference is None else {"reference": pair.reference, "aligned": pair.aligned}
    )
    return Plan(
        config=config,
        corpus=sample,
        metrics=tuple(row for row in rows if sample.twins or not row.needs_twins),
        activations=locate(
            {role: ref for role, ref in models.items() if ref}, sample, config.spec, store=store, track=track
        ),
    )
