"""Hidden states that the caller extracted: arrays, labels and languages -> a plan that the audit's core measures.

The texts are not known, so controls that read them are left out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from isogloss.auditing.analysis import Analysis, Needs, need_nothing
from isogloss.auditing.config import AuditConfig, check_components, check_config, metric_rows
from isogloss.auditing.plan import Plan
from isogloss.data.corpus import SCHEMA, Corpus
from isogloss.data.curate import balance
from isogloss.data.languages import language
from isogloss.errors import CorpusError, ModelError, UsageError
from isogloss.hidden_states.activations import Activations, LayerStates, check_pair
from isogloss.hidden_states.spec import Layer
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.pairs import ModelRef
from isogloss.warnings import CodedWarning

#: What audit.json says of an extraction that it does not know.
UNKNOWN = {"position": "unknown", "prompt_format": "unknown"}
LABELS = {"harmful": True, "harmless": False}
#: Dimensions of an array: (texts, width) or (texts, layers, width).
ONE_LAYER, SEVERAL_LAYERS = 2, 3


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenStates(Activations):
    """Hidden states in memory.

    Attributes:
        hidden: float32 (texts, layers, width), in the order of the caller's rows.
        rows: language -> rows of its texts, in the order of `corpus.part(language)`.
    """

    hidden: np.ndarray
    rows: Mapping[str, np.ndarray]

    @property
    def missing(self) -> tuple[str, ...]:
        """No language lacks states."""
        return ()

    def block(self, language: str, layer: Layer) -> LayerStates:
        """Take the states of one language and layer."""
        texts = self.corpus.part(language)
        return LayerStates(
            hidden=np.ascontiguousarray(self.hidden[self.rows[language], self.layers.index(layer)]),
            harmful=texts["harmful"].to_numpy(),
            pair_ids=tuple(texts["pair_id"]),
            text_ids=tuple(texts["text_id"]),
        )

    @property
    def tokenizers(self) -> set[str]:
        """The tokenizers are not known."""
        return set()

    def computed_how(self) -> list[dict[str, Any]]:
        """Nothing is known of how the states were computed."""
        return []

    def of(self, language: str, corpus: Corpus) -> GivenStates:
        """Take those of one language."""
        return replace(self, corpus=corpus, rows={language: self.rows[language]})

    def control_texts(self, language: str) -> int:
        """No text is known to spell a control token."""
        del language
        return 0

    def cut(self, language: str) -> int:
        """No text is known to have lost its end."""
        del language
        return 0


def make_corpus(
    name: str,
    labels: Any,  # noqa: ANN401 - arrays of several libraries
    languages: str | Sequence[str],
    *,
    pairs: Sequence[object] | None,
    items: Sequence[object] | None,
    ids: Sequence[object] | None,
) -> Corpus:
    """Make a corpus of texts that are known by their labels and languages only; `source` holds the number of the row.

    Raises:
        CorpusError: the columns differ in length, a label is not clear, a language is unknown, an id occurs twice, or a
            pair is not one harmful and one harmless text.
    """
    harmful = read_labels(labels)
    n = len(harmful)
    codes = [languages] * n if isinstance(languages, str) else [str(code) for code in languages]
    columns = {"languages": codes, "pairs": pairs, "items": items, "ids": ids}
    for column, values in columns.items():
        if values is not None and len(values) != n:
            raise CorpusError(column, found=f"{len(values)} values", expected=f"{n}, one a label", do="give one a text")
    known = {code: language(code).code for code in dict.fromkeys(codes)}
    pair_ids, item_ids = _read_ids(pairs, n), _read_ids(items, n)
    warnings: tuple[CodedWarning, ...] = ()
    if any(pair is None for pair in pair_ids) and any(pair is not None for pair in pair_ids):
        pair_ids, warnings = [None] * n, (CodedWarning(code="C007", detail="pair every text to have the pairs used"),)
    text_ids = [str(text) for text in ids] if ids is not None else [f"{row:09}" for row in range(n)]
    if len(set(text_ids)) < n:
        raise CorpusError("ids", found="an id twice", expected="an id for each text", do="name texts apart")
    frame = pl.DataFrame(
        {
            "text_id": text_ids,
            "pair_id": pair_ids,
            "item_id": item_ids,
            "language": [known[code] for code in codes],
            "text": [f"text {text}" for text in text_ids],
            "harmful": harmful,
            "source": [str(row) for row in range(n)],
        },
        schema=SCHEMA,
    )
    return Corpus(name=name, frame=frame, warnings=warnings)


def read_labels(labels: Any) -> list[bool]:  # noqa: ANN401
    """Read labels: True or 1 is harmful, False or 0 harmless, and so are these two words.

    >>> read_labels([1, 0]), read_labels(["harmful", "harmless"])
    ([True, False], [True, False])

    Raises:
        CorpusError: they are something else.
    """
    values = np.asarray(_to_numpy(labels))
    if values.ndim == 1 and len(values):
        if values.dtype == bool or (values.dtype.kind in "iu" and np.isin(values, (0, 1)).all()):
            return [bool(value) for value in values]
        if values.dtype.kind in "UO" and all(isinstance(value, str) and value in LABELS for value in values):
            return [LABELS[value] for value in values]
    raise CorpusError(
        "labels",
        found=f"values of type {values.dtype} in shape {values.shape}",
        expected="True or 1 for harmful and False or 0 for harmless, one a text",
        do="make them so; a score needs a threshold first, such as labels=scores >= 0.5",
    )


def _read_ids(values: Sequence[object] | None, n: int) -> list[str | None]:
    return [None] * n if values is None else [None if value is None else str(value) for value in values]


def _to_numpy(values: Any) -> Any:  # noqa: ANN401
    """Turn a torch tensor into an array; bfloat16, which NumPy lacks, becomes float32."""
    if not hasattr(values, "detach"):
        return values
    tensor = values.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def read_states(states: Any, n: int, role: str) -> np.ndarray:  # noqa: ANN401
    """Read hidden states as float32 (texts, layers, width).

    Args:
        states: (texts, width) or (texts, layers, width).
        n: number of labels.
        role: reference or aligned, for messages.

    Raises:
        ModelError: another shape or type; or numbers that are not finite, or zeros only.
    """
    array = np.asarray(_to_numpy(states))
    if array.ndim not in {ONE_LAYER, SEVERAL_LAYERS} or array.dtype.kind != "f" or array.size == 0:
        raise ModelError(
            f"{role} states",
            found=f"{array.dtype} in shape {array.shape}",
            expected="floating point numbers in shape (texts, width) or (texts, layers, width)",
            do="give an array or tensor of hidden states",
        )
    if len(array) != n:
        raise ModelError(
            f"{role} states", found=f"{len(array)} texts", expected=f"{n}, one a label", do="give states of all texts"
        )
    if array.ndim == ONE_LAYER:
        array = array[:, None, :]
    with np.errstate(over="ignore"):
        hidden = np.ascontiguousarray(array, dtype=np.float32)
    for fault, rows in (
        ("numbers that are not finite", ~np.isfinite(hidden).all(axis=(1, 2))),
        ("zeros only", ~np.all(np.any(hidden, axis=2), axis=1)),
    ):
        if rows.any():
            raise ModelError(
                f"{role} states",
                found=f"{fault} in {int(rows.sum())} of {n} texts, first in row {int(rows.argmax())}",
                expected="finite hidden states",
                do="extract them again, or leave these texts out",
            )
    return hidden


def make_layers(layers: Sequence[int] | None, depth: int) -> tuple[Layer, ...]:
    """Name the layers of an array: numbers, 0 for embeddings and k for the output of block k; default 1, 2, ...

    Raises:
        UsageError: there are not as many numbers as layers, or they do not rise.
    """
    numbers = list(range(1, depth + 1)) if layers is None else [int(number) for number in layers]
    rising = all(a < b for a, b in itertools.pairwise(numbers))
    if len(numbers) != depth or not rising or numbers[0] < 0:
        raise UsageError(
            "layers",
            found=", ".join(map(str, numbers)) or "none",
            expected=f"{depth} rising numbers, one a layer of the arrays",
            do="correct them",
        )
    return tuple(Layer(number, "") for number in numbers)


def plan_states(
    states: Mapping[str, np.ndarray],
    corpus: Corpus,
    config: AuditConfig,
    layers: tuple[Layer, ...],
    analyses: Sequence[Analysis],
) -> Plan:
    """Plan the audit of hidden states that were given.

    Args:
        states: role -> float32 (texts, layers, width).
        corpus: from `make_corpus`.
        config: choices of the audit; its spec and controls do not apply.
        layers: of the arrays.
        analyses: all known analyses; a requested one may read hidden states and labels only.

    Raises:
        IsoglossError: see `check_config` and `balance`; or the arrays are the same, or an analysis needs more.
    """
    requested = tuple(analysis for analysis in analyses if config.request(analysis.request) is not None)
    _refuse_needs(config, requested)
    config = replace(config, controls=())
    rows = metric_rows(config, requested, analyses)
    check_config(config, corpus, analyses)
    sample = balance(corpus, per_class=config.per_class, seed=config.seed)
    check_components(config.primary, sample)
    numbers = {code: sample.part(code)["source"].cast(pl.Int64).to_numpy() for code in sample.languages}
    activations: dict[str, Activations] = {
        role: GivenStates(
            checkpoint=_name_states(role, hidden),
            corpus=sample,
            spec=config.spec,
            layers=layers,
            entries={},
            hidden=hidden,
            rows=numbers,
        )
        for role, hidden in states.items()
    }
    check_pair(activations)
    return Plan(
        config=config,
        corpus=sample,
        metrics=tuple(row for row in rows if sample.paired or not row.needs_pairs),
        activations=activations,
        likelihoods=None,
        primary_layer=_choose_layer(config.primary.layer, layers),
        analyses=requested,
        needs={analysis.name: Needs() for analysis in requested},
        given=UNKNOWN,
    )


def _refuse_needs(config: AuditConfig, requested: Sequence[Analysis]) -> None:
    for analysis in requested:
        if analysis.reads_texts or analysis.needs is not need_nothing:
            raise UsageError(
                "audit_states",
                found=f"the analysis {analysis.name}, which reads texts or runs models",
                expected="analyses of hidden states alone",
                do="drop it, or use isogloss.audit",
            )
    for name, value, possible in (("split", config.split, "all"), ("cache_states", config.cache_states, "all")):
        if value != possible:
            raise UsageError("audit_states", found=f"{name} {value!r}", expected=repr(possible), do="drop it")


def _name_states(role: str, hidden: np.ndarray) -> Checkpoint:
    digest = hashlib.sha256(f"states\0{hidden.shape}\0".encode())
    digest.update(hidden.data)
    return Checkpoint(
        ref=ModelRef(base=f"{role} states"),
        folder=None,
        gguf=None,
        base_sha256=digest.hexdigest(),
        adapter_folder=None,
        adapter_sha256=None,
    )


def _choose_layer(name: str, layers: tuple[Layer, ...]) -> Layer:
    if not name:
        return layers[-1]
    by_name = {layer.name: layer for layer in layers}
    if name not in by_name:
        raise UsageError(
            "primary", found=f"layer {name!r}", expected=f"one of the layers {', '.join(by_name)}", do="choose one"
        )
    return by_name[name]
