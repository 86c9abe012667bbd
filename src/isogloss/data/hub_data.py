"""Data sets of the hub -> a table: one configuration, one split or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isogloss.data.addresses import HubName
from isogloss.data.describe import describe_value
from isogloss.data.hub_corpora import SPLIT_LANGUAGES
from isogloss.data.languages import language_of_name
from isogloss.data.raw_table import RawTable, concat
from isogloss.data.tables import dataset_table
from isogloss.errors import CorpusError
from isogloss.io.hub import Snapshot, client_errors, download

#: Files to download from the hub: tables and their description, never code.
DATA_FILES = (
    *("*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.ndjson", "*.gz", "*.zst", "*.zip", "*.txt", "*.yaml"),
    "README.md",
)
#: Names that a message lists, at most.
MOST_NAMES = 30
LONGEST_REASON = 160


def read_hub(hub: HubName) -> tuple[RawTable, str]:
    """Read a data set of the hub. Splits that are all named by languages give the language of their rows.

    Args:
        hub: its name, with a configuration where it has several, and a split where only one is wanted.

    Returns:
        The table, and the commit that was read.

    Raises:
        CorpusError: it cannot be reached or read, or has no such configuration or split.
    """
    snapshot = fetch(hub.repo, hub.revision)
    folder, name = str(snapshot.folder), str(hub)
    splits = _load_splits(folder, hub)
    if hub.split:
        if hub.split not in splits:
            raise CorpusError(
                f"corpus {name}",
                found=f"no split {describe_value(hub.split)}",
                expected=f"one of {', '.join(splits)}",
                do="correct the name after the slash",
            )
        splits = {hub.split: splits[hub.split]}
    tables = {split: dataset_table(data) for split, data in splits.items()}
    known = SPLIT_LANGUAGES.get(hub.repo, {})
    by_language = all(split in known or language_of_name(split) for split in tables)
    parts = [
        table.with_constant("language", known.get(split, split))
        if by_language and "language" not in table.frame.columns
        else table
        for split, table in tables.items()
    ]
    form = f"a data set of the hub, {'split' if len(parts) == 1 else 'splits'} {', '.join(tables)}"
    whole = concat(parts, form)
    if len(parts) > 1 and not by_language:
        whole = RawTable(**vars(whole) | {"remarks": (*whole.remarks, ("C016", ", ".join(tables)))})
    return whole, snapshot.revision


def fetch(repo: str, revision: str | None, patterns: tuple[str, ...] = DATA_FILES) -> Snapshot:
    """Download the tables of a data set, or those that match patterns, or find them in the hub's cache."""
    forms = "a data set on the hub, a name from `isogloss corpora`, or a file"
    return download(repo, revision, kind="dataset", patterns=patterns, fault=CorpusError, forms=forms)


def _load_splits(folder: str, hub: HubName) -> Mapping[str, Any]:
    """Read all splits of one configuration; a wrong name of a configuration gets the list."""
    import datasets  # noqa: PLC0415 - slow import, needed for the hub only

    options: dict[str, object] = {"name": hub.config} if hub.config else {}
    try:
        splits: Mapping[str, Any] = load(folder, str(hub), options)
    except CorpusError as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        configs = datasets.get_dataset_config_names(folder)
        if hub.config is None and len(configs) > 1:
            raise _wrong_config(hub, f"{len(configs)} configurations", configs) from error
        if hub.config is not None and hub.config not in configs:
            raise _wrong_config(hub, f"no configuration {describe_value(hub.config)}", configs) from error
        raise
    return splits


def _wrong_config(hub: HubName, found: str, configs: Sequence[str]) -> CorpusError:
    more = f" and {len(configs) - MOST_NAMES} more" if len(configs) > MOST_NAMES else ""
    example = f"{hub.repo}:{configs[0]}"
    return CorpusError(
        f"corpus {hub}",
        found=found,
        expected=f"one of {', '.join(configs[:MOST_NAMES])}{more}",
        do=f"name it after a colon, such as {example}, or {example}/train for one split; --corpus may be repeated",
    )


def load(where: str, name: str, options: Mapping[str, object]) -> Any:  # noqa: ANN401 - datasets is untyped
    """Read files by `datasets`: a folder with all its splits, or a file on the web.

    Raises:
        CorpusError: they cannot be reached or read.
    """
    import datasets  # noqa: PLC0415

    try:
        return datasets.load_dataset(where, **options)
    except (*client_errors(), ValueError, datasets.exceptions.DatasetsError) as error:
        raise _unreadable(name, where, error) from error


def _unreadable(name: str, where: str, error: Exception) -> CorpusError:
    """Build the error for files that `datasets` cannot read; what it says is cut, for it may quote them."""
    reason = (str(error).splitlines() or [type(error).__name__])[0].replace(where, "its copy")
    return CorpusError(
        f"corpus {name}",
        found=reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}...",
        expected="a data set that can be read from the hub",
        do="check the connection and your login, or download it and give the file",
    )
