"""A callback for any Trainer: measures separation per language during training and logs it."""

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
from isogloss.data.languages import known_code
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

#: Texts per language and class in each measurement.
PER_CLASS = 20
#: Names of the logged numbers: separation of a language, its gain since training began, and the smallest gain.
SEPARATION, GAIN, WORST = "separation", "separation_gain", "separation_gain/worst"


class SeparationCallback(TrainerCallback):  # type: ignore[misc] # transformers is untyped
    """Measure the separation of harmful and harmless texts in each language every N steps.

    Works with the Trainer of transformers and the trainers of trl. It logs `separation/<language>`,
    `separation_gain/<language>` (separation minus that before the first step) and `separation_gain/worst` through
    `trainer.log`, so they reach the history, the console and every service in `report_to`:

        trainer = DPOTrainer(...)
        trainer.add_callback(SeparationCallback(trainer, languages=["en", "hi", "am"]))

    The numbers are debiased as in an audit, but noisy: they come from 40 texts per language. Do not choose a checkpoint
    by them and then report them. Audit the checkpoint on other texts.

    Attributes:
        history: step -> language -> separation, one entry per measurement.
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
        """Draw the texts.

        Args:
            trainer: the trainer that the callback is added to.
            corpus: a corpus, or a name for `load_corpus`. Texts that are trained on show memory, not reach.
            languages: codes; None takes all languages of the corpus.
            every: steps between measurements. The callback also measures before the first step and after the last.
            per_class: texts per language and class.
            spec: one layer, position and prompt format; None is the last token of raw text at the final layer.
            metric_name: a class variance share metric of METRICS.
            components: number of principal components, which are fitted again in each measurement.
            early_stopping_patience: stop training after this many measurements without a rise of the worst language's
                gain; None never stops it.
            early_stopping_threshold: the smallest rise that counts.
            seed: random seed for the draw of texts.

        Raises:
            UsageError: more than one layer, a metric that needs a probe, or a trainer with sharded weights (FSDP,
                DeepSpeed).
            CorpusError: see `load_corpus` and `balance`.
        """
        self.spec = spec or ExtractSpec()
        self.metric, self.components = metric(metric_name), components
        _check(trainer, self.spec, metric_name, every)
        texts = load_corpus(corpus, languages=languages) if isinstance(corpus, str) else _select(corpus, languages)
        self.trainer, self.every = trainer, every
        self.corpus = balance(texts, per_class=per_class, seed=seed)
        self.patience, self.threshold = early_stopping_patience, early_stopping_threshold
        self.draws = {code: _draws(self.corpus, code) for code in self.corpus.languages}
        self.history: dict[int, dict[str, float]] = {}
        self._start: Mapping[str, Jackknife] = {}
        self._best, self._waited = -np.inf, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Measure before the first step, or where a resumed training continues."""
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
        scores = separation(
            self.trainer, self.corpus, self.draws, spec=self.spec, metric_name=self.metric.name, k=self.components
        )
        self._start = self._start or scores
        gains = {code: gain(self._start[code], score).value for code, score in scores.items()}
        self.history[step] = {code: score.value for code, score in scores.items()}
        worst = min(gains.values())
        if worst > self._best + self.threshold:
            self._best, self._waited = worst, 0
        else:
            self._waited += 1
        logs = {f"{SEPARATION}/{code}": value for code, value in self.history[step].items()}
        should_log = control.should_log
        self.trainer.log(logs | {f"{GAIN}/{code}": value for code, value in gains.items()} | {WORST: worst})
        control.should_log = should_log  # logging resets the flag, and the loss of this step is not logged yet


def _check(trainer: Any, spec: ExtractSpec, metric_name: str, every: int) -> None:  # noqa: ANN401
    shardings = [name for name in ("fsdp", "deepspeed") if getattr(trainer, f"is_{name}_enabled", False)]
    if shardings:
        raise UsageError(
            "SeparationCallback",
            found=f"a trainer with weights sharded by {shardings[0]}",
            expected="a whole model on every device",
            do="audit the saved checkpoints: isogloss audit --reference ... --aligned ...",
        )
    if len(spec.layers) != 1 or spec.layers == ("all",):
        raise UsageError("SeparationCallback", found=f"layers {spec.layers}", expected="one layer", do="choose one")
    if not metric(metric_name).judges:
        raise UsageError(
            "SeparationCallback",
            found=metric_name,
            expected="a class variance share metric: a probe needs more texts than the callback reads",
            do="use between_class_variance",
        )
    if every < 1:
        raise UsageError("SeparationCallback", found=f"every={every}", expected="at least 1", do="correct it")


def _select(corpus: Corpus, languages: Sequence[str] | None) -> Corpus:
    if languages is None:
        return corpus
    languages = tuple(map(known_code, languages))
    if missing := sorted(set(languages) - set(corpus.languages)):
        raise UsageError(
            "SeparationCallback",
            found=f"no texts in {', '.join(missing)}",
            expected=f"languages of the corpus: {', '.join(corpus.languages)}",
            do="correct languages",
        )
    return replace(corpus, frame=corpus.frame.filter(pl.col("language").is_in(list(languages))))


def _draws(corpus: Corpus, code: str) -> Draws:
    texts = corpus.part(code)
    harmful = texts["harmful"].to_numpy()
    partners = partner_index(texts["pair_id"].to_list(), harmful) if corpus.paired else None
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
    """Run a corpus through the model in training and score each language.

    Args:
        trainer: holds the model and the tokenizer.
        corpus: the texts.
        draws: language -> its labels and pairs.
        spec: one layer, position and prompt format.
        metric_name: a class variance share metric.
        k: number of principal components.

    Returns:
        Language -> score, with its jackknife.

    Raises:
        ModelError: the decoder cannot be found, or a hidden state is not finite because training diverges.
        UsageError: a language has too few texts for the metric.
    """
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)  # a processor holds one
    model = trainer.accelerator.unwrap_model(trainer.model)
    training = model.training
    model.eval()
    try:
        with trainer.accelerator.autocast():
            states = _states(model, tokenizer, corpus, spec)
    finally:
        model.train(training)
    scores = {}
    for code, x in states.items():
        (score,) = component_scores(x, draws[code], [metric(metric_name)], (k,))
        if score.jackknife is None:
            raise UsageError(
                f"SeparationCallback, language {code}",
                found=str(score.reason),
                expected="enough texts for the metric",
                do="raise per_class or lower components",
            )
        scores[code] = score.jackknife
    return scores


def _states(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    spec: ExtractSpec,
) -> dict[str, np.ndarray]:
    """Extract the hidden states of all languages at once: language -> float32 (texts, width)."""
    loaded: LoadedModel = look_inside(model, tokenizer)
    budget, overhead = GPU_BATCH if loaded.device.type != "cpu" else CPU_BATCH
    # Without packed weights, which would have to be packed again after every step, and without shortcuts, which would
    # have to be checked again.
    execution = Execution(device=str(loaded.device), token_budget=budget, overhead=overhead, shortcuts=False)
    frames = {code: corpus.part(code) for code in corpus.languages}
    texts = [text for frame in frames.values() for text in frame["text"]]
    prompts = encode(
        tokenizer,
        texts,
        prompt_format=spec.prompt_format,
        max_tokens=spec.max_tokens,
        template=spec.chat_template,
        arguments=spec.arguments,
    )
    (layer,) = spec.resolve(loaded.depth)
    plan = plan_rows(prompts.ids, execution, [spec.position], text_ends=prompts.text_ends)
    with torch.no_grad():
        extracted = hidden_states(loaded, plan, {spec.position: [layer]}, execution=execution, bos=prompts.bos)
    states = extracted[spec.position][layer]
    check_states({layer: states}, "in training", [text_id for frame in frames.values() for text_id in frame["text_id"]])
    cuts = np.cumsum([frame.height for frame in frames.values()])[:-1]
    return dict(zip(frames, np.split(states, cuts), strict=True))
