"""A corpus -> a LoRA adapter, with trl and peft: split, preference records, a resumable training, and its record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase, TrainerCallback

from isogloss.data.corpus import Corpus
from isogloss.data.splits import split_corpus
from isogloss.errors import CorpusError, StoreError
from isogloss.io.files import canonical_json, remove, saving, sha256_text
from isogloss.io.locks import locked
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.load import LoadedModel, load_model, load_tokenizer
from isogloss.models.pairs import ModelRef
from isogloss.models.quiet import quiet_transformers
from isogloss.progress import Track, silent
from isogloss.tuning.adapter_folder import TrainingResult, set_norm, write_adapter
from isogloss.tuning.config import TuneConfig, record_shares
from isogloss.tuning.preferences import in_couples, preferences
from isogloss.tuning.shared_prompts import shared_prompts
from isogloss.tuning.trainers import (
    answer_tokens_only,
    check_reporter,
    cut_prompts,
    explained_memory,
    load_trl,
    make_trainer,
)
from isogloss.tuning.training_state import Divergence, Progress, Seal, newest_checkpoint, open_state, state_folder

#: Libraries whose versions must not change before an interrupted training resumes, so that it gives the same bytes.
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate")


def tune(
    base: ModelRef,
    corpus: Corpus,
    out: Path | str,
    *,
    config: TuneConfig | None = None,
    device: str | None = None,
    report_to: str = "none",
    save_every: int = 20,
    callbacks: Sequence[TrainerCallback] = (),
    track: Track = silent,
) -> Path:
    """Train an adapter that refuses harmful and engages with harmless text in the chosen languages.

    Writes a PEFT adapter folder with `isogloss_tune.json`: recipe, hashes of base and corpus, hashes of all texts that
    were trained on, rule and seed of the split, and the log. The folder appears only when the training is complete.
    Until then its state is in `OUT.partial`. The same call resumes from the last checkpoint there and gives the same
    bytes as an uninterrupted training.

    Args:
        base: the model to adapt. If it has an adapter, training continues that adapter, and its texts count as trained.
        corpus: any corpus; only the training split is trained on (see `split_corpus`).
        out: adapter folder to write.
        config: see `TuneConfig`.
        device: a torch device; None takes a GPU if available.
        report_to: service that follows the training: none, wandb, mlflow, trackio or tensorboard.
        save_every: steps between checkpoints; changes no number.
        callbacks: transformers callbacks, such as one that stops early.
        track: progress display.

    Returns:
        The adapter folder.

    Raises:
        StoreError: `out` exists, its state belongs to another training, or nothing can be written there.
        UsageError: the extra `tune` is not installed, an option has an unknown value, or memory runs out.
        CorpusError: see `split_corpus` and `preferences`.
        ModelError: see `load_model`; the adapter belongs to another base; or the training diverges.
    """
    config, out = config or TuneConfig(), Path(out)
    _check_early(out, report_to)
    training_split, _ = split_corpus(_in_languages(corpus, config), holdout=config.holdout, seed=config.split_seed)
    checkpoint = fetch(base)
    records, n_cut = _records(training_split, config, load_tokenizer(checkpoint, track))
    about = _about(checkpoint, corpus, config, records)
    state = state_folder(out)
    with saving(state, "--out"), locked(state, do="wait until it ends, or choose another --out"):
        open_state(state, about)
        resume = newest_checkpoint(state)
        model = load_model(checkpoint, device=device, track=track)
        with (
            _training(model, config, out, report_to),
            track(
                "Tuning" if resume is None else f"Tuning, from step {resume.name.split('-')[1]}", config.steps
            ) as advance,
        ):
            trainer = make_trainer(
                model,
                checkpoint,
                records,
                config,
                state=state,
                save_every=save_every,
                report_to=report_to,
                callbacks=[Progress(advance), Divergence(), Seal(), *callbacks],
            )
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        steps = int(trainer.state.global_step)
        if config.norm is not None:
            about["scaled_by"] = set_norm(trainer.model, config.norm)
        result = TrainingResult(records=records, n_cut=n_cut, steps=steps, history=trainer.state.log_history)
        write_adapter(trainer.model, out, checkpoint, about, result)
        remove(state)
    return out


def _check_early(out: Path, report_to: str) -> None:
    """Check first what would otherwise fail after the training."""
    load_trl()
    check_reporter(report_to)
    if out.exists():
        raise StoreError(f"adapter {out}", found="an existing path", expected="a new folder", do="choose another --out")


def _in_languages(corpus: Corpus, config: TuneConfig) -> Corpus:
    """Select the languages to train on, so that others may be too small to split."""
    codes = config.trained_languages
    if missing := [code for code in codes if code not in corpus.languages]:
        raise CorpusError(
            f"corpus {corpus.name}",
            found=f"no texts in {', '.join(missing)}",
            expected=f"texts in every language to train on: {', '.join(codes)}",
            do="leave these languages out, choose another --mixture, or add texts",
        )
    frame = corpus.frame.filter(corpus.frame["language"].is_in(list(codes)))
    return Corpus(name=corpus.name, frame=frame, revision=corpus.revision, licence=corpus.licence)


def _records(texts: Corpus, config: TuneConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[list[dict[str, str]], int]:
    """Draw and order the records, and count the prompts that were cut to leave room for answers."""
    tokens = _tokens_per_record(texts, config, tokenizer) if config.unit == "tokens" else None
    records = preferences(
        texts,
        languages=config.trained_languages,
        n=config.records,
        seed=config.seed,
        shares=record_shares(config.weights, tokens),
        passes=config.passes,
        shuffle_labels=config.shuffle_labels,
    )
    cut, n_cut = cut_prompts(tokenizer, records, config.max_tokens)
    if config.loss == "kto":  # KTO pairs the answers of a batch with its other texts, which must differ
        order = np.random.default_rng(config.seed).permutation(len(cut)).tolist()
    else:
        lengths = [len(row) for row in tokenizer([record["prompt"] for record in cut])["input_ids"]]
        order = in_couples(lengths, config.batch_size, config.seed)
    return [cut[row] for row in order], n_cut


def _tokens_per_record(texts: Corpus, config: TuneConfig, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """Return language -> mean number of tokens of its texts, cut as prompts are."""
    means = {}
    for code in config.trained_languages:
        rows = tokenizer(texts.part(code)["text"].to_list())["input_ids"]
        means[code] = sum(min(len(row), config.max_tokens) for row in rows) / len(rows)
    return means


def _about(
    checkpoint: Checkpoint, corpus: Corpus, config: TuneConfig, records: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return everything that determines the adapter, as JSON."""
    return {
        "base_sha256": checkpoint.base_sha256,
        "continued_sha256": checkpoint.adapter_sha256,
        "corpus": corpus.name,
        "corpus_sha256": corpus.sha256,
        "recipe": asdict(config),
        "records_sha256": sha256_text(canonical_json([dict(record) for record in records])),
        "versions": {name: version(name) for name in LIBRARIES},
    }


@contextlib.contextmanager
def _training(model: LoadedModel, config: TuneConfig, out: Path, report_to: str) -> Iterator[None]:
    """Set up trl's training: quiet libraries, the shorter LM head, shared prompts, and errors in one line."""
    # TensorBoard's default is the state folder, which is removed at the end.
    logs = str(out.with_name(f"{out.name}.tensorboard")) if report_to == "tensorboard" else None
    try:
        with (
            quiet_transformers(),
            answer_tokens_only(),
            shared_prompts(model) if config.loss == "dpo" else contextlib.nullcontext(),
            explained_memory(config),
            _tensorboard_folder(logs),
        ):
            yield
    except SafetensorError as error:  # how safetensors reports a full disk
        raise StoreError(
            f"writing {state_folder(out)}",
            found=(str(error).splitlines() or [repr(error)])[0],
            expected="to write a checkpoint there",
            do="free some space there, or choose another --out; then run the same command again",
        ) from error


@contextlib.contextmanager
def _tensorboard_folder(folder: str | None) -> Iterator[None]:
    """Set TensorBoard's folder in the environment for the block, unless the user has set one."""
    name = "TENSORBOARD_LOGGING_DIR"
    if folder is None or name in os.environ:
        yield
        return
    os.environ[name] = folder
    try:
        yield
    finally:
        os.environ.pop(name, None)
