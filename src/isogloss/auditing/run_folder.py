"""The run folder: the files that an audit writes. run.json comes first; a repeated run replaces its own files."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogloss.auditing.analysis import Analysis, reading_of, sections_of
from isogloss.auditing.cache_policy import KEPT
from isogloss.auditing.measure import Measurement
from isogloss.auditing.points import join_points
from isogloss.errors import StoreError
from isogloss.hidden_states.execution import Execution
from isogloss.io.files import UNFINISHED, canonical_json, remove, saving, staged_folder, unfinished, write_atomic
from isogloss.io.leases import leased
from isogloss.io.locks import LOCK, locked
from isogloss.io.paths import AnyPath, names, reading
from isogloss.report.figure_files import write_figures
from isogloss.report.page import page_html
from isogloss.report.read_run import read_run
from isogloss.results import Audit, Identity


@contextmanager
def open_run(out: AnyPath, identity: Identity) -> Iterator[Execution | None]:
    """Reserve a run folder for this process during the block; run.json identifies the audit from the start.

    Raises:
        StoreError: another process uses it, it belongs to another audit (see `check_out`), or it cannot be written.
    """
    with ExitStack() as stack:
        with saving(out, "--out"):
            check_out(out, identity)
            stack.enter_context(_lock_folder(out, do="wait for it to end, or choose another --out"))
            check_out(out, identity)  # again: another process may have finished in the meantime
            for path in unfinished(out):
                remove(path)
            unfinished_run = "audit.json" not in names(out)
            recorded = (
                _read_execution(out / "run.json")
                if unfinished_run and _read_identity(out / "run.json") == _to_plain(identity)
                else None
            )
            if unfinished_run and recorded is None:
                _write_record(out, {"identity": asdict(identity)})
        yield recorded


def _lock_folder(out: AnyPath, *, do: str) -> AbstractContextManager[object]:
    return locked(out, do=do) if isinstance(out, Path) else leased(out, do=do)


def record_execution(out: AnyPath, identity: Identity, execution: Execution) -> None:
    """Record how forward passes will run, before the first one, so that a resumed run does the same.

    Raises:
        StoreError: it cannot be written.
    """
    with saving(out, "--out"):
        if "audit.json" not in names(out):
            _write_record(out, {"identity": asdict(identity), "execution": execution.to_dict()})


def finished_run(out: AnyPath, identity: Identity, versions: Mapping[str, str]) -> Audit | None:
    """Read the result in a run folder if it belongs to this audit and was made with these library versions.

    Raises:
        StoreError: its audit.json cannot be read.
    """
    with reading(out):
        if "audit.json" not in names(out):
            return None
    audit = Audit.load(out)
    complete = all(warning.code != "A001" for warning in audit.warnings)  # a failed analysis is run again
    return audit if complete and audit.identity == identity and audit.versions == versions else None


def check_out(out: AnyPath, identity: Identity) -> None:
    """Refuse a folder, unless it holds only an earlier run of the same audit or a run without a result.

    Raises:
        StoreError: `out` is a file, or holds another run or other files.
    """
    if isinstance(out, Path) and out.exists() and not out.is_dir():
        content = "a file"
    elif not (file_names := {name for name in names(out) if not _is_temporary(name)}):
        return
    elif (earlier := _read_identity(out / "run.json")) is None:
        content = "something that is not a run"
    elif earlier == _to_plain(identity) or "audit.json" not in file_names:
        return
    else:
        content = "another run"
    raise StoreError(
        f"--out {out}", found=content, expected="a new or empty folder, or the same run", do="choose another --out"
    )


def _is_temporary(name: str) -> bool:
    """Whether a file name is that of a lock or of a file that is being written."""
    return name.startswith(LOCK) or (name.startswith(".") and name.endswith(UNFINISHED))


def _read_identity(record: AnyPath) -> object:
    """Read the identity from run.json; None if the file does not exist or is not ours."""
    try:
        content = json.loads(record.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content.get("identity") if isinstance(content, dict) else None


def _read_execution(record: AnyPath) -> Execution | None:
    content = json.loads(record.read_text("utf-8"))
    return Execution.from_dict(content["execution"]) if "execution" in content else None


def _to_plain(identity: Identity) -> object:
    return json.loads(canonical_json(asdict(identity)))


def record_kept(out: AnyPath, removal: Mapping[str, Any]) -> None:
    """Write into run.json of a finished run which states were removed.

    Raises:
        StoreError: it cannot be written.
    """
    record = json.loads((out / "run.json").read_text("utf-8"))
    with saving(out, "--out"):
        _write_record(out, record | {"cache_states": removal})


def _write_record(folder: AnyPath, record: Mapping[str, Any]) -> None:
    write_atomic(folder / "run.json", canonical_json(record, indent=1) + "\n")


def write_run(
    out: AnyPath,
    measurement: Measurement,
    points: Path,
    *,
    analyses: Sequence[Analysis],
    seconds: Mapping[str, float],
    computed: int,
    states: Mapping[str, list[dict[str, Any]]],
) -> None:
    """Write audit.json, results.parquet, points.parquet, figures/, run.json, report.html and the files of analyses.

    Times, dates, the host and the computation of states are recorded in run.json only, so that audit.json is the same
    on every machine.

    Args:
        out: run folder.
        measurement: the result; the tables of its analyses are written under their names, and the file that replaces
            hidden states as `KEPT`.
        points: the folder that `measure` wrote points into.
        analyses: analyses whose sections the page shows.
        seconds: phase -> its duration.
        computed: number of work units whose states were computed.
        states: role -> how its states were computed.

    Raises:
        StoreError: it cannot be written; the earlier files then remain.
    """
    audit = measurement.audit
    with saving(out, "--out"), staged_folder(out, last="audit.json") as folder:
        audit.save(folder)
        join_points(points, folder / "points.parquet")
        for name, frame in measurement.frames.items():
            frame.write_parquet(folder / name)
        if measurement.kept is not None:
            write_atomic(folder / KEPT, measurement.kept)
        record = {
            "identity": asdict(audit.identity),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": {name: round(time, 1) for name, time in seconds.items()},
            "parts_computed": computed,
            "states": states,
            "host": {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()},
        }
        _write_record(folder, record)
        # The page is made from the written files, as `isogloss report` does, so both write the same page.
        names, frames = reading_of(analyses)
        run = read_run(folder, names, frames=frames)
        write_figures(audit, run.points, folder / "figures")
        sections = sections_of(analyses, run.audit, run.frames)
        write_atomic(folder / "report.html", page_html(run.audit, run.points, sections=sections, run=run.record))
