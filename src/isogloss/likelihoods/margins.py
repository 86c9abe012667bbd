"""Stored log-likelihoods of answers -> refusal log-odds of each text. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.special

from isogloss.likelihoods.cached import Answers


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Log-odds of a refusal against an engaged answer after each text of a language; float64 (texts,), nats.

    Attributes:
        total: of whole answers.
        per_token: of their likelihoods per token, so that short and long answers count alike.
        first: of their first tokens alone.
        rest: of what follows the first token, given that token.
    """

    total: np.ndarray
    per_token: np.ndarray
    first: np.ndarray
    rest: np.ndarray


def margins(scored: Answers, language: str) -> Margins:
    """Read the margins of one language, in the order of its texts in the corpus.

    Raises:
        StoreError: numbers are missing or broken.
    """
    (total, first, tokens), (total_e, first_e, tokens_e) = (
        [scored.side(language, name, side) for name in ("answer_total", "answer_first", "answer_tokens")]
        for side in ("refusal", "engaged")
    )
    return Margins(
        total=refusal_log_odds(total, total_e),
        per_token=refusal_log_odds(total / tokens, total_e / tokens_e),
        first=refusal_log_odds(first, first_e),
        rest=refusal_log_odds(total - first, total_e - first_e),
    )


def refusal_log_odds(refusals: np.ndarray, engaged: np.ndarray) -> np.ndarray:
    """Compare the two sides: log-mean-exp over refusals minus that over engaged answers, float64 (texts,).

    Above 0 the model is, on average over the answers of the table, more likely to refuse than to engage.

    Args:
        refusals: (texts, answers), log-likelihoods.
        engaged: (texts, answers); the numbers of answers may differ.

    >>> refusal_log_odds(np.log([[0.2, 0.4]]), np.log([[0.1]])).round(6) == np.log(3).round(6)
    array([ True])
    """
    odds: np.ndarray = _log_mean_exp(refusals) - _log_mean_exp(engaged)
    return odds


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    means: np.ndarray = scipy.special.logsumexp(values, axis=1) - math.log(values.shape[1])
    return means
