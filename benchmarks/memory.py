"""Peak memory of reading all layers of Gemma 3 270M into the store, float32: by number of texts, and by token budget.

    python benchmarks/memory.py [--write]

Each line is a process of its own. Texts of the first two lines are short and all different ("text number 17 of many"),
so that 20,000 of them take minutes; those of the last are the bundled corpus.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from isogloss.data.corpus import Corpus
from isogloss.data.load import load_corpus
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.execution import choose_execution
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.models.pairs import ModelRef
from performance_page import machine, put, table, versions

#: Texts (0: the bundled corpus, in one batch of which the budget is filled) and token budget (0: what an audit takes).
LINES = ((2000, 0), (20000, 0), (0, 8192))
FLAT, ROOM = 1.05, 2.5


def made_up(count: int, folder: Path) -> Corpus:
    """Write and load a corpus of different short texts of one length, half of them called harmful."""
    path = folder / "texts.jsonl"
    rows = [
        {"text": f"text number {i:05d} of many", "language": "en", "label": "toxic" if i % 2 else "neutral"}
        for i in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return load_corpus(path)


def measure(count: int, budget: int) -> float:
    """Fill an empty store, and return the peak memory of this process in GB."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = made_up(count, Path(folder)) if count else load_corpus("mini")
        execution = choose_execution(dtype="float32", precision="exact", device="cpu")
        if budget:
            execution = replace(execution, token_budget=budget)
        located = locate(
            {"aligned": ModelRef(base="embedded/gemma-3-270m")},
            corpus,
            ExtractSpec(layers=("all",)),
            store=Path(folder) / "store",
        )
        fill(located, execution=execution)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    wanted = parser.parse_args()
    if wanted.child:
        print(measure(*wanted.child))
        return
    peaks = []
    for count, budget in LINES:
        command = [sys.executable, __file__, "--child", str(count), str(budget)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(answer.stdout.splitlines()[-1]))
        print(f"{count} texts, budget {budget}: {peaks[-1]:.2f} GB", file=sys.stderr)
    titles = ("2,000 short texts", "20,000 short texts", "the bundled corpus, 8,192 tokens in a batch")
    rows = [[title, f"{peak:.2f}"] for title, peak in zip(titles, peaks, strict=True)]
    report = "\n\n".join(
        [
            f"{machine()}; {versions('isogloss', 'torch', 'transformers')}.",
            table(["all layers into the store", "peak GB"], rows),
            f"Ten times the texts took {peaks[1] / peaks[0]:.2f} times the memory.",
        ]
    )
    print(report)
    if wanted.write:
        put("memory", "\n" + report + "\n")
    assert peaks[1] <= FLAT * peaks[0], "memory grows with the number of texts"
    assert peaks[2] < ROOM, "more memory than promised"


if __name__ == "__main__":
    main()
