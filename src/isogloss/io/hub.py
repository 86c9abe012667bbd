"""A repository of the hub -> a local folder, by the hub's own client and cache; every failure is one line.

A commit that is cached whole is read without any request. A branch or tag is requested first, because it moves; if the
hub cannot be reached, or refuses, the cached commit is read and its revision recorded.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, NamedTuple

from isogloss.errors import IsoglossError

#: HTTP status of too many requests.
TOO_MANY = 429
#: What the system answers where a disk is full, or a quota used up.
FULL = {errno.ENOSPC, errno.EDQUOT}


NOUNS = {"model": "model", "dataset": "corpus"}
ADDRESSES = {"model": "https://huggingface.co/", "dataset": "https://huggingface.co/datasets/"}


class Snapshot(NamedTuple):
    """Files of a repository at one commit."""

    folder: Path
    revision: str


def download(
    repo: str,
    revision: str | None,
    *,
    kind: Literal["model", "dataset"],
    patterns: Sequence[str],
    without: Sequence[str] = (),
    fault: type[IsoglossError],
    forms: str,
    begun: bool = False,
) -> Snapshot:
    """Find the files of a repository in the hub's cache, or download what is missing.

    Args:
        repo: organisation/name.
        revision: branch, tag or commit; None is main.
        kind: of repository.
        patterns: which files are wanted; an asterisk stands for any characters, folders included.
        without: which of these are not.
        fault: the kind of error to raise.
        forms: what a name may be, for the message that there is no such repository.
        begun: whether other files of the same commit are here already.

    Raises:
        IsoglossError: of kind `fault`: it is missing, gated, has no such revision, cannot be reached, or was not
            downloaded to its end; or the disk is full.
    """
    # Slow to import, and needed for the hub only.
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        folder = Path(
            snapshot_download(
                repo,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(without) or None,
            )
        )
    except client_errors() as error:
        explained = (
            _refused(error, f"{ADDRESSES[kind]}{repo}", revision, forms)
            or _unfinished(error, begun=begun)
            or _unreachable(error)
        )
        named = f"{NOUNS[kind]} {repo}"
        raise fault(named, **explained) from error
    return Snapshot(folder, folder.name)  # the cache names a snapshot by its commit


def client_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's client raises: its own errors, those of its HTTP library, and the system's."""
    from huggingface_hub import get_session  # noqa: PLC0415
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    # The HTTP library is httpx, or httpx2 since 2026.
    library = import_module(type(get_session()).__module__.partition(".")[0])
    return (OSError, HFValidationError, library.HTTPError)


def _refused(error: Exception, address: str, revision: str | None, forms: str) -> dict[str, str] | None:
    """Explain a refusal of the hub: found, expected, do; None if it is something else."""
    from huggingface_hub import errors, get_token  # noqa: PLC0415

    if isinstance(error, errors.GatedRepoError):
        token = "and this login has not been given access" if get_token() else "and there is no login here"
        do = f"accept its licence at {address} and log in with: hf auth login"
        return {"found": f"a gated repository, {token}", "expected": "access to it", "do": do}
    if isinstance(error, errors.RevisionNotFoundError):
        return {
            "found": f"no revision {revision or 'main'}",
            "expected": "a branch, tag or commit",
            "do": "correct it",
        }
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        login = "" if get_token() else ", or log in with hf auth login if it is private"
        return {"found": "no such repository on the hub", "expected": forms, "do": f"check the name{login}"}
    return None


def _unfinished(error: Exception, *, begun: bool) -> dict[str, str] | None:
    """Explain an unfinished download: found, expected, do; None if it is something else."""
    from huggingface_hub import errors  # noqa: PLC0415

    if _status(error) == TOO_MANY:
        return {
            "found": "too many requests (the hub answers 429) and no whole copy in the cache",
            "expected": "an answer",
            "do": "wait some minutes and run the same command again; a login (hf auth login) may ask more often",
        }
    if getattr(error, "errno", None) in FULL:
        return {
            "found": "no space left on the disk of the hub's cache",
            "expected": "room for the download",
            "do": "free some space there, or set HF_HOME to a folder on another disk; then run the same command again",
        }
    lost = begun and isinstance(error, errors.LocalEntryNotFoundError) and _status(error) is None
    if isinstance(error, errors.IncompleteSnapshotError) or lost:
        return {
            "found": "a download that was never finished, and no connection to the hub",
            "expected": "a whole copy in the cache",
            "do": "run the same command again with a connection: it goes on where it stopped",
        }
    if isinstance(error.__cause__, errors.OfflineModeIsEnabled):
        return {
            "found": "no copy in the cache, and HF_HUB_OFFLINE is set",
            "expected": "a whole copy in the cache",
            "do": "unset HF_HUB_OFFLINE for one run, or give a local copy",
        }
    return None


def _unreachable(error: Exception) -> dict[str, str]:
    status = _status(error)
    first = (str(error).splitlines() or [type(error).__name__])[0].removeprefix("Got: ")
    broken = not isinstance(error, OSError)  # the HTTP library's own: the connection was there
    return {
        "found": f"the hub answers {status}, and no whole copy in the cache" if status else first,
        "expected": "the whole file" if broken else "the hub, or a whole copy in the cache",
        "do": "run the same command again: it goes on where it stopped"
        if broken
        else "check the connection, or give a local copy",
    }


def _status(error: Exception) -> int | None:
    """Return the HTTP status that an error, or the error behind it, is about."""
    for cause in (error, error.__cause__):
        response = getattr(cause, "response", None)
        if response is not None:
            return int(response.status_code)
    return None
