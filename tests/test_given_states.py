"""Audits of hidden states that were extracted elsewhere: the numbers of an audit of the same states."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import isogloss
import isogloss.cli.app
from conftest import parallel_rows
from isogloss import AuditConfig, ModelPair, ModelRef
from isogloss.errors import CorpusError, IsoglossError, ModelError, UsageError
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.report.read_run import read_run
from planted import QUICK, load, moved, plant

CODES = ("en", "de", "sw")


@pytest.fixture
def planted(monkeypatch, tmp_path, tiny_folder, other_folder):
    """A corpus and a pair whose hidden states are planted, and the audit of them."""
    hidden_of = moved({"en": 2.0, "de": 1.5})
    plant(monkeypatch, hidden_of)
    corpus = load(tmp_path / "pairs.jsonl", parallel_rows(n=40, languages=CODES))
    pair = ModelPair(
        name="x", reference=ModelRef(base=str(tiny_folder)), aligned=ModelRef(base=str(other_folder)), source=""
    )
    return corpus, pair, hidden_of


def arrays(corpus, hidden_of, layers):
    """(texts, layers, width) by role, in the order of the corpus."""
    return {
        role: np.concatenate(
            [
                np.stack([hidden_of(role, code, corpus.part(code), layer) for layer in layers], axis=1)
                for code in corpus.languages
            ]
        )
        for role in ("reference", "aligned")
    }


LAYERS = (Layer(2, ""), Layer(4, "post"))
CONFIG = replace(QUICK, spec=ExtractSpec(layers=("2", "final")))


def columns(corpus):
    frame = corpus.frame
    names = {"pairs": "pair_id", "items": "item_id", "ids": "text_id"}
    return {key: frame[name].to_list() for key, name in names.items()} | {
        "labels": frame["harmful"].to_numpy(),
        "languages": frame["language"].to_list(),
    }


def numbers(audit):
    """Rows without controls, at layers as they are in the arrays."""
    return [replace(row, norm="") for row in audit.rows if row.kind != "control"]


def test_the_numbers_are_those_of_an_audit_of_the_same_states(planted, tmp_path):
    corpus, pair, hidden_of = planted
    audit = isogloss.audit(pair, corpus, config=CONFIG, store=tmp_path / "store")
    given = arrays(corpus, hidden_of, LAYERS)
    for convert in (np.asarray, torch.from_numpy, lambda array: np.asarray(array, dtype=np.float64)):
        mine = isogloss.audit_states(
            *map(convert, given.values()), **columns(corpus), layers=[2, 4], config=QUICK, name=corpus.name
        )
        assert numbers(mine) == numbers(audit)
        assert mine.verdicts == audit.verdicts
    assert {row.metric for row in mine.rows if row.kind == "control"} == {"permuted_labels_auroc"}
    assert mine.config["position"] == mine.config["prompt_format"] == "unknown"
    assert [mine.models[role]["given"] for role in ("reference", "aligned")] == [None, None]


def test_the_order_of_the_rows_and_the_defaults_change_no_verdict(planted):
    corpus, _, hidden_of = planted
    given = arrays(corpus, hidden_of, LAYERS[-1:])
    usual = isogloss.audit_states(*given.values(), **columns(corpus), layers=[4], config=QUICK)
    order = np.random.default_rng(0).permutation(len(corpus))
    mixed = {key: [values[i] for i in order] for key, values in columns(corpus).items()}
    again = isogloss.audit_states(*(array[order] for array in given.values()), **mixed, layers=[4], config=QUICK)
    for row, other in zip(usual.rows, again.rows, strict=True):
        assert row.estimate.value == pytest.approx(other.estimate.value, nan_ok=True)
    plain = {key: columns(corpus)[key] for key in ("labels", "languages")}
    single = isogloss.audit_states(*(array[:, 0] for array in given.values()), **plain, config=QUICK)
    assert single.verdicts[0].verdict == "pivot"
    assert single.primary.layer == "1"
    assert not single.corpus["paired"]


def test_the_run_folder_is_reported_gated_and_compared(planted, tmp_path, monkeypatch, capsys):
    corpus, _, hidden_of = planted
    given = arrays(corpus, hidden_of, LAYERS)
    analyses = (isogloss.PublishedMetrics(), isogloss.CrossLingual())
    audit = isogloss.audit_states(
        *given.values(), **columns(corpus), config=replace(QUICK, analyses=analyses), out=tmp_path / "run"
    )
    other = isogloss.audit_states(
        given["reference"], given["aligned"] + 0.01, **columns(corpus), config=QUICK, runs=tmp_path / "runs"
    )
    assert read_run(tmp_path / "run").audit == audit == isogloss.Audit.from_json(audit.to_json())
    assert "<html" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert isogloss.gate(isogloss.Audit.load(tmp_path / "run"), {"min_retention": 0.0}).findings
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == f"states-{other.identity.name}"
    for arguments in (
        ["report", tmp_path / "run"],
        ["report", tmp_path / "run", "--format", "md"],
        ["report", tmp_path / "run", "--card"],
        ["report", tmp_path / "run", "--pairs", "2"],
        ["gate", tmp_path / "run", "--min-retention", "0.5"],
        ["compare", tmp_path / "run", folder],
        ["compare", tmp_path / "run", folder, "--out", tmp_path / "c.html"],
    ):
        monkeypatch.setattr("sys.argv", ["isogloss", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            raise SystemExit(isogloss.cli.app.main())
        assert stop.value.code in ({3, 4} if arguments[0] == "gate" else {None, 0}), (arguments, capsys.readouterr())


def test_a_model_without_a_reference(planted):
    corpus, _, hidden_of = planted
    aligned = arrays(corpus, hidden_of, LAYERS)["aligned"]
    audit = isogloss.audit_states(None, aligned, **columns(corpus), config=QUICK)
    assert not audit.has_reference
    assert "M002" in {warning.code for warning in audit.warnings}


N = 80
GOOD = {"labels": [True, False] * N, "languages": ["en", "en", "de", "de"] * (N // 2)}
BEFORE, AFTER = np.random.default_rng(0).normal(size=(2, 2 * N, 6))
BROKEN, EMPTY = AFTER.copy(), AFTER.copy()
BROKEN[7, 2], EMPTY[3] = np.nan, 0.0
LARGE = AFTER * 1e300
MATCHED = isogloss.Matched(match=("length",))


@pytest.mark.parametrize(
    ("states", "options", "error", "words"),
    [
        ((BEFORE, None), {}, ModelError, "aligned states: found none"),
        ((BEFORE, AFTER[:-1]), {}, ModelError, "found 159 texts; expected 160"),
        ((BEFORE, AFTER[0]), {}, ModelError, r"shape \(6,\)"),
        ((BEFORE, AFTER.astype(int)), {}, ModelError, "int64"),
        ((BEFORE, AFTER.astype(str)), {}, ModelError, "<U32"),
        ((BEFORE, AFTER[:, :0]), {}, ModelError, "shape"),
        ((BEFORE, BROKEN), {}, ModelError, "not finite in 1 of 160 texts, first in row 7"),
        ((BEFORE, LARGE), {}, ModelError, "not finite"),
        ((BEFORE, EMPTY), {}, ModelError, "zeros only in 1 of 160 texts, first in row 3"),
        ((AFTER, AFTER), {}, ModelError, "the same weights|the same"),
        ((BEFORE, np.stack([AFTER, AFTER], 1)), {}, ModelError, "1 layers in the reference states"),
        ((BEFORE, AFTER), {"labels": [0.3, 0.7] * N}, CorpusError, "labels=scores >= 0.5"),
        ((BEFORE, AFTER), {"labels": [1, 2] * N}, CorpusError, "labels"),
        ((BEFORE, AFTER), {"labels": ["bad", "good"] * N}, CorpusError, "labels"),
        ((BEFORE, AFTER), {"labels": []}, CorpusError, "labels"),
        ((BEFORE, AFTER), {"labels": [True] * 2 * N}, CorpusError, "class|harmless"),
        ((BEFORE, AFTER), {"languages": ["en"] * 3}, CorpusError, "3 values"),
        ((BEFORE, AFTER), {"languages": ["en", "qqqq"] * N}, CorpusError, "qqqq"),
        ((BEFORE, AFTER), {"languages": "de"}, CorpusError, "--pivot|pivot"),
        ((BEFORE, AFTER), {"pairs": [1] * 2 * N}, CorpusError, "one harmful and one harmless"),
        ((BEFORE, AFTER), {"pairs": [1]}, CorpusError, "pairs: found 1 values"),
        ((BEFORE, AFTER), {"ids": ["a"] * 2 * N}, CorpusError, "an id twice"),
        ((BEFORE, AFTER), {"layers": [1, 2]}, UsageError, "layers: found 1, 2"),
        ((BEFORE, AFTER), {"layers": [-1]}, UsageError, "layers"),
        ((BEFORE, AFTER), {"pivot": "fr"}, CorpusError, "pivot"),
        ((BEFORE, AFTER), {"config": AuditConfig(per_class=500)}, CorpusError, "500"),
        ((BEFORE, AFTER), {"config": AuditConfig(split="held-out")}, UsageError, "split"),
        ((BEFORE, AFTER), {"config": AuditConfig(analyses=(MATCHED,))}, UsageError, "matched"),
        ((BEFORE, AFTER), {"config": AuditConfig(analyses=(isogloss.Behaviour(),))}, UsageError, "behaviour"),
    ],
)  # fmt: skip
def test_what_cannot_be_audited_is_one_line(states, options, error, words):
    with pytest.raises(IsoglossError, match=words) as caught:
        isogloss.audit_states(*states, **(GOOD | options))
    assert isinstance(caught.value, error)
    assert len(str(caught.value)) <= 600
    assert "\n" not in str(caught.value)


def test_words_are_labels_too():
    words = {"labels": ["harmful", "harmless"] * N}
    quick = replace(QUICK, permutations=20)
    assert isogloss.audit_states(BEFORE, AFTER, **(GOOD | words), config=quick) == isogloss.audit_states(
        BEFORE, AFTER, **GOOD, config=quick
    )
