"""What is asked of edited models: on which texts, and where their states and answers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isogloss.analyses.ablation.statistics import N_RANDOM
from isogloss.hidden_states.activations import Activations
from isogloss.likelihoods.cached import Answers

#: The aligned model without its harm direction, and with as much taken out along random ones.
ABLATED = "ablated"
RANDOMS = tuple(f"random_{number}" for number in range(1, N_RANDOM + 1))


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What is asked of edited models; all by language.

    Attributes:
        rows: int, places in the language's part of the corpus of the texts on which the edits are tried; none of them
            gave a direction.
        states: ABLATED and RANDOMS -> hidden states of these texts at the primary layer.
        answers: likewise, likelihoods of answers to them.
    """

    rows: Mapping[str, np.ndarray]
    states: Mapping[str, Mapping[str, Activations]]
    answers: Mapping[str, Mapping[str, Answers]]
