"""Ways to read hidden states of the last token, ours and those that people use today, on one model folder.

A way is loaded once and then called with texts. It returns float32 (texts, layers, width): the embeddings, the output
of every block but the last, and the final state after the norm, as `output_hidden_states` of transformers orders them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.extract import hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.spec import ExtractSpec, Layer, Precision
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode

Read = Callable[[Sequence[str]], np.ndarray]
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Way:
    """`slow` ways are run on fewer texts; `last_only` ones return the final state alone."""

    title: str
    load: Callable[[Path], Read]
    slow: bool = False
    last_only: bool = False
    package: str | None = None


def _tokenizer(folder: Path, side: str) -> Any:  # noqa: ANN401 - transformers is untyped
    return AutoTokenizer.from_pretrained(folder, padding_side=side)


def _batches(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def usual_loop(folder: Path, size: int = BATCH) -> Read:
    """The loop of most papers' code: the order given, padded on the left, whole causal model, output_hidden_states."""
    tokenizer = _tokenizer(folder, "left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def read(texts: Sequence[str]) -> np.ndarray:
        kept = []
        with torch.no_grad():
            for batch in _batches(texts, size):
                inputs = tokenizer(list(batch), padding=True, return_tensors="pt")
                states = model(**inputs, output_hidden_states=True).hidden_states
                kept.append(torch.stack([state[:, -1] for state in states], 1))
        return torch.cat(kept).numpy()

    return read


def one_by_one(folder: Path) -> Read:
    """The same without batches."""
    return usual_loop(folder, size=1)


def careful_loop(folder: Path) -> Read:
    """No LM head, texts sorted by their number of tokens, padded on the right."""
    tokenizer = _tokenizer(folder, "right")
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def read(texts: Sequence[str]) -> np.ndarray:
        counts = [len(ids) for ids in tokenizer(list(texts))["input_ids"]]
        order = sorted(range(len(texts)), key=lambda i: -counts[i])
        kept = []
        with torch.inference_mode():
            for batch in _batches([texts[i] for i in order], BATCH):
                inputs = tokenizer(list(batch), padding=True, return_tensors="pt")
                states = model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
                rows, last = torch.arange(len(batch)), inputs["attention_mask"].sum(1) - 1
                kept.append(torch.stack([state[rows, last] for state in states], 1))
        return torch.cat(kept).numpy()[np.argsort(order)]

    return read


def nnsight(folder: Path, *, head: bool) -> Read:
    """The trace of nnsight, with the LM head or stopped before it."""
    from nnsight import LanguageModel  # noqa: PLC0415 - may not be installed

    tokenizer = _tokenizer(folder, "left")
    causal = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = LanguageModel(causal, tokenizer=tokenizer)
    depth = causal.config.num_hidden_layers

    def read(texts: Sequence[str]) -> np.ndarray:
        kept = []
        for batch in _batches(texts, BATCH):
            if head:
                with torch.no_grad(), model.trace(list(batch)):
                    states = list().save()  # noqa: C408 - nnsight gives list() this method
                    states.append(model.model.layers[0].input[:, -1])
                    for i in range(depth - 1):
                        states.append(model.model.layers[i].output[:, -1])
                    states.append(model.model.norm.output[:, -1])
            else:
                with torch.no_grad(), model.trace(list(batch)) as tracer:
                    states = list().save()  # noqa: C408 - nnsight gives list() this method
                    states.append(model.model.layers[0].input[:, -1])
                    for i in range(depth - 1):
                        states.append(model.model.layers[i].output[:, -1])
                    states.append(model.model.norm.output[:, -1])
                    tracer.stop()
            kept.append(torch.stack([state.detach() for state in states], 1))
        return torch.cat(kept).numpy()

    return read


def transformer_lens(folder: Path) -> Read:
    """TransformerLens' run_with_cache over the transformers model."""
    from transformer_lens.model_bridge import TransformerBridge  # noqa: PLC0415 - may not be installed

    tokenizer = _tokenizer(folder, "left")
    causal = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = TransformerBridge.boot_transformers(str(folder), hf_model=causal, tokenizer=tokenizer)
    depth = causal.config.num_hidden_layers
    names = ["blocks.0.hook_resid_pre", *(f"blocks.{i}.hook_resid_post" for i in range(depth - 1)), "ln_final.hook_out"]

    def read(texts: Sequence[str]) -> np.ndarray:
        kept = []
        for batch in _batches(texts, BATCH):
            inputs = tokenizer(list(batch), padding=True, return_tensors="pt")
            with torch.no_grad():
                _, cache = model.run_with_cache(
                    inputs["input_ids"], attention_mask=inputs["attention_mask"], names_filter=lambda n: n in names
                )
            kept.append(torch.stack([cache[name][:, -1] for name in names], 1))
        return torch.cat(kept).numpy()

    return read


def sentence_transformers(folder: Path) -> Read:
    """sentence-transformers with last-token pooling: the final state only."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - may not be installed
    from sentence_transformers.models import Pooling, Transformer  # noqa: PLC0415

    body = Transformer(str(folder))
    pooling = Pooling(body.get_word_embedding_dimension(), pooling_mode="lasttoken")
    model = SentenceTransformer(modules=[body, pooling], device="cpu")
    model.tokenizer.padding_side = "right"

    def read(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(model.encode(list(texts), batch_size=BATCH, show_progress_bar=False))[:, None]

    return read


def all_layers(depth: int) -> tuple[Layer, ...]:
    """The layers that `output_hidden_states` gives."""
    return ExtractSpec(layers=(*(str(i) for i in range(depth)), "final")).resolve(depth)


def our_states(
    model: LoadedModel, texts: Sequence[str], execution: Execution, layers: Sequence[Layer] | None = None
) -> np.ndarray:
    """One model's states as an audit reads them, (texts, layers, width)."""
    rows = encode(model.tokenizer, texts).ids
    wanted = layers or all_layers(model.depth)
    states = hidden_states(model, plan_rows(rows, execution), {"last": wanted}, execution=execution)["last"]
    return np.stack([states[layer] for layer in wanted], 1)


def ours(folder: Path, precision: Precision = "exact") -> Read:
    """As `isogloss audit` reads them; the weights are packed when the model is loaded, once an audit."""
    model = load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    execution = choose_execution(dtype="float32", precision=precision, device="cpu")
    stack = contextlib.ExitStack()
    stack.enter_context(fast_linears(model, execution, precision))

    def read(texts: Sequence[str], stack: contextlib.ExitStack = stack) -> np.ndarray:
        del stack  # held, so that the weights stay packed
        return our_states(model, texts, execution)

    return read


def our_models(model: LoadedModel, checkpoints: Sequence[Checkpoint], texts: Sequence[str]) -> list[np.ndarray]:
    """Several models on one set of weights: tokens and batches once, adapters on and off over them."""
    execution = choose_execution(dtype="float32", precision="exact", device="cpu")
    layers = all_layers(model.depth)
    plan = plan_rows(encode(model.tokenizer, texts).ids, execution)
    all_states = []
    for checkpoint in checkpoints:
        with use_checkpoint(model, checkpoint), fast_linears(model, execution):
            states = hidden_states(model, plan, {"last": layers}, execution=execution)["last"]
        all_states.append(np.stack([states[layer] for layer in layers], 1))
    return all_states


#: The first is what the others are compared with.
WAYS: dict[str, Way] = {
    "usual": Way(title="transformers, batches of 32, LM head, output_hidden_states", load=usual_loop, slow=True),
    "one": Way(title="the same, one text at a time", load=one_by_one, slow=True),
    "nnsight": Way(title="nnsight", load=lambda f: nnsight(f, head=True), slow=True, package="nnsight"),
    "nnsight-stop": Way(
        title="nnsight, stopped before the head", load=lambda f: nnsight(f, head=False), slow=True, package="nnsight"
    ),
    "lens": Way(title="TransformerLens, run_with_cache", load=transformer_lens, slow=True, package="transformer-lens"),
    "sentence": Way(
        title="sentence-transformers, last token (final layer only)",
        load=sentence_transformers,
        last_only=True,
        package="sentence-transformers",
    ),
    "careful": Way(title="transformers, no head, sorted by tokens", load=careful_loop),
    "exact": Way(title="isogloss", load=ours),
    "fast": Way(title="isogloss --precision fast", load=lambda folder: ours(folder, "fast")),
}
