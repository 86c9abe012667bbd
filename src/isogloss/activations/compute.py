"""Fill the store with hidden states that it lacks. The only step of an audit that loads weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from isogloss.activations.activations import Activations
from isogloss.activations.batching import Plan
from isogloss.activations.drift import sample_rows, settle
from isogloss.activations.execution import Execution
from isogloss.activations.extract import check_states, hidden_states, plan_rows
from isogloss.activations.kernels import fast_linears
from isogloss.activations.store import Gap, write
from isogloss.errors import ModelError
from isogloss.models.fetch import Checkpoint, group_by_weights
from isogloss.models.load import LoadedModel, load_model, load_tokenizer, use_checkpoint
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import Prompts, encode, fingerprint
from isogloss.progress import Track


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the models of an audit have in common: tokens and batches are made once for all of them.

    `encoded` are on their way: a thread turns one language into tokens while another is run forward. It holds tokens by
    the hash of the base model; models with the same tokens share one `Prompts`.
    """

    encoded: Mapping[str, Future[Mapping[str, Prompts]]]
    fingerprints: Mapping[str, str]
    execution: Execution
    advance: Callable[[int], None]
    plans: dict[tuple[int, tuple[int, ...]], Plan] = field(default_factory=dict)

    def prompts(self, one: Activations, code: str) -> Prompts:
        """Tokens of a language's texts as a model is given them."""
        return self.encoded[code].result()[one.checkpoint.base_sha256]

    def plan(self, one: Activations, code: str, texts: tuple[int, ...]) -> Plan:
        """Plan the batches of some texts of a language."""
        prompts = self.prompts(one, code)
        key = id(prompts), texts
        if key not in self.plans:
            self.plans[key] = plan_rows([prompts.ids[i] for i in texts], self.execution, one.spec.read_out)
        return self.plans[key]


def compute_missing(found: Mapping[str, Activations], *, execution: Execution, track: Track) -> None:
    """Run the missing parts forward, one base model at a time, and write their shards.

    Models that share their base weights are loaded once, and their adapters switched. Tokens are computed once where
    the models' tokenizers agree; in chat rendering they must.

    Raises:
        ModelError: see `load_model`, `use_checkpoint` and `encode`; or the tokenizers disagree in chat rendering; or a
            text is longer than a model's context; or a hidden state is not finite, or is all zeros.
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
        tokenizers = _tokenizers(found, track)
        encode_language = functools.partial(_encode, found["aligned"], tokenizers)
        encoded = {code: pool.submit(encode_language, code) for code in languages}
        fingerprints = {base: fingerprint(tokenizer) for base, (_, tokenizer) in tokenizers.items()}
        with track("Reading hidden states", total) as advance:
            work = Work(encoded=encoded, fingerprints=fingerprints, execution=execution, advance=advance)
            try:
                for roles in group_by_weights({role: one.checkpoint for role, one in waiting.items()}):
                    _compute_group([(waiting[role], gaps[role]) for role in roles], work)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _compute_group(sharing: Sequence[tuple[Activations, Mapping[str, list[Gap]]]], work: Work) -> None:
    """Load the weights that these share; they are freed on return, before the next are loaded."""
    first = sharing[0][0]
    model = load_model(
        first.checkpoint, dtype=first.spec.dtype, quantize=first.spec.quantize, device=work.execution.device
    )
    for one, gaps in sharing:
        with use_checkpoint(model, one.checkpoint):
            _compute(one, gaps, model, work)


def _tokenizers(found: Mapping[str, Activations], track: Track) -> dict[str, tuple[ModelRef, PreTrainedTokenizerBase]]:
    """Load one tokenizer of each base, that of "aligned" first: a random model has the tokenizer of its base."""
    checkpoints: dict[str, Checkpoint] = {}
    for one in (found["aligned"], *found.values()):
        checkpoints.setdefault(one.checkpoint.base_sha256, one.checkpoint)
    return {base: (one.ref, load_tokenizer(one, track)) for base, one in checkpoints.items()}


def _encode(
    aligned: Activations, tokenizers: Mapping[str, tuple[ModelRef, PreTrainedTokenizerBase]], code: str
) -> Mapping[str, Prompts]:
    """Turn a language into token ids for each base; a chat template is the aligned model's, so its tokens serve all.

    Raises:
        ModelError: see `encode`; or a model would be given tokens that are not its own.
    """
    spec, base, texts = aligned.spec, aligned.checkpoint.base_sha256, aligned.corpus.part(code)["text"].to_list()

    def raw(tokenizer: PreTrainedTokenizerBase) -> Prompts:
        return encode(tokenizer, texts, max_tokens=spec.max_tokens)

    if spec.rendering == "raw":
        mine = raw(tokenizers[base][1])
        others = {other: raw(tokenizer) for other, (_, tokenizer) in tokenizers.items() if other != base}
        # Equal tokens are one object, so that their batches are planned once.
        return {base: mine} | {other: mine if theirs == mine else theirs for other, theirs in others.items()}
    for ref, tokenizer in list(tokenizers.values())[1:]:
        rows = list(zip(raw(tokenizer).ids, raw(tokenizers[base][1]).ids, strict=True))
        if differ := sum(a != b for a, b in rows):
            raise ModelError(
                f"tokenizers of {ref} and {aligned.checkpoint.ref}",
                found=f"other tokens in {differ} of {len(rows)} {code} texts",
                expected="the same tokens for both models in chat rendering",
                do="use --rendering raw, or check that the aligned model descends from the reference",
            )
    rendered = encode(
        tokenizers[base][1],
        texts,
        rendering="chat",
        max_tokens=spec.max_tokens,
        template=spec.chat_template,
        end="t_inst" if spec.position == "t_inst" else "t_post",
    )
    return dict.fromkeys(tokenizers, rendered)


def check_context(model: LoadedModel, rows: Sequence[tuple[int, ...]], name: str) -> None:
    """Refuse rows that are longer than what the model was made for: no position after that was ever trained.

    Raises:
        ModelError: a row is longer than the context that the model's configuration names, if it names one.
    """
    longest = max(map(len, rows))
    if model.context is not None and longest > model.context:
        raise ModelError(
            f"model {name}",
            found=f"a text of {longest} tokens",
            expected=f"at most {model.context}, its context",
            do=f"use --max-tokens {model.context}",
        )


def _compute(one: Activations, gaps: Mapping[str, list[Gap]], model: LoadedModel, work: Work) -> None:
    spec = one.spec
    sample = work.prompts(one, one.corpus.languages[0])
    execution, drift = settle(
        model, sample_rows(sample.ids), one.layers, execution=work.execution, spec=spec, bos=sample.bos
    )
    about = {
        "execution": asdict(execution) | {"threads": torch.get_num_threads()},
        "drift": asdict(drift),
        "versions": {"torch": torch.__version__},
        "tokenizer": work.fingerprints[one.checkpoint.base_sha256],
    }
    with fast_linears(model, execution, spec.precision):
        for code, some in gaps.items():
            prompts = work.prompts(one, code)
            check_context(model, prompts.ids, str(one.checkpoint.ref))
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
                    position=spec.read_out,
                    bos=prompts.bos,
                    advance=work.advance,
                )
                check_states(states, str(one.checkpoint.ref), [text_ids[i] for i in gap.rows])
                arrays = {layer.name: state for layer, state in states.items()}
                arrays |= {name: count[list(gap.rows)] for name, count in counts.items() if name in gap.names}
                write(one.entries[code], gap.rows, arrays, about=about)
