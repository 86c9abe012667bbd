"""How forward passes are run: what changes their speed, and numbers by rounding only. Chosen by rule."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from isogloss.errors import StoreError, UsageError
from isogloss.hidden_states.spec import Precision
from isogloss.models.devices import check_device

#: plain is torch's own product; onednn has its weights laid out for the processor beforehand; those with -bf16 multiply
#: bfloat16 numbers in hardware, for `--precision fast` only.
Kernel = Literal["plain", "onednn", "plain-bf16", "onednn-bf16"]
KERNELS = ("plain", "onednn", "plain-bf16", "onednn-bf16")

#: What makes a forward pass faster without changing more than rounding: the attention mask left out where only padding
#: needs it; the beginning that all texts share run once; the MLP of the last block run on the tokens that are read;
#: activation and gate applied inside a product; weights laid out for the processor.
Shortcut = Literal["unmasked padding", "shared beginning", "short last MLP", "fused MLP", "packed weights"]
SHORTCUTS: tuple[Shortcut, ...] = (
    "unmasked padding",
    "shared beginning",
    "short last MLP",
    "fused MLP",
    "packed weights",
)

#: Padded tokens in a batch, and what a forward pass costs beside its tokens, in tokens; benchmarks/batches.py measures
#: them. A GPU has thousands of multipliers to fill, and waits for Python between passes.
CPU_BATCH = (1024, 32)
GPU_BATCH = (16384, 512)


@dataclass(frozen=True, kw_only=True)
class ShortcutOff:
    """A shortcut that a model is run without.

    Attributes:
        shortcut: its name.
        why: for people.
        drift: how far it moved hidden states, relative to their length: 0 or more; None if that was not measured, or
            if the states were not finite.
    """

    shortcut: Shortcut
    why: str
    drift: float | None = None

    def __str__(self) -> str:
        """Say it in a few words."""
        moved = "" if self.drift is None else f", states move by {self.drift:.1e} of their length"
        return f"{self.shortcut} ({self.why}{moved})"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the forward passes of one audit are run.

    Attributes:
        device: a torch device.
        kernel: how linear layers are multiplied.
        token_budget: most tokens in a padded batch.
        overhead: what a forward pass costs beside its tokens, in tokens.
        shortcuts: whether any shortcut but packed weights, which `kernel` decides, is taken.
        off: the shortcuts that are not taken for a model, with the reasons.
    """

    device: str
    kernel: Kernel = "plain"
    token_budget: int = CPU_BATCH[0]
    overhead: int = CPU_BATCH[1]
    shortcuts: bool = True
    off: tuple[ShortcutOff, ...] = ()

    def takes(self, shortcut: Shortcut) -> bool:
        """Whether a shortcut is taken.

        >>> Execution(device="cpu", off=(ShortcutOff(shortcut="fused MLP", why="untried"),)).takes("short last MLP")
        True
        """
        if shortcut == "packed weights":
            return self.kernel.startswith("onednn")
        return self.shortcuts and shortcut not in {off.shortcut for off in self.off}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Execution:
        """Read what `dataclasses.asdict` made.

        Raises:
            StoreError: it is not an execution.
        """
        if set(data) != {field.name for field in fields(cls)}:
            raise StoreError(
                "execution in run.json",
                found=", ".join(sorted(data)) or "nothing",
                expected=", ".join(field.name for field in fields(cls)),
                do="choose another --out",
            )
        off = tuple(ShortcutOff(**shortcut) for shortcut in data["off"])
        return cls(**{**data, "off": off})

    def to_dict(self) -> dict[str, Any]:
        """Write it for JSON."""
        return asdict(self)


def choose_execution(*, dtype: str, precision: Precision, device: str | None = None) -> Execution:
    """Choose how to run on this machine: a GPU if there is one; oneDNN's weight layout on x86 processors for float32.

    torch is imported here.

    Raises:
        UsageError: see `check_device`.
    """
    import torch  # noqa: PLC0415 - an audit that finds all states stored never needs it

    if device is not None:
        check_device(device)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if torch.device(device).type != "cpu":
        kernel: Kernel = "plain-bf16" if precision == "fast" else "plain"
        return Execution(device=device, kernel=kernel, token_budget=GPU_BATCH[0], overhead=GPU_BATCH[1])
    if dtype != "float32" or not can_pack():
        return Execution(device=device)
    return Execution(device=device, kernel="onednn-bf16" if precision == "fast" and has_bf16() else "onednn")


def can_pack() -> bool:
    """Whether oneDNN's packed linear layers work here."""
    import torch  # noqa: PLC0415

    return (
        platform.machine() in {"x86_64", "AMD64"}
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 numbers in hardware; without that they are slower than float32."""
    import torch  # noqa: PLC0415

    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def check_execution(execution: Execution) -> None:
    """Refuse an execution that this machine cannot do, where a run continues that another machine began.

    Raises:
        UsageError: the kernel or device is not there.
    """
    import torch  # noqa: PLC0415

    missing = execution.kernel.startswith("onednn") and not can_pack()
    if torch.device(execution.device).type == "cuda" and not torch.cuda.is_available():
        missing = True
    if missing:
        raise UsageError(
            "run.json",
            found=f"a run begun with {execution.device} and {execution.kernel} kernels",
            expected="a machine that has them",
            do="continue on that machine, or choose another --out",
        )
