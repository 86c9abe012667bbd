"""Extraction on a GPU: models of true size with an untrained model, bfloat16, texts of 64 random tokens, all layers.

    python benchmarks/gpu.py [--models llama-8b,qwen-7b] [--texts 2048] [--rounds 5] [--write]

Ours beside the usual transformers loop (batches of 32, output_hidden_states) and, if it is installed, vLLM's hidden
state extraction, in turn. The share of the limit is the rate of floating-point operations in linear layers over that of
bfloat16 products of the same shapes, measured in each round. `--models tiny --device cpu` tries the script out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

from isogloss.hidden_states.execution import choose_execution
from isogloss.hidden_states.extract import hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears
from isogloss.models.load import LoadedModel
from matrix_peak import flops_per_token, matrix_peak
from performance_page import machine, put, table, versions
from ways import BATCH, all_layers

TOKENS = 64
TARGET = 0.6
Rows = Sequence[tuple[int, ...]]
Read = Callable[[Rows], np.ndarray]

#: Sizes as in the configurations that these models are published with.
MODELS: dict[str, Any] = {
    "llama-8b": LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    ),
    "qwen-7b": Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=8192,
    ),
    "tiny": LlamaConfig(
        vocab_size=1000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    ),
}


def draw(config: Any, device: str) -> LoadedModel:  # noqa: ANN401 - transformers is untyped
    """Build a model with an untrained model on the device."""
    with torch.device(device):
        causal = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    causal.eval().requires_grad_(requires_grad=False)
    decoder = causal.get_decoder()
    return LoadedModel(
        causal=causal, decoder=decoder, blocks=decoder.layers, tokenizer=None, device=torch.device(device)
    )


def usual_loop(model: LoadedModel) -> Read:
    def read(rows: Rows) -> np.ndarray:
        kept = []
        with torch.no_grad():
            for start in range(0, len(rows), BATCH):
                ids = torch.tensor(rows[start : start + BATCH], device=model.device)
                states = model.causal(input_ids=ids, output_hidden_states=True).hidden_states
                kept.append(torch.stack([state[:, -1] for state in states], 1).float().cpu())
        return torch.cat(kept).numpy()

    return read


def ours(model: LoadedModel) -> Read:
    execution = choose_execution(dtype="bfloat16", precision="exact", device=str(model.device))
    layers = all_layers(model.depth)

    def read(rows: Rows) -> np.ndarray:
        with fast_linears(model, execution):
            states = hidden_states(model, plan_rows(rows, execution), {"last": layers}, execution=execution)["last"]
        return np.stack([states[layer] for layer in layers], 1)

    return read


def vllm(config: Any, storage: Path) -> Callable[[Rows], None]:  # noqa: ANN401
    """VLLM's extraction of the same layers, written to files; as its documentation shows it, with dummy weights."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415 - may not be installed

    folder = storage / "model"
    config.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text("utf-8"))
    saved["architectures"] = [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[config.model_type]]
    (folder / "config.json").write_text(json.dumps(saved), "utf-8")
    layers = list(range(1, config.num_hidden_layers + 1))
    model = LLM(
        model=str(folder),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="bfloat16",
        max_model_len=4 * TOKENS,
        enable_chunked_prefill=False,
        speculative_config={
            "method": "extract_hidden_states",
            "num_speculative_tokens": 1,
            "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": layers}},
        },
        kv_transfer_config={
            "kv_connector": "ExampleHiddenStatesConnector",
            "kv_role": "kv_producer",
            "kv_connector_extra_config": {"shared_storage_path": str(storage / "states")},
        },
    )

    def read(rows: Rows) -> None:
        prompts = [{"prompt_token_ids": list(row)} for row in rows]
        model.generate(prompts, SamplingParams(max_tokens=1, detokenize=False), use_tqdm=False)

    return read


def seconds(run: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(name: str, device: str, texts: int, rounds: int) -> list[list[str]]:
    """Time all ways on one model, and return the lines of the table."""
    config = MODELS[name]
    rows = list(map(tuple, np.random.default_rng(0).integers(10, 900, size=(texts, TOKENS)).tolist()))
    model = draw(config, device)
    ways: dict[str, Read] = {"transformers": usual_loop(model), "isogloss": ours(model)}
    states = {way: read(rows[:BATCH]) for way, read in ways.items()}
    wanted = states["transformers"].astype(float)
    moved = np.linalg.norm(states["isogloss"] - wanted, axis=-1) / np.linalg.norm(wanted, axis=-1)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    shares: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        limit = matrix_peak(model, tokens=16384 if device.startswith("cuda") else 1024, dtype=torch.bfloat16)
        for way, read in ways.items():
            taken = seconds(lambda read=read: read(rows), device)
            rates[way].append(texts / taken)
            shares[way].append(texts * TOKENS * flops_per_token(model) / taken / limit)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.startswith("cuda") else float("nan")
    flops = flops_per_token(model)
    del model, ways
    if importlib.util.find_spec("vllm") and device.startswith("cuda"):
        torch.cuda.empty_cache()
        with tempfile.TemporaryDirectory() as storage:
            extract = vllm(config, Path(storage))
            extract(rows[:BATCH])
            taken = [seconds(lambda: extract(rows), device) for _ in range(rounds)]
        rates["vLLM"] = [texts / seconds for seconds in taken]
        shares["vLLM"] = [texts * TOKENS * flops / seconds / limit for seconds in taken]
    print(f"{name}: mean distance from transformers {moved.mean():.0e}, at most {moved.max():.0e}; peak {peak:.1f} GB")
    return [
        [
            f"{name}, {way}",
            f"{statistics.median(rates[way]):.1f}",
            f"{statistics.median(rates[way]) / statistics.median(rates['transformers']):.1f}",
            f"{statistics.median(shares[way]):.0%}",
        ]
        for way in rates
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="llama-8b,qwen-7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--texts", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    wanted = parser.parse_args()
    lines = []
    for name in wanted.models.split(","):
        lines += measure(name, wanted.device, wanted.texts, wanted.rounds)
    card = torch.cuda.get_device_name() if wanted.device.startswith("cuda") else machine()
    header = ["model and way", "texts/s", "times transformers", "share of bfloat16 limit"]
    setting = (
        f"{card}; {versions('isogloss', 'torch', 'transformers', 'vllm')}. {wanted.texts} texts of {TOKENS} tokens, "
        f"all layers, bfloat16, an untrained model; {wanted.rounds} rounds, medians."
    )
    report = f"{setting}\n\n{table(header, lines)}"
    print(report)
    if wanted.write:
        put("gpu", "\n" + report + "\n")


if __name__ == "__main__":
    main()
