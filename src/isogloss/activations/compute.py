"""Fill the store with hidden states that it lacks. The only step of an audit that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from isogloss.activations.activations import Activations
from isogloss.activations.batching import Plan
from isogloss.activations.drift import sample_rows, settle
from isogloss.activations.execution import Execution
from isogloss.activations.extract import check_states, hidden_states, plan_rows
from isogloss.activations.kernels import fast_linears
from isogloss.activations.store import Gap, write
from isogloss.errors import ModelError
from isogloss.models.fetch import group_by_weights
from isogloss.models.load import LoadedModel, load_model, load_tokenizer, use_checkpoint
from isogloss.models.prompts import Prompts, encode
from isogloss.progress import Track


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the models of an audit have in common: tokens and batches are made once for all of them.

    `prompts` are on their way: a thread turns one language into tokens while another is run forward.
    """

    prompts: Mapping[str, Future[Prompts]]
    execution: Execution
    advance: Callable[[int], None]
    plans: dict[tuple[str, tuple[int, ...]], Plan] = field(default_factory=dict)

    def rows(self, code: str) -> tuple[tuple[int, ...], ...]:
        """Token ids of a language's texts."""
        return self.prompts[code].result().ids

    def plan(self, one: Activations, code: str, texts: tuple[int, ...]) -> Plan:
        """Plan the batches of some texts of a language."""
        if (code, texts) not in self.plans:
            rows = self.rows(code)
            self.plans[code, texts] = plan_rows([rows[i] for i in texts], self.execution, one.spec.position)
        return self.plans[code, texts]


def compute_missing(found: Mapping[str, Activations], *, execution: Execution, track: Track) -> None:
    """Run the missing parts forward, one base model at a time, and write their shards.

    Models that share their base weights are loaded once, and their adapters switched; the tokens of all are computed
    once, by the tokenizer of "aligned".

    Raises:
        ModelError: see `load_model` and `use_checkpoint`; or the tokenizers of the models disagree; or a hidden state
            is not finite, or is all zeros.
        StoreError: the states cannot be written.
    """
    waiting = {role: activations for role, activations in found.items() if activations.missing}
    gaps = {role: {code: one.gaps(code) for code in one.missing} for role, one in waiting.items()}
    total = sum(len(gap.rows) for by_code in gaps.values() for some in by_code.values() for gap in some)
    # The sample that checks a model is of the corpus's first language, whatever is missing.
    languages = dict.fromkeys(
        [*next(iter(found.values())).corpus.languages[:1], *(c for one in gaps.values() for c in one)]
    )
    with ThreadPoolExecutor(1) as pool:
        encoded = _encoder(found, track)
        prompts = {code: pool.submit(encoded, code) for code in languages}
        with track("Reading hidden states", total) as advance:
            work = Work(prompts=prompts, execution=execution, advance=advance)
            try:
                for roles in group_by_weights({role: one.checkpoint for role, one in waiting.items()}):
                    _compute_group([(waiting[role], gaps[role]) for role in roles], work)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _compute_group(sharing: Sequence[tuple[Activations, Mapping[str, list[Gap]]]], work: Work) -> None:
    """Load the weights that these share; they are freed on return, before the next are loaded."""
    first = sharing[0][0]
    model = load_model(first.checkpoint, dtype=first.spec.dtype, device=work.execution.device)
    for one, gaps in sharing:
        with use_checkpoint(model, one.checkpoint):
            _compute(one, gaps, model, work)


def _encoder(found: Mapping[str, Activations], track: Track) -> Callable[[str], Prompts]:
    """Return what turns a language into token ids: the aligned model's tokenizer; others must agree on raw text."""
    aligned = found["aligned"]
    spec = aligned.spec
    tokenizer = load_tokenizer(aligned.checkpoint, track)
    # One of each base is enough: a random model has the tokenizer of its base.
    bases = {one.checkpoint.base_sha256: one.checkpoint for one in found.values()}
    bases.pop(aligned.checkpoint.base_sha256)
    others = [] if spec.rendering == "chat" else [(one.ref, load_tokenizer(one, track)) for one in bases.values()]

    def encoded(code: str) -> Prompts:
        texts = aligned.corpus.part(code)["text"].to_list()
        mine = encode(tokenizer, texts, rendering=spec.rendering, max_tokens=spec.max_tokens)
        for ref, other in others:
            theirs = encode(other, texts, max_tokens=spec.max_tokens)
            if differ := sum(a != b for a, b in zip(theirs.ids, mine.ids, strict=True)):
                raise ModelError(
                    f"tokenizers of {ref} and {aligned.checkpoint.ref}",
                    found=f"other tokens in {differ} of {len(mine.ids)} {code} texts",
                    expected="the same tokens for both models",
                    do="check that the aligned model descends from the reference",
                )
        return mine

    return encoded


def _compute(one: Activations, gaps: Mapping[str, list[Gap]], model: LoadedModel, work: Work) -> None:
    spec = one.spec
    sample = work.prompts[one.corpus.languages[0]].result()
    execution, drift = settle(
        model, sample_rows(sample.ids), one.layers, execution=work.execution, spec=spec, bos=sample.bos
    )
    about = {"execution": asdict(execution) | {"threads": torch.get_num_threads()}, "drift": asdict(drift)}
    about["versions"] = {"torch": torch.__version__}
    with fast_linears(model, execution, spec.precision):
        for code, some in gaps.items():
            prompts = work.prompts[code].result()
            text_ids = one.corpus.part(code)["text_id"].to_list()
            counts = {
                "token_counts": np.array([len(row) - prompts.bos for row in prompts.ids], dtype=np.int32),
                "cut": np.array(prompts.cut),
            }
            for gap in some:
                states = hidden_states(
                    model,
                    work.plan(one, code, gap.rows),
                    [layer for layer in one.layers if layer.name in gap.names],
                    execution=execution,
                    position=spec.position,
                    bos=prompts.bos,
                    advance=work.advance,
                )
                check_states(states, str(one.checkpoint.ref), [text_ids[i] for i in gap.rows])
                arrays = {layer.name: state for layer, state in states.items()}
                arrays |= {name: count[list(gap.rows)] for name, count in counts.items() if name in gap.names}
                write(one.entries[code], gap.rows, arrays, about=about)
