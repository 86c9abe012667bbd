"""The run folder: what an audit leaves on disk. A new one appears whole; a repeated run replaces its own files."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from isogloss.errors import StoreError
from isogloss.files import canonical_json, staged_folder, write_atomic
from isogloss.report.charts import write_figures
from isogloss.report.page import write_page
from isogloss.report.read_run import read_run
from isogloss.results import Audit, Identity


def check_out(out: Path, identity: Identity) -> None:
    """Refuse a folder that holds anything but an earlier run of the very same audit.

    Raises:
        StoreError: `out` is a file, or holds another run or other files.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    record = out / "run.json"
    if record.is_file() and (out / "audit.json").is_file():
        try:
            earlier = json.loads(record.read_text("utf-8")).get("identity")
        except json.JSONDecodeError:
            earlier = None
        if earlier == json.loads(canonical_json(asdict(identity))):
            return
        found = "another run"
    else:
        found = "something that is not a run" if out.is_dir() else "a file"
    raise StoreError(
        f"--out {out}", found=found, expected="a new or empty folder, or the same run", do="choose another --out"
    )


def write_run(out: Path, audit: Audit, points: pl.DataFrame, *, seconds: float, computed: int) -> None:
    """Write audit.json, results.parquet, points.parquet, figures/, run.json and report.html.

    Times, dates and the host stand in run.json only, so that audit.json is the same on every machine.
    """
    with staged_folder(out) as folder:
        audit.save(folder)
        points.write_parquet(folder / "points.parquet")
        write_figures(audit, points, folder / "figures")
        record = {
            "identity": asdict(audit.identity),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "parts_computed": computed,
            "host": {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()},
        }
        write_atomic(folder / "run.json", canonical_json(record, indent=1) + "\n")
        # From what was written, as `isogloss report` does: both write the same page.
        run = read_run(folder)
        write_page(run.audit, run.points, folder / "report.html", run=run.record)
