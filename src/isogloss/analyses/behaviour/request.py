"""The request for behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from isogloss.auditing.request import option
from isogloss.models.pairs import ModelRef


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Measure what the models do: likelihoods of refusals and of the texts, and their link to hidden states.

    Attributes:
        generate: greedy answers per language and class in which refusals are counted; 0 for none.
        placebo: a descendant of the reference that learnt nothing about harm, as a control of text preferences.
    """

    name: ClassVar[str] = "behaviour"
    about: ClassVar[str] = "Also measure likelihoods of refusals and of the texts, and their link to hidden states."
    switch: ClassVar[str] = "behaviour"

    generate: int = option(
        0, "With --behaviour: greedy answers per language and class in which refusals are counted.", least=0
    )
    placebo: ModelRef | None = option(  # noqa: RUF009 - a field, as all others
        None, "With --behaviour: an adapter that learnt nothing about harm (isogloss tune --shuffle-labels)."
    )
