"""What of the hub is on this machine already; no request is made."""

from __future__ import annotations

from pathlib import Path


def cached_folder(repo: str, revision: str | None) -> Path | None:
    """Find the snapshot of a model in the hub's cache, whole or not; None if not even its configuration is there."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - slow import, needed for the hub only
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        found = try_to_load_from_cache(repo, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def cached_data(repo: str) -> int | None:
    """Bytes of a data set in the hub's cache; None if there is nothing of it."""
    from huggingface_hub import scan_cache_dir  # noqa: PLC0415
    from huggingface_hub.errors import CacheNotFound  # noqa: PLC0415

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return None
    sizes = [one.size_on_disk for one in repos if one.repo_type == "dataset" and one.repo_id == repo]
    return sizes[0] if sizes else None
