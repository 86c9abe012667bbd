"""Separation per language while somebody else's Trainer runs, logged to wherever that Trainer logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback

from isogloss.data.corpus import Corpus
from isogloss.data.curate import balance
from isogloss.data.load import load_corpus
from isogloss.errors import UsageError
from isogloss.hidden_states.execution import CPU_BATCH, GPU_BATCH, Execution
from isogloss.hidden_states.extract import check_states, hidden_states, plan_rows
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.models.load import LoadedModel, look_inside
from isogloss.models.prompts import encode
from isogloss.stats.component_scores import component_scores
from isogloss.stats.effects import gain
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metrics import metric
from isogloss.stats.permutations import Draws, draw
from isogloss.stats.text_pairs import partner_index

#: Texts per language and class that are read each time.
PER_CLASS = 20
#: What the trainer logs: separation of a language, what it gained since training began, and the least of these.
SEPARATION, GAIN, WORST = "separation", "separation_gain", "separation_gain/worst"


class SeparationCallback(TrainerCallback):  # type: ignore[misc] # transformers is untyped
    """Measure every N steps how far harmful and harmless texts lie apart in each language.

    For the Trainer of transformers and those of trl. It logs `separation/<language>`, `separation_gain/<language>`
    (separation minus that before the first step) and `separation_gain/worst`, by `trainer.log`, so they reach the
    history, the console and whatever `report_to` names:

        trainer = DPOTrainer(...)
        trainer.add_callback(SeparationCallback(trainer, languages=["en", "hi", "am"]))

    The numbers are debiased as in an audit, and noisy: they come from 40 texts a language. Do not choose a checkpoint
    by them and then report them: audit it on other texts.

    Attributes:
        history: one entry a measurement: step -> language -> separation.
    """

    def __init__(
        self,
        trainer: Any,  # noqa: ANN401 - transformers is untyped
        corpus: Corpus | str = "mini",
        *,
        languages: Sequence[str] | None = None,
        every: int = 100,
        per_class: int = PER_CLASS,
        spec: ExtractSpec | None = None,
        metric_name: str = "between_class_variance",
        components: int = 10,
        early_stopping_patience: int | None = None,
        early_stopping_threshold: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Choose the texts.

        Args:
            trainer: the one that this is added to.
            corpus: a corpus, or a name for `load_corpus`; texts that are trained on show memory, not reach.
            languages: codes; None takes all of the corpus.
            every: steps between measurements; there is one before the first step and one after the last as well.
            per_class: texts per language and class.
            spec: one layer, position and prompt format; None is the last token at the final layer, of raw text.
            metric_name: a class variance share metric of METRICS.
            components: principal components, fitted anew each time.
            early_stopping_patience: stop training after so many measurements in which the worst language's gain did not
                rise; None never does.
            early_stopping_threshold: by how much it has to rise.
            seed: of the choice of texts.

        Raises:
            UsageError: more than one layer, a metric that needs a probe, or a trainer whose weights are in parts (FSDP,
                DeepSpeed).
            CorpusError: see `load_corpus` and `balance`.
        """
        self.spec = spec or ExtractSpec()
        self.metric, self.components = metric(metric_name), components
        _check(trainer, self.spec, metric_name, every)
        texts = load_corpus(corpus, languages=languages) if isinstance(corpus, str) else _only(corpus, languages)
        self.trainer, self.every = trainer, every
        self.corpus = balance(texts, per_class=per_class, seed=seed)
        self.patience, self.threshold = early_stopping_patience, early_stopping_threshold
        self.draws = {code: _draws(self.corpus, code) for code in self.corpus.languages}
        self.history: dict[int, dict[str, float]] = {}
        self._start: Mapping[str, Jackknife] = {}
        self._best, self._waited = -np.inf, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Measure before the first step, or where a resumed training goes on."""
        del args
        self._measure(state.global_step, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Measure every N steps."""
        del args
        if state.global_step % self.every == 0:
            self._measure(state.global_step, control)
            if self.patience is not None and self._waited >= self.patience:
                control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Measure after the last step."""
        del args
        if state.global_step not in self.history:
            self._measure(state.global_step, control)

    def _measure(self, step: int, control: Any) -> None:  # noqa: ANN401
        found = separation(
            self.trainer, self.corpus, self.draws, spec=self.spec, metric_name=self.metric.name, k=self.components
        )
        self._start = self._start or found
        gains = {code: gain(self._start[code], one).value for code, one in found.items()}
        self.history[step] = {code: one.value for code, one in found.items()}
        worst = min(gains.values())
        if worst > self._best + self.threshold:
            self._best, self._waited = worst, 0
        else:
            self._waited += 1
        logs = {f"{SEPARATION}/{code}": value for code, value in self.history[step].items()}
        wanted = control.should_log
        self.trainer.log(logs | {f"{GAIN}/{code}": value for code, value in gains.items()} | {WORST: worst})
        control.should_log = wanted  # logging took the flag back, and the loss of this step was not logged yet


def _check(trainer: Any, spec: ExtractSpec, metric_name: str, every: int) -> None:  # noqa: ANN401
    parts = [name for name in ("fsdp", "deepspeed") if getattr(trainer, f"is_{name}_enabled", False)]
    if parts:
        raise UsageError(
            "SeparationCallback",
            found=f"a trainer with {parts[0]}, whose weights are in parts",
            expected="a model that is whole on every device",
            do="audit the checkpoints that it saves: isogloss audit --reference ... --aligned ...",
        )
    if len(spec.layers) != 1 or spec.layers == ("all",):
        raise UsageError("SeparationCallback", found=f"layers {spec.layers}", expected="one layer", do="choose one")
    if not metric(metric_name).judges:
        raise UsageError(
            "SeparationCallback",
            found=metric_name,
            expected="a class variance share metric: a probe needs more texts than are read here",
            do="use between_class_variance",
        )
    if every < 1:
        raise UsageError("SeparationCallback", found=f"every={every}", expected="at least 1", do="correct it")


def _only(corpus: Corpus, languages: Sequence[str] | None) -> Corpus:
    if languages is None:
        return corpus
    if missing := sorted(set(languages) - set(corpus.languages)):
        raise UsageError(
            "SeparationCallback",
            found=f"no texts in {', '.join(missing)}",
            expected=f"languages of the corpus: {', '.join(corpus.languages)}",
            do="correct languages",
        )
    return replace(corpus, frame=corpus.frame.filter(pl.col("language").is_in(list(languages))))


def _draws(corpus: Corpus, code: str) -> Draws:
    part = corpus.part(code)
    harmful = part["harmful"].to_numpy()
    partners = partner_index(part["pair_id"].to_list(), harmful) if corpus.paired else None
    return draw(harmful, partners, n_permutations=1, seed=0)


def separation(
    trainer: Any,  # noqa: ANN401
    corpus: Corpus,
    draws: Mapping[str, Draws],
    *,
    spec: ExtractSpec,
    metric_name: str,
    k: int,
) -> dict[str, Jackknife]:
    """Run a corpus through the model that a trainer trains, as it is, and score each language.

    Raises:
        ModelError: the decoder cannot be found, or a hidden state is not finite: training has diverged.
    """
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)  # a processor has one inside
    model = trainer.accelerator.unwrap_model(trainer.model)
    training = model.training
    model.eval()
    try:
        with trainer.accelerator.autocast():
            states = _states(model, tokenizer, corpus, spec)
    finally:
        model.train(training)
    found = {}
    for code, x in states.items():
        (score,) = component_scores(x, draws[code], [metric(metric_name)], (k,))
        if score.jackknife is None:
            raise UsageError(
                f"SeparationCallback, language {code}",
                found=str(score.reason),
                expected="enough texts for the metric",
                do="raise per_class or lower components",
            )
        found[code] = score.jackknife
    return found


def _states(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    spec: ExtractSpec,
) -> dict[str, np.ndarray]:
    """Hidden states of each language, float32 (texts, width), in one extraction."""
    inside: LoadedModel = look_inside(model, tokenizer)
    budget, overhead = GPU_BATCH if inside.device.type != "cpu" else CPU_BATCH
    # No packed weights: they would be packed anew after every step.
    execution = Execution(device=str(inside.device), token_budget=budget, overhead=overhead)
    parts = {code: corpus.part(code) for code in corpus.languages}
    texts = [text for part in parts.values() for text in part["text"]]
    prompts = encode(
        tokenizer, texts, prompt_format=spec.prompt_format, max_tokens=spec.max_tokens, template=spec.chat_template
    )
    (layer,) = spec.resolve(inside.depth)
    plan = plan_rows(prompts.ids, execution, [spec.position], text_ends=prompts.text_ends)
    with torch.no_grad():
        found = hidden_states(inside, plan, {spec.position: [layer]}, execution=execution, bos=prompts.bos)
    states = found[spec.position][layer]
    check_states({layer: states}, "in training", [one for part in parts.values() for one in part["text_id"]])
    cuts = np.cumsum([part.height for part in parts.values()])[:-1]
    return dict(zip(parts, np.split(states, cuts), strict=True))
