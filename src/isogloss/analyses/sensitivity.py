"""The primary metric under other read-outs, norms, components and fits: does the result depend on these choices?

One extraction, with a forward pass for each prompt format, serves all combinations. The numbers are plug-in values
without intervals: they show where a sign or an order changes, not whether the change is significant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from isogloss.analyses.chat_template.request import ChatTemplate
from isogloss.auditing.config import COMPONENTS, AuditConfig
from isogloss.auditing.draw_sample import draw_sample
from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError
from isogloss.hidden_states.activations import Activations, locate
from isogloss.hidden_states.execution import choose_execution
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.io.paths import AnyPath
from isogloss.models.pairs import ModelPair
from isogloss.progress import Track, silent
from isogloss.stats.component_scopes import SCOPES, in_components, scope_rows
from isogloss.stats.metrics import metric
from isogloss.stats.text_pairs import partner_index

#: Read-outs of each prompt format; in the chat template, "last" is the template's last token (last_prompt_token).
POSITIONS = {"raw": ("last", "mean"), "chat": ("last", "last_instruction_token", "mean")}
LAYERS = ("final-pre", "final")


@dataclass(frozen=True, kw_only=True)
class _Readout:
    """States of the models under one prompt format and position."""

    spec: ExtractSpec
    states: dict[str, Activations]


def sensitivity(
    pair: ModelPair,
    corpus: Corpus,
    *,
    config: AuditConfig | None = None,
    store: AnyPath | str | None = None,
    device: str | None = None,
    track: Track = silent,
) -> pl.DataFrame:
    """Compute the primary metric of a config under every combination of choices that its states allow.

    Args:
        pair: as for `audit`; without a reference there are no gains.
        corpus: as for `audit`.
        config: its metric, sample, dtype and token limit apply. A ChatTemplate request, or a spec in the chat template,
            adds the read-outs of the chat template.
        store: cache of hidden states; None is the user's cache.
        device: a torch device; None takes a GPU if available.
        track: progress display.

    Returns:
        A row for each language and combination: prompt format, position, norm (pre or post), scope (the states that
        components are fitted to), components, language, reference, aligned, gain, retention (gain over the pivot's);
        null without a reference.

    Raises:
        IsoglossError: see `audit`.
    """
    config = config or AuditConfig()
    if config.pivot not in corpus.languages:
        languages = ", ".join(corpus.languages)
        raise CorpusError("--pivot", found=repr(config.pivot), expected=f"one of {languages}", do="choose one")
    sample, _ = draw_sample(
        pair,
        corpus,
        split=config.split,
        choice=config.trained_texts,
        per_class=config.per_class,
        seed=config.seed,
    )
    refs = {"reference": pair.reference, "aligned": pair.aligned}
    models = {role: ref for role, ref in refs.items() if ref is not None}
    readouts = [
        _Readout(spec=spec, states=locate(models, sample, spec, store=store, track=track))
        for spec in _list_specs(config)
    ]
    if any(states.missing for readout in readouts for states in readout.states.values()):
        execution = choose_execution(dtype=config.spec.dtype, precision=config.spec.precision, device=device)
        fill(*(readout.states for readout in readouts), execution=execution, track=track)
    rows = []
    with track("Comparing choices", len(readouts) * len(sample.languages)) as advance:
        for readout in readouts:
            for code in sample.languages:
                rows += _measure_language(readout, sample, code, config.primary.metric)
                advance(1)
    return _add_retention(pl.DataFrame(rows, infer_schema_length=None), config.pivot)


def _list_specs(config: AuditConfig) -> list[ExtractSpec]:
    chat = config.request(ChatTemplate)
    formats = {"raw"} | ({"chat"} if chat or config.spec.prompt_format == "chat" else set())
    template = chat.chat_template if chat else config.spec.chat_template
    arguments = chat.template_args if chat else config.spec.arguments
    return [
        replace(
            config.spec,
            layers=LAYERS,
            prompt_format=prompt_format,  # type: ignore[arg-type]  # a key of POSITIONS
            position=position,  # type: ignore[arg-type]
            chat_template=template if prompt_format == "chat" else None,
            template_args=arguments if prompt_format == "chat" else (),
        )
        for prompt_format, positions in POSITIONS.items()
        if prompt_format in formats
        for position in positions
    ]


def _measure_language(readout: _Readout, sample: Corpus, code: str, name: str) -> list[dict[str, object]]:
    """Measure all norms, scopes and numbers of components of one language; its states are read once."""
    texts = sample.part(code)
    harmful = texts["harmful"].to_numpy()
    partners = partner_index(texts["pair_id"].to_list(), harmful) if sample.paired else None
    rows: list[dict[str, object]] = []
    for layer in readout.states["aligned"].layers:
        states = {role: activations.block(code, layer).hidden for role, activations in readout.states.items()}
        for scope in SCOPES:
            projected = _project(states, scope)
            for k in COMPONENTS:
                values = {role: _compute_metric(name, x[:, :k], harmful, partners) for role, x in projected.items()}
                choice = {"norm": layer.norm, "scope": scope, "components": k, "language": code}
                rows.append(_name_readout(readout.spec) | choice | _compute_gain(values))
    return rows


def _project(states: dict[str, np.ndarray], scope: str) -> dict[str, np.ndarray]:
    """Project each model's states onto the components of a scope; fewer components are the first of these."""
    fitted = {
        role: scope_rows(scope, hidden, states.get("reference"), states["aligned"]) for role, hidden in states.items()
    }
    return {
        role: in_components(rows, states[role], max(COMPONENTS)) for role, rows in fitted.items() if rows is not None
    }


def _compute_metric(name: str, x: np.ndarray, harmful: np.ndarray, partners: np.ndarray | None) -> float:
    return float(metric(name).many(x, harmful[None, :], partners, np.zeros(len(x), dtype=np.intp))[0])


def _name_readout(spec: ExtractSpec) -> dict[str, object]:
    chat_last = spec.prompt_format == "chat" and spec.position == "last"
    return {"prompt_format": spec.prompt_format, "position": "last_prompt_token" if chat_last else spec.position}


def _compute_gain(values: dict[str, float]) -> dict[str, float | None]:
    reference, aligned = values.get("reference"), values.get("aligned")
    both = reference is not None and aligned is not None
    return {"reference": reference, "aligned": aligned, "gain": aligned - reference if both else None}  # type: ignore[operator]


def _add_retention(table: pl.DataFrame, pivot: str) -> pl.DataFrame:
    choice = ["prompt_format", "position", "norm", "scope", "components"]
    numbers = ["reference", "aligned", "gain"]
    table = table.with_columns(pl.col(numbers).cast(pl.Float64))
    of_pivot = pl.col("gain").filter(pl.col("language") == pivot).first().over(choice)
    return table.with_columns(retention=pl.col("gain") / of_pivot)
