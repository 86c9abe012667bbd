"""Coded warnings in plain words, each in the section whose numbers it qualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.warnings import WARNINGS, CodedWarning

MEASURED, NOISE, TEXT = "measured", "noise", "text"


#: Code -> section, and what it means for the reader beyond what NOTICES says.
EXPLAINED = {
    "C001": (MEASURED, "Copies would make the sample look larger than it is."),
    "C002": (MEASURED, "Somebody called the same text harmful and harmless; neither is trusted."),
    "C003": (MEASURED, "Such a pair holds no difference to find."),
    "C004": (MEASURED, "Pairs must be independent for the intervals to hold."),
    "C005": (MEASURED, "Several scores depend on the number of texts, so every language was given the same."),
    "C006": (MEASURED, "Find out its terms before you share results that show its texts."),
    "C007": (MEASURED, "Without twins, differences of topic between the classes can enter every score."),
    "C008": (
        MEASURED,
        "What a model was trained on says nothing of other texts; all languages are cut to what is left.",
    ),
    "C009": (
        MEASURED,
        "Weights or a precision that fail for some texts may fail others; all languages are cut to what is left.",
    ),
    "M001": (MEASURED, "What was said at the end of these texts was not read."),
    "M002": (MEASURED, "Nobody published the model before alignment, so its effect is unknown."),
    "M003": (
        MEASURED,
        "The aligned model may not be what its authors trained; ask which base the adapter belongs to.",
    ),
    "M004": (
        MEASURED,
        "The drift is how far that moved the states of a few texts; it was measured on this very model.",
    ),
    "M005": (MEASURED, "Each model is read in its own tokens and components; both differ by more than alignment."),
    "M006": (MEASURED, "The weights that were released may give other numbers."),
    "M007": (MEASURED, "The drift is how far a few texts lie from their states in float32, with the same weights."),
    "M008": (
        MEASURED,
        "A model knows these texts, so part of a gain may be memory. Judge it on texts that were held out.",
    ),
    "B001": (NOISE, "Likelihoods need answers in the text's own language; nobody wrote some for these."),
    "B002": (NOISE, "Likelihoods of answers need no detector, and stand beside it for every language."),
    "S001": (NOISE, "A number is missing for a reason and was not replaced by another."),
    "S002": (
        TEXT,
        (
            "Harmful and harmless texts differ in length, and a probe may have learnt only that. Gains compare "
            "two models on the same texts and suffer less."
        ),
    ),
    "S003": (
        TEXT,
        (
            "Spelling alone tells the classes apart, without any language model. The level of separation may be "
            "about words. Gains compare two models on the same words and still say something."
        ),
    ),
    "S004": (
        NOISE,
        "Harm may have become more prominent without becoming easier to detect, or the other way round. Read both.",
    ),
    "S005": (
        MEASURED,
        "The second axis of the picture could as well be another one. Numbers in 10 components do not depend on it.",
    ),
    "S006": (NOISE, "A share of nearly nothing is no number; more texts or another pair of models are needed."),
    "S007": (
        TEXT,
        "An untrained network makes as much of these texts, so training has added nothing that the probe sees.",
    ),
    "S008": (TEXT, "The probe finds no class difference here beyond chance."),
    "S009": (TEXT, "What looked like an effect of alignment goes away on texts that are alike in length and editing."),
    "S010": (TEXT, "Whether the texts explain the verdict could not be checked for this language."),
    "S011": (NOISE, "Simulation says that such an interval covers the truth less often than 95 % (≈, dashed)."),
    "S012": (NOISE, "Verdicts are fair only if this choice was made before anybody saw results."),
    "S013": (MEASURED, "Alignment and formatting are mixed here: read the two prompt formats side by side."),
}


@dataclass(frozen=True, kw_only=True)
class Warned:
    """One code: its meaning, what it means here, and where it was seen."""

    code: str
    meaning: str
    words: str
    seen: tuple[tuple[str, str], ...]


def warned(warnings: Sequence[CodedWarning], place: str, names: dict[str, str]) -> list[Warned]:
    """Gather the warnings of one section by code; `names` are those of languages."""
    found = []
    for code in sorted({warning.code for warning in warnings if EXPLAINED[warning.code][0] == place}):
        seen = tuple(
            (names.get(warning.language, warning.language) if warning.language else "", warning.detail)
            for warning in warnings
            if warning.code == code
        )
        found.append(Warned(code=code, meaning=WARNINGS[code], words=EXPLAINED[code][1], seen=seen))
    return found
