"""Which torch devices this machine has; torch is imported only when a device is asked for."""

from __future__ import annotations

from isogloss.errors import UsageError


def check_device(device: str) -> None:
    """Refuse a device that torch does not know, or that this machine does not have.

    Raises:
        UsageError: see above.
    """
    import torch  # noqa: PLC0415

    there = {"cpu": 1, "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0}
    there["mps"] = int(torch.backends.mps.is_available())
    there["xpu"] = torch.xpu.device_count() if torch.xpu.is_available() else 0
    try:
        known = torch.device(device)
    except RuntimeError:
        known = None
    if known is None or (known.index or 0) >= there.get(known.type, 0):
        names = ", ".join(f"{kind} ({count})" if kind != "cpu" else kind for kind, count in there.items() if count)
        raise UsageError("--device", found=repr(device), expected=f"a device of this machine: {names}", do="choose one")
