"""A corpus -> a LoRA adapter, through trl and peft: split, preferences, training that can be interrupted, record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase, TrainerCallback

from isogloss.data.corpus import Corpus
from isogloss.data.splits import split_corpus
from isogloss.errors import CorpusError, StoreError
from isogloss.io.files import canonical_json, remove, saving, sha256_text
from isogloss.io.locks import locked
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.load import LoadedModel, load_model, load_tokenizer, quiet_transformers
from isogloss.models.pairs import ModelRef
from isogloss.progress import Track, silent
from isogloss.tuning.checkpoints import Divergence, Progress, Seal, newest_checkpoint, open_state, state_folder
from isogloss.tuning.config import TuneConfig, record_shares
from isogloss.tuning.norm import set_norm
from isogloss.tuning.preferences import in_couples, preferences
from isogloss.tuning.record import Trained, write_adapter
from isogloss.tuning.shared_prompts import shared_prompts
from isogloss.tuning.trainers import (
    answer_tokens_only,
    check_reporter,
    cut_prompts,
    explained_memory,
    load_trl,
    make_trainer,
)

#: What an interrupted training must find again to go on to the same bytes.
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

    Writes a PEFT adapter folder with `isogloss_tune.json` (recipe, hashes of base and corpus, all texts that were
    trained on by what they say, rule and seed of the split, and the log). The folder appears only when the training is
    complete. Until then its state is in `OUT.partial`, and the same call goes on from the last checkpoint there, to the
    same bytes as without the interruption.

    Args:
        base: the model to adapt; with an adapter, that adapter is trained on (and its texts count as trained on).
        corpus: any corpus; only the part that is not held out is trained on (see `split_corpus`).
        out: adapter folder to write.
        config: see `TuneConfig`.
        device: a torch device; None takes a GPU if there is one.
        report_to: where the training can be followed: none, wandb, mlflow, trackio or tensorboard.
        save_every: steps between checkpoints; changes no number.
        callbacks: transformers callbacks, such as one that stops early.
        track: progress display.

    Raises:
        StoreError: `out` exists, its state is of another training, or nothing can be written there.
        UsageError: the extra `tune` is not installed, an option has no such value, or memory runs out.
        CorpusError: see `split_corpus` and `preferences`.
        ModelError: see `load_model`; the adapter belongs to another base; or the training diverges.
    """
    config, out = config or TuneConfig(), Path(out)
    _check(out, report_to)
    part, _ = split_corpus(_in_languages(corpus, config), holdout=config.holdout, seed=config.split_seed)
    checkpoint = fetch(base)
    records, n_cut = _records(part, config, load_tokenizer(checkpoint, track))
    about = _about(checkpoint, corpus, config, records)
    state = state_folder(out)
    with saving(state, "--out"), locked(state, do="wait for it to end, or choose another --out"):
        open_state(state, about)
        resume = newest_checkpoint(state)
        model = load_model(checkpoint, device=device, track=track)
        with (
            _training(model, config, out, report_to),
            track(
                "Tuning" if resume is None else f"Tuning, from step {resume.name.split('-')[1]}", config.steps
            ) as done,
        ):
            trainer = make_trainer(
                model,
                checkpoint,
                records,
                config,
                state=state,
                save_every=save_every,
                report_to=report_to,
                callbacks=[Progress(done), Divergence(), Seal(), *callbacks],
            )
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        done_steps = int(trainer.state.global_step)
        if config.norm is not None:
            about["scaled_by"] = set_norm(trainer.model, config.norm)
        trained = Trained(records=records, n_cut=n_cut, steps=done_steps, history=trainer.state.log_history)
        write_adapter(trainer.model, out, checkpoint, about, trained)
        remove(state)
    return out


def _check(out: Path, report_to: str) -> None:
    """Refuse early what would fail late."""
    load_trl()
    check_reporter(report_to)
    if out.exists():
        raise StoreError(
            f"adapter {out}", found="something there already", expected="a new folder", do="choose another --out"
        )


def _in_languages(corpus: Corpus, config: TuneConfig) -> Corpus:
    """Keep the languages that are trained on, so that others can be too small to split."""
    codes = config.trained_languages
    if missing := [code for code in codes if code not in corpus.languages]:
        raise CorpusError(
            f"corpus {corpus.name}",
            found=f"no texts in {', '.join(missing)}",
            expected=f"preferences in every language that is trained on: {', '.join(codes)}",
            do="leave these languages out, choose another --arm, or add texts",
        )
    frame = corpus.frame.filter(corpus.frame["language"].is_in(list(codes)))
    return Corpus(name=corpus.name, frame=frame, revision=corpus.revision, licence=corpus.licence)


def _records(part: Corpus, config: TuneConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[list[dict[str, str]], int]:
    """Draw the records, and count the prompts that had to be cut to leave room for answers."""
    tokens = _tokens_per_record(part, config, tokenizer) if config.unit == "tokens" else None
    records = preferences(
        part,
        languages=config.trained_languages,
        n=config.records,
        seed=config.seed,
        shares=record_shares(config.weights, tokens),
        passes=config.passes,
        shuffle_labels=config.shuffle_labels,
    )
    cut, n_cut = cut_prompts(tokenizer, records, config.max_tokens)
    if config.loss == "kto":  # it pairs the answers of a batch with its other texts, and needs them to differ
        order = np.random.default_rng(config.seed).permutation(len(cut)).tolist()
    else:
        lengths = [len(row) for row in tokenizer([one["prompt"] for one in cut])["input_ids"]]
        order = in_couples(lengths, config.batch_size, config.seed)
    return [cut[row] for row in order], n_cut


def _tokens_per_record(part: Corpus, config: TuneConfig, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """Count the tokens of a text on average, in each language, cut as prompts are."""
    found = {}
    for code in config.trained_languages:
        rows = tokenizer(part.part(code)["text"].to_list())["input_ids"]
        found[code] = sum(min(len(row), config.max_tokens) for row in rows) / len(rows)
    return found


def _about(
    checkpoint: Checkpoint, corpus: Corpus, config: TuneConfig, records: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """All that decides the adapter, as JSON."""
    return {
        "base_sha256": checkpoint.base_sha256,
        "continued_sha256": checkpoint.adapter_sha256,
        "corpus": corpus.name,
        "corpus_sha256": corpus.sha256,
        "recipe": config.settings,
        "records_sha256": sha256_text(canonical_json([dict(one) for one in records])),
        "versions": {name: version(name) for name in LIBRARIES},
    }


@contextlib.contextmanager
def _training(model: LoadedModel, config: TuneConfig, out: Path, report_to: str) -> Iterator[None]:
    """What holds while trl works: quiet libraries, our LM head, texts read once for two answers, faults in one line."""
    # Its default place is the state folder, which goes.
    follow = {"TENSORBOARD_LOGGING_DIR": str(out.with_name(f"{out.name}.tensorboard"))}
    wanted = follow if report_to == "tensorboard" and not set(follow) & set(os.environ) else {}
    try:
        with (
            quiet_transformers(),
            answer_tokens_only(),
            shared_prompts(model) if config.loss == "dpo" else contextlib.nullcontext(),
            explained_memory(config),
            mock.patch.dict(os.environ, wanted),
        ):
            yield
    except SafetensorError as error:  # a full disk, in words of its own
        raise StoreError(
            f"writing {state_folder(out)}",
            found=(str(error).splitlines() or [repr(error)])[0],
            expected="to write a checkpoint there",
            do="free some space there, or choose another --out; then run the same command again",
        ) from error
