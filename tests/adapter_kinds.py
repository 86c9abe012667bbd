"""Every kind of adapter that the installed peft can make, on a tiny model: its configuration, and how it is saved."""

import peft
import torch

TARGETS = ["q_proj", "down_proj"]


def lora(**options):
    return peft.LoraConfig(**{"r": 4, "target_modules": TARGETS, "task_type": "CAUSAL_LM", **options})


def of(kind, **options):
    return getattr(peft, kind)(**{"target_modules": TARGETS, "task_type": "CAUSAL_LM", **options})


#: Name -> configuration of an adapter that changes weights or layers.
READ = {
    "LoRA": lora,
    "rsLoRA": lambda: lora(use_rslora=True),
    "DoRA": lambda: lora(use_dora=True),
    "LoRA with biases": lambda: lora(lora_bias=True),
    "LoRA, trained biases": lambda: lora(bias="all"),
    "LoRA with patterns": lambda: lora(rank_pattern={"q_proj": 2}, alpha_pattern={"q_proj": 3}),
    "LoRA on all linear layers": lambda: lora(target_modules="all-linear"),
    "LoRA on a parameter": lambda: lora(target_modules=[], target_parameters=["mlp.up_proj.weight"]),
    "LoRA from PiSSA": lambda: lora(init_lora_weights="pissa"),
    "LoRA from OLoRA": lambda: lora(init_lora_weights="olora"),
    "LoRA from orthogonal": lambda: lora(init_lora_weights="orthogonal"),
    "LoRA on embeddings": lambda: lora(target_modules=["embed_tokens", "q_proj"]),
    "LoRA on the head": lambda: lora(target_modules=["lm_head", "q_proj"]),
    "LoRA on both": lambda: lora(target_modules=["embed_tokens", "lm_head"]),
    "LoRA on tied embeddings": lambda: lora(target_modules=["embed_tokens"], ensure_weight_tying=True),
    "DoRA on embeddings": lambda: lora(target_modules=["embed_tokens"], use_dora=True),
    "DoRA on the head": lambda: lora(target_modules=["lm_head"], use_dora=True),
    "modules_to_save: head": lambda: lora(modules_to_save=["lm_head"]),
    "modules_to_save: embeddings": lambda: lora(modules_to_save=["embed_tokens"]),
    "modules_to_save: both": lambda: lora(modules_to_save=["embed_tokens", "lm_head"]),
    "modules_to_save: tied": lambda: lora(modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "modules_to_save: norm": lambda: lora(modules_to_save=["norm"]),
    "modules_to_save: MLP": lambda: lora(target_modules=["q_proj"], modules_to_save=["mlp"]),
    "modules_to_save: up": lambda: lora(modules_to_save=["up_proj"]),
    "trainable tokens": lambda: lora(trainable_token_indices=[5, 6, 250]),
    "trainable tokens alone": lambda: peft.TrainableTokensConfig(token_indices=[5, 250], task_type="CAUSAL_LM"),
    "AdaLoRA": lambda: of("AdaLoraConfig", total_step=10, init_r=4),
    "LoHa": lambda: of("LoHaConfig", r=4),
    "LoKr": lambda: of("LoKrConfig", r=4),
    "OFT": lambda: of("OFTConfig", oft_block_size=4, r=0),
    "BOFT": lambda: of("BOFTConfig", boft_block_size=4),
    "IA3": lambda: of("IA3Config", feedforward_modules=["down_proj"]),
    "LN tuning": lambda: of("LNTuningConfig", target_modules=["input_layernorm", "norm"]),
    "VeRA": lambda: of("VeraConfig", r=4),
    "VeRA without projections": lambda: of("VeraConfig", r=4, save_projection=False),
    "PVeRA": lambda: of("PveraConfig", r=4),
    "VB-LoRA": lambda: of("VBLoRAConfig", r=4, vector_length=8, num_vectors=6, topk=2),
    "FourierFT": lambda: of("FourierFTConfig", n_frequency=10),
    "WaveFT": lambda: of("WaveFTConfig", n_frequency=10),
    "HRA": lambda: of("HRAConfig", r=4),
    "MiSS": lambda: of("MissConfig", r=4),
    "MiSS, bat": lambda: of("MissConfig", r=4, init_weights="bat"),
    "MiSS, mini": lambda: of("MissConfig", r=4, init_weights="mini", mini_r=2),
    "RandLoRA": lambda: of("RandLoraConfig", r=4),
    "SHiRA": lambda: of("ShiraConfig", r=2),
    "C3A": lambda: of("C3AConfig", block_size=8),
    "RoAd": lambda: of("RoadConfig", group_size=4),
    "OSF": lambda: of("OSFConfig", effective_rank=4),
    "DeLoRA": lambda: of("DeloraConfig", r=4),
    "GraLoRA": lambda: of("GraloraConfig", r=4, gralora_k=2),
    "HiRA": lambda: of("HiraConfig", r=4),
    "FRoD": lambda: of("FrodConfig", progressbar=False),
    "GLoRA": lambda: of("GloraConfig", r=4),
    "UniLoRA": lambda: of("UniLoraConfig", r=4, theta_d_length=64),
    "TinyLoRA": lambda: of("TinyLoraConfig", r=2, u=4),
    "PSOFT": lambda: of("PsoftConfig", r=4),
    "PEANuT": lambda: of("PeanutConfig", r=4),
    "AdaMSS": lambda: of("AdamssConfig", r=8, num_subspaces=2, subspace_rank=2),
    "BEFT": lambda: of("BeftConfig"),
    "DEFT": lambda: of("DeftConfig", r=4),
    "Supertuning": lambda: of("SupertuningConfig"),
}
#: Name -> configuration of an adapter that puts something before the text.
PROMPTS = {
    "prompt tuning": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "prefix tuning": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "p-tuning": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, encoder_hidden_size=8),
    "multitask prompt tuning": lambda: peft.MultitaskPromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, num_tasks=2
    ),
    "CPT": lambda: peft.CPTConfig(
        task_type="CAUSAL_LM", cpt_token_ids=[5, 6, 7], cpt_mask=[1, 1, 1], cpt_tokens_type_mask=[1, 2, 3]
    ),
    "Cartridge": lambda: peft.CartridgeConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}


def save_adapter(model, config, folder):
    """Attach an adapter to a model, move all that it trains, and save it; skip it where peft cannot."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        adapted = peft.get_peft_model(model, config)
        for parameter in adapted.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.data += torch.randn(parameter.shape) * 0.1
        adapted.eval().save_pretrained(folder)
    return folder
