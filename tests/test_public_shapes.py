"""Public data sets in their true shape, as small stand-ins: `isogloss preview` shows how to read each, and it is read.

Columns, configurations, splits and types of values are those of the sets; every text is made up.
"""

import json
import shlex
import sys

import polars as pl
import pytest

import isogloss
from hub_server import pointed_at, serve
from isogloss.cli import app

N = 22
WORDS = {
    "en": ("bad", "good"),
    "de": ("böse", "gut"),
    "fr": ("mauvais", "bon"),
    "it": ("cattivo", "buono"),
    "es": ("malo", "bueno"),
    "hi": ("बुरा", "अच्छा"),
    "hin": ("bura", "accha"),
    "ru": ("плохо", "хорошо"),
    "ar": ("سيئ", "جيد"),
    "id": ("jahat", "baik"),
    "th": ("ไม่ดี", "ดี"),
    "my": ("ဆိုး", "ကောင်း"),
    "fil": ("masama", "mabuti"),
    "sr": ("лоше", "добро"),
    "hr": ("loše", "dobro"),
    "sq": ("keq", "mirë"),
    "tr": ("kötü", "iyi"),
    "zh": ("坏的", "好的"),
    "pt": ("mau", "bom"),
    "uk": ("погано", "добре"),
}


def texts(code, n=N):
    """Harmful and harmless texts of a language, each with whether it is harmful."""
    return [(f"{word} {word} {code} {i}", word == WORDS[code][0]) for i in range(n) for word in WORDS[code]]


def write(folder, name, rows):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def card(folder, configs):
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", "# Card", ""]))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serve a folder as a data set of the stand-in for the hub."""
    from contextlib import ExitStack

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere/token")
    with ExitStack() as stack:

        def start(name, folder):
            pointed_at(stack.enter_context(serve({}, datasets={name: folder})), monkeypatch, tmp_path)

        yield start


@pytest.fixture
def preview(monkeypatch, capsys):
    """Run `isogloss preview`; returns what it prints and its error, both without any text of the corpus."""

    def run(line):
        monkeypatch.setattr(sys, "argv", ["isogloss", "preview", *shlex.split(line)])
        code = 0
        try:
            app.main()
        except SystemExit as stop:
            code = stop.code
        output, error = capsys.readouterr()
        shown = output + error
        assert not any(f"{word} {word}" in shown for words in WORDS.values() for word in words), shown
        assert (code == 0) == ("An audit draws" in output or "An audit would refuse" in output), shown
        return shown

    return run


def polarity(corpus):
    """Every text has the class that its words say."""
    words = {word: i == 0 for pair in WORDS.values() for i, word in enumerate(pair)}
    assert {words[text.text.split()[0]] == text.harmful for text in corpus} == {True}
    return {code: (harmful, harmless) for code, harmful, harmless in corpus.counts().iter_rows()}


def test_beavertails(tmp_path, hub, preview):
    categories = {"animal_abuse": False, "hate_speech,offensive_language": True}
    folder = tmp_path / "set"
    for round_ in ("330k", "30k"):
        for split in ("train", "test"):
            rows = [
                {"prompt": f"{text} {round_}{split}", "response": "No.", "category": categories, "is_safe": not harmful}
                for text, harmful in texts("en")
            ]
            write(folder, f"round0/{round_}/{split}.jsonl", rows)
    splits = {f"{r}_{s}": f"round0/{r}/{s}.jsonl" for r in ("330k", "30k") for s in ("train", "test")}
    card(folder, {"default": splits})
    hub("PKU-Alignment/BeaverTails", folder)
    shown = preview("PKU-Alignment/BeaverTails")
    assert "--column text=prompt --column harmless=is_safe --column language==CODE" in shown
    inverted = preview("PKU-Alignment/BeaverTails --column text=prompt --column label=is_safe --column language==en")
    assert "harmless=is_safe" in inverted
    name, options = "PKU-Alignment/BeaverTails:default/30k_test", "--column text=prompt --column harmless=is_safe"
    shown = preview(f"{name} {options} --column language==en")
    assert f"isogloss audit --corpus {name} {options} --column language==en" in shown
    columns = {"text": "prompt", "harmless": "is_safe", "language": "=en"}
    assert polarity(isogloss.load_corpus(name, columns=columns)) == {"en": (N, N)}
    whole = isogloss.load_corpus("PKU-Alignment/BeaverTails", columns=columns)
    assert polarity(whole) == {"en": (4 * N, 4 * N)}
    assert "C016" in {warning.code for warning in whole.warnings}


def test_polyguard_prompts(tmp_path, hub, preview):
    rows = [
        {
            "id": f"id-{i}",
            "prompt": text,
            "response": "No.",
            "language": code,
            "prompt_harm_label": None if i == 0 else "harmful" if harmful else "unharmful",
            "response_refusal_label": None,
            "adversarial": False,
        }
        for code in ("en", "de", "zh", "hi")
        for i, (text, harmful) in enumerate(texts(code))
    ]
    write(tmp_path / "set", "data/test-00000-of-00001.parquet", rows)
    hub("ToxicityPrompts/PolyGuardPrompts", tmp_path / "set")
    options = "--column text=prompt --column label=prompt_harm_label"
    assert options in preview("ToxicityPrompts/PolyGuardPrompts")
    shown = preview(f"ToxicityPrompts/PolyGuardPrompts {options} --column item_id=id")
    assert "'unharmful'" in shown
    assert "dropped" in shown
    columns = {"text": "prompt", "label": "prompt_harm_label", "item_id": "id"}
    corpus = isogloss.load_corpus("ToxicityPrompts/PolyGuardPrompts", columns=columns)
    assert polarity(corpus) == dict.fromkeys(("de", "en", "hi", "zh"), (N - 1, N))
    assert corpus.parallel


def test_polyglo_toxicity_prompts(tmp_path, hub, preview):
    folder, configs = tmp_path / "set", {}
    for code in ("en", "ar", "pt"):
        rows = [
            {"id": i, "text": text, "lang": code, "toxicity": None if i == 0 else 0.91 if harmful else 0.03}
            for i, (text, harmful) in enumerate(texts(code))
        ]
        for split in ("full", "small"):
            write(folder, f"ptp-{code}/{split}.jsonl", rows)
        configs[f"ptp-{code}"] = {split: f"ptp-{code}/{split}.jsonl" for split in ("full", "small")}
    card(folder, configs)
    name = "ToxicityPrompts/PolygloToxicityPrompts"
    hub(name, folder)
    shown = preview(name)
    assert "3 configurations" in shown
    assert "ptp-ar, ptp-en, ptp-pt" in shown.replace("ptp-en, ptp-ar", "ptp-ar, ptp-en")
    options = '--column "label=toxicity>=0.5" --column language=lang'
    assert options in preview(f"{name}:ptp-en/small")
    parts = [f"{name}:ptp-{code}/small" for code in ("en", "ar", "pt")]
    shown = preview(f"{' '.join(parts)} {options}")
    assert "toxicity>=0.5" in shown
    corpus = isogloss.load_corpus(parts, columns={"label": "toxicity>=0.5", "language": "lang"})
    assert polarity(corpus) == dict.fromkeys(("ar", "en", "pt"), (N - 1, N))


def test_m_alert_in_columns(tmp_path, preview):
    codes = ("en", "de", "fr", "it", "es")
    rows = [
        {"id": i, "category": "crime_theft"} | {code: f"{WORDS[code][0]} {WORDS[code][0]} {i}" for code in codes}
        for i in range(N)
    ]
    path = write(tmp_path, "alert.jsonl", rows)
    shown = preview(str(path))
    assert f"--wide {','.join(codes)}" in shown
    shown = preview(f"{path} --wide en,de,fr,it,es --label harmful")
    assert "An audit would refuse this corpus" in shown  # there is no harmless half
    corpus = isogloss.load_corpus(path, wide=codes, label="harmful")
    assert polarity(corpus) == dict.fromkeys(sorted(codes), (N, 0))
    assert corpus.parallel


def test_aya_redteaming(tmp_path, hub, preview):
    folder = tmp_path / "set"
    names = {"english": "en", "arabic": "ar", "filipino": "fil", "french": "fr", "hindi": "hi", "serbian": "sr"}
    for name, code in names.items():
        rows = [
            {
                "prompt": text,
                "harm_category": '["Bullying & Harassment"]',
                "language": name.capitalize(),
                "literal_translation": "...",
                "global_or_local": "global",
            }
            for text, harmful in texts(code)
            if harmful
        ]
        write(folder, f"aya_{name}.jsonl", rows)
    card(folder, {"default": {name: f"aya_{name}.jsonl" for name in names}})
    hub("CohereLabs/aya_redteaming", folder)
    assert "--column text=prompt" in preview("CohereLabs/aya_redteaming")
    preview("CohereLabs/aya_redteaming --column text=prompt --label harmful")
    corpus = isogloss.load_corpus("CohereLabs/aya_redteaming", columns={"text": "prompt"}, label="harmful")
    assert polarity(corpus) == dict.fromkeys(sorted(names.values()), (N, 0))


def test_sea_safeguard_bench(tmp_path, hub, preview):
    folder, configs = tmp_path / "set", {}
    splits = {"EN": "en", "IN": "id", "TH": "th", "MY": "my"}
    for config in ("general", "cultural_in_the_wild"):
        for split, code in splits.items():
            rows = [
                {"prompt": f"{text} {config}", "response": "No.", "prompt_label": "Harmful" if harmful else "Safe"}
                for text, harmful in texts(code)
            ]
            write(folder, f"{config}/{split}.parquet", rows)
        configs[config] = {split: f"{config}/{split}.parquet" for split in splits}
    card(folder, configs)
    name = "aisingapore/SEA-SafeguardBench"
    hub(name, folder)
    assert "general, cultural_in_the_wild" in preview(name)
    options = "--column text=prompt --column label=prompt_label"
    assert options in preview(f"{name}:general")
    assert "'Harmful'" in preview(f"{name}:general {options}")
    corpus = isogloss.load_corpus(f"{name}:general", columns={"text": "prompt", "label": "prompt_label"})
    assert polarity(corpus) == dict.fromkeys(("en", "id", "my", "th"), (N, N))


def test_textdetox_multilingual_toxicity(tmp_path, hub, preview):
    folder, codes = tmp_path / "set", ("en", "ru", "uk", "hi", "hin", "fr")
    for code in codes:
        rows = [{"text": text, "toxic": int(harmful)} for text, harmful in texts(code)]
        write(folder, f"data/{code}-00000-of-00001.parquet", rows)
    card(folder, {"default": {code: f"data/{code}-*" for code in codes}})
    name = "textdetox/multilingual_toxicity_dataset"
    hub(name, folder)
    assert "--column label=toxic" in preview(name)
    shown = preview(f"{name} --column label=toxic")
    assert "hi-Latn" in shown
    corpus = isogloss.load_corpus(name, columns={"label": "toxic"})
    assert polarity(corpus) == dict.fromkeys(("en", "fr", "hi", "hi-Latn", "ru", "uk"), (N, N))
    assert not {"C013", "C016", "L003"} & {warning.code for warning in corpus.warnings}
    few = isogloss.load_corpus(name, columns={"label": "toxic"}, languages=["en", "hi-Latn"])
    assert few.languages == ("en", "hi-Latn")


def test_xhate_999(tmp_path, preview):
    for name, code in (("EN", "en"), ("DE", "de"), ("HR", "hr"), ("SQ", "sq"), ("TR", "tr"), ("RU", "ru")):
        lines = [
            "ID\tText\tLabel",
            *(f"{i}\t{text}\t{int(not harmful)}" for i, (text, harmful) in enumerate(texts(code))),
        ]
        (tmp_path / f"XHate999-{name}-Gao-test.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = preview(str(tmp_path))
    assert "'0'" in shown  # 0 is abusive here, which nothing can know: two covered examples a class let a person see it
    assert shown.count("▒") > 20
    shown = preview(f"{tmp_path} --harmful 0 --column item_id=ID")
    assert f"isogloss audit --corpus {tmp_path} --column item_id=ID --harmful 0" in shown
    corpus = isogloss.load_corpus(tmp_path, harmful=["0"], columns={"item_id": "ID"})
    assert polarity(corpus) == dict.fromkeys(("de", "en", "hr", "ru", "sq", "tr"), (N, N))
    assert corpus.parallel


def test_rtp_lx(tmp_path, preview):
    for locale, code in (("EN", "en"), ("PT-BR", "pt"), ("ZH-Hans", "zh")):
        rows = [
            {
                "ID": i,
                "Prompt": text,
                "Locale": locale,
                "Toxicity": 4 if harmful else 1,
                "Insult": 1.0,
                "Completion": "No.",
            }
            for i, (text, harmful) in enumerate(texts(code))
        ]
        write(tmp_path, f"RTP_LX_{locale}.json", rows)
    assert "--column text=Prompt" in preview(str(tmp_path))
    options = "--column text=Prompt --column 'label=Toxicity>=3' --column language=Locale"
    assert "Toxicity>=3" in preview(f"{tmp_path} {options}")
    columns = {"text": "Prompt", "label": "Toxicity>=3", "language": "Locale", "item_id": "ID"}
    corpus = isogloss.load_corpus(tmp_path, columns=columns)
    assert polarity(corpus) == dict.fromkeys(("en", "pt", "zh"), (N, N))


def test_examples_are_covered_until_they_are_asked_for(tmp_path, monkeypatch, capsys):
    path = write(tmp_path, "a.jsonl", [{"text": t, "label": int(h), "language": "en"} for t, h in texts("en")])
    monkeypatch.setattr(sys, "argv", ["isogloss", "preview", str(path), "--show-text"])
    with pytest.raises(SystemExit):
        app.main()
    shown = capsys.readouterr().out
    assert "bad bad en" in shown
    assert "good good en" in shown


def test_the_preview_of_a_file_without_a_header(tmp_path, preview):
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{text},{int(harmful)},en\n" for text, harmful in texts("en")))
    shown = preview(str(path))
    options = "--no-header --column text=1 --column label=2 --column language=3"
    assert options in shown
    assert "--no-header" in preview(f"{path} {options}")


def test_the_command_of_the_preview_is_a_command(tmp_path, preview):
    import typer

    path = write(tmp_path, "a set.jsonl", [{"prompt": t, "x": 3 if h else 4, "l": "en"} for t, h in texts("en")])
    shown = preview(f"'{path}' --column text=prompt --column label=x --column language=l --harmful 3 --languages en")
    line = next(line for line in shown.splitlines() if line.strip().startswith("isogloss audit"))
    _, name, *arguments = shlex.split(line)
    typer.main.get_command(app.app).commands[name].make_context(name, arguments)
