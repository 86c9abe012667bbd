"""Fill the store with hidden states that it lacks. The only step of an audit that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from isogloss.activations.activations import Activations
from isogloss.activations.extract import hidden_states
from isogloss.activations.spec import Layer
from isogloss.activations.store import write
from isogloss.errors import ModelError
from isogloss.models.fetch import group_by_weights
from isogloss.models.load import LoadedModel, load_model, load_tokenizer, use_checkpoint
from isogloss.models.prompts import Prompts, encode
from isogloss.progress import Track


def compute_missing(found: Mapping[str, Activations], *, device: str | None, track: Track) -> None:
    """Run the missing parts forward, one base model at a time, and write their shards.

    Models that share their base weights are loaded once, and their adapters switched; the tokens of all are computed
    once, by the tokenizer of "aligned".

    Raises:
        ModelError: see `load_model` and `use_checkpoint`; or the tokenizers of the models disagree; or a hidden state
            is not finite, or is all zeros.
        StoreError: the states cannot be written.
    """
    waiting = {role: activations for role, activations in found.items() if activations.missing}
    prompts = _encode(found, sorted({code for one in waiting.values() for code in one.missing}), track)
    total = sum(len(gap.rows) for one in waiting.values() for code in one.missing for gap in one.gaps(code))
    groups = group_by_weights({role: one.checkpoint for role, one in waiting.items()})
    with track("Reading hidden states", total) as advance:
        for roles in groups:
            _compute_group([waiting[role] for role in roles], prompts, device, advance)


def _compute_group(
    sharing: Sequence[Activations], prompts: Mapping[str, Prompts], device: str | None, advance: Callable[[int], None]
) -> None:
    """Load the weights that these share; they are freed on return, before the next are loaded."""
    model = load_model(sharing[0].checkpoint, dtype=sharing[0].spec.dtype, device=device)
    for one in sharing:
        with use_checkpoint(model, one.checkpoint):
            _compute(one, model, prompts, advance)


def _encode(found: Mapping[str, Activations], languages: list[str], track: Track) -> dict[str, Prompts]:
    """Token ids per language, from the aligned model's tokenizer; those of the others must agree on raw text."""
    aligned = found["aligned"]
    spec = aligned.spec
    texts = {code: aligned.corpus.part(code)["text"].to_list() for code in languages}
    tokenizer = load_tokenizer(aligned.checkpoint, track)
    prompts = {
        code: encode(tokenizer, texts[code], rendering=spec.rendering, max_tokens=spec.max_tokens) for code in languages
    }
    if spec.rendering == "chat":
        return prompts
    # One of each base is enough: a random model has the tokenizer of its base.
    checked = {aligned.checkpoint.base_sha256}
    for other in (one.checkpoint for one in found.values()):
        if other.base_sha256 in checked:
            continue
        checked.add(other.base_sha256)
        tokenizer = load_tokenizer(other, track)
        for code, mine in prompts.items():
            theirs = encode(tokenizer, texts[code], max_tokens=spec.max_tokens)
            if differ := sum(a != b for a, b in zip(theirs.ids, mine.ids, strict=True)):
                raise ModelError(
                    f"tokenizers of {other.ref} and {aligned.checkpoint.ref}",
                    found=f"other tokens in {differ} of {len(mine.ids)} {code} texts",
                    expected="the same tokens for both models",
                    do="check that the aligned model descends from the reference",
                )
    return prompts


def _compute(
    one: Activations, model: LoadedModel, prompts: Mapping[str, Prompts], advance: Callable[[int], None]
) -> None:
    for code in one.missing:
        rows, bos = prompts[code].ids, prompts[code].bos
        counts = {
            "token_counts": np.array([len(row) - bos for row in rows], dtype=np.int32),
            "cut": np.array(prompts[code].cut),
        }
        text_ids = one.corpus.part(code)["text_id"].to_list()
        for gap in one.gaps(code):
            wanted = [layer for layer in one.layers if layer.name in gap.names]
            some = [rows[i] for i in gap.rows]
            states = hidden_states(model, some, wanted, position=one.spec.position, bos=bos, advance=advance)
            _check(states, str(one.checkpoint.ref), [text_ids[i] for i in gap.rows])
            arrays = {layer.name: state for layer, state in states.items()}
            arrays |= {name: count[list(gap.rows)] for name, count in counts.items() if name in gap.names}
            write(one.entries[code], gap.rows, arrays)


def _check(states: Mapping[Layer, np.ndarray], model: str, text_ids: Sequence[str]) -> None:
    """Refuse to keep states that no metric can use; they come from broken weights or a dtype that is too narrow."""
    for layer, state in states.items():
        finite = np.isfinite(state).all(axis=1)
        zero = finite & ~state.any(axis=1)
        if finite.all() and not zero.any():
            continue
        first = text_ids[int(np.flatnonzero(~finite | zero)[0])]
        raise ModelError(
            f"hidden states of {model} at layer {layer.name}",
            found=f"infinite or undefined values in {int((~finite).sum())} of {len(state)} texts, zeros only in "
            f"{int(zero.sum())}; the first is text {first}",
            expected="finite numbers",
            do="use --dtype float32, and check that the weights are complete",
        )
