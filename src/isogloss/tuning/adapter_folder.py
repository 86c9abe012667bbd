"""The adapter folder: weights and their norm, the name of the base, and isogloss_tune.json, the training record."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from isogloss.data.splits import RULE
from isogloss.errors import UsageError
from isogloss.io.files import canonical_json, sha256_text, staged_folder, write_atomic
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.pairs import ModelRef
from isogloss.models.tuning_record import RECORD, TrainedTexts, read_tune_record, trained_texts

#: Entries of the trainer's log that are kept. The others are timings, and counts that restart after an interruption.
LOGGED = ("step", "epoch", "loss", "grad_norm", "learning_rate", "kl", "mean_token_accuracy")
#: How the names of the two matrices of a LoRA layer end.
LORA_A, LORA_B = ".lora_A.weight", ".lora_B.weight"
#: Settings of PEFT under which the weight change is not scale * B A with one scale for all layers.
NOT_PLAIN_LORA = ("rank_pattern", "alpha_pattern", "use_dora", "use_rslora")


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training did.

    Attributes:
        records: the records that were trained on.
        n_cut: number of records whose prompt lost its end.
        steps: steps that were done; fewer than the recipe's if a callback stopped early.
        history: the trainer's log.
    """

    records: Sequence[Mapping[str, str]]
    n_cut: int
    steps: int
    history: Sequence[Mapping[str, float]]


def write_adapter(
    model: Any,  # noqa: ANN401 - peft is untyped
    out: Path,
    checkpoint: Checkpoint,
    about: Mapping[str, Any],
    result: TrainingResult,
) -> None:
    """Write the adapter folder, which appears only when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    with staged_folder(out) as folder:
        model.to(torch.bfloat16).save_pretrained(folder, selected_adapters=["default"])
        (folder / "README.md").unlink(missing_ok=True)
        _name_base(folder, checkpoint.ref)
        record = {"base": str(ModelRef(base=checkpoint.ref.base, revision=checkpoint.ref.revision)), **about}
        record |= _continued(checkpoint) | _texts(checkpoint, result) | _log(result)
        # A continued adapter keeps its own rank, whatever the recipe says.
        recipe = record["recipe"] = {**about["recipe"], "rank": model.peft_config["default"].r}
        record["split"] = {"rule": RULE, "seed": recipe["split_seed"], "holdout": recipe["holdout"]}
        write_atomic(folder / RECORD, canonical_json(record, indent=1) + "\n")


def _name_base(folder: Path, ref: ModelRef) -> None:
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["base_model_name_or_path"] = str(ModelRef(base=ref.base, revision=ref.revision))
    if isinstance(settings["target_modules"], list):  # from a set, whose order differs between processes
        settings["target_modules"] = sorted(settings["target_modules"])
    write_atomic(path, canonical_json(settings, indent=2) + "\n")


def _continued(checkpoint: Checkpoint) -> dict[str, object]:
    """Name the adapter that training continued, and record whether its own training texts are known."""
    if checkpoint.adapter_folder is None:
        return {}
    known = bool(read_tune_record(checkpoint.adapter_folder))
    return {"continued": {"adapter": Path(str(checkpoint.ref.adapter)).name, "its_texts_are_known": known}}


def _texts(checkpoint: Checkpoint, result: TrainingResult) -> dict[str, object]:
    """List all texts that this training, or the adapter that it continued, was trained on."""
    before = trained_texts(checkpoint.adapter_folder) if checkpoint.adapter_folder else TrainedTexts()
    texts = before | TrainedTexts(
        text_ids=frozenset(record["text_id"] for record in result.records),
        content=frozenset(record["content"] for record in result.records),
    )
    text_ids = sorted(texts.text_ids)
    return {
        "trained_text_ids": text_ids,
        "trained_content": sorted(texts.content),
        "trained_sha256": sha256_text("\n".join(text_ids)),
        "records": dict(Counter(record["language"] for record in result.records)),
        "cut_prompts": result.n_cut,
        "steps_done": result.steps,
    }


def _log(result: TrainingResult) -> dict[str, object]:
    rows = [row for row in result.history if "loss" in row]
    kept = [{k: v for k, v in row.items() if k in LOGGED or k.startswith(("rewards/", "logps/"))} for row in rows]
    return {"log": kept}


def folder_norm(folder: Path) -> float:
    """Compute the Frobenius norm of a LoRA adapter's weight change, over all layers together, from its folder.

    Raises:
        UsageError: the adapter is not plain LoRA.
    """
    settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    weights = load_file(folder / "adapter_model.safetensors")
    firsts = {name.removesuffix(LORA_A): weight for name, weight in weights.items() if name.endswith(LORA_A)}
    seconds = {name.removesuffix(LORA_B): weight for name, weight in weights.items() if name.endswith(LORA_B)}
    plain = settings.get("peft_type") == "LORA" and not any(settings.get(name) for name in NOT_PLAIN_LORA)
    if not plain or firsts.keys() != seconds.keys() or len(firsts) + len(seconds) != len(weights):
        raise UsageError(
            "--norm-of", found=f"{folder}, which is not plain LoRA", expected="plain LoRA", do="choose another adapter"
        )
    scale = float(settings["lora_alpha"]) / float(settings["r"])
    return math.sqrt(sum(_squares(firsts[name], seconds[name], scale) for name in firsts))


def set_norm(model: Any, norm: float) -> float:  # noqa: ANN401 - peft is untyped
    """Scale the adapter `default` of a model so that its weight change has this norm.

    Returns:
        The factor that it was scaled by.

    Raises:
        UsageError: the adapter changes nothing, so it cannot be scaled.
    """
    layers = [module for module in model.modules() if "default" in getattr(module, "lora_B", {})]
    with torch.no_grad():
        squares = sum(
            _squares(layer.lora_A["default"].weight, layer.lora_B["default"].weight, layer.scaling["default"])
            for layer in layers
        )
        if not squares > 0:
            raise UsageError(
                "--norm-of", found="an adapter that changes no weight", expected="a change to scale", do="train longer"
            )
        factor = norm / math.sqrt(squares)
        for layer in layers:
            layer.lora_B["default"].weight.mul_(factor)
    return factor


def _squares(first: torch.Tensor, second: torch.Tensor, scale: float) -> float:
    """Sum the squares of scale * B A without computing the product: A (rank, in), B (out, rank)."""
    a, b = first.double(), second.double()
    return scale**2 * float(((b.T @ b) * (a @ a.T)).sum())
