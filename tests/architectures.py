"""Architectures as tiny random models of their true transformers classes: a row each, with sizes and peculiarities.

Rows of `families.py` name the public source of every value. The rows here only have to run the code of a class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Settings of every tiny model whose configuration knows them.
SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "sliding_window": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
#: Sizes of Mamba 2 blocks inside hybrids.
MAMBA = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_chunk_size": 8,
}
#: Sizes of gated delta nets.
DELTA = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LINEAR = ["linear_attention", "linear_attention", "linear_attention", "full_attention"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One class with its settings.

    Attributes:
        name: of the row, and of the class unless there is a `prefix`.
        settings: beside those of `SIZES`.
        config: the class of the configuration, if it is not named as the model.
        shares: whether a beginning that all texts share can be run once.
        causal: whether no token attends to a later one.
        lists_embeddings: whether the states that transformers lists begin with the embeddings.
        fuses: whether activation and gate of its MLP may be applied inside a product.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    suffix: str = "ForCausalLM"
    config: str = ""
    shares: bool = True
    causal: bool = True
    lists_embeddings: bool = True
    fuses: bool = True

    def build(self):
        """The model with random weights, in float32; None if the installed transformers has no such class."""
        import torch
        import transformers

        prefix = self.prefix or self.name
        config_class = getattr(transformers, self.config or f"{prefix}Config", None)
        model_class = getattr(transformers, f"{prefix}{self.suffix}", None)
        if config_class is None or model_class is None:
            return None
        known = config_class().to_dict().keys() | config_class.attribute_map.keys()
        config = config_class(**{key: value for key, value in SIZES.items() if key in known} | dict(self.settings))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = model_class(config)
            # Fresh norms and small weights would leave all texts nearly alike.
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1 and "A_log" not in name:
                    parameter.data.normal_(std=0.2)
                else:
                    parameter.data.add_(0.1 * torch.randn_like(parameter))
        return model.eval()


ARCHITECTURES = (
    Architecture(name="Llama"),
    Architecture(name="Qwen3"),
    Architecture(name="GPT2", suffix="LMHeadModel"),
    Architecture(name="OPT", settings={"ffn_dim": 48}),
    Architecture(name="OPT projected", prefix="OPT", settings={"ffn_dim": 48, "word_embed_proj_dim": 16}),
    Architecture(
        name="OPT after",
        prefix="OPT",
        settings={"ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    Architecture(name="Bloom"),
    Architecture(name="XGLM", settings={"d_model": 32, "ffn_dim": 48, "num_layers": 4, "attention_heads": 4}),
    Architecture(name="Phi"),
    Architecture(name="Phimoe", settings=EXPERTS),
    Architecture(name="Mixtral", settings=EXPERTS),
    Architecture(
        name="DeepseekV3",
        settings={
            "kv_lora_rank": 8,
            "q_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "v_head_dim": 8,
            "qk_nope_head_dim": 4,
            "n_routed_experts": 4,
            "n_group": 2,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "first_k_dense_replace": 1,
            "num_key_value_heads": 4,
            "head_dim": 4,
        },
    ),
    Architecture(name="Falcon", settings={"num_kv_heads": 1}),
    Architecture(name="GPTJ", settings={"n_embd": 32, "n_layer": 4, "n_head": 4, "rotary_dim": 4, "n_positions": 512}),
    Architecture(name="Glm4"),
    Architecture(name="Olmo3"),
    Architecture(name="Cohere2"),
    Architecture(name="GptOss", settings=EXPERTS),
    Architecture(name="Gemma3", config="Gemma3TextConfig"),
    Architecture(
        name="Gemma3 bidirectional",
        prefix="Gemma3",
        config="Gemma3TextConfig",
        causal=False,
        shares=False,
        settings={"use_bidirectional_attention": True},
    ),
    Architecture(
        name="Gemma4",
        config="Gemma4TextConfig",
        settings={
            "vocab_size_per_layer_input": 300,
            "hidden_size_per_layer_input": 4,
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
        },
    ),
    Architecture(
        name="Gemma4 bidirectional",
        prefix="Gemma4",
        config="Gemma4TextConfig",
        causal=False,
        shares=False,
        settings={
            "vocab_size_per_layer_input": 300,
            "hidden_size_per_layer_input": 4,
            "use_bidirectional_attention": "all",
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
        },
    ),
    Architecture(name="Llama not causal", prefix="Llama", causal=False, shares=False, settings={"is_causal": False}),
    Architecture(
        name="Gemma3n",
        fuses=False,
        config="Gemma3nTextConfig",
        settings={
            "vocab_size_per_layer_input": 300,
            "hidden_size_per_layer_input": 4,
            "num_kv_shared_layers": 1,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "full_attention"],
        },
    ),
    Architecture(
        name="Qwen3Next",
        shares=False,
        settings=DELTA | EXPERTS | {"shared_expert_intermediate_size": 16, "layer_types": LINEAR},
    ),
    Architecture(name="Qwen3_5", config="Qwen3_5TextConfig", shares=False, settings=DELTA | {"layer_types": LINEAR}),
    Architecture(
        name="Lfm2",
        shares=False,
        settings={
            "block_auto_adjust_ff_dim": False,
            "layer_types": ["conv", "full_attention", "conv", "full_attention"],
        },
    ),
    Architecture(name="Bamba", shares=False, settings=MAMBA | {"attn_layer_indices": [1]}),
    Architecture(
        name="GraniteMoeHybrid",
        shares=False,
        settings=MAMBA
        | EXPERTS
        | {"shared_intermediate_size": 16, "layer_types": ["mamba", "mamba", "attention", "mamba"]},
    ),
    Architecture(
        name="NemotronH",
        shares=False,
        settings={
            "layers_block_type": ["mamba", "mlp", "attention", "mlp"],
            "ssm_state_size": 8,
            "mamba_num_heads": 8,
            "mamba_head_dim": 8,
            "n_groups": 1,
            "chunk_size": 8,
            "num_hidden_layers": 4,
        },
    ),
    Architecture(name="OlmoHybrid", shares=False, settings=DELTA | {"layer_types": LINEAR}),
    Architecture(name="FalconH1", shares=False, settings=MAMBA | {"mamba_d_ssm": 64}),
    Architecture(
        name="MiniMax",
        shares=False,
        settings=EXPERTS | {"layer_types": ["linear_attention", "full_attention"] * 2, "block_size": 8},
    ),
    Architecture(name="xLSTM", shares=False, settings={"num_heads": 4, "chunk_size": 8, "num_blocks": 4}),
    Architecture(name="Mamba", lists_embeddings=False, shares=False, settings={"state_size": 8}),
    Architecture(
        name="Mamba2",
        lists_embeddings=False,
        shares=False,
        settings={"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    ),
    Architecture(name="FalconMamba", lists_embeddings=False, shares=False, settings={"state_size": 8}),
    Architecture(
        name="Rwkv", lists_embeddings=False, shares=False, settings={"attention_hidden_size": 32, "context_length": 512}
    ),
    Architecture(
        name="RecurrentGemma",
        shares=False,
        settings={
            "lru_width": 32,
            "attention_window_size": 16,
            "conv1d_width": 4,
            "block_types": ["recurrent", "recurrent", "attention"],
        },
    ),
    Architecture(
        name="Jamba",
        shares=False,
        settings=EXPERTS
        | {
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
            "use_mamba_kernels": False,
        },
    ),
    Architecture(
        name="Zamba",
        shares=False,
        settings={
            "n_mamba_heads": 2,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
            "use_mamba_kernels": False,
            "attention_hidden_size": 64,
            "attention_head_dim": 16,
            "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        },
    ),
    Architecture(
        name="Zamba2",
        shares=False,
        settings={
            "mamba_d_state": 8,
            "n_mamba_heads": 8,
            "chunk_size": 8,
            "mamba_ngroups": 1,
            "mamba_headdim": 8,
            "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
            "use_mamba_kernels": False,
        },
    ),
)
BY_NAME = {row.name: row for row in ARCHITECTURES}
