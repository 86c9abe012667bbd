"""The run folder: what an audit leaves on disk. run.json comes first; a repeated run replaces its own files."""

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
    """Keep a run folder for this process during the block; run.json says from the start whose it is.

    Raises:
        StoreError: another process has it, it is not for this audit (see `check_out`), or it cannot be written.
    """
    with ExitStack() as stack:
        with saving(out, "--out"):
            check_out(out, identity)
            stack.enter_context(_alone(out, do="wait for it to end, or choose another --out"))
            check_out(out, identity)  # again: another process may have begun and ended in the meantime
            for path in unfinished(out):
                remove(path)
            begun = "audit.json" not in names(out)
            recorded = (
                _recorded(out / "run.json") if begun and _identity(out / "run.json") == _plain(identity) else None
            )
            if begun and recorded is None:
                _write_record(out, {"identity": asdict(identity)})
        yield recorded


def _alone(out: AnyPath, *, do: str) -> AbstractContextManager[object]:
    return locked(out, do=do) if isinstance(out, Path) else leased(out, do=do)


def record_execution(out: AnyPath, identity: Identity, execution: Execution) -> None:
    """Write how forward passes will be run, before the first of them: whoever goes on with this run does the same.

    Raises:
        StoreError: it cannot be written.
    """
    with saving(out, "--out"):
        if "audit.json" not in names(out):
            _write_record(out, {"identity": asdict(identity), "execution": asdict(execution)})


def finished_run(out: AnyPath, identity: Identity, versions: Mapping[str, str]) -> Audit | None:
    """Read the result that stands in a run folder, if it is of this very audit and by these versions of libraries.

    Raises:
        StoreError: its audit.json cannot be read.
    """
    with reading(out):
        if "audit.json" not in names(out):
            return None
    audit = Audit.load(out)
    whole = all(warning.code != "A001" for warning in audit.warnings)  # an analysis that failed is tried again
    return audit if whole and audit.identity == identity and audit.versions == versions else None


def check_out(out: AnyPath, identity: Identity) -> None:
    """Refuse a folder that holds anything but an earlier run of the very same audit, or a run that has no result yet.

    Raises:
        StoreError: `out` is a file, or holds another run or other files.
    """
    if isinstance(out, Path) and out.exists() and not out.is_dir():
        found = "a file"
    elif not (there := {name for name in names(out) if not _passing(name)}):
        return
    elif (earlier := _identity(out / "run.json")) is None:
        found = "something that is not a run"
    elif earlier == _plain(identity) or "audit.json" not in there:
        return
    else:
        found = "another run"
    raise StoreError(
        f"--out {out}", found=found, expected="a new or empty folder, or the same run", do="choose another --out"
    )


def _passing(name: str) -> bool:
    """Tell whether a name is that of a lock, or of a file that is being written."""
    return name.startswith(LOCK) or (name.startswith(".") and name.endswith(UNFINISHED))


def _identity(record: AnyPath) -> object:
    """What run.json says that the run is of; None if there is no such file or it is not ours."""
    try:
        content = json.loads(record.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content.get("identity") if isinstance(content, dict) else None


def _recorded(record: AnyPath) -> Execution | None:
    content = json.loads(record.read_text("utf-8"))
    return Execution.from_dict(content["execution"]) if "execution" in content else None


def _plain(identity: Identity) -> object:
    return json.loads(canonical_json(asdict(identity)))


def record_kept(out: AnyPath, said: Mapping[str, Any]) -> None:
    """Write into run.json of a finished run what became of the states.

    Raises:
        StoreError: it cannot be written.
    """
    record = json.loads((out / "run.json").read_text("utf-8"))
    with saving(out, "--out"):
        _write_record(out, record | {"cache_states": said})


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
    """Write audit.json, results.parquet, points.parquet, figures/, run.json, report.html and what analyses add.

    Times, dates, the host and how the states were computed stand in run.json only, so that audit.json is the same on
    every machine.

    Args:
        out: run folder.
        measurement: what was measured; the tables of its analyses are written under their names, and what is kept in
            place of hidden states as `KEPT`.
        points: the folder that `measure` wrote points into.
        analyses: whose sections the page shows.
        seconds: phase -> time that it took.
        computed: number of work units whose states were computed.
        states: role -> how its states were computed.

    Raises:
        StoreError: it cannot be written; then what stood there stays.
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
        # From what was written, as `isogloss report` does: both write the same page.
        names, frames = reading_of(analyses)
        run = read_run(folder, names, frames=frames)
        write_figures(audit, run.points, folder / "figures")
        sections = sections_of(analyses, run.audit, run.frames)
        write_atomic(folder / "report.html", page_html(run.audit, run.points, sections=sections, run=run.record))
