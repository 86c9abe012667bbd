"""Rows of the CORPORA table whose files stand in repositories on the web, each at one commit."""

from __future__ import annotations

from isogloss.data.source import Source, SourceFile

_RAW = "https://raw.githubusercontent.com"
_POLYREFUSE_COMMIT = "985169df2a0b1ba56a95c65d5f60e228f12be4a1"
_POLYREFUSE = f"{_RAW}/mainlp/Multilingual-Refusal/{_POLYREFUSE_COMMIT}/PolyRefuse"
_POLYREFUSE_LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "ru", "th", "yo")
_XSAFETY_COMMIT = "8c55b6a6cda594cd550a4921513238a2dd40eb5a"
_XSAFETY = f"{_RAW}/Jarviswang94/Multilingual_safety_benchmark/{_XSAFETY_COMMIT}"
#: Only languages for which PolyRefuse has harmless instructions; Chinese, Hindi and Bengali have none there.
_XSAFETY_LANGUAGES = ("ar", "de", "en", "es", "fr", "ja", "ru")
_XSAFETY_FILES = ("Crimes_And_Illegal_Activities", "Insult", "Physical_Harm", "Unfairness_And_Discrimination")
_XHATE_COMMIT = "a7e4fb4fb161f715bb1b5cfa567a6e44c8441268"
_XHATE = f"{_RAW}/codogogo/xhate/{_XHATE_COMMIT}/test"
_XHATE_LANGUAGES = ("de", "en", "hr", "ru", "sq", "tr")
_RABAKBENCH_COMMIT = "3c02a5b8574b0d0374d532704be6971e67532e22"
_RABAKBENCH = f"https://huggingface.co/datasets/govtech/RabakBench/resolve/{_RABAKBENCH_COMMIT}"


def _polyrefuse_file(code: str, kind: str) -> SourceFile:
    return SourceFile(
        language=code,
        url=f"{_POLYREFUSE}/{kind}_test_translated_{code}.json",
        label="1" if kind == "harmful" else "0",
        text="instruction" if code == "en" else "instruction_translated",
        items=kind,
    )


def _xsafety_file(code: str, file: str) -> SourceFile:
    folder = "sp" if code == "es" else code
    name = file
    if code == "en":
        name = f"{file}_en" if file.startswith("Crimes") else f"{file}_n"
    if code == "ru":
        name = file.replace("Activities", "Activitie")
    return SourceFile(language=code, url=f"{_XSAFETY}/{folder}/{name}.csv", label="1", header=False, items=file)


def _xhate_file(code: str, part: str) -> SourceFile:
    part = "TRAC" if (code, part) == ("hr", "Trac") else part
    test = "-test" if code == "en" else ""
    return SourceFile(
        language=code,
        url=f"{_XHATE}/{code}/XHate999-{code.upper()}-{part}{test}.txt",
        separator="\t",
        text="text" if code == "en" else "translation",
        items=part.lower(),
    )


WEB_CORPORA = (
    Source(
        name="polyrefuse",
        kind="labelled",
        about="572 harmful and 500 harmless instructions a language, machine-translated (test split)",
        languages=_POLYREFUSE_LANGUAGES,
        licence="Apache-2.0",
        citation="Wang et al. (2025), Refusal Direction is Universal Across Safety-Aligned Languages",
        homepage="https://github.com/mainlp/Multilingual-Refusal",
        revision=_POLYREFUSE_COMMIT,
        checked="2026-11-28",
        files=tuple(_polyrefuse_file(code, kind) for code in _POLYREFUSE_LANGUAGES for kind in ("harmful", "harmless")),
    ),
    Source(
        name="xsafety",
        kind="labelled",
        about="800 unsafe prompts of four kinds a language, with 500 harmless instructions of PolyRefuse beside them",
        languages=_XSAFETY_LANGUAGES,
        licence=None,
        citation="Wang et al. (2024), All Languages Matter: On the Multilingual Safety of LLMs",
        homepage="https://github.com/Jarviswang94/Multilingual_safety_benchmark",
        revision=f"{_XSAFETY_COMMIT} + {_POLYREFUSE_COMMIT}",
        checked="2026-11-28",
        files=(
            *(_xsafety_file(code, file) for code in _XSAFETY_LANGUAGES for file in _XSAFETY_FILES),
            *(_polyrefuse_file(code, "harmless") for code in _XSAFETY_LANGUAGES),
        ),
    ),
    Source(
        name="xhate",
        kind="labelled",
        about="XHate-999: 999 abusive and other posts in English, translated into five languages by hand",
        languages=_XHATE_LANGUAGES,
        licence=None,
        citation="Glavaš et al. (2020), XHate-999: Analyzing and Detecting Abusive Language Across Domains",
        homepage="https://github.com/codogogo/xhate",
        revision=_XHATE_COMMIT,
        columns={"label": "label"},
        checked="2026-11-28",
        files=tuple(_xhate_file(code, part) for code in _XHATE_LANGUAGES for part in ("Gao", "Trac", "Wul")),
    ),
    Source(
        name="rabakbench",
        kind="labelled",
        about="132 public texts a language from Singapore: Singlish (as en), Chinese, Malay and Tamil",
        languages=("en", "ms", "ta", "zh"),
        licence=None,
        citation="Chua et al. (2025), RabakBench: Scaling Human Annotations to Construct Localized Multilingual Safety "
        "Benchmarks for Low-Resource Languages",
        homepage="https://huggingface.co/datasets/govtech/RabakBench",
        revision=_RABAKBENCH_COMMIT,
        columns={"label": "binary"},
        files=tuple(
            SourceFile(language=code, url=f"{_RABAKBENCH}/rabakbench_{code}.csv") for code in ("en", "ms", "ta", "zh")
        ),
    ),
)
