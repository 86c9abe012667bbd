"""The CORPORA table: one row per public data set, with where it is, its revision, licence, citation and columns.

A revision of None is not pinned: the current commit of the hub is resolved at run time and recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from isogloss.errors import CorpusError, unknown

Kind = Literal["labelled", "parallel", "harmful-only"]

#: Names that isogloss gives to the columns of any source.
LABELLED_COLUMNS = ("text", "label", "language")
PARALLEL_COLUMNS = ("toxic", "neutral", "language", "pair_id")


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file or split of a source that holds one language, or all of them if `language` is None.

    `hub` names a data set on the hub with its split; `url` a single file on the web. `label` is the label of every
    row of a file that holds one class only. A file without a `header` is one column of texts.
    `text` names the column of this language, where languages have columns side by side.
    """

    language: str | None = None
    hub: str | None = None
    split: str = "train"
    url: str | None = None
    label: str | None = None
    header: bool = True
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that can be named on the command line.

    `per_class` is the number of texts per language and class that its card states; None if it states none.
    """

    name: str
    kind: Kind
    about: str
    languages: tuple[str, ...]
    licence: str | None
    citation: str
    homepage: str
    revision: str | None = None
    per_class: int | None = None
    columns: dict[str, str] = field(default_factory=dict)
    files: tuple[SourceFile, ...] = ()


_PAPER_NINE = ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh")
_TOXICITY = "textdetox/multilingual_toxicity_dataset"
_PARADETOX = "textdetox/multilingual_paradetox"
_POLYREFUSE = "https://raw.githubusercontent.com/mainlp/Multilingual-Refusal"
_POLYREFUSE_COMMIT = "985169df2a0b1ba56a95c65d5f60e228f12be4a1"
_POLYREFUSE_LANGUAGES = ("ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pl", "ru", "th", "yo")
_XSAFETY = "https://raw.githubusercontent.com/Jarviswang94/Multilingual_safety_benchmark"
_XSAFETY_COMMIT = "f02da7f528b89705d657ae17d3b856ddd93b8cdb"
_XSAFETY_LANGUAGES = ("ar", "de", "fr", "ja")
_XSAFETY_FILES = ("Crimes_And_Illegal_Activities", "Insult", "Physical_Harm", "Unfairness_And_Discrimination")
_HATECHECK = {
    "ar": "arabic",
    "de": "german",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "it": "italian",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "zh": "mandarin",
}


def _polyrefuse_files() -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(
            language=code,
            url=f"{_POLYREFUSE}/{_POLYREFUSE_COMMIT}/PolyRefuse/{kind}_val_translated_{code}.json",
            label="1" if kind == "harmful" else "0",
        )
        for code in _POLYREFUSE_LANGUAGES
        for kind in ("harmful", "harmless")
    )


def _xsafety_files() -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(language=code, url=f"{_XSAFETY}/{_XSAFETY_COMMIT}/{code}/{file}.csv", label="1", header=False)
        for code in _XSAFETY_LANGUAGES
        for file in _XSAFETY_FILES
    )


_ROWS = (
    Source(
        name="mini",
        kind="parallel",
        about="bundled: 84 everyday situations, a mildly toxic sentence and a polite one, in 12 languages",
        languages=("am", "ar", "bn", "de", "en", "es", "fr", "hi", "ru", "sw", "uk", "zh"),
        licence="CC-BY-4.0",
        citation="isogloss contributors (2026), the mini corpus, version 1",
        homepage="src/isogloss/data/mini/CARD.md",
        per_class=84,
        revision="1",
    ),
    Source(
        name="multilingual_toxicity",
        kind="labelled",
        about="textdetox: 2,500 toxic and 2,500 neutral texts a language (first data set of arXiv 2504.02708)",
        languages=_PAPER_NINE,
        licence="openrail++",
        citation="Dementieva et al. (2024), Overview of the Multilingual Text Detoxification Task at PAN 2024",
        homepage=f"https://huggingface.co/datasets/{_TOXICITY}",
        per_class=2500,
        columns={"label": "toxic"},
        files=tuple(SourceFile(language=code, hub=_TOXICITY, split=code) for code in _PAPER_NINE),
    ),
    Source(
        name="multiparadetox",
        kind="parallel",
        about="textdetox: 400 detoxification pairs a language (second data set of arXiv 2504.02708)",
        languages=_PAPER_NINE,
        licence="openrail++",
        citation="Dementieva et al. (2025), Multilingual and Explainable Text Detoxification with Parallel Corpora",
        homepage=f"https://huggingface.co/datasets/{_PARADETOX}",
        per_class=400,
        columns={"toxic": "toxic_sentence", "neutral": "neutral_sentence"},
        files=tuple(SourceFile(language=code, hub=_PARADETOX, split=code) for code in _PAPER_NINE),
    ),
    Source(
        name="paradetox",
        kind="parallel",
        about="s-nlp: 19,744 English detoxification pairs",
        languages=("en",),
        licence="openrail++",
        citation="Logacheva et al. (2022), ParaDetox: Detoxification with Parallel Data",
        homepage="https://huggingface.co/datasets/s-nlp/paradetox",
        per_class=19744,
        columns={"toxic": "en_toxic_comment", "neutral": "en_neutral_comment"},
        files=(SourceFile(language="en", hub="s-nlp/paradetox"),),
    ),
    Source(
        name="polyrefuse",
        kind="labelled",
        about="harmful and harmless instructions, machine-translated (validation split)",
        languages=_POLYREFUSE_LANGUAGES,
        licence="Apache-2.0",
        citation="Wang et al. (2025), Refusal Direction is Universal Across Safety-Aligned Languages",
        homepage="https://github.com/mainlp/Multilingual-Refusal",
        revision=_POLYREFUSE_COMMIT,
        columns={"text": "instruction"},
        files=_polyrefuse_files(),
    ),
    Source(
        name="multijail",
        kind="harmful-only",
        about="315 harmful prompts in 10 languages, human-translated; combine it with a harmless corpus",
        languages=("ar", "bn", "en", "it", "jv", "ko", "sw", "th", "vi", "zh"),
        licence="MIT",
        citation="Deng et al. (2024), Multilingual Jailbreak Challenges in Large Language Models",
        homepage="https://huggingface.co/datasets/DAMO-NLP-SG/MultiJail",
        files=tuple(
            SourceFile(language=code, hub="DAMO-NLP-SG/MultiJail", label="1", text=code)
            for code in ("ar", "bn", "en", "it", "jv", "ko", "sw", "th", "vi", "zh")
        ),
    ),
    Source(
        name="xsafety",
        kind="harmful-only",
        about="unsafe prompts of four kinds, translated; combine it with a harmless corpus",
        languages=_XSAFETY_LANGUAGES,
        licence=None,
        citation="Wang et al. (2024), All Languages Matter: On the Multilingual Safety of LLMs",
        homepage="https://github.com/Jarviswang94/Multilingual_safety_benchmark",
        revision=_XSAFETY_COMMIT,
        files=_xsafety_files(),
    ),
    Source(
        name="hatecheck",
        kind="labelled",
        about="functional tests for hate speech detectors, hateful and non-hateful, English and ten languages",
        languages=("ar", "de", "en", "es", "fr", "hi", "it", "nl", "pl", "pt", "zh"),
        licence="CC-BY-4.0",
        citation="Röttger et al. (2021), HateCheck; Röttger et al. (2022), Multilingual HateCheck",
        homepage="https://github.com/rewire-online/multilingual-hatecheck",
        columns={"text": "test_case", "label": "label_gold"},
        files=(
            SourceFile(language="en", hub="Paul/hatecheck", split="test"),
            *(
                SourceFile(language=code, hub=f"Paul/hatecheck-{name}", split="test")
                for code, name in sorted(_HATECHECK.items())
            ),
        ),
    ),
)

CORPORA: dict[str, Source] = {row.name: row for row in _ROWS}


def source(name: str) -> Source:
    """Look a data set up by its name.

    Raises:
        CorpusError: the name is not in CORPORA.
    """
    if name not in CORPORA:
        raise unknown(CorpusError, "corpus", name, CORPORA)
    return CORPORA[name]
