"""ExtractSpec: everything that changes the numbers of an extraction, and nothing else; all but the layers is hashed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from isogloss.errors import MetricError, UsageError
from isogloss.io.files import canonical_json, sha256_text
from isogloss.models.template_settings import parse_arguments

#: How a vector is taken from the tokens that a model is given.
Position = Literal["last", "mean", "last_instruction_token"]
POSITIONS = ("last", "mean", "last_instruction_token")
PROMPT_FORMATS = ("raw", "chat")
DTYPES = ("float32", "bfloat16")
Precision = Literal["exact", "fast"]
PRECISIONS = ("exact", "fast")
#: What weights may be rounded to while they are loaded; models/precision.py knows how.
QUANTIZED = ("bnb-8bit", "bnb-4bit", "torchao-int8")


#: Limits of the token limit: fewer leave nothing of a text, more is beyond every model.
FEWEST_TOKENS, MOST_TOKENS = 8, 10_000_000
#: A number of a layer, as it is written everywhere.
NUMBER = re.compile("0|[1-9][0-9]{0,5}")
#: Settings that are left out of the hash where they are not used.
LATER = ("quantize", "chat_template", "template_args")


@dataclass(frozen=True)
class Layer:
    """A layer of the model: 0 is the embeddings, k is after block k; the last is read before or after the final norm.

    `norm` is "pre" or "post" for the last layer and "" for all others.
    """

    index: int
    norm: str

    @property
    def name(self) -> str:
        """The name in files and tables, such as 6 or 18-post."""
        return f"{self.index}-{self.norm}" if self.norm else str(self.index)

    @property
    def option(self) -> str:
        """The name that `ExtractSpec.layers` and --layers read.

        >>> [Layer(6, "").option, Layer(18, "pre").option, Layer(18, "post").option]
        ['6', 'final-pre', 'final']
        """
        return {"": str(self.index), "pre": "final-pre", "post": "final"}[self.norm]


@dataclass(frozen=True, kw_only=True)
class ExtractSpec:
    """What to read from a model.

    Attributes:
        layers: numbers, "final" (last layer, after the final norm), "final-pre" (before it) or "all".
        position: "last" is the last token (with a chat template that of the template, `last_prompt_token`); "mean" is
            the mean over all tokens but BOS, whose state dwarfs the others; "last_instruction_token" is the last token
            of the text inside the template.
        prompt_format: "raw" text, or the text as a user turn in the aligned model's "chat" template.
        max_tokens: longer texts lose their end, and a warning counts them.
        dtype: of weights and computation; hidden states are always kept as float32.
        precision: "exact", or "fast": float32 with inputs and weights of linear layers rounded to bfloat16.
        quantize: round the weights of linear layers to fewer bits, by bitsandbytes or torchao; None leaves them.
        chat_template: a Jinja template for the chat prompt format; None uses the aligned model's own.
        template_args: arguments of the chat template, such as `("enable_thinking=false",)` with JSON values; a mapping
            such as `{"enable_thinking": False}` is brought into this form.
    """

    layers: tuple[str, ...] = ("final",)
    position: Position = "last"
    prompt_format: Literal["raw", "chat"] = "raw"
    max_tokens: int = 512
    dtype: str = "float32"
    precision: Precision = "exact"
    quantize: str | None = None
    chat_template: str | None = None
    template_args: tuple[str, ...] | Mapping[str, Any] = ()

    def __post_init__(self) -> None:
        """Refuse values that do not exist."""
        object.__setattr__(self, "template_args", parse_arguments(self.template_args))
        for option, value, known in (
            ("position", self.position, POSITIONS),
            ("prompt_format", self.prompt_format, PROMPT_FORMATS),
            ("dtype", self.dtype, DTYPES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise UsageError(
                    f"--{option.replace('_', '-')}", found=repr(value), expected=" or ".join(known), do="choose one"
                )
        if self.quantize is not None and self.quantize not in QUANTIZED:
            raise UsageError("--quantize", found=repr(self.quantize), expected=" or ".join(QUANTIZED), do="choose one")
        if self.precision == "fast" and self.quantize is not None:
            raise UsageError("--quantize", found="--precision fast", expected="one of them", do="drop one")
        if self.precision == "fast" and self.dtype != "float32":
            raise UsageError(
                "--precision fast", found=f"--dtype {self.dtype}", expected="--dtype float32", do="drop one of them"
            )
        if self.prompt_format == "raw" and (
            self.position == "last_instruction_token" or self.chat_template is not None
        ):
            raise UsageError(
                "--position last_instruction_token" if self.position == "last_instruction_token" else "--chat-template",
                found="--prompt-format raw",
                expected="--prompt-format chat",
                do="add it: without a template the last token is that of the text",
            )
        if self.prompt_format == "raw" and self.template_args:
            raise UsageError(
                "--template-arg",
                found="--prompt-format raw",
                expected="--prompt-format chat or --compare-chat",
                do="add it: raw text has no template",
            )
        if not FEWEST_TOKENS <= self.max_tokens <= MOST_TOKENS:
            raise UsageError(
                "--max-tokens",
                found=str(self.max_tokens),
                expected=f"{FEWEST_TOKENS} to {MOST_TOKENS}: of fewer, nothing of a text would be left",
                do="choose another limit",
            )
        if not self.layers:
            raise UsageError("--layers", found="none", expected="a layer at least", do="name one")

    def resolve(self, depth: int) -> tuple[Layer, ...]:
        """Turn layer names into layers of a model with `depth` blocks, in order and without repeats.

        >>> [layer.name for layer in ExtractSpec(layers=("final", "0", "6")).resolve(18)]
        ['0', '6', '18-post']

        Raises:
            MetricError: a layer does not exist.
        """
        layers = {layer for name in self.layers for layer in _resolve(name, depth)}
        return tuple(sorted(layers, key=lambda layer: (layer.index, layer.norm == "post")))

    @property
    def settings(self) -> dict[str, object]:
        """What decides the numbers of a layer: everything but which layers are read.

        Settings that were added later are left out where they are not used, so older stores stay readable.
        """
        settings = {name: value for name, value in asdict(self).items() if name != "layers"}
        if self.chat_template is not None:
            settings["chat_template"] = sha256_text(self.chat_template)
        settings["template_args"] = list(self.template_args)
        return {name: value for name, value in settings.items() if name not in LATER or value not in (None, [])}

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the chat template in canonical form."""
        return tuple(self.template_args)

    @property
    def prompts(self) -> tuple[object, ...]:
        """What decides the tokens that a model is given: specs that agree in this share their forward passes."""
        return self.prompt_format, self.chat_template, self.arguments, self.max_tokens

    @property
    def rounded(self) -> bool:
        """Whether states are known to differ from those of the same weights in float32; this drift is measured."""
        return self.precision == "fast" or (self.dtype == "bfloat16" and self.quantize is None)

    @property
    def sha256(self) -> str:
        """Hash of the settings."""
        return sha256_text(canonical_json(self.settings))


def _resolve(name: str, depth: int) -> list[Layer]:
    named = {"final": Layer(depth, "post"), "final-pre": Layer(depth, "pre")}
    if name in named:
        return [named[name]]
    if name == "all":
        return [*(Layer(index, "") for index in range(depth)), *named.values()]
    number = int(name) if NUMBER.fullmatch(name) else depth + 1
    if number < depth:
        return [Layer(number, "")]
    if number == depth:
        return [named["final-pre"]]
    raise MetricError(
        "--layers",
        found=repr(name),
        expected=f"numbers from 0 (embeddings) to {depth}, final, final-pre or all",
        do="choose layers that this model has",
    )
