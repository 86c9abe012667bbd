"""The command that repeats an audit: the command line reads it, and the same audit comes out."""

import shlex
import sys
from dataclasses import replace

import pytest
import typer

import isogloss
from handmade import small_audit
from isogloss.auditing.config import AuditConfig, parse_primary
from isogloss.cli import app
from isogloss.report.command import command
from isogloss.results import Audit

HOSTILE = (
    "'; rm -rf ~ #",
    "$(touch pwned)",
    "`touch pwned`",
    "a\nisogloss audit --device x",
    '"quoted" \\ back',
    "-rf",
    "--device=evil",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "a\x00b",
    "*",
    "!!",
    " ",
)


def parsed(text):
    """Read a command with the parser of the command line; comments are dropped as a shell drops them."""
    program, name, *arguments = shlex.split(text, comments=True)
    assert (program, name) == ("isogloss", "audit")
    return typer.main.get_command(app.app).commands["audit"].make_context("audit", arguments).params


def with_settings(audit, **config):
    return replace(audit, config=audit.config | config)


def test_a_flag_that_was_given_is_given_again():
    audit = small_audit()
    assert not parsed(command(audit))["quarantine"]
    assert parsed(command(with_settings(audit, quarantine=True)))["quarantine"]


def run(monkeypatch, folder, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        sys.exit(app.main())
    assert not stop.value.code


def test_the_command_gives_the_same_audit_byte_for_byte(tiny_folder, adapter_folder, parallel_file, monkeypatch):
    """From the folder in which the names are paths, as the comments ask for."""
    here = parallel_file.parent
    (here / "base").symlink_to(tiny_folder)
    (here / "adapter").symlink_to(adapter_folder)
    options = (
        "--reference base --aligned base+adapter --corpus pairs.jsonl --layers 1,final-pre,final --seed 3 "
        "--permutations 100 --primary silhouette:3@final-pre --metrics silhouette,pair_accuracy --match length "
        "--controls none --per-class 25 --pivot de --position mean --max-tokens 64"
    )
    run(monkeypatch, here, "audit", *shlex.split(options), "--out", "first")
    first = Audit.load(here / "first")
    text = command(first)
    assert text.splitlines()[0].startswith("# --reference was a local path, or is not recorded: put yours for base ")
    arguments = shlex.split(text, comments=True)[1:]
    run(monkeypatch, here, *arguments, "--out", "second")
    assert (here / "second" / "audit.json").read_bytes() == (here / "first" / "audit.json").read_bytes()


def test_defaults_and_named_models_make_the_same_settings(monkeypatch):
    """The embedded pair on the bundled corpus needs no remark at all."""
    given = {"reference": "embedded/gemma-3-270m", "aligned": "embedded/gemma-3-270m+embedded/english-dpo"}
    config = AuditConfig()
    audit = with_settings(
        small_audit(models={role: {"name": "m", "given": text, "sha256": "a0"} for role, text in given.items()}),
        layers=["18-post"],
        prompt_format="raw",
        dtype="float32",
        precision="exact",
        max_tokens=512,
        metrics=["between_class_variance", "auroc", "bhattacharyya", "silhouette", "pair_accuracy", "class_distance"],
        components=[2, 10],
        primary_changed=False,
        per_class=None,
        controls=list(config.controls),
        permutations=500,
        pivot="en",
    )
    seen = {}

    def caught(pair, corpus, **rest):
        seen.update(rest, pair=pair, corpus=corpus)
        return audit

    monkeypatch.setattr(isogloss, "audit", caught)
    text = command(audit)
    assert "#" not in text
    run(monkeypatch, ".", *shlex.split(text)[1:], "--json")
    assert (str(seen["pair"].reference), str(seen["pair"].aligned)) == tuple(given.values())
    assert seen["corpus"] == isogloss.load_corpus("mini", languages=["en", "am", "sw"])
    made = seen["config"]
    assert replace(made, metrics=()) == replace(config, metrics=())
    assert set(made.metrics) == set(config.metrics)


def test_options_are_read_back(monkeypatch):
    audit = with_settings(
        small_audit(),
        primary_changed=True,
        per_class=40,
        controls=[],
        analyses={"matched": {"options": {"match": ["length", "edit"]}}},
    )
    options = parsed(command(audit))
    assert parse_primary(options["primary"]) == replace(audit.primary, layer="final")
    assert (options["per_class"], options["match"], options["controls"]) == (40, "length,edit", "none")
    assert options["languages"] == "en,am,sw"
    assert options["layers"] == "final"


def test_how_texts_were_read_is_read_back():
    options = {"compare_chat": True, "chat_position": "last_instruction_token"}
    chat = {
        "options": options,
        "position": "last_instruction_token",
        "prompt_format": "chat",
        "chat_template": "f" * 64,
    }
    audit = with_settings(small_audit(), quantize="bnb-8bit", precision="fast", analyses={"chat_template": chat})
    options = parsed(command(audit))
    assert (options["prompt_format"], options["position"]) == ("raw", "last")
    assert (options["compare_chat"], options["chat_position"]) == (True, "last_instruction_token")
    assert (options["quantize"], options["precision"]) == ("bnb-8bit", "fast")
    assert f"# --chat-template was a file: put your path (its content has sha256 {'f' * 64})" in command(audit)
    assert options["chat_template"] is not None
    plain = parsed(command(with_settings(small_audit(), position="mean")))
    assert (plain["prompt_format"], plain["position"], plain["chat_template"]) == ("raw", "mean", None)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_one_word_and_in_their_comment(name):
    models = {role: {"name": name, "sha256": "a0"} for role in ("reference", "aligned")}
    audit = small_audit(models=models, corpus={"name": name, "sha256": "c0", "revision": name})
    text = command(with_settings(audit, position=name))
    options = parsed(text)
    assert (options["reference"], options["aligned"], options["position"]) == (name, [name], name)
    assert options["corpus"] == [name]
    assert options["device"] is None
    remarks = [line for line in text.split("isogloss audit")[0].splitlines() if line]
    assert all(line.startswith("# ") for line in remarks)
    assert all(letter.isprintable() for line in remarks for letter in line)


@pytest.mark.parametrize(
    ("name", "revision", "sources"),
    [
        ("mini", "1", ["mini"]),
        ("org/texts", "abc", ["org/texts@abc"]),
        ("org/texts@v1.0", "v1.0", ["org/texts@v1.0"]),
        ("xsafety+own.csv", "abc", ["xsafety", "own.csv"]),
        ("a+b.csv", None, ["a+b.csv"]),
    ],
)
def test_a_corpus_is_named_as_it_was_given(name, revision, sources):
    audit = small_audit(corpus={"name": name, "sha256": "c0", "revision": revision})
    text = command(audit)
    assert parsed(text)["corpus"] == sources
    assert ("--column" in text) == (name != "mini")
    assert ("was a local file" in text) == name.endswith(".csv")


def test_what_is_not_recorded_is_said_and_not_invented():
    text = command(small_audit())
    for option in ("--dtype", "--max-tokens", "--permutations", "--metrics", "--controls"):
        assert f"# {option} is not recorded" in text
    assert parsed(text)["permutations"] == 500
    assert "in Python only" in command(with_settings(small_audit(), permutations=50))


def test_an_audit_without_reference_names_only_the_aligned_model():
    models = {"reference": None, "aligned": {"name": "m", "given": "org/m@main", "sha256": "b0"}}
    options = parsed(command(small_audit(models=models)))
    assert (options["reference"], options["aligned"]) == (None, ["org/m@main"])


def test_the_audit_records_where_a_model_was_unless_that_is_a_path(tiny_folder):
    from isogloss.auditing.record import _pin_reference
    from isogloss.models.checkpoints import Checkpoint
    from isogloss.models.pairs import ModelRef

    def given(text, revision=None):
        ref = ModelRef.parse(text)
        return _pin_reference(
            Checkpoint(
                ref=ref,
                folder=None,
                gguf=None,
                base_sha256="",
                adapter_folder=None,
                adapter_sha256=None,
                revision=revision,
            )
        )

    assert given("org/base", "abc") == "org/base@abc"
    assert given("org/base@main+org/adapter", "abc") == "org/base@abc+org/adapter"
    assert given("embedded/gemma-3-270m+embedded/english-dpo") == "embedded/gemma-3-270m+embedded/english-dpo"
    assert given(str(tiny_folder)) is None
    assert given(f"org/base+{tiny_folder}") is None
    assert given("org/base?random=3") == "org/base?random=3"
