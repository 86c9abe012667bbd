"""Coded warnings: what a reader of a result must know, with a code that never changes its meaning."""

from __future__ import annotations

from dataclasses import dataclass

WARNINGS: dict[str, str] = {
    "C001": "texts that occur more than once in a language were kept once",
    "C002": "texts that carry both labels were dropped",
    "C003": "pairs whose twins are the same text were dropped",
    "C004": "pairs that share a text with an earlier pair were dropped",
    "C005": "languages were cut to the size of the smallest, so that they can be compared",
    "C006": "corpus comes without a licence statement",
    "C007": "some texts have no twin, so pairs were not used and all texts count as single",
    "C008": "texts that an adapter of the pair was trained on were left out, with their twins and translations",
    "C009": "texts for which a model gives no finite numbers were left out, with their twins and translations",
    "M001": "texts longer than the token limit were cut",
    "M002": "the pair has no public reference model, so there is no gain",
    "M003": "the adapter was trained on other weights of the same shape than those it is used on",
    "M004": "hidden states were read with --precision fast, which rounds the inputs of linear layers to bfloat16",
    "M005": "the models of the pair have different tokenizers or widths, so a gain compares more than alignment",
    "M006": "the weights are quantised, or come from a quantised file, so the numbers are those of rounded weights",
    "M007": "hidden states were computed in bfloat16, which rounds on the way",
    "M008": "texts were scored that an adapter of the pair was trained on",
    "S001": "a score was not computed",
    "S002": "length alone may tell the classes apart as well as the aligned model's probe",
    "S003": "character n-grams alone may tell the classes apart as well as the aligned model's probe",
    "S004": "metrics disagree: class variance share and linear separability say different things of alignment's effect",
    "S005": "the second and third principal component are nearly tied; the picture in two components is unstable",
    "S006": "the pivot language gained nothing that is clear of zero, so retention cannot be estimated",
    "S007": "the same architecture with an untrained model may tell the classes apart as well as the aligned model's probe",
    "S008": "the aligned model's probe does no better than with permuted labels",
    "S009": "the verdict changes on matched texts, so it is confounded",
    "S010": "too few texts could be matched with the pivot's",
    "S011": "an interval is approximate",
    "S012": "the primary estimand was changed from the default before the run",
    "B001": "languages without a table of answers were left out of behaviour",
    "B002": "refusals in generated answers were not counted, for no detector is known to find them",
    "S013": "the sign of the gain or the verdict depends on the prompt format, raw text or chat template",
}


@dataclass(frozen=True, kw_only=True)
class CodedWarning:
    """One coded warning about a language (or, with language None, about the whole run)."""

    code: str
    detail: str
    language: str | None = None

    def __post_init__(self) -> None:
        """Refuse codes that no documentation explains."""
        if self.code not in WARNINGS:
            raise ValueError(f"unknown warning code {self.code!r}: add it to NOTICES")

    @property
    def text(self) -> str:
        """The warning as one line, without the code."""
        where = f"{self.language}: " if self.language else ""
        return f"{where}{WARNINGS[self.code]} ({self.detail})"
