"""The main job by the clock: an audit with an empty store, then the same again, and with one layer more.

    python benchmarks/end_to_end.py [--corpus NAME-OR-FILE] [--write]

The embedded pair, all controls. Each is a process of its own, as on the command line, in temporary folders.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from isogloss.data.load import load_corpus
from performance_page import machine, put, table, versions


def audit(out: Path, store: Path, corpus: str, *more: str) -> tuple[float, dict[str, float], int]:
    """Run the command; return seconds by the clock, those in run.json, and the parts that were computed."""
    command = ["audit", "--corpus", corpus, "--store", str(store), "--out", str(out), *more]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from isogloss.cli.app import main; main()", *command], check=True, stdout=sys.stderr
    )
    clock = time.perf_counter() - start
    record = json.loads((out / "run.json").read_text("utf-8"))
    return clock, record["seconds"], record["parts_computed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="mini")
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    wanted = parser.parse_args()
    corpus = load_corpus(wanted.corpus)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        runs = (("empty store", ()), ("the same again", ()), ("one layer more", ("--layers", "9,final")))
        for number, (title, more) in enumerate(runs):
            clock, inside, parts = audit(Path(folder) / str(number), store, wanted.corpus, *more)
            filling = inside["filling the store"]
            rows.append([title, f"{clock:.0f}", f"{filling:.0f}", f"{inside['all'] - filling:.0f}", str(parts)])
    setting = (
        f"{machine()}; {versions('isogloss', 'torch', 'transformers')}. Corpus {Path(wanted.corpus).stem}: "
        f"{len(corpus.frame)} texts in {len(corpus.languages)} languages."
    )
    header = ["audit of the embedded pair", "clock s", "filling the store s", "statistics s", "parts read"]
    report = f"{setting}\n\n{table(header, rows)}"
    print(report)
    if wanted.write:
        put("end_to_end", "\n" + report + "\n")


if __name__ == "__main__":
    main()
