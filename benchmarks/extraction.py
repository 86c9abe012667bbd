"""Our extraction beside the usual loop, on the embedded model and the bundled corpus.

The usual loop: texts in the order given, batches of 32 padded to their longest text, the whole causal model with its LM
head, output_hidden_states=True. Both run on the same texts, alternating, in one process; what counts is the ratio.

    python benchmarks/extraction.py [--texts 64] [--rounds 3]
"""

# ruff: noqa: E402 - the path is mended before anything is imported

from __future__ import annotations

import sys
from pathlib import Path

# This folder has a statistics.py, which must not stand in for the standard library's.
sys.path = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from isogloss.activations.execution import choose_execution
from isogloss.activations.extract import hidden_states, plan_rows
from isogloss.activations.kernels import fast_linears
from isogloss.activations.spec import ExtractSpec, Layer
from isogloss.corpora.load import load_corpus
from isogloss.models.fetch import fetch
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode


def usual_loop(model: LoadedModel, rows: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Final post-norm state of the last token of each row, float32 (rows, width)."""
    kept = []
    with torch.no_grad():
        for start in range(0, len(rows), 32):
            batch = rows[start : start + 32]
            width = max(map(len, batch))
            ids = torch.tensor([row + (0,) * (width - len(row)) for row in batch])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
            out = model.causal(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            kept += [out.hidden_states[-1][i, len(row) - 1].numpy() for i, row in enumerate(batch)]
    return np.stack(kept)


def our_way(model: LoadedModel, rows: Sequence[tuple[int, ...]], layers: Sequence[Layer]) -> np.ndarray:
    """The same states, as an audit reads them; float32 (rows, width)."""
    execution = choose_execution(dtype="float32", precision="exact", device="cpu")
    with fast_linears(model, execution):
        return hidden_states(model, plan_rows(rows, execution), layers, execution=execution)[layers[0]]


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    model = load_model(fetch(ModelRef(base="embedded/gemma-3-270m")), device="cpu")
    texts = load_corpus("mini").frame.sample(wanted.texts, seed=0)["text"].to_list()
    rows = encode(model.tokenizer, texts).ids
    layers: tuple[Layer, ...] = ExtractSpec().resolve(model.depth)

    ours = our_way(model, rows, layers)
    usual = usual_loop(model, rows)
    error = float(np.linalg.norm(ours - usual) / np.linalg.norm(usual))
    assert error < 1e-4, f"the two disagree by {error:.1e}"

    ratios = []
    for number in range(wanted.rounds):
        slow = seconds(lambda: usual_loop(model, rows))
        fast = seconds(lambda: our_way(model, rows, layers))
        ratios.append(slow / fast)
        print(f"round {number + 1}: usual loop {slow:.1f} s, isogloss {fast:.1f} s, ratio {ratios[-1]:.2f}")
    print(f"{len(rows)} texts, equal to {error:.0e}; median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
