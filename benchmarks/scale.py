"""What Ray costs and gives: overhead at one worker, scaling from one to two, 64 workers simulated, memory by texts.

    python benchmarks/scale.py [overhead] [scaling] [simulate] [memory] [--texts N]

Without names all four are run. Each side is a process of its own, with one thread a worker, on a store of its own. The
simulation takes the seconds of the units of `overhead`, or of --seconds FILE (a JSON list), and sends 64 threads that
only sleep through the loop that Ray's actors go through.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_OVERHEAD, LEAST_SCALING, LEAST_UTILISATION, FLAT = 1.10, 1.8, 0.9, 1.10
MODEL = "embedded/gemma-3-270m"
#: Of the simulation: workers, and by how much faster than real its sleepers are.
WORKERS, FASTER = 64, 20.0
LANGUAGES = (
    "en", "de", "fr", "es", "it", "pt", "nl", "ru", "zh", "hi",
    "am", "ar", "ba", "be", "bn", "ha", "he", "ja", "jv", "ko",
)  # fmt: skip
#: Texts of a language where memory is measured: more texts are more languages, for a language is what is held at once.
EACH = 5_000


# One side: a child process


def corpus_of(folder: Path, texts: int, languages: int) -> Any:
    from isogloss.data.load import load_corpus

    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(500)]
    path = folder / "texts.jsonl"
    each = texts // languages
    with path.open("w", encoding="utf-8") as file:
        for code in LANGUAGES[:languages]:
            for i in range(each):
                text = f"{code} {i} {' '.join(rng.choice(words, size=8))}"
                file.write(
                    json.dumps({"text": text, "language": code, "label": "toxic" if i % 2 else "neutral"}) + "\n"
                )
    return load_corpus(path)


def extract(workers: int, texts: int) -> dict[str, Any]:
    """Read hidden states of one model into an empty store; 0 workers is the local engine."""
    import torch

    from isogloss.engines.config import EngineConfig
    from isogloss.engines.engine import LOCAL, open_engine
    from isogloss.hidden_states.activations import locate
    from isogloss.hidden_states.execution import choose_execution
    from isogloss.hidden_states.fill import fill
    from isogloss.hidden_states.spec import ExtractSpec
    from isogloss.models.pairs import ModelRef

    torch.set_num_threads(1)
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = corpus_of(Path(folder), texts, 2)
        if workers:
            import ray

            ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        config = EngineConfig(engine="ray", cpus_per_model=1, workers_per_model=workers) if workers else EngineConfig()
        with open_engine(config) as engine:
            located = locate({"aligned": ModelRef(base=MODEL)}, corpus, ExtractSpec(), store=Path(folder) / "store")
            execution = choose_execution(dtype="float32", precision="exact", device="cpu")
            began = time.perf_counter()
            fill(located, execution=execution, engine=_Timed(engine if workers else LOCAL, seconds))
            return {"seconds": time.perf_counter() - began, "units": seconds}


class _Timed:
    """An engine that writes down what each unit took."""

    def __init__(self, engine: Any, seconds: list[float]) -> None:
        self.engine, self.seconds = engine, seconds

    def run(self, *args: Any, **how: Any) -> Iterator[Any]:
        for done in self.engine.run(*args, **how):
            self.seconds.append(done.seconds)
            yield done


def measured(texts: int, each: int) -> dict[str, float]:
    """Peak memory of the driver and of the statistics of an audit on Ray whose states are planted, MB."""
    import ray

    from isogloss.auditing.measure import measure
    from isogloss.auditing.plan import AuditConfig, make_plan
    from isogloss.auditing.run_folder import write_run
    from isogloss.engines.config import EngineConfig
    from isogloss.engines.engine import open_engine
    from isogloss.models.pairs import ModelPair, ModelRef
    from isogloss.progress import silent

    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder, open_engine(EngineConfig(engine="ray")) as engine:
        home = Path(folder)
        corpus = corpus_of(home, texts, texts // each)
        pair = ModelPair(
            name="planted",
            reference=ModelRef(base=MODEL),
            aligned=ModelRef(base=MODEL, random_seed=1),
            source="benchmark",
        )
        config = AuditConfig(permutations=100, controls=(), metrics=("between_class_variance",), pivot="en")
        plan = make_plan(pair, corpus, config, home / "store", silent)
        _plant(plan)
        points = home / "points"
        points.mkdir()
        audit, kept = measure(plan, silent, engine, points=points)
        peaks = {"driver": _peak() / 1e3, "statistics": ray.get(ray.remote(_peak).remote()) / 1e3}
        write_run(home / "run", audit, points, pairs=None, kept=kept, seconds={}, computed=0, states={})
        return peaks | {"driver, page written": _peak() / 1e3}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _plant(plan: Any) -> None:
    from isogloss.hidden_states.store import SHARD_TEXTS, write

    about = {"execution": {"kernel": "planted"}, "versions": {}, "drift": {"max": 0.0}}
    rng = np.random.default_rng(0)
    for activations in plan.activations.values():
        for entry in activations.entries.values():
            for start in range(0, len(entry.texts), SHARD_TEXTS):
                rows = range(start, min(start + SHARD_TEXTS, len(entry.texts)))
                states = {
                    layer.name: rng.normal(size=(len(rows), 640)).astype(np.float32) for layer in activations.layers
                }
                counts = {"token_counts": np.full(len(rows), 9, np.int32), "cut": np.zeros(len(rows), bool)}
                write(entry, rows, states | counts, about=about)


# The simulation


class Sleepers:
    """Threads that sleep as long as units took (a `Pool` of the real schedule)."""

    def __init__(self, size: int, load: float) -> None:
        self.size, self.load = size, load
        self.done: queue.Queue[Hashable] = queue.Queue()
        self.orders: dict[int, queue.Queue[Any]] = {}
        self.results: dict[Hashable, Any] = {}
        self.busy = 0.0
        self._numbers = iter(range(10**9))

    def room(self) -> int:
        return self.size

    def start(self, group: str) -> tuple[int, Hashable]:
        worker = next(self._numbers)
        self.orders[worker] = queue.Queue()
        threading.Thread(target=self._work, args=(self.orders[worker],), daemon=True).start()
        return worker, self._order(worker, self.load, group)

    def submit(self, worker: int, unit: tuple[int, float]) -> Hashable:
        self.busy += unit[1]
        return self._order(worker, unit[1], unit)

    def _order(self, worker: int, seconds: float, value: Any) -> Hashable:
        ticket = f"ticket {next(self._numbers)}"
        self.results[ticket] = value
        self.orders[worker].put((seconds, ticket))
        return ticket

    def _work(self, orders: queue.Queue[Any]) -> None:
        while (order := orders.get()) is not None:
            time.sleep(order[0] / FASTER)
            self.done.put(order[1])

    def wait(self, tickets: Sequence[Hashable]) -> Sequence[Hashable]:
        del tickets
        return [self.done.get()]

    def result(self, ticket: Hashable) -> Any:
        return self.results.pop(ticket)

    def stop(self, worker: int) -> None:
        self.orders[worker].put(None)


def simulate(recorded: Sequence[float], load: float = 20.0) -> dict[str, float]:
    """Send 14 models of 200 units each (a hundred thousand texts), of recorded seconds, through 64 sleeping workers."""
    from isogloss.engines.schedule import schedule

    rng = np.random.default_rng(0)
    groups = {
        f"model {m}": [(m * 1000 + i, float(s)) for i, s in enumerate(rng.choice(recorded, 200))] for m in range(14)
    }
    pool = Sleepers(WORKERS, load)
    began = time.perf_counter()
    units = sum(1 for _ in schedule(groups, pool, lost=lambda unit, *_: unit))
    wall = (time.perf_counter() - began) * FASTER
    assert units == sum(map(len, groups.values()))
    # Loading is work too: without it nothing can be read.
    loads = len(pool.orders) * load
    return {
        "wall": wall,
        "utilisation": (pool.busy + loads) / (WORKERS * wall),
        "of which reading": pool.busy / (WORKERS * wall),
        "loads": len(pool.orders),
    }


# Parent


def child(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    # Ray's workers get the same priority as this process, or they would wait for other work of the machine.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    measured: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return measured


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {"extract": extract, "measured": measured}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["overhead", "scaling", "simulate", "memory"])
    parser.add_argument("--texts", type=int, default=4608, help="texts to read: nine units, minutes of one core")
    parser.add_argument("--seconds", type=Path, help="recorded seconds of units, for the simulation")
    parser.add_argument("--memory-texts", type=int, nargs=2, default=(2 * EACH, 20 * EACH))
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child[0]](*map(int, options.child[1:]))))
        return
    recorded = json.loads(options.seconds.read_text()) if options.seconds else None
    one = None
    if "overhead" in options.what:
        local, one = child("extract", 0, options.texts), child("extract", 1, options.texts)
        recorded = recorded or one["units"]
        ratio = one["seconds"] / local["seconds"]
        print(f"overhead: local {local['seconds']:.1f} s, Ray {one['seconds']:.1f} s: {ratio:.3f}, <= {MOST_OVERHEAD}")
    if "scaling" in options.what:
        one = one or child("extract", 1, options.texts)
        two = child("extract", 2, options.texts)
        ratio = one["seconds"] / two["seconds"]
        print(f"scaling: {one['seconds']:.1f} s, {two['seconds']:.1f} s: {ratio:.2f} times >= {LEAST_SCALING}")
    if "simulate" in options.what:
        simulated = simulate(recorded or np.random.default_rng(0).lognormal(np.log(12), 0.4, 200).tolist())
        print(
            f"{WORKERS} workers: {simulated['wall']:.0f} s, "
            f"utilisation {simulated['utilisation']:.3f} >= {LEAST_UTILISATION}; "
            f"{simulated['of which reading']:.3f} without {simulated['loads']} loads"
        )
    if "memory" in options.what:
        few, many = (child("measured", texts, EACH) for texts in options.memory_texts)
        for name in few:
            # Pictures of twenty languages take more than those of two, so nothing is asked of the page.
            asked_of = f", <= {FLAT}" if name in {"driver", "statistics"} else ""
            print(f"peak of {name}: {few[name]:.0f} MB, {many[name]:.0f} MB: {many[name] / few[name]:.3f}{asked_of}")


if __name__ == "__main__":
    main()
