"""Every error that isogloss raises on purpose: one base, five kinds, one line each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from isogloss.text import sanitize

#: Most characters of a message; what was found is cut first, because it may come from a file of anybody.
LONGEST = 600
#: The part of a message that is cut keeps at least so many characters.
FEWEST = 80


class IsoglossError(Exception):
    """Base of all errors that a user can correct.

    The message is one line of at most 600 characters: what failed, what was found, what was expected, what to do.
    Control characters are spelt out.
    """

    def __init__(self, what: str, *, found: str, expected: str, do: str) -> None:
        """Compose the message from its four parts."""
        self.what, self.found, self.expected, self.do = what, found, expected, do
        super().__init__(_compose(what, found, expected, do))

    def __reduce__(self) -> tuple[Callable[..., IsoglossError], tuple[object, ...]]:
        """Let worker processes send the error to the driver."""
        return _rebuild, (type(self), self.what, self.found, self.expected, self.do)


def _compose(what: str, found: str, expected: str, do: str) -> str:
    parts = [sanitize(" ".join(part.split())) for part in (what, found, expected, do)]
    for i in (1, 2, 0, 3):
        excess = sum(map(len, parts)) + len(": found ; expected ; .") - LONGEST
        if excess > 0:
            parts[i] = _shorten(parts[i], max(FEWEST, len(parts[i]) - excess))
    what, found, expected, do = parts
    return f"{what}: found {found}; expected {expected}; {do}."


def _shorten(text: str, length: int) -> str:
    """Cut the middle out of a text, so that its beginning and its end remain.

    >>> _shorten("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def _rebuild(kind: type[IsoglossError], what: str, found: str, expected: str, do: str) -> IsoglossError:
    return kind(what, found=found, expected=expected, do=do)


class CorpusError(IsoglossError):
    """Texts, labels, languages or pairs that cannot be audited."""


class ModelError(IsoglossError):
    """A model, tokenizer or adapter that cannot be loaded, or gives hidden states that cannot be used.

    `text_ids` names the texts, if a model gives no usable numbers for some texts only.
    """

    text_ids: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Callable[..., IsoglossError], tuple[object, ...]]:
        """Let worker processes send the error to the driver, with its texts."""
        return _rebuild_model_error, (self.what, self.found, self.expected, self.do, self.text_ids)


def _rebuild_model_error(what: str, found: str, expected: str, do: str, text_ids: tuple[str, ...]) -> ModelError:
    error = ModelError(what, found=found, expected=expected, do=do)
    error.text_ids = text_ids
    return error


def broken_texts(what: str, *, found: str, text_ids: Iterable[str], dtype: str | None = None) -> ModelError:
    """Build the error for texts for which a model gives numbers that are not finite, or zeros only.

    `dtype` is that of the computation, where it is known: a wider one is no advice in float32.
    """
    wider = "" if dtype == "float32" else "use --dtype float32, and "
    do = f"{wider}check that the weights are complete; or leave them out with --quarantine"
    return _rebuild_model_error(what, found, "finite numbers", do, tuple(text_ids))


class StoreError(IsoglossError):
    """A run folder, result file or store that is broken, in use, or cannot be read or written."""


class MetricError(IsoglossError):
    """A metric or a layer that does not exist, or numbers a metric is not defined for."""


class UsageError(IsoglossError):
    """Options that do not go together, or a missing optional dependency."""


def unknown(kind: type[IsoglossError], noun: str, name: str, known: Iterable[str], where: str = "") -> IsoglossError:
    """Build the error for a name that is not in a table, with the nearest match if there is one.

    >>> str(unknown(MetricError, "metric", "silhuette", ["auroc", "silhouette"]))
    "unknown metric: found 'silhuette'; expected one of auroc, silhouette; did you mean 'silhouette'."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    do = f"did you mean {near[0]!r}" if near else "choose one that is listed"
    what = f"{where}: unknown {noun}" if where else f"unknown {noun}"
    return kind(what, found=repr(name), expected=f"one of {', '.join(names)}", do=do)


def missing_extra(package: str, extra: str) -> UsageError:
    """Build the error for an optional dependency that is not installed."""
    return UsageError(
        f"this needs the package {package}",
        found="it is not installed",
        expected=f"the extra '{extra}'",
        do=f'run: pip install "isogloss[{extra}]"',
    )
