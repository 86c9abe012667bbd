"""AuditConfig: what may be chosen for an audit, besides models and corpus."""

from __future__ import annotations

from dataclasses import dataclass, field

from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError, MetricError, UsageError
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.models.pairs import ModelRef
from isogloss.results import Primary
from isogloss.stats.metrics import STANDARD, metric

COMPONENTS = (2, 10)
LEVEL = 0.95
PRIMARY = Primary(metric="between_class_variance", components=10, layer="")
#: Fewer permutations say nothing of a null.
MIN_PERMUTATIONS = 20
#: The control by edited models, which says what they would do.
ABLATE = "ablate"
#: Controls that need forward passes of their own, and those of them that are computed unless told otherwise.
MODEL_CONTROLS = ("untrained", "bits_per_character", ABLATE)
STANDARD_CONTROLS = ("untrained", "bits_per_character")
#: Harmless texts per language whose bits are counted; the LM head costs more than the rest of a small model.
BITS_TEXTS = 16
#: What may stay in the store after measuring.
CACHE_STATES = ("none", "final", "all")
#: Features on which pairs (or texts) can be matched between languages.
FEATURES = ("length", "edit")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What may be chosen, besides models and corpus.

    Attributes:
        spec: layers, read-out position, prompt format, token limit, dtype.
        chat: read the primary estimand in chat prompt format as well, with this spec, and show both; its layers and
            precision are those of `spec`.
        metrics: names from METRICS; the primary metric and auroc are always among them. The default is all but those
            that stand there for comparison with others.
        primary: the number that verdicts come from; its layer "" is the last one asked for.
        split: all of the corpus, or one of the halves of `isogloss tune`: training or held-out.
        quarantine: leave out texts for which a model gives no finite numbers, with their twins and translations, in
            place of an error.
        trained_texts: what to do about texts that an adapter of the pair was trained on: refuse, drop or allow.
        per_class: texts per language and class; None takes what the smallest language has.
        pivot: the language that retention compares with.
        match: repeat the comparison on pairs matched with the pivot's: any of length, edit.
        controls: of MODEL_CONTROLS, those to compute; they need forward passes of their own, and ablate needs
            behaviour.
        behaviour: measure likelihoods of answers and texts too, and their link to the hidden states.
        generate: with behaviour, greedy answers to look for refusals in, per language and class; 0 for none.
        placebo: with behaviour, a descendant of the reference that learnt nothing of harm, to set text preferences
            against.
        across: also measure what languages have in common: transfer of probes, harm directions, and where in the model
            texts lie by meaning.
        permutations: number of shuffled labelings for the null.
        seed: of sample, permutations, folds and groups.
        workers: languages measured at the same time; changes no number. None takes one per processor core.
        cache_states: states that stay in the store after measuring: all, final (those of the primary layer) or none; changes
            no number.
    """

    spec: ExtractSpec = field(default_factory=ExtractSpec)
    chat: ExtractSpec | None = None
    metrics: tuple[str, ...] = STANDARD
    primary: Primary = PRIMARY
    split: str = "all"
    quarantine: bool = False
    trained_texts: str = "refuse"
    per_class: int | None = None
    pivot: str = "en"
    match: tuple[str, ...] = ()
    controls: tuple[str, ...] = STANDARD_CONTROLS
    behaviour: bool = False
    generate: int = 0
    placebo: ModelRef | None = None
    cross_lingual: bool = False
    permutations: int = 500
    seed: int = 0
    workers: int | None = None
    cache_states: str = "all"


def parse_primary(text: str) -> Primary:
    """Read `metric`, `metric:components`, either with `@layer`.

    >>> parse_primary("silhouette:2@12")
    Primary(metric='silhouette', components=2, layer='12')
    """
    rest, _, layer = text.partition("@")
    name, _, components = rest.partition(":")
    if components and not components.isdecimal():
        raise UsageError(
            "--primary", found=repr(text), expected="metric, metric:components or metric:components@layer", do="correct"
        )
    return Primary(metric=name, components=int(components) if components else PRIMARY.components, layer=layer)


def check_choices(config: AuditConfig, corpus: Corpus) -> None:
    """Refuse what is not known, or does not go together, before anything is computed.

    Raises:
        CorpusError: the pivot is not among the languages.
        UsageError: see above.
        MetricError: the primary metric is none that verdicts can come from.
    """
    if config.pivot not in corpus.languages:
        raise CorpusError(
            "--pivot",
            found=f"{config.pivot!r}",
            expected=f"a language of the corpus: {', '.join(corpus.languages)}",
            do="choose one, or add the language to --languages",
        )
    if config.cache_states not in CACHE_STATES:
        raise UsageError(
            "--cache-states", found=repr(config.cache_states), expected="none, final or all", do="choose one"
        )
    if config.chat and (config.spec.prompt_format, config.chat.prompt_format) != ("raw", "chat"):
        raise UsageError(
            "--prompt-format both",
            found=f"{config.spec.prompt_format} and {config.chat.prompt_format}",
            expected="raw text first, then the chat template",
            do="correct the specs",
        )
    _check_primary(config.primary)
    if config.permutations < MIN_PERMUTATIONS:
        raise UsageError(
            "--permutations", found=str(config.permutations), expected=f"at least {MIN_PERMUTATIONS}", do="ask for more"
        )
    for option, chosen, known in (("--match", config.match, FEATURES), ("--controls", config.controls, MODEL_CONTROLS)):
        if strangers := set(chosen) - set(known):
            raise UsageError(option, found=min(strangers), expected=f"any of {', '.join(known)}", do="correct it")
    if not config.behaviour and (config.generate or config.placebo):
        raise UsageError("--generate or --placebo", found="no --behaviour", expected="both", do="add it")
    if ABLATE in config.controls and not config.behaviour:
        raise UsageError(
            f"--controls {ABLATE}",
            found="no --behaviour",
            expected="both: it says whether behaviour hangs on the harm direction",
            do="add it",
        )
    if "edit" in config.match and not corpus.paired:
        raise UsageError("--match", found="edit for texts without twins", expected="pairs", do="use --match length")


def _check_primary(primary: Primary) -> None:
    if not metric(primary.metric).judges:
        raise MetricError(
            "--primary",
            found=primary.metric,
            expected="a class variance share metric: linear separability stands beside it",
            do="choose between_class_variance, bhattacharyya or silhouette",
        )
    if primary.components < 1:
        raise UsageError("--primary", found=f"{primary.components}", expected="at least 1 component", do="ask for more")
