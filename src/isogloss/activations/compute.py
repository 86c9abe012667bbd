"""Fill the store with hidden states that it lacks. The only step of an audit that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from isogloss.activations.activations import Activations
from isogloss.activations.extract import hidden_states
from isogloss.activations.store import finish, write_shard
from isogloss.errors import ModelError
from isogloss.models.load import LoadedModel, load_model, load_tokenizer, use_checkpoint
from isogloss.models.prompts import Prompts, encode
from isogloss.progress import Track


def compute_missing(found: Mapping[str, Activations], *, device: str | None, track: Track) -> None:
    """Run the missing parts forward, one base model at a time, and write their shards.

    Models that share their base weights are loaded once, and their adapters switched; their tokens are computed once.

    Raises:
        ModelError: see `load_model`, `use_checkpoint` and `hidden_states`; or the tokenizers of the pair disagree.
    """
    waiting = {role: activations for role, activations in found.items() if activations.missing}
    prompts = _encode(found, sorted({code for one in waiting.values() for code in one.missing}), track)
    total = sum(len(one.entries[code].text_ids) for one in waiting.values() for code in one.missing)
    bases = dict.fromkeys(one.checkpoint.base_sha256 for one in waiting.values())
    with track("Reading hidden states", total) as advance:
        for base in bases:
            sharing = [one for one in waiting.values() if one.checkpoint.base_sha256 == base]
            model = load_model(sharing[0].checkpoint, dtype=sharing[0].spec.dtype, device=device)
            # The bare base first, before any adapter is attached to it.
            for one in sorted(sharing, key=lambda one: one.checkpoint.adapter_folder is not None):
                with use_checkpoint(model, one.checkpoint):
                    _compute(one, model, prompts, advance)


def _encode(found: Mapping[str, Activations], languages: list[str], track: Track) -> dict[str, Prompts]:
    """Token ids per language, from the aligned model's tokenizer; the reference's must agree on raw text."""
    aligned = found["aligned"]
    spec = aligned.spec
    texts = {code: aligned.corpus.part(code)["text"].to_list() for code in languages}
    tokenizer = load_tokenizer(aligned.checkpoint, track)
    prompts = {
        code: encode(tokenizer, texts[code], rendering=spec.rendering, max_tokens=spec.max_tokens) for code in languages
    }
    reference = found.get("reference")
    same = reference is None or reference.checkpoint.base_sha256 == aligned.checkpoint.base_sha256
    if reference is None or same or spec.rendering == "chat":
        return prompts
    other = load_tokenizer(reference.checkpoint, track)
    for code, mine in prompts.items():
        theirs = encode(other, texts[code], max_tokens=spec.max_tokens)
        if differ := sum(a != b for a, b in zip(theirs.ids, mine.ids, strict=True)):
            raise ModelError(
                f"tokenizers of {reference.checkpoint.ref} and {aligned.checkpoint.ref}",
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
        for path, texts in one.entries[code].shards():
            states = hidden_states(model, rows[texts], one.layers, position=one.spec.position, bos=bos, advance=advance)
            write_shard(path, states, np.array([len(row) - bos for row in rows[texts]]))
        finish(one.entries[code], notes={"language": code, "cut": prompts[code].cut})
