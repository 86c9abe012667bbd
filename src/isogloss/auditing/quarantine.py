"""Texts for which a model gives no finite numbers: left out of all models with their partners, and on the record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from isogloss.auditing.analysis import Lookup
from isogloss.auditing.plan import Plan, likelihoods_of, with_needs
from isogloss.data.curate import balance, leave_out
from isogloss.errors import CorpusError
from isogloss.io.paths import AnyPath
from isogloss.models.pairs import ModelPair
from isogloss.progress import silent
from isogloss.warnings import CodedWarning


def quarantine(plan: Plan, text_ids: Collection[str], store: AnyPath | str | None) -> Plan:
    """Take texts out of a plan, with their partners, and with their translations where items join them.

    The other languages lose as many, so that all have the same number still. What is left is in the store already, but
    perhaps for a few likelihoods.

    Args:
        plan: whose store may lack states of these texts.
        text_ids: of the texts.
        store: as in `make_plan`.

    Raises:
        CorpusError: nothing is left, or too little.
    """
    corpus = plan.corpus
    rest, left_out = leave_out(corpus, corpus.frame["text_id"].is_in(list(text_ids)))
    if rest is None:
        raise CorpusError(
            f"corpus {corpus.name}",
            found="no text for which all models give finite numbers",
            expected="some",
            do="use --dtype float32, and check that the weights are complete",
        )
    warnings = [warning for warning in rest.warnings if warning.code != "C009"]
    sample = balance(replace(rest, warnings=()), seed=plan.config.seed)
    all_out = tuple(sorted({*plan.quarantined, *left_out}))
    warnings.append(
        CodedWarning(code="C009", detail=f"{len(all_out)} texts, as {', '.join(sorted(text_ids)[:3])} broke")
    )
    sample = replace(sample, warnings=(*warnings, *sample.warnings))
    activations = {role: states.on(sample) for role, states in plan.activations.items()}
    refs = {role: states.checkpoint.ref for role, states in activations.items()}
    pair = ModelPair(name="", reference=refs.get("reference"), aligned=refs["aligned"], source="")
    rest_of_plan = replace(
        plan,
        corpus=sample,
        activations=activations,
        likelihoods=likelihoods_of(plan.config, sample, activations, store),
        quarantined=all_out,
        requested_sha256=plan.corpus_sha256,
    )
    return with_needs(rest_of_plan, Lookup(pair=pair, cache=store, track=silent))
