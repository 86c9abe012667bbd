"""Rows of the CORPORA table whose files stand on the hub.

A revision of None is not pinned: the current commit of the hub is resolved at run time and recorded.
"""

from __future__ import annotations

from isogloss.data.source import Source, SourceFile

_DATASETS = "https://huggingface.co/datasets"
_PAPER_NINE = ("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh")
_TOXICITY = "textdetox/multilingual_toxicity_dataset"
#: Languages of the data set and its splits; `hin` is Hindi in Latin letters, mixed with English.
_TOXICITY_SPLITS = {
    **{code: code for code in (*_PAPER_NINE, "fr", "he", "it", "ja", "tt")},
    "hi-Latn": "hin",
}
_PARADETOX = "textdetox/multilingual_paradetox"
_HATECHECK = {
    "ar": "arabic",
    "de": "german",
    "es": "spanish",
    "fr": "french",
    "hi-Latn": "hindi",  # it is romanised
    "it": "italian",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
    "zh": "mandarin",
}
_MULTIJAIL = ("ar", "bn", "en", "it", "jv", "ko", "sw", "th", "vi", "zh")
_AYA = {
    "ar": "arabic",
    "en": "english",
    "es": "spanish",
    "fil": "filipino",
    "fr": "french",
    "hi": "hindi",
    "ru": "russian",
    "sr": "serbian",
}
_MALERT = ("de", "en", "es", "fr", "it")
_MULTILINGUAL_SAFETY = ("ar", "bn", "de", "en", "fr", "it", "jv", "ko", "sw", "th", "vi", "zh")
_POLYGLO = ("ar", "cs", "de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv", "zh")
_SEA = {"en": "EN", "fil": "TL", "id": "IN", "ms": "MS", "my": "MY", "ta": "TA", "th": "TH", "vi": "VI"}

HUB_CORPORA = (
    Source(
        name="multilingual_toxicity",
        kind="labelled",
        about="textdetox: 2,500 toxic and 2,500 neutral texts a language (first data set of arXiv 2504.02708)",
        languages=_PAPER_NINE,
        licence="openrail++",
        citation="Dementieva et al. (2024), Overview of the Multilingual Text Detoxification Task at PAN 2024",
        homepage=f"{_DATASETS}/{_TOXICITY}",
        per_class=2500,
        columns={"label": "toxic"},
        files=tuple(SourceFile(language=code, hub=_TOXICITY, split=code) for code in _PAPER_NINE),
    ),
    Source(
        name="textdetox",
        kind="labelled",
        about="textdetox: the same data set with all 15 languages, among them Hebrew (2,011 texts) and romanised Hindi",
        languages=tuple(sorted(_TOXICITY_SPLITS)),
        licence="openrail++",
        citation="Dementieva et al. (2024), Overview of the Multilingual Text Detoxification Task at PAN 2024",
        homepage=f"{_DATASETS}/{_TOXICITY}",
        columns={"label": "toxic"},
        files=tuple(
            SourceFile(language=code, hub=_TOXICITY, split=split) for code, split in sorted(_TOXICITY_SPLITS.items())
        ),
    ),
    Source(
        name="multiparadetox",
        kind="parallel",
        about="textdetox: 400 detoxification pairs a language (second data set of arXiv 2504.02708)",
        languages=_PAPER_NINE,
        licence="openrail++",
        citation="Dementieva et al. (2025), Multilingual and Explainable Text Detoxification with Parallel Corpora",
        homepage=f"{_DATASETS}/{_PARADETOX}",
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
        homepage=f"{_DATASETS}/s-nlp/paradetox",
        per_class=19744,
        columns={"toxic": "en_toxic_comment", "neutral": "en_neutral_comment"},
        files=(SourceFile(language="en", hub="s-nlp/paradetox"),),
    ),
    Source(
        name="multijail",
        kind="harmful-only",
        about="315 harmful prompts in 10 languages, human-translated; combine it with a harmless corpus",
        languages=_MULTIJAIL,
        licence="MIT",
        citation="Deng et al. (2024), Multilingual Jailbreak Challenges in Large Language Models",
        homepage=f"{_DATASETS}/DAMO-NLP-SG/MultiJail",
        files=tuple(
            SourceFile(language=code, hub="DAMO-NLP-SG/MultiJail", label="1", text=code, items="multijail")
            for code in _MULTIJAIL
        ),
    ),
    Source(
        name="hatecheck",
        kind="labelled",
        about="functional tests for hate speech detectors, hateful and non-hateful, English and ten languages",
        languages=("ar", "de", "en", "es", "fr", "hi-Latn", "it", "nl", "pl", "pt", "zh"),
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
    Source(
        name="polyguard",
        kind="labelled",
        about="PolyGuardPrompts: 1,725 harmful and harmless prompts in 17 languages, translated item by item",
        languages=(
            *("ar", "cs", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv", "th", "zh"),
        ),
        licence="CC-BY-4.0",
        citation="Kumar et al. (2025), PolyGuard: A Multilingual Safety Moderation Tool for 17 Languages",
        homepage=f"{_DATASETS}/ToxicityPrompts/PolyGuardPrompts",
        columns={"text": "prompt", "label": "prompt_harm_label", "language": "language", "item_id": "id"},
        files=(SourceFile(hub="ToxicityPrompts/PolyGuardPrompts", split="test"),),
    ),
    Source(
        name="aya_redteaming",
        kind="harmful-only",
        about="some 900 harmful prompts in each of 8 languages, written by hand; combine it with a harmless corpus",
        languages=tuple(sorted(_AYA)),
        licence="Apache-2.0",
        citation="Aakanksha et al. (2024), The Multilingual Alignment Prism",
        homepage=f"{_DATASETS}/CohereLabs/aya_redteaming",
        columns={"text": "prompt"},
        files=tuple(
            SourceFile(language=code, hub="CohereLabs/aya_redteaming", split=split, label="1")
            for code, split in sorted(_AYA.items())
        ),
    ),
    Source(
        name="malert",
        kind="harmful-only",
        about="M-ALERT: 15,000 harmful prompts in 5 languages, machine-translated; combine it with a harmless corpus",
        languages=_MALERT,
        licence=None,
        citation="Friedrich et al. (2024), LLMs Lost in Translation: M-ALERT uncovers Cross-Linguistic Safety Gaps",
        homepage=f"{_DATASETS}/felfri/M-ALERT",
        files=tuple(
            SourceFile(language=code, hub="felfri/M-ALERT", label="1", text=code, items="malert") for code in _MALERT
        ),
    ),
    Source(
        name="multilingual_safety",
        kind="harmful-only",
        about="1,000 harmful instructions in 12 languages, machine-translated; combine it with a harmless corpus",
        languages=_MULTILINGUAL_SAFETY,
        licence="CC-BY-NC-4.0",
        citation="Bianchi et al. (2024), Safety-Tuned LLaMAs; translated by iNLP-Lab",
        homepage=f"{_DATASETS}/iNLP-Lab/multilingual-safety",
        columns={"text": "prompt"},
        files=tuple(
            SourceFile(language=code, hub="iNLP-Lab/multilingual-safety", config=code, label="1", items="safety")
            for code in _MULTILINGUAL_SAFETY
        ),
    ),
    Source(
        name="polyglotoxicity",
        kind="labelled",
        about="PolygloToxicityPrompts: 5,000 web texts a language; harmful from a Perspective score of 0.5",
        languages=_POLYGLO,
        licence="AI2-ImpACT-LR",
        citation="Jain et al. (2024), PolygloToxicityPrompts",
        homepage=f"{_DATASETS}/ToxicityPrompts/PolygloToxicityPrompts",
        columns={"text": "text", "label": "toxicity>=0.5"},
        files=tuple(
            SourceFile(language=code, hub="ToxicityPrompts/PolygloToxicityPrompts", config=f"ptp-{code}", split="small")
            for code in _POLYGLO
        ),
    ),
    Source(
        name="sea_safeguard",
        kind="labelled",
        about="SEA-SafeguardBench, general: harmful and safe prompts in 8 languages, without those called sensitive",
        languages=tuple(sorted(_SEA)),
        licence=None,
        citation="AI Singapore (2025), SEA-SafeguardBench",
        homepage=f"{_DATASETS}/aisingapore/SEASafeguardBench",
        columns={"text": "prompt", "label": "prompt_label"},
        harmful=("Harmful",),
        dropped=("Sensitive",),
        files=tuple(
            SourceFile(language=code, hub="aisingapore/SEASafeguardBench", config="general", split=split)
            for code, split in sorted(_SEA.items())
        ),
    ),
    Source(
        name="rtp_lx",
        kind="labelled",
        about="RTP-LX: some 1,000 prompts a language; harmful from a mean toxicity of 3 on the annotators' scale to 5",
        languages=(
            *("ar", "cs", "da", "de", "en", "es", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "nl", "no"),
            *("pl", "pt", "ru", "sv", "sw", "th", "tr", "uk", "zh"),
        ),
        licence=None,
        citation="de Wynter et al. (2024), RTP-LX: Can LLMs Evaluate Toxicity in Multilingual Scenarios?",
        homepage="https://github.com/microsoft/RTP-LX",
        columns={"text": "Prompt", "label": "PromptAnnotations.Toxicity>=3", "language": "Locale"},
        files=(SourceFile(hub="ToxicityPrompts/RTP-LX", split="test"),),
    ),
    Source(
        name="nemotron_safety_guard",
        kind="labelled",
        about="Nemotron Safety Guard v3, test split: safe and unsafe prompts in 9 languages, adapted from English",
        languages=("ar", "de", "en", "es", "fr", "hi", "ja", "th", "zh"),
        licence="CC-BY-4.0",
        citation="Joshi et al. (2025), CultureGuard",
        homepage=f"{_DATASETS}/nvidia/Nemotron-Safety-Guard-Dataset-v3",
        columns={"text": "prompt", "label": "prompt_label", "language": "language"},
        files=(SourceFile(hub="nvidia/Nemotron-Safety-Guard-Dataset-v3", split="test"),),
    ),
    Source(
        name="toxi_text",
        kind="labelled",
        about="toxi-text-3M, test split: 63,812 comments, tweets and messages; choose languages, sizes differ widely",
        languages=(
            *("af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa", "fi", "fil", "fr"),
            *("gu", "he", "hi", "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv", "mk", "ml", "mr", "ne", "nl"),
            *("no", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "so", "sq", "sv", "sw", "ta", "te", "th", "tr", "uk"),
            *("ur", "vi", "zh"),
        ),
        licence="Apache-2.0",
        citation="Zhang (2023), toxi-text-3M",
        homepage=f"{_DATASETS}/FredZhang7/toxi-text-3M",
        columns={"label": "is_toxic", "language": "lang"},
        patterns=("*test.csv", "README.md"),
        files=(SourceFile(hub="FredZhang7/toxi-text-3M", split="test"),),
    ),
)

#: Names of splits that mean another language than the code says: data set -> split -> canonical code.
SPLIT_LANGUAGES: dict[str, dict[str, str]] = {
    repo: {"hin": "hi-Latn"}
    for repo in (_TOXICITY, _PARADETOX, f"{_PARADETOX}_test", "textdetox/multilingual_toxic_lexicon")
}
