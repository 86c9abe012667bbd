"""Our extraction beside what people use today: the same texts, every vector compared, one process each, in turn.

    python benchmarks/extraction.py [--texts 240] [--slow-texts 72] [--rounds 5] [--write]

A round runs every way once, each in a process of its own, which loads the model, runs 16 texts to warm up, and then
reads the texts. Slow ways read the first --slow-texts of them. What counts is the ratio within a round; medians over
rounds are printed. The share of the limit is the rate of floating-point operations in linear layers over that of
products of the same shapes and nothing else, measured in the same process just after. Ways whose package is missing
are left out, and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isogloss.data.load import load_corpus
from isogloss.models.checkpoints import fetch
from isogloss.models.conversion import local_folder
from isogloss.models.load import load_model, load_tokenizer
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode
from matrix_peak import flops_per_token, matrix_peak
from performance_page import machine, put, table, versions
from ways import WAYS, our_models

WARM = 16
BASE = ModelRef(base="embedded/gemma-3-270m")
TUNED = ModelRef(base="embedded/gemma-3-270m", adapter="embedded/english-dpo")
#: Two models with one set of weights, and with one each.
PAIRS = ("one", "pair", "two")
OURS = ("exact", "fast")


def memory() -> float:
    """Peak memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def run_way(name: str, texts: list[str], vectors: Path) -> dict[str, Any]:
    """Load a way and time it; its vectors go to a file."""
    read = WAYS[name].load(local_folder(fetch(BASE)))
    read(texts[:WARM])
    loaded = memory()
    start = time.perf_counter()
    states = read(texts)
    seconds = time.perf_counter() - start
    np.save(vectors, states)
    return {"seconds": seconds, "loaded": loaded, "peak": memory()}


def run_ours(name: str, texts: list[str], vectors: Path) -> dict[str, Any]:
    """As `run_way`, with the machine's limit measured just after."""
    result = run_way(name, texts, vectors)
    model = load_model(fetch(BASE), device="cpu")
    tokens = sum(map(len, encode(model.tokenizer, texts).ids))
    limit = matrix_peak(model)
    return result | {"limit": limit, "share": tokens * flops_per_token(model) / result["seconds"] / limit}


def run_pair(name: str, texts: list[str]) -> dict[str, Any]:
    """Time one model, a pair on shared weights, or a pair loaded twice."""
    checkpoints = {"one": [fetch(BASE)], "pair": [fetch(BASE), fetch(TUNED)], "two": [fetch(BASE), fetch(TUNED)]}[name]
    start = time.perf_counter()
    if name == "two":
        models = [load_model(checkpoint, device="cpu") for checkpoint in checkpoints]
        work = list(zip(models, [[checkpoint] for checkpoint in checkpoints], strict=True))
    else:
        work = [(load_model(checkpoints[0], device="cpu"), checkpoints)]
    loaded = time.perf_counter()
    for model, some in work:
        our_models(model, some, texts)
    done = time.perf_counter()
    return {"load": loaded - start, "seconds": done - loaded, "peak": memory()}


def child(way: str, texts: list[str], vectors: Path) -> dict[str, Any]:
    """Run one way in a process of its own."""
    kind, _, name = way.partition(":")
    command = [sys.executable, __file__, "--child", kind, name, str(vectors)]
    answer = subprocess.run(
        command,
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
    )
    if answer.returncode:
        raise SystemExit(f"{way} failed:\n{answer.stderr}")
    return json.loads(answer.stdout.splitlines()[-1])


def serve(kind: str, name: str, vectors: Path) -> None:
    """Do what `child` asks."""
    texts = json.load(sys.stdin)
    if kind == "pair":
        result = run_pair(name, texts)
    else:
        result = run_ours(name, texts, vectors) if name in OURS else run_way(name, texts, vectors)
    print(json.dumps(result))


def distances(states: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Mean and largest distance of vectors, relative to the length of the wanted ones."""
    n = min(len(states), len(wanted))
    states, wanted = states[:n].astype(float), wanted[:n].astype(float)
    if states.shape[1] == 1:
        wanted = wanted[:, -1:]
    moved = np.linalg.norm(states - wanted, axis=-1) / np.linalg.norm(wanted, axis=-1)
    return float(moved.mean()), float(moved.max())


def read_texts(path: str | None, count: int) -> list[str]:
    """Texts of all languages of the bundled corpus, or of a JSON list of strings or of lists with the text second."""
    if path is None:
        return load_corpus("mini").frame["text"].unique(maintain_order=True).sample(count, seed=0).to_list()
    rows = json.loads(Path(path).read_text("utf-8"))
    return [row if isinstance(row, str) else row[1] for row in rows][:count]


def median(results: list[dict[str, Any]], key: str) -> float:
    return statistics.median(result[key] for result in results)


def compare(names: list[str], texts: list[str], slow: int, rounds: int) -> list[list[str]]:
    """Run all ways, and return the lines of the table."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    states: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                some = texts[:slow] if WAYS[name].slow else texts
                vectors = Path(folder) / f"{name}.npy"
                result = child(f"way:{name}", some, vectors)
                result["rate"] = len(some) / result["seconds"]
                results[name].append(result)
                states[name] = np.load(vectors)
                print(f"round {number + 1}: {name} {result['rate']:.1f} texts/s", file=sys.stderr)
    lines = []
    for name in names:
        some = results[name]
        times = [run["rate"] / usual["rate"] for run, usual in zip(some, results["usual"], strict=True)]
        mean, most = distances(states[name], states["usual"])
        share = f"{median(some, 'share'):.0%}" if name in OURS else ""
        rate = f"{median(some, 'rate'):.1f}"
        error = "" if name == "usual" else f"{mean:.0e} ({most:.0e})"
        spread = f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"
        lines.append([WAYS[name].title, rate, spread, share, error, f"{median(some, 'peak'):.2f}"])
    limits = [result["limit"] / 1e9 for name in OURS if name in results for result in results[name]]
    if limits:
        print(f"limit: {min(limits):.0f} to {max(limits):.0f} GFLOP/s", file=sys.stderr)
    return lines


def compare_pairs(texts: list[str], rounds: int) -> list[list[str]]:
    """Time the pair, and return the lines of its table."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in PAIRS}
    for number in range(rounds):
        for name in PAIRS if number % 2 == 0 else PAIRS[::-1]:
            results[name].append(child(f"pair:{name}", texts, Path(os.devnull)))
            print(f"round {number + 1}: {name} {results[name][-1]['seconds']:.1f} s", file=sys.stderr)
    lines = []
    for name, title in zip(PAIRS, ("one model", "a pair that shares its weights", "two models loaded"), strict=True):
        some = results[name]
        times = [run["seconds"] / alone["seconds"] for run, alone in zip(some, results["one"], strict=True)]
        peaks = [run["peak"] / alone["peak"] for run, alone in zip(some, results["one"], strict=True)]
        cells = [f"{median(some, 'load'):.1f}", f"{median(some, 'seconds'):.1f}", f"{statistics.median(times):.2f}"]
        lines.append([title, *cells, f"{median(some, 'peak'):.2f}", f"{statistics.median(peaks):.2f}"])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=int, default=240)
    parser.add_argument("--slow-texts", type=int, default=72)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", default="", help="names, with commas; default: all that are installed")
    parser.add_argument("--file", help="JSON list of texts to take instead of the bundled corpus")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/performance.md")
    wanted = parser.parse_args()
    if wanted.child:
        serve(wanted.child[0], wanted.child[1], Path(wanted.child[2]))
        return
    texts = read_texts(wanted.file, wanted.texts)
    names = wanted.ways.split(",") if wanted.ways else list(WAYS)
    missing = [n for n in names if WAYS[n].package and not importlib.util.find_spec(WAYS[n].package.replace("-", "_"))]
    tokens = [len(row) for row in encode(load_tokenizer(fetch(BASE)), texts).ids]
    header = ["way", "texts/s", "times the first", "share of limit", "mean (max) distance", "peak GB"]
    ways = compare([name for name in names if name not in missing], texts, wanted.slow_texts, wanted.rounds)
    pairs = compare_pairs(texts, wanted.rounds)
    packages = ("isogloss", "torch", "transformers", *(way.package for way in WAYS.values() if way.package))
    setting = (
        f"{machine()}, {torch.get_num_threads()} threads; {versions(*dict.fromkeys(packages))}. Gemma 3 270M, "
        f"float32, all layers. {len(texts)} texts ({wanted.slow_texts} for the slow ways) of {min(tokens)} to "
        f"{max(tokens)} tokens, median {statistics.median(tokens):.0f}; {wanted.rounds} rounds, medians (lowest to "
        "highest)."
    )
    left_out = [f"Not installed, so left out: {', '.join(missing)}."] if missing else []
    both = table(["both models of a pair", "load s", "read s", "times one", "peak GB", "times one"], pairs)
    report = "\n\n".join([setting, *left_out, table(header, ways), both])
    print(report)
    if wanted.write:
        put("extraction", "\n" + report + "\n")


if __name__ == "__main__":
    main()
