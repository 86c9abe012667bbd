"""The adapter folder: weights, whose base they belong to, and isogloss_tune.json, which says how they came about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isogloss.data.splits import RULE
from isogloss.io.files import canonical_json, sha256_text, staged_folder, write_atomic
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.pairs import ModelRef
from isogloss.models.tuning_record import RECORD, TrainedTexts, read_tune_record, trained_texts

#: What of the trainer's log is kept: the rest is timings, and counts that begin anew after an interruption.
LOGGED = ("step", "epoch", "loss", "grad_norm", "learning_rate", "kl", "mean_token_accuracy")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training did.

    `records` as they were trained on, `n_cut` the number whose prompt lost its end, `steps` those that were done (fewer
    than the recipe's where a callback stopped early), `history` the trainer's log.
    """

    records: Sequence[Mapping[str, str]]
    n_cut: int
    steps: int
    history: Sequence[Mapping[str, float]]


def write_adapter(model: Any, out: Path, checkpoint: Checkpoint, about: Mapping[str, Any], trained: Trained) -> None:  # noqa: ANN401 - peft is untyped
    """Write the adapter folder, which appears whole.

    Raises:
        OSError: it cannot be written.
    """
    with staged_folder(out) as folder:
        model.to(torch.bfloat16).save_pretrained(folder, selected_adapters=["default"])
        (folder / "README.md").unlink(missing_ok=True)
        _name_base(folder, checkpoint.ref)
        record = {"base": str(ModelRef(base=checkpoint.ref.base, revision=checkpoint.ref.revision)), **about}
        record |= _continued(checkpoint) | _texts(checkpoint, trained) | _history(trained)
        # One that is gone on from keeps its own rank, whatever was asked.
        recipe = record["recipe"] = {**about["recipe"], "rank": model.peft_config["default"].r}
        record["split"] = {"rule": RULE, "seed": recipe["split_seed"], "holdout": recipe["holdout"]}
        write_atomic(folder / RECORD, canonical_json(record, indent=1) + "\n")


def _name_base(folder: Path, ref: ModelRef) -> None:
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["base_model_name_or_path"] = str(ModelRef(base=ref.base, revision=ref.revision))
    if isinstance(settings["target_modules"], list):  # a set, whose order differs between processes; or one pattern
        settings["target_modules"] = sorted(settings["target_modules"])
    write_atomic(path, canonical_json(settings, indent=2) + "\n")


def _continued(checkpoint: Checkpoint) -> dict[str, object]:
    """Name the adapter that was trained on, and say whether it is known what that one was trained on."""
    if checkpoint.adapter_folder is None:
        return {}
    known = bool(read_tune_record(checkpoint.adapter_folder))
    return {"continued": {"adapter": Path(str(checkpoint.ref.adapter)).name, "its_texts_are_known": known}}


def _texts(checkpoint: Checkpoint, trained: Trained) -> dict[str, object]:
    """Name all texts that were trained on, here or by the adapter that this one goes on from."""
    before = trained_texts(checkpoint.adapter_folder) if checkpoint.adapter_folder else TrainedTexts()
    whole = TrainedTexts(
        text_ids=frozenset(one["text_id"] for one in trained.records),
        content=frozenset(one["content"] for one in trained.records),
    )
    texts = sorted((before | whole).text_ids)
    return {
        "trained_text_ids": texts,
        "trained_content": sorted((before | whole).content),
        "trained_sha256": sha256_text("\n".join(texts)),
        "records": dict(Counter(one["language"] for one in trained.records)),
        "cut_prompts": trained.n_cut,
        "steps_done": trained.steps,
    }


def _history(trained: Trained) -> dict[str, object]:
    rows = [row for row in trained.history if "loss" in row]
    kept = [{k: v for k, v in row.items() if k in LOGGED or k.startswith(("rewards/", "logps/"))} for row in rows]
    return {"log": kept}
