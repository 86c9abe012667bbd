"""Simulate with known truths: do the claims of the package hold as often as it says?

    python validation/run.py [--full] [--workers 2] [--out FOLDER] [--only PATTERN] [--data FOLDER] [--runs N] [--write]

Each cell of `cells.py` is run with seeds 0, 1, 2, ... Finished runs are appended to OUT/runs.jsonl, so that an
interrupted run resumes; runs of other code are not counted. The table comes to standard output,
and with --write to docs/validation.md. The exit status is 1 if a cell fails.
"""

# ruff: noqa: E402 - threads are set before numpy starts them

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # one process a core

import numpy as np
from threadpoolctl import threadpool_limits

import isogloss
import table
from cells import Cell, Records, Truth, grid
from judge import judge

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "validation.md"


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Finished runs of a cell: seeds start to stop - 1."""

    cell: str
    start: int
    stop: int
    seconds: float
    records: dict[str, list[float | None]]


def fingerprint() -> str:
    """Name the code that the numbers come from."""
    folders = Path(isogloss.__file__).parent / "stats", Path(__file__).parent
    files = sorted(
        file for folder in folders for file in folder.glob("*.py") if file.name not in ("run.py", "table.py")
    )
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


# In the workers

_CELLS: dict[str, Cell] = {}


def _start(data: Path | None) -> None:
    threadpool_limits(1)
    _CELLS.update(grid(data))


def _truth(name: str) -> tuple[str, Truth, float]:
    start = time.process_time()
    return name, dict(_CELLS[name].truth()), time.process_time() - start


def _chunk(name: str, start: int, stop: int, truth: Truth) -> Chunk:
    began, cell = time.process_time(), _CELLS[name]
    runs: list[Records] = [cell.records(truth, seed) for seed in range(start, stop)]
    records = {key: [_plain(run.get(key, float("nan"))) for run in runs] for key in cell.bands}
    return Chunk(cell=name, start=start, stop=stop, seconds=time.process_time() - began, records=records)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


# In the main process


class Store:
    """Finished runs, in a folder; lines of other code stay there and are not read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "runs.jsonl"
        self._code = fingerprint()
        self.truths: dict[str, Truth] = {}
        self.chunks: dict[tuple[str, int, int], Chunk] = {}
        for line in self._file.read_text("utf-8").splitlines() if self._file.exists() else ():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the run was interrupted while it wrote this
            if row.pop("code") != self._code:
                continue
            if "truth" in row:
                self.truths[row["cell"]] = row["truth"]
            else:
                self._keep(Chunk(**row))

    def _keep(self, chunk: Chunk) -> None:
        self.chunks[chunk.cell, chunk.start, chunk.stop] = chunk

    def _append(self, row: Mapping[str, object]) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"code": self._code, **row}))

    def add_truth(self, cell: str, truth: Truth) -> None:
        self.truths[cell] = truth
        self._append({"cell": cell, "truth": truth})

    def add(self, chunk: Chunk) -> None:
        self._keep(chunk)
        self._append(vars(chunk))

    def records(self, cell: Cell, key: str, runs: int) -> np.ndarray:
        """All records of one number, by seed, from the first `runs` runs."""
        values = {}
        for (name, start, _), chunk in self.chunks.items():
            if name == cell.name:
                values.update({start + i: value for i, value in enumerate(chunk.records[key])})
        return np.array([np.nan if values[i] is None else values[i] for i in sorted(values) if i < runs], dtype=float)

    def seconds_per_run(self, cell: Cell) -> float:
        chunks = [chunk for chunk in self.chunks.values() if chunk.cell == cell.name]
        return sum(chunk.seconds for chunk in chunks) / max(1, sum(chunk.stop - chunk.start for chunk in chunks))


def chunks_of(cell: Cell, runs: int) -> Iterator[tuple[int, int]]:
    """Seeds of a cell in chunks: start, stop."""
    for start in range(0, runs, cell.chunk):
        yield start, min(start + cell.chunk, runs)


def simulate(cells: Mapping[str, Cell], runs: Mapping[str, int], store: Store, workers: int, data: Path | None) -> None:
    """Run the chunks that are not finished yet."""
    began = time.monotonic()
    with ProcessPoolExecutor(workers, initializer=_start, initargs=(data,)) as pool:
        truths = [pool.submit(_truth, name) for name in cells if name not in store.truths]
        for number, computed in enumerate(as_completed(truths), 1):
            name, truth, _ = computed.result()
            store.add_truth(name, truth)
            _say(f"truth {number}/{len(truths)} {name}", began)
        todo = [
            (name, start, stop)
            for name, cell in cells.items()
            for start, stop in chunks_of(cell, runs[name])
            if (name, start, stop) not in store.chunks
        ]
        # All cells advance together, so that a run that is stopped early has some of each.
        todo.sort(key=lambda work: work[1] / runs[work[0]])
        waiting: list[Future[Chunk]] = [pool.submit(_chunk, *work, store.truths[work[0]]) for work in todo]
        for number, chunk in enumerate(as_completed(waiting), 1):
            done = chunk.result()
            store.add(done)
            _say(f"{number}/{len(waiting)} {done.cell} {done.stop - done.start} runs {done.seconds:.1f} s", began)


def _say(text: str, began: float) -> None:
    sys.stderr.write(f"[{(time.monotonic() - began) / 60:5.1f} min] {text}\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the full number of runs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "validation", help="folder for finished runs")
    parser.add_argument("--only", default="*", help="cells whose name matches, such as 'coverage*'")
    parser.add_argument("--data", type=Path, help="folder with real corpora")
    parser.add_argument("--runs", type=int, help="number of runs per cell, to try it out")
    parser.add_argument(
        "--finished", action="store_true", help="simulate nothing more, and print the table of the finished runs"
    )
    parser.add_argument("--write", action="store_true", help="write docs/validation.md")
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    cells = {name: cell for name, cell in grid(wanted.data).items() if fnmatch.fnmatch(name, wanted.only)}
    runs = {name: wanted.runs or (cell.runs_full if wanted.full else cell.runs) for name, cell in cells.items()}
    store = Store(wanted.out)
    if not wanted.finished:
        simulate(cells, runs, store, wanted.workers, wanted.data)
    rows = [
        table.Line(cell=cell, key=key, band=band, result=judge(store.records(cell, key, runs[name]), band))
        for name, cell in cells.items()
        for key, band in cell.bands.items()
    ]
    page = table.page(rows, full=wanted.full)
    if wanted.write:
        PAGE.write_text(page, encoding="utf-8")
    print(page)
    _report_time(cells, runs, store)
    return int(any(row.result.verdict == "FAIL" for row in rows))


def _report_time(cells: Mapping[str, Cell], runs: Mapping[str, int], store: Store) -> None:
    groups: dict[str, np.ndarray] = {}
    for name, cell in cells.items():
        seconds = store.seconds_per_run(cell) * np.array([runs[name], cell.runs, cell.runs_full])
        groups[cell.group] = groups.get(cell.group, np.zeros(3)) + seconds
    for group, seconds in [*groups.items(), ("all", np.sum(list(groups.values()), axis=0))]:
        this, reduced, full = seconds / 60
        sys.stderr.write(f"CPU minutes: this {this:6.1f}, reduced {reduced:6.1f}, full {full:6.1f}  {group}\n")


if __name__ == "__main__":
    sys.exit(main())
