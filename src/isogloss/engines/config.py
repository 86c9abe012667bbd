"""The options of an engine, in one table: which engine, and what it may use. None of them changes a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isogloss.errors import UsageError

ENGINES = ("local", "ray")


def _option(default: Any, about: str, least: float | None = None) -> Any:  # noqa: ANN401 - the type of the field
    return field(default=default, metadata={"about": about, "least": least})


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Where work is done: each field is an option of `isogloss audit`, and none identifies a run.

    Raises:
        UsageError: there is no such engine, or an option is not for it, or out of its range.
    """

    engine: str = _option("local", "local (this machine), or ray (a cluster; extra 'ray').")
    address: str | None = _option(
        None, "Of a Ray cluster: auto, or host:port. Default: $RAY_ADDRESS, or Ray starts here."
    )
    gpus_per_model: float | None = _option(
        None, "GPUs of a Ray worker, such as 0.5, 1 or 2; 0 is a CPU. Default: 1 if there are any.", 0
    )
    cpus_per_model: int | None = _option(
        None, "CPU cores of a Ray worker. Default: 1 beside a GPU, else all of the smallest node.", 1
    )
    workers_per_model: int | None = _option(
        None, "Most Ray workers that hold the same model. Default: as many as fit.", 1
    )

    def __post_init__(self) -> None:
        """Refuse options that do not go together."""
        if self.engine not in ENGINES:
            raise UsageError("--engine", found=repr(self.engine), expected=" or ".join(ENGINES), do="choose one")
        given = {name: value for name, value in vars(self).items() if name != "engine" and value is not None}
        if self.engine == "local" and given:
            option = f"--{next(iter(given)).replace('_', '-')}"
            raise UsageError(option, found="--engine local", expected="--engine ray", do="add it, or drop the option")
        for name, value in given.items():
            if (least := self.__dataclass_fields__[name].metadata["least"]) is not None and value < least:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(option, found=str(value), expected=f"at least {least}", do="correct it")
        share = self.gpus_per_model or 0
        if share > 1 and share != int(share):
            raise UsageError(
                "--gpus-per-model", found=str(share), expected="a fraction of one GPU, or whole GPUs", do="round"
            )
