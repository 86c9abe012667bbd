"""`isogloss report` and `isogloss compare`: what they print, where they write, and what they refuse."""

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import isogloss
from conftest import make_model, parallel_rows
from handmade import small_audit
from isogloss.analyses.audit import audit_sections
from isogloss.cli import app
from isogloss.report.card import model_card
from isogloss.report.comparison.comparable import name_audits
from isogloss.report.comparison.page import comparison_html
from isogloss.report.exports import export_tables
from isogloss.report.render_csv import render_csv
from isogloss.report.render_latex import render_latex
from isogloss.report.render_markdown import render_markdown
from isogloss.report.view import view
from planted import load, moved, plant
from test_report_pairs import PLAIN, points


def tables_of(audit):
    """What `isogloss report --format` prints."""
    return export_tables(view(audit), audit_sections(audit))


@pytest.fixture
def run(tmp_path):
    """A run folder; its corpus is the texts of t.jsonl."""
    return make_run(tmp_path, "run", small_audit())


def make_run(folder, name, audit):
    corpus = load(folder / "t.jsonl", rows())
    audit = replace(
        audit,
        corpus=audit.corpus | {"name": "t.jsonl", "sha256": corpus.sha256, "revision": None},
        config=audit.config | {"per_class": None},
    )
    made = folder / name
    made.mkdir()
    audit.save(made)
    with_ids(corpus).write_parquet(made / "points.parquet")
    return made


def rows():
    return [row | {"item_id": row["pair_id"]} for row in parallel_rows(n=25, languages=("en", "sw", "am"))]


def with_ids(corpus):
    """Points of the texts of a corpus; the third pair of each language loses most."""
    found = corpus.frame.select("text_id", "pair_id", "item_id", "language", "harmful")
    lost = pl.col("item_id") == "p3"
    score = pl.when("harmful").then(pl.lit(1.0) + pl.col("item_id").str.slice(1).cast(pl.Float64) / 100).otherwise(0.0)
    return pl.concat(
        found.with_columns(
            model=pl.lit(model),
            layer=pl.lit(4),
            norm=pl.lit("post"),
            fold=0,
            pc1=0.0,
            pc2=0.0,
            score=pl.when(lost & (pl.col("language") == "sw")).then(0.0).otherwise(score),
        )
        for model in ("reference", "aligned")
    )


@pytest.fixture
def isogloss_command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sys.exit(app.main())
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return command


# report


@pytest.mark.parametrize(
    ("options", "write"),
    [
        (["--format", "md"], lambda audit: render_markdown(tables_of(audit))),
        (["--format", "latex"], lambda audit: render_latex(tables_of(audit))),
        (["--format", "csv"], lambda audit: render_csv(audit.table())),
        (["--card"], model_card),
    ],
)
def test_tables_go_to_stdout_or_to_a_file(options, write, isogloss_command, run, tmp_path):
    expected = write(isogloss.Audit.load(run))
    (run / "points.parquet").unlink()  # tables need the audit alone
    assert isogloss_command("report", run, *options) == (0, expected, "")
    code, out, err = isogloss_command("report", run, *options, "--out", "folder/table.txt")
    assert (code, out, err) == (0, "", "Wrote folder/table.txt\n")
    assert (tmp_path / "folder" / "table.txt").read_text("utf-8") == expected


def test_pairs_are_printed_by_their_ids(isogloss_command, run):
    code, out, _ = isogloss_command("report", run, "--pairs", 1)
    assert code == 0
    assert "sw Swahili" in out
    assert "p3" in out
    assert "bad " not in out
    assert "not findings" in out


def test_texts_are_printed_when_they_are_asked_for(isogloss_command, run):
    code, out, _ = isogloss_command("report", run, "--pairs", 1, "--show-text", "--corpus", "t.jsonl")
    assert code == 0
    assert "sw 3 bad" in out
    assert "sw 3 good" in out
    assert "en 3 bad" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "pdf"], 2, "md, latex or csv"),
        (["--format", "md", "--card"], 2, "one of --format, --card, --pairs"),
        (["--show-text"], 2, "--pairs as well"),
        (["--embed-text", "--card"], 2, "without a page"),
        (["--corpus", "t.jsonl"], 2, "--show-text or --embed-text as well"),
        (["--pairs", 1, "--out", "x"], 2, "a page or tables"),
        (["--card", "--out", "."], 2, "the folder"),
        (["--out", "."], 2, "the folder"),
        (["--pairs", 1, "--show-text"], 2, "'t.jsonl'"),
        (["--pairs", 1, "--show-text", "--corpus", "mini"], 1, "those of the audit"),
        (["--pairs", 1, "--show-text", "--corpus", "none.csv"], 1, "no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(arguments, code, words, isogloss_command, run):
    stopped, out, err = isogloss_command("report", run, *arguments)
    assert (stopped, out) == (code, "")
    assert words in err
    assert err.startswith("isogloss: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["report", "run"], ["report", "run", "--card"], ["compare", "run", "second"]])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text(path.read_text("utf-8").replace('"level": 0.95', '"level": "high"')),
        lambda path: path.write_text(path.read_text("utf-8").replace('"pivot": "en"', '"pivot": "eo"')),
    ],
)
def test_a_spoilt_audit_is_one_line(spoil, command, isogloss_command, two):
    spoil(two[0] / "audit.json")
    code, out, err = isogloss_command(*command)
    assert (code, out) == (1, "")
    assert err.startswith("isogloss: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["report", "run"],
        ["report", "run", "--card"],
        ["compare", "run", "second"],
        ["compare", "run", "second", "--format", "md"],
    ],
)
@pytest.mark.parametrize("place", ["t.jsonl/x.html", "/proc/nowhere/x.html", "/dev/full/x.html"])
def test_where_nothing_can_be_written_is_one_line(command, place, isogloss_command, two):
    code, out, err = isogloss_command(*command, "--out", place)
    assert code in {1, 2}
    assert out == ""
    assert err.startswith(("isogloss: --out: found ", "isogloss: writing "))
    assert err.count("\n") == 1


def test_a_run_that_has_not_finished_says_so(isogloss_command, run):
    (run / "audit.json").unlink()
    (run / "run.json").write_text("{}")
    code, _, err = isogloss_command("report", run)
    assert code == 1
    assert err == f"isogloss: run {run}: found run.json but no audit.json; expected a finished run; {AGAIN}.\n"


AGAIN = "run the command that began it again, and it goes on"


def test_a_folder_that_is_no_run_is_refused(isogloss_command, tmp_path):
    code, out, err = isogloss_command("report", tmp_path, "--card")
    assert (code, out) == (1, "")
    assert "no audit.json" in err


def test_the_name_of_a_known_corpus_is_enough(isogloss_command, tmp_path):
    """The bundled corpus is drawn again from the audit's settings alone."""
    languages = ("en", "am", "sw")
    corpus = isogloss.data.curate.balance(isogloss.load_corpus("mini", languages=languages))
    audit = small_audit(corpus={"name": "mini", "sha256": corpus.sha256, "revision": "1"})
    (tmp_path / "run").mkdir()
    audit.save(tmp_path / "run")
    points(PLAIN).with_columns(pc1=0.0, pc2=0.0, fold=0).write_parquet(tmp_path / "run" / "points.parquet")
    code, _, err = isogloss_command("report", "run", "--pairs", 1, "--show-text")
    assert code == 1  # the corpus is proved, but the points are of other texts
    assert "texts that the audit did not read" in err


# The page


def test_the_page_is_rebuilt_from_the_folder_alone(isogloss_command, run, tmp_path):
    code, out, err = isogloss_command("report", run)
    assert (code, out, err) == (0, "", f"Wrote {run / 'report.html'}\n")
    page = (run / "report.html").read_text("utf-8")
    assert "sw 3 bad" not in page
    isogloss_command("report", run, "--out", "elsewhere/page.html")
    assert (tmp_path / "elsewhere" / "page.html").read_text("utf-8") == page


def test_the_page_of_the_audit_is_the_page_of_the_report(isogloss_command, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0, "sw": 1.0}))
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    tiny = make_model(tmp_path / "tiny", seed=0)
    other = make_model(tmp_path / "other", seed=1)
    arguments = ["--aligned", other, "--reference", tiny, "--corpus", "pairs.jsonl", "--controls", "none"]
    assert isogloss_command("audit", *arguments, "--permutations", 100, "--out", "made")[0] == 0
    page = (tmp_path / "made" / "report.html").read_bytes()
    (tmp_path / "made" / "report.html").unlink()
    assert isogloss_command("report", "made")[0] == 0
    assert (tmp_path / "made" / "report.html").read_bytes() == page


def test_a_run_of_another_version_is_one_line(isogloss_command, run):
    text = (run / "audit.json").read_text("utf-8")
    (run / "audit.json").write_text(re.sub(r'"version": \d+', '"version": 1', text), encoding="utf-8")
    code, out, err = isogloss_command("report", run)
    assert (code, out) == (1, "")
    assert "found format version 1; expected format version" in err
    assert err.count("\n") == 1


def test_texts_are_embedded_when_they_are_asked_for_and_proved(isogloss_command, run):
    code, _, _ = isogloss_command("report", run, "--embed-text", "--corpus", "t.jsonl")
    assert code == 0
    assert "sw 3 bad" in (run / "report.html").read_text("utf-8")
    before = (run / "report.html").read_bytes()
    code, _, err = isogloss_command("report", run, "--embed-text", "--corpus", "mini")
    assert code == 1
    assert "those of the audit" in err
    assert (run / "report.html").read_bytes() == before


# compare


@pytest.fixture
def two(tmp_path, run):
    models = small_audit().models | {"aligned": {"name": "other", "sha256": "b1"}}
    return run, make_run(tmp_path, "second", small_audit(models=models))


def test_audits_stand_side_by_side(isogloss_command, two):
    code, out, _ = isogloss_command("compare", *two)
    assert code == 0
    assert "org/base-it" in out
    assert "other" in out
    assert "0.12 not reached ≈[-0.25, 0.24]" in out
    assert "overlap" in out
    assert "Not comparable" not in out


@pytest.mark.parametrize(("form", "words"), [("md", "| :--- |"), ("latex", "\\toprule"), ("csv", "run,reference,")])
def test_comparisons_are_exported(form, words, isogloss_command, two, tmp_path):
    code, out, _ = isogloss_command("compare", *two, "--format", form)
    assert code == 0
    assert words in out
    isogloss_command("compare", *two, "--format", form, "--out", "table")
    assert (tmp_path / "table").read_text("utf-8") == out


def with_pivot_of_swahili(audit):
    """The same audit with the names of English and Swahili exchanged."""
    names = {"en": "sw", "sw": "en"}
    rows, verdicts = (
        tuple(replace(record, language=names.get(record.language, record.language)) for record in records)
        for records in (audit.rows, audit.verdicts)
    )
    return replace(audit, pivot="sw", rows=rows, verdicts=verdicts)


def test_a_page_of_the_comparison_is_written(isogloss_command, two, tmp_path):
    audits = name_audits(two, [isogloss.Audit.load(run) for run in two])
    code, out, err = isogloss_command("compare", *two, "--out", "made/compare.HTML")
    assert (code, out, err) == (0, "", "Wrote made/compare.HTML\n")
    assert (tmp_path / "made" / "compare.HTML").read_text("utf-8") == comparison_html(audits)
    assert isogloss_command("compare", *two, "--out", "made")[0] == 2
    with_pivot_of_swahili(audits[1][1]).save(two[1])
    assert isogloss_command("compare", *two, "--out", "other.html")[0] == 2
    assert not (tmp_path / "other.html").exists()
    assert isogloss_command("compare", *two, "--anyway", "--out", "other.html")[0] == 0
    assert "These audits are not comparable." in (tmp_path / "other.html").read_text("utf-8")


def test_audits_of_other_pivots_are_compared_only_anyway(isogloss_command, two):
    audit = isogloss.Audit.load(two[1])
    with_pivot_of_swahili(audit).save(two[1])
    code, out, err = isogloss_command("compare", *two)
    assert (code, out) == (2, "")
    assert "different pivot (en, sw)" in err
    assert err.count("\n") == 1
    code, out, _ = isogloss_command("compare", *two, "--anyway")
    assert code == 0
    assert out.strip().startswith("Not comparable: these audits differ in pivot: en, sw.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one run"),
        (["run"], "a run twice"),
        (["second", "--format", "x"], "md, latex or csv"),
        (["second", "--out", "x.md"], "x.md without --format"),
    ],
)
def test_a_comparison_needs_two_runs(arguments, words, isogloss_command, two):
    code, out, err = isogloss_command("compare", "run", *arguments)
    assert (code, out) == (2, "")
    assert words in err


# What both load, and how both look


def surroundings(**changes):
    """The environment with this checkout's isogloss, and no opinion on colour."""
    known = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    return known | {"PYTHONPATH": str(Path(isogloss.__file__).parents[1])} | changes


def isogloss_process(*arguments, folder, flags=()):
    return subprocess.run(
        [sys.executable, *flags, "-m", "isogloss", *arguments],
        check=True,
        cwd=folder,
        capture_output=True,
        text=True,
        env=surroundings(),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "run"],
        ["report", "run", "--format", "md"],
        ["report", "run", "--pairs", "1"],
        ["compare", "run", "second"],
        ["compare", "run", "second", "--out", "compare.html"],
    ],
)
def test_no_model_is_needed(arguments, two, tmp_path):
    done = isogloss_process(*arguments, folder=tmp_path, flags=("-X", "importtime"))
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "polars" in loaded
    assert not loaded & {"torch", "transformers", "peft", "datasets"}


def in_terminal(arguments, folder, **environment):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "isogloss", *arguments],
        stdout=theirs,
        stdin=theirs,
        stderr=theirs,
        cwd=folder,
        env=surroundings(TERM="xterm-256color", COLUMNS="200", **environment),
    ) as process:
        os.close(theirs)
        found = b""
        try:
            while part := os.read(ours, 65536):
                found += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return found.decode("utf-8")


RED = "\x1b[31m"


def test_colour_is_for_terminals_that_want_it(two, tmp_path):
    arguments = ["compare", "run", "second"]
    assert RED in in_terminal(arguments, tmp_path)
    assert RED not in in_terminal(arguments, tmp_path, NO_COLOR="1")
    piped = isogloss_process(*arguments, folder=tmp_path).stdout
    assert "\x1b" not in piped
