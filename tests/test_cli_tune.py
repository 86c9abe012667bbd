"""`isogloss tune` and `isogloss side-effects`: from an audit to an adapter, and what is said on the way."""

import json
import sys

import polars as pl
import pytest

import isogloss
from conftest import parallel_rows
from handmade import HERE, estimate, language_rows, make_audit, small_audit
from isogloss.cli import app
from isogloss.records import LanguageVerdict, Row
from isogloss.tuning.weak_languages import remedy_for

pytest.importorskip("trl")

QUICK = ("--steps", 2, "--batch-size", 4, "--rank", 2, "--device", "cpu")


@pytest.fixture
def isogloss_command(monkeypatch, capsys, tmp_path):
    """Run a command in-process in an empty folder; return exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sys.exit(app.main())
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "three.csv"
    pl.DataFrame(parallel_rows(n=70, languages=("en", "sw", "am"))).write_csv(path)
    return path


@pytest.fixture
def run_folder(tmp_path):
    small_audit().save(tmp_path / "RUN")
    return tmp_path / "RUN"


def weak_audit(**shortfalls):
    """An audit in which the pivot gained 0.25 and each language lacks a share of that."""
    rows = language_rows("en", 0.05, 0.3, (0.25, 0.2, 0.3))
    rows += [
        Row(kind="gap", language=code, estimate=estimate(0.25 * share, 0, 1), **HERE)
        for code, share in shortfalls.items()
    ]
    words = {0: "reached"}
    verdicts = [
        LanguageVerdict(language=code, verdict=words.get(share, "not reached" if share <= 1 else "reversed"))
        for code, share in shortfalls.items()
    ]
    return make_audit(rows, [LanguageVerdict(language="en", verdict="pivot"), *verdicts])


def test_weak_languages_come_worst_first_with_what_they_lack():
    found = isogloss.weak_languages(weak_audit(de=0.9, hi=0.0, ru=1.2, sw=0.4))
    assert [(one.language, one.verdict) for one in found] == [
        ("ru", "reversed"),
        ("de", "not reached"),
        ("sw", "not reached"),
    ]
    assert [one.shortfall for one in found] == pytest.approx([1.2, 0.9, 0.4])


def test_inconclusive_and_confounded_languages_are_not_called_weak():
    assert [one.language for one in isogloss.weak_languages(small_audit())] == ["sw"]


def test_without_a_gap_the_middle_of_the_verdict_counts():
    verdicts = [
        LanguageVerdict(language="en", verdict="pivot"),
        LanguageVerdict(language="sw", verdict="lagging", low=0.2, high=0.6),
        LanguageVerdict(language="am", verdict="not reached"),
    ]
    found = isogloss.weak_languages(make_audit([], verdicts))
    assert [(one.language, pytest.approx(one.shortfall)) for one in found] == [("am", 1.0), ("sw", 0.6)]


def test_weak_languages_are_tuned_and_side_effects_measured(
    isogloss_command, run_folder, pairs_file, tiny_folder, tmp_path
):
    arguments = ("tune", "--from", run_folder, "--corpus", pairs_file, "--model", tiny_folder, "--out", "adapter")
    code, out, err = isogloss_command(*arguments, *QUICK, "--budget", "need", "--side-effect-texts", 5, "--generate", 2)
    assert code == 0
    record = json.loads((tmp_path / "adapter" / "isogloss_tune.json").read_text())
    assert record["recipe"]["languages"] == ["sw"]
    assert record["records"] == {"en": 4, "sw": 4}
    assert record["recipe"]["needs"] == {"sw": pytest.approx(0.875)}
    assert "88% of the gain" in out
    for words in ("over-refusal", "utility loss", "needs 59 texts", "can fool the measure", "greedy", "am "):
        assert words in out
    assert "Wrote adapter" in err
    assert "not measured: no aligned model to compare with is known" in err
    # Side effects alone, on the same texts: those that were trained on are left out.
    code, out, _ = isogloss_command(
        "side-effects", "--reference", tiny_folder, "--aligned", f"{tiny_folder}+adapter", "--corpus", pairs_file,
        "--languages", "en", "--texts", 5, "--device", "cpu", "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["left_out"] == 4


@pytest.mark.parametrize("named", ["--continue", "--model"])
def test_what_goes_on_from_an_adapter_is_held_against_it(
    named, isogloss_command, pairs_file, tiny_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    common = ("tune", "--corpus", pairs_file, *QUICK, "--learning-rate", "1e-2")
    first = ("--model", tiny_folder, "--languages", "en", "--out", "first", "--side-effect-texts", 0)
    assert isogloss_command(*common, *first)[0] == 0
    start = {
        "--continue": ("--model", tiny_folder, "--continue", "first"),
        "--model": ("--model", f"{tiny_folder}+first"),
    }
    code, out, err = isogloss_command(
        *common, *start[named], "--languages", "sw", "--out", "second", "--side-effect-texts", 5
    )
    assert (code, "not measured" in err) == (0, False)
    assert out.index("gain before") < out.index("over-refusal")
    assert "Mean gap to en over sw:" in out
    assert "Gain of en, after / before:" in out


def test_a_run_whose_aligned_model_has_a_name_is_what_gains_are_held_against():
    models = {
        "reference": {"name": "base", "given": "org/base+org/sft"},
        "aligned": {"name": "own", "given": "org/own"},
    }
    found = remedy_for(small_audit(models=models), corpus=["mini"])
    assert (found.model, found.before) == ("org/base+org/sft", "org/own")
    assert remedy_for(small_audit(models=models), corpus=["mini"], model="elsewhere").before is None
    del models["aligned"]["given"]
    assert remedy_for(small_audit(models=models), corpus=["mini"]).before is None


def test_the_chain_audits_what_was_held_out(isogloss_command, pairs_file, tiny_folder):
    tuned = ("tune", "--corpus", pairs_file, "--languages", "sw", "--model", tiny_folder, "--out", "adapter")
    assert isogloss_command(*tuned, *QUICK, "--side-effect-texts", 0)[0] == 0
    audit = (
        "audit", "--reference", tiny_folder, "--aligned", f"{tiny_folder}+adapter", "--corpus", pairs_file,
        "--permutations", 100, "--controls", "none", "--device", "cpu", "--out", "run",
    )  # fmt: skip
    code, _, err = isogloss_command(*audit)
    assert code == 1
    assert err.startswith("isogloss: model pair: found an adapter that was trained on")
    code, out, _ = isogloss_command(*audit, "--trained-texts", "drop")
    assert code == 0
    assert "C008" in out


def test_no_weak_language_trains_nothing(isogloss_command, monkeypatch, tmp_path):
    monkeypatch.setattr("isogloss.results.refuse_unsound", lambda *args: None)  # a run of few rows, made by hand
    weak_audit(hi=0.0).save(tmp_path / "RUN")
    code, _, err = isogloss_command("tune", "--from", "RUN", "--out", "adapter", "--model", "org/base")
    assert code == 0
    assert "no language is weak, so there is nothing to tune" in err
    assert not (tmp_path / "adapter").exists()


def test_what_a_run_does_not_hold_is_asked_for(isogloss_command, tmp_path, run_folder):
    code, _, err = isogloss_command("tune", "--from", run_folder, "--out", "adapter")
    assert code == 2
    assert "name it with --model" in err
    corpus = {"name": "own.csv", "sha256": "c0", "revision": None, "licence": None}
    small_audit(corpus=corpus).save(tmp_path / "OWN")
    code, _, err = isogloss_command("tune", "--from", "OWN", "--out", "adapter")
    assert code == 2
    assert "name it with --corpus" in err
    code, _, err = isogloss_command("tune", "--out", "adapter")
    assert code == 2
    assert "--corpus: found none" in err
    code, _, err = isogloss_command("tune", "--from", tmp_path, "--out", "adapter")
    assert code == 1
    assert "expected a run folder" in err


def test_a_corpus_that_is_too_small_to_split_stops_before_any_training(isogloss_command, parallel_file, tiny_folder):
    code, _, err = isogloss_command(
        "tune", "--corpus", parallel_file, "--model", tiny_folder, "--out", "adapter", *QUICK
    )
    assert code == 1
    assert "too few to split" in err
