"""Hidden states that the store lacks, cut into units of work: no torch, no corpus, only what can be sent."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from isogloss.data.corpus import Corpus
from isogloss.engines.work_units import Job, Unit
from isogloss.hidden_states.activations import Activations
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.spec import ExtractSpec, Layer, Position
from isogloss.hidden_states.store import Entry
from isogloss.models.checkpoints import Checkpoint, group_by_weights

#: Most texts on which the drift of a model is measured.
SAMPLE_TEXTS = 6
#: What is read in one pass: position -> its layers.
Layers = Mapping[Position, tuple[Layer, ...]]


class Output(NamedTuple):
    """Where some arrays of a unit go: the entry of its texts, their position and layers, and the names to write."""

    entry: Entry
    position: Position
    layers: tuple[Layer, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StatesJob(Job):
    """One model under one kind of prompts.

    Attributes:
        spec: any of the specs that are read under these prompts; only what they have in common is used.
        execution: how to run.
        tokenizer: the checkpoint whose tokenizer reads the texts for this model.
        lender: the one whose chat template all models are given.
        everything: all positions and layers that are read, on which the drift of the model is measured.
        sample: the texts on which it is measured.
    """

    spec: ExtractSpec
    execution: Execution
    tokenizer: Checkpoint
    lender: Checkpoint
    everything: Layers
    sample: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StatesUnit(Unit):
    """Texts that one model is run on once, and the arrays that are stored."""

    job: StatesJob
    outputs: tuple[Output, ...]

    @property
    def tokens_key(self) -> Hashable:
        """Models that share a tokenizer, and with chat prompts the template, are given the same tokens."""
        job = self.job
        lender = job.lender.tokenizer_sha256 if job.spec.prompt_format == "chat" else ""
        return job.spec.prompts, job.tokenizer.tokenizer_sha256, lender, self.texts


def sample_texts(texts: Sequence[str]) -> tuple[str, ...]:
    """Take texts spread over the lengths from short to long; equal texts in, equal texts out."""
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    chosen = np.unique(np.linspace(0, len(ordered) - 1, SAMPLE_TEXTS).round().astype(int))
    return tuple(ordered[i] for i in chosen)


def sample_corpus(corpus: Corpus) -> tuple[str, ...]:
    """Take texts of the first language, spread over the lengths, and the longest in bytes of each language.

    `self_check.sample_rows` takes a few of them by their tokens.
    """
    spread = sample_texts(corpus.part(corpus.languages[0])["text"].to_list())
    longest = (max(corpus.part(code)["text"], key=_count_bytes) for code in corpus.languages)
    return tuple(dict.fromkeys([*spread, *longest]))


def _count_bytes(text: str) -> tuple[int, str]:
    return len(text.encode("utf-8", "surrogatepass")), text


def units_of(
    located: Sequence[Mapping[str, Activations]], execution: Execution, *, go_on: bool = False
) -> list[StatesUnit]:
    """Cut what is missing into units, in the order in which one worker would do them.

    Positions and layers that are read under the same prompts share their units.

    Args:
        located: from `locate`, of the same models and texts under one spec or several that differ in prompt format,
            position and layers only.
        execution: how to run.
        go_on: leave out texts that give no finite states.

    Raises:
        StoreError: a file of the store is missing or broken.
    """
    waiting: dict[tuple[object, ...], list[Activations]] = {}
    for wanted in (wanted for models in located for wanted in models.values() if wanted.missing):
        waiting.setdefault((wanted.checkpoint.sha256, wanted.edit, wanted.spec.prompts), []).append(wanted)
    tokenizers = _tokenizers(located[0])
    sample = sample_corpus(located[0]["aligned"].corpus)  # the same, whatever is missing
    tasks = list(waiting.values())
    units: list[StatesUnit] = []
    # Models that lack the same texts share them; an edited one may read fewer, so a row number does not name a text.
    texts: dict[tuple[str, tuple[str, ...]], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for task in (tasks[i] for group in group_by_weights(dict(enumerate(_checkpoints(tasks)))) for i in group):
        first = task[0]
        job = StatesJob(
            checkpoint=first.checkpoint,
            device=execution.device,
            go_on=go_on,
            edit=first.edit,
            spec=first.spec,
            execution=execution,
            tokenizer=tokenizers[first.checkpoint.tokenizer_sha256],
            lender=located[0]["aligned"].checkpoint,
            everything=_union((wanted.spec.position, wanted.layers) for wanted in task),
            sample=sample,
        )
        for cut in _cuts(task):
            keys = first.entries[cut.language].texts
            key = cut.language, tuple(keys[row] for row in cut.rows)
            if key not in texts:
                rows = first.corpus.part(cut.language)[list(cut.rows)]
                texts[key] = tuple(rows["text"]), tuple(rows["text_id"])
            units.append(_unit(len(units), job, cut, *texts[key]))
    return units


def _checkpoints(tasks: Iterable[Sequence[Activations]]) -> list[Checkpoint]:
    return [task[0].checkpoint for task in tasks]


def _tokenizers(models: Mapping[str, Activations]) -> dict[str, Checkpoint]:
    """One checkpoint for each tokenizer, "aligned" first: an untrained model has the tokenizer of its base."""
    checkpoints: dict[str, Checkpoint] = {}
    for activations in (models["aligned"], *models.values()):
        checkpoints.setdefault(activations.checkpoint.tokenizer_sha256, activations.checkpoint)
    return checkpoints


class _Cut(NamedTuple):
    """Texts of a language that lack the same arrays, and which activations want which arrays."""

    language: str
    rows: tuple[int, ...]
    lacking: tuple[tuple[Activations, tuple[str, ...]], ...]


def _cuts(task: Sequence[Activations]) -> list[_Cut]:
    """Put together what the same model lacks for the same texts under the same prompts."""
    lacking_of: dict[tuple[str, tuple[int, ...]], list[tuple[Activations, tuple[str, ...]]]] = {}
    for activations in task:
        for code in activations.missing:
            for gap in activations.gaps(code):
                lacking_of.setdefault((code, gap.rows), []).append((activations, gap.names))
    return [_Cut(code, rows, tuple(lacking)) for (code, rows), lacking in lacking_of.items()]


def _unit(number: int, job: StatesJob, cut: _Cut, texts: tuple[str, ...], text_ids: tuple[str, ...]) -> StatesUnit:
    outputs = []
    for activations, names in cut.lacking:
        entry = activations.entries[cut.language]
        outputs.append(
            Output(
                entry=replace(entry, texts=tuple(entry.texts[row] for row in cut.rows)),
                position=activations.spec.position,
                layers=tuple(layer for layer in activations.layers if layer.name in names),
                names=names,
            )
        )
    return StatesUnit(
        number=number,
        job=job,
        language=cut.language,
        texts=texts,
        text_ids=text_ids,
        outputs=tuple(outputs),
    )


def _union(wanted: Iterable[tuple[Position, Sequence[Layer]]]) -> dict[Position, tuple[Layer, ...]]:
    union: dict[Position, tuple[Layer, ...]] = {}
    for position, layers in wanted:
        union[position] = tuple(dict.fromkeys((*union.get(position, ()), *layers)))
    return union


def wanted_of(unit: StatesUnit) -> Layers:
    """All that is to be read in the forward passes of a unit."""
    return _union((output.position, output.layers) for output in unit.outputs)
