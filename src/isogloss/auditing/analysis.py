"""The protocol of an analysis: one question about a model pair, answered by a few functions that the core calls.

The core (plan, run, terminal, page, command line) iterates over analyses and knows none of them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss.auditing.request import Request
from isogloss.errors import IsoglossError
from isogloss.records import Row
from isogloss.report.table import Block, Section, TableKind
from isogloss.results import Audit
from isogloss.warnings import CodedWarning

if TYPE_CHECKING:
    from isogloss.data.corpus import Corpus
    from isogloss.hidden_states.activations import Activations
    from isogloss.io.paths import AnyPath
    from isogloss.likelihoods.cached import Answers, Likelihoods
    from isogloss.models.checkpoints import Checkpoint
    from isogloss.models.pairs import ModelPair, ModelRef
    from isogloss.models.size import Size
    from isogloss.progress import Track
    from isogloss.stats.metric import Metric


# Plan, Measured and AuditConfig hold analyses, so they stand above this module and are Any here. The functions of
# each analysis name them.

#: Exceptions that a faulty analysis may raise. Its rows or its section are then missing; all others remain.
ANALYSIS_FAULTS = (IsoglossError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an analysis reads: all of it is computed before the analysis measures.

    Attributes:
        states: group -> role -> hidden states; all states of a group have one spec.
        likelihoods: everything that is read with an LM head.
        checkpoints: models other than the pair, by role; they are part of the identity of a run.
        settings: what audit.json holds in its config, under "analyses" and the name of the analysis.
        inputs: the same things in a form of the analysis' own, for its `rows`.
    """

    states: Mapping[str, Mapping[str, Activations]] = field(default_factory=dict)
    likelihoods: tuple[Likelihoods | Answers, ...] = ()
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Any = None


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Where an analysis looks up what it needs: the pair, the cache, and a progress display for slow look-ups."""

    pair: ModelPair
    cache: AnyPath | str | None
    track: Track


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an analysis measured.

    Attributes:
        rows: its numbers; the core adds the name of the analysis to each.
        warnings: coded warnings that qualify the numbers.
        cross_checks: language -> verdict of the primary estimand under the conditions of this analysis. A definite
            verdict of the audit that its cross-check does not confirm is "confounded".
        frames: file name -> table to write into the run folder.
        judged: whether the core adds the verdict of its language to each row.
        corrected: whether its false discovery rates are computed together with those of the audit's own rows.
    """

    rows: tuple[Row, ...] = ()
    warnings: tuple[CodedWarning, ...] = ()
    cross_checks: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    judged: bool = False
    corrected: bool = False


@dataclass(frozen=True, kw_only=True)
class ForwardPasses:
    """Forward passes that an analysis adds, for `isogloss plan`.

    Attributes:
        model: the model that runs them.
        key: identifies the work; work with equal keys is counted once.
        passes: forward passes over the texts.
        flops: floating point operations, without those of `states`; None if unknown.
        states: spec of the hidden states to store; None stores none.
        template_of: the model whose chat template determines the states; None if no template does.
    """

    model: ModelRef
    key: tuple[object, ...]
    passes: int = 1
    flops: float | None = 0.0
    states: Any = None
    template_of: ModelRef | None = None


@dataclass(frozen=True, kw_only=True)
class CostFacts:
    """The facts known before a run: pair, config, languages, number of texts, tokens per text and model sizes."""

    pair: ModelPair
    config: Any
    languages: tuple[str, ...]
    texts: int | None
    tokens: int
    size_of: Callable[[ModelRef], Size | None]


def check_nothing(request: Any, config: Any, corpus: Corpus) -> None:  # noqa: ANN401 - see above
    """Accept every request."""
    del request, config, corpus


def need_nothing(plan: Any, request: Any, source: Lookup) -> Needs:  # noqa: ANN401 - see above
    """Need only what the audit reads anyway."""
    del plan, request, source
    return Needs()


def follow_with_nothing(plan: Any, request: Any, needs: Needs) -> Needs | None:  # noqa: ANN401 - see above
    """Need nothing more once everything is in the cache."""
    del plan, request, needs
    return None


def find_nothing(measured: Any, request: Any) -> Findings:  # noqa: ANN401 - see above
    """Add no rows."""
    del measured, request
    return Findings()


def show_nothing(audit: Audit, frames: Mapping[str, pl.DataFrame]) -> Sequence[Section]:
    """Show no section."""
    del audit, frames
    return ()


def cost_nothing(facts: CostFacts, request: Any) -> Sequence[ForwardPasses]:  # noqa: ANN401 - see above
    """Add no forward pass."""
    del facts, request
    return ()


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """One question, as the functions that answer it.

    Attributes:
        request: a frozen dataclass; an instance in `AuditConfig.analyses` requests the analysis.
        metrics: rows of the METRICS table that it adds.
        check: refuses a request that contradicts the config or does not suit the corpus.
        needs: what must be computed before the analysis measures; called before any model is loaded.
        follow: what must be computed once all of that is in the cache, such as edits that depend on hidden states;
            None if nothing follows. The result replaces that of `needs`.
        rows: measures what is in the cache.
        sections: what a report shows of an audit, made from results alone.
        tables: the tables of its sections, for the column dictionary.
        cost: the forward passes that it adds to `isogloss plan`.
        frames: names of the files that it writes into the run folder.
        reads_texts: whether it reads the texts themselves, beside hidden states and labels.
    """

    request: type[Request]
    metrics: tuple[Metric, ...] = ()
    check: Callable[[Any, Any, Corpus], None] = check_nothing
    needs: Callable[[Any, Any, Lookup], Needs] = need_nothing
    follow: Callable[[Any, Any, Needs], Needs | None] = follow_with_nothing
    rows: Callable[[Any, Any], Findings] = find_nothing
    sections: Callable[[Audit, Mapping[str, pl.DataFrame]], Sequence[Section]] = show_nothing
    tables: tuple[TableKind, ...] = ()
    cost: Callable[[CostFacts, Any], Sequence[ForwardPasses]] = cost_nothing
    frames: tuple[str, ...] = ()
    reads_texts: bool = False

    @property
    def name(self) -> str:
        """Its name in audit.json, in `Row.analysis`, and of its folder."""
        return self.request.name


def reading_of(analyses: Sequence[Analysis]) -> tuple[list[str], list[str]]:
    """Return what a reader of run folders needs: the names of analyses, and the files that they add."""
    return [analysis.name for analysis in analyses], [name for analysis in analyses for name in analysis.frames]


def sections_of(
    analyses: Sequence[Analysis], audit: Audit, frames: Mapping[str, pl.DataFrame] | None = None
) -> list[Section]:
    """Return the sections of each analysis; a note names an analysis that fails, and all others remain."""
    sections: list[Section] = []
    for analysis in analyses:
        try:
            sections += analysis.sections(audit, frames or {})
        except ANALYSIS_FAULTS as error:
            note = (
                f"This section could not be made ({type(error).__name__}). The result holds the rows of the analysis."
            )
            title = analysis.name.replace("_", " ").capitalize()
            sections.append(Section(key=f"{analysis.name}-failed", title=title, blocks=(Block(note=note),)))
    return sections
