"""Silence of other libraries, and replaced attributes of theirs, within a block."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import Any

from tqdm.auto import tqdm
from transformers.utils import logging as transformers_logging


@contextlib.contextmanager
def replaced_attribute(owner: Any, name: str, value: Any) -> Iterator[None]:  # noqa: ANN401 - a module or class
    """Within the block, give an attribute of another library's module or class another value."""
    usual = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, usual)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and advice of transformers and datasets within the block; our errors say what matters."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        silent_bars = functools.partialmethod(tqdm.__init__, disable=True)
        with warnings.catch_warnings(), replaced_attribute(tqdm, "__init__", silent_bars):
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # between transformers and peft, and nothing that a user can change
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
