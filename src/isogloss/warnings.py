"""Coded warnings: what a reader of a result must know. A code never changes its meaning."""

from __future__ import annotations

from dataclasses import dataclass

from isogloss.warning_kinds import RowsNeeded, WarningKind

WARNINGS: dict[str, WarningKind] = {
    "C001": WarningKind(
        "duplicate texts were dropped",
        "Copies would make the sample look larger than it is.",
        "measured",
    ),
    "C002": WarningKind(
        "texts with both labels were dropped",
        "The same text was labelled harmful and harmless, so neither label can be trusted.",
        "measured",
    ),
    "C003": WarningKind(
        "pairs of two identical texts were dropped",
        "Such a pair has no difference to measure.",
        "measured",
    ),
    "C004": WarningKind(
        "pairs that share a text with an earlier pair were dropped",
        "Pairs must be independent for the intervals to hold.",
        "measured",
    ),
    "C005": WarningKind(
        "languages were cut to the size of the smallest",
        "Several scores depend on the number of texts, so every language has the same number.",
        "measured",
    ),
    "C006": WarningKind(
        "the corpus comes without a licence",
        "Find out its terms before you share results that show its texts.",
        "measured",
    ),
    "C007": WarningKind(
        "some texts have no partner, so all texts count as single texts",
        "Without pairs, differences of topic between the classes can enter every score.",
        "measured",
    ),
    "C008": WarningKind(
        "texts that an adapter was trained on were dropped, with their pairs and translations",
        "Results on training texts do not carry over to other texts. All languages are cut to the texts that remain.",
        "measured",
    ),
    "C009": WarningKind(
        "texts without finite hidden states were dropped, with their pairs and translations",
        "Weights or a precision that fail on some texts may fail on others. All languages are cut to what remains.",
        "measured",
    ),
    "C010": WarningKind(
        "rows without a label were dropped",
        "Whether such a text is harmful is not known. If many are missing, check that the right column was read.",
        "measured",
    ),
    "C011": WarningKind(
        "pairs of which one text is missing were dropped",
        "A text without its partner has nothing to be compared with. Refuse such rows with --incomplete-pairs refuse.",
        "measured",
    ),
    "C012": WarningKind(
        "rows that are not UTF-8 were dropped",
        "They were damaged before isogloss read them. Check that the loss is not of one language or class.",
        "measured",
    ),
    "C013": WarningKind(
        "the language was taken from the name of a file, a split or a configuration",
        "The rows do not name their language. Use --column language==CODE if the name means something else.",
        "measured",
    ),
    "C014": WarningKind(
        "the user turn of chat messages was taken as the text",
        "Models read it without the system prompt and the answers that stood beside it.",
        "measured",
    ),
    "C015": WarningKind(
        "items that are missing in some languages were left out there",
        "Languages hold different items, so they are compared on different texts. Keep complete items if you can.",
        "measured",
    ),
    "C016": WarningKind(
        "several splits were read together",
        "Splits may overlap, and a model may have been trained on one. Choose one with org/name:config/split.",
        "measured",
    ),
    "L001": WarningKind(
        "languages were written in other ways than their canonical codes",
        "Check that each was read as you mean it. Texts of different regions count as one language.",
        "measured",
    ),
    "L002": WarningKind(
        "texts stand in several languages",
        "A translation may be missing, and the original text stands in its place. A score of one language is then "
        "partly that of another.",
        "text",
    ),
    "L003": WarningKind(
        "texts are not written in the script of their language",
        "The texts may be romanised or in another language. Correct the language code, such as hi-Latn for Hindi in "
        "Latin letters.",
        "text",
    ),
    "L004": WarningKind(
        "rows without a readable language were dropped",
        "Only rows in the languages that were asked for are used.",
        "measured",
    ),
    "M001": WarningKind(
        "texts longer than the token limit were truncated",
        "The end of these texts was not read.",
        "measured",
    ),
    "M002": WarningKind(
        "the pair has no public reference model, so there is no gain",
        "The model before alignment was never published, so the effect of alignment is unknown.",
        "measured",
    ),
    "M003": WarningKind(
        "the adapter was trained on other weights of the same shape",
        "The aligned model may not be what its authors trained. Ask which base model the adapter belongs to.",
        "measured",
    ),
    "M004": WarningKind(
        "hidden states were computed with --precision fast, which rounds linear layers to bfloat16",
        "The drift says how far that moved the states of a few texts; it was measured on this model.",
        "measured",
    ),
    "M005": WarningKind(
        "the models of the pair have different tokenizers or widths, so a gain compares more than alignment",
        "Each model is read in its own tokens and components. Both differ by more than alignment.",
        "measured",
    ),
    "M006": WarningKind(
        "the weights are quantised or come from a quantised file",
        "The released weights may give other numbers.",
        "measured",
    ),
    "M007": WarningKind(
        "hidden states were computed in bfloat16",
        "The drift says how far a few texts lie from their states in float32 with the same weights.",
        "measured",
    ),
    "M008": WarningKind(
        "an adapter of the pair was trained on some of these texts",
        "The model knows these texts, so part of a gain may be memory. Judge it on held-out texts.",
        "measured",
    ),
    "M011": WarningKind(
        "some texts spell control tokens of the model, which were read as plain text",
        "As control tokens they could end a turn or begin another, and mark one of the classes.",
        "measured",
    ),
    "M012": WarningKind(
        "prompts in the chat template end inside an open thought",
        "The last token and the likelihoods of answers belong to the thought, not to the answer. Close it with a "
        "template argument, such as --template-arg enable_thinking=false.",
        "measured",
    ),
    "M013": WarningKind(
        "an adapter brings its own tokenizer, which has tokens that the base has not",
        "The aligned model is read in the adapter's tokens, the reference in its own.",
        "measured",
    ),
    "A001": WarningKind(
        "an analysis failed, and its rows are missing",
        "All other numbers stand. Report the error, or run the audit without this analysis.",
        "measured",
    ),
    "A002": WarningKind(
        "rows of an analysis that this version does not know were skipped",
        "Read the run with the version of isogloss that wrote it to see them.",
        "measured",
    ),
    "S001": WarningKind(
        "a score was not computed",
        "The number is missing for the given reason and was not replaced by another.",
        "noise",
    ),
    "S002": WarningKind(
        "text length alone may separate the classes as well as the aligned model's probe",
        "Harmful and harmless texts differ in length, and a probe may have learnt only that. Gains compare two models "
        "on the same texts, so length by itself does not explain a gain.",
        "text",
        RowsNeeded({"kind": "control", "metric": "probe_minus_length_auroc"}, "the length control"),
        levels=True,
    ),
    "S003": WarningKind(
        "character n-grams alone may separate the classes as well as the aligned model's probe",
        "Spelling separates the classes without any language model, so the level of separation may be about words. "
        "Gains compare two models on the same words, so words by themselves do not explain a gain.",
        "text",
        RowsNeeded({"kind": "control", "metric": "probe_minus_ngram_auroc"}, "the n-gram control"),
        levels=True,
    ),
    "S004": WarningKind(
        "metrics disagree: class variance share and linear separability give different verdicts",
        "Harm may have become more prominent without becoming easier to detect, or the other way round. Read both.",
        "noise",
        RowsNeeded({"kind": "gain", "metric": "auroc"}, "the gain in AUROC"),
    ),
    "S005": WarningKind(
        "the second and third principal components are nearly tied, so the picture in two components is unstable",
        "The second axis of the picture could as well be another one. Numbers in 10 components do not depend on it.",
        "measured",
    ),
    "S006": WarningKind(
        "the gain in the pivot language is not clear of zero, so retention cannot be estimated",
        "A share of nearly nothing is not a number. More texts or another pair of models are needed.",
        "noise",
    ),
    "S007": WarningKind(
        "an untrained model of the same architecture may separate the classes as well as the aligned model's probe",
        "An untrained network separates these texts as well, so training has added nothing that the probe sees.",
        "text",
        RowsNeeded({"kind": "control", "metric": "probe_minus_untrained_auroc"}, "the untrained-model control"),
        levels=True,
    ),
    "S008": WarningKind(
        "the aligned model's probe does no better than with permuted labels",
        "The probe finds no class difference beyond chance.",
        "text",
        RowsNeeded({"kind": "control", "metric": "permuted_labels_auroc"}, "the permuted-labels control"),
    ),
    "S009": WarningKind(
        "the verdict changes on matched texts, so it is confounded",
        "What looked like an effect of alignment disappears on texts of similar length and edit rate.",
        "text",
        RowsNeeded({"kind": "retention", "sample": "matched"}, "retention on matched texts (--match)", of_pivot=False),
    ),
    "S010": WarningKind(
        "too few texts could be matched with those of the pivot",
        "Whether the texts explain the verdict could not be checked for this language.",
        "text",
    ),
    "S011": WarningKind(
        "an interval is approximate",
        "In simulations such an interval covers the truth less often than 95 % (≈, dashed).",
        "noise",
    ),
    "S012": WarningKind(
        "the primary estimand differs from the default",
        "Verdicts are fair only if this choice was made before anybody saw results.",
        "noise",
    ),
    "S013": WarningKind(
        "the sign of the gain or the verdict depends on the prompt format, raw text or chat template",
        "Alignment and formatting are mixed here. Read the two prompt formats side by side.",
        "measured",
        RowsNeeded({"kind": "prompt_format"}, "the comparison of prompt formats (--compare-chat)"),
    ),
    "S014": WarningKind(
        "separation fell, but the distance between the classes did not, so the verdict is inconclusive",
        "A share of variance also falls when all texts spread out. Read the class distance beside it.",
        "noise",
        RowsNeeded({"kind": "gain", "metric": "class_distance"}, "the gain in class distance"),
    ),
    "S015": WarningKind(
        "one hidden dimension carries more than a quarter of the variance of the states",
        "A share of variance depends on how large that dimension is. Compare the verdict with --scaling standard.",
        "noise",
    ),
    "B001": WarningKind(
        "languages without a table of answers have no behavioural numbers",
        "Likelihoods need answers in the text's own language, and isogloss has none for these.",
        "noise",
    ),
    "B002": WarningKind(
        "refusals in greedy answers were not counted, because no validated detector exists",
        "Likelihoods of answers need no detector and are available for every language with answers.",
        "noise",
    ),
}


@dataclass(frozen=True, kw_only=True)
class CodedWarning:
    """One warning about a language or, with language None, about the whole run."""

    code: str
    detail: str
    language: str | None = None

    def __post_init__(self) -> None:
        """Refuse codes that no documentation explains."""
        if self.code not in WARNINGS:
            raise ValueError(f"unknown warning code {self.code!r}: add it to WARNINGS")

    @property
    def text(self) -> str:
        """The warning as one line, without the code."""
        where = f"{self.language}: " if self.language else ""
        return f"{where}{WARNINGS[self.code].meaning} ({self.detail})"
