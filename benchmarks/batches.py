"""Where the token budget and the overhead of a forward pass come from (CPU_BATCH and GPU_BATCH of execution.py).

    python benchmarks/batches.py [--device cpu] [--texts 160] [--rounds 3]

Times batches of 20-token rows of several sizes: a straight line through them gives what a pass costs beside its tokens,
in tokens. Then reads the same texts with several budgets, in turn, and prints texts a second.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np

from isogloss.data.load import load_corpus
from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.extract import hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.spec import Layer
from isogloss.models.checkpoints import fetch
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode

TOKENS = 20
SIZES = (1, 2, 4, 8, 16, 32, 64)
BUDGETS = (256, 512, 1024, 2048, 4096, 8192)


def seconds(model: LoadedModel, rows: list[tuple[int, ...]], execution: Execution) -> float:
    layers = [Layer(model.depth, "post")]
    plan = plan_rows(rows, execution)
    start = time.perf_counter()
    hidden_states(model, plan, {"last": layers}, execution=execution)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    model = load_model(fetch(ModelRef(base="embedded/gemma-3-270m")), device=wanted.device)
    execution = choose_execution(dtype="float32", precision="exact", device=wanted.device)
    texts = load_corpus("mini").frame["text"].unique(maintain_order=True).sample(wanted.texts, seed=0).to_list()
    rows = list(encode(model.tokenizer, texts).ids)
    rng = np.random.default_rng(0)

    with fast_linears(model, execution):
        seconds(model, rows[:8], execution)
        tokens, times = [], []
        for size in SIZES:
            batch = [tuple(map(int, row)) for row in rng.integers(100, 1000, size=(size, TOKENS))]
            one_batch = replace(execution, token_budget=10**9, overhead=10**9)
            tokens.append(size * TOKENS)
            times.append(statistics.median(seconds(model, batch, one_batch) for _ in range(2 * wanted.rounds)))
            print(f"a batch of {tokens[-1]} tokens: {times[-1] * 1e3:.0f} ms")
        slope, offset = np.polyfit(tokens, times, 1)
        print(f"a pass costs {offset * 1e3:.0f} ms beside its tokens: {offset / slope:.0f} tokens' worth\n")

        rates: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
        for _ in range(wanted.rounds):
            for budget in BUDGETS:
                rates[budget].append(len(rows) / seconds(model, rows, replace(execution, token_budget=budget)))
        for budget, measured in rates.items():
            median, low, high = statistics.median(measured), min(measured), max(measured)
            print(f"budget {budget}: {median:.1f} texts/s ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
