"""Extract hidden states with vLLM and audit the arrays.

This example has not been run here: vLLM needs a GPU. It uses the hidden-state output of vLLM 0.18 and later
(https://docs.vllm.ai/en/latest/features/speculative_decoding/extract_hidden_states/), which writes a file a prompt.
vLLM gives the last layer before the final norm; isogloss reads it after the norm by default, so levels differ.

    python examples/vllm_hidden_states.py Qwen/Qwen2.5-7B Qwen/Qwen2.5-7B-Instruct 28 mini
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np
from safetensors.torch import load_file

import isogloss


def extract(model: str, texts: list[str], layers: list[int]) -> np.ndarray:
    """Run texts through a model and take the last token of each: float32 (texts, layers, width)."""
    from vllm import LLM, SamplingParams  # noqa: PLC0415 - only this example needs vLLM

    with tempfile.TemporaryDirectory() as folder:
        llm = LLM(
            model=model,
            enable_chunked_prefill=False,  # a prompt must be one prefill, or its file holds a part of it
            speculative_config={
                "method": "extract_hidden_states",
                "num_speculative_tokens": 1,
                "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": layers}},
            },
            kv_transfer_config={
                "kv_connector": "ExampleHiddenStatesConnector",
                "kv_role": "kv_producer",
                "kv_connector_extra_config": {"shared_storage_path": folder},
            },
        )
        outputs = llm.generate(texts, SamplingParams(max_tokens=1))
        files = [load_file(output.kv_transfer_params["hidden_states_path"]) for output in outputs]
    return np.stack([file["hidden_states"][-1].float().numpy() for file in files])  # (tokens, layers, width) each


def main(reference: str, aligned: str, depth: str, corpus: str) -> None:
    """Audit two models of `depth` blocks at the middle and the last layer."""
    texts = isogloss.load_corpus(corpus).frame
    layers = [int(depth) // 2, int(depth)]
    audit = isogloss.audit_states(
        extract(reference, texts["text"].to_list(), layers),
        extract(aligned, texts["text"].to_list(), layers),
        labels=texts["harmful"].to_numpy(),
        languages=texts["language"].to_list(),
        pairs=texts["pair_id"].to_list(),
        items=texts["item_id"].to_list(),
        layers=layers,
        name=corpus,
        out="RUN",
    )
    print({verdict.language: verdict.verdict for verdict in audit.verdicts})


if __name__ == "__main__":
    main(*sys.argv[1:])
