"""The protocol of an analysis: the core runs any, names one that fails and keeps the rest."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

import isogloss
from conftest import parallel_rows
from isogloss import Audit, ModelPair, ModelRef
from isogloss.analyses.audit import ANALYSES, METRICS
from isogloss.analyses.registry import ANALYSES as NAMES
from isogloss.analyses.registry import requests
from isogloss.auditing.analysis import Analysis, Findings, ForwardPasses, Needs, sections_of
from isogloss.auditing.record_settings import request_options
from isogloss.auditing.request import option
from isogloss.auditing.run import run_audit
from isogloss.errors import ModelError, UsageError
from isogloss.records import Estimate, Row
from isogloss.report.read_run import read_run
from isogloss.report.table import Block, Section
from isogloss.warnings import CodedWarning
from planted import QUICK, load, moved, plant

FAST = replace(QUICK, metrics=("between_class_variance",))


@dataclass(frozen=True, kw_only=True)
class Dummy:
    name: ClassVar[str] = "dummy"
    about: ClassVar[str] = "A question."
    switch: ClassVar[str] = "dummy"

    size: int = option(1, "How much.", least=0)


def one_row(measured, request):
    estimate = Estimate(value=float(request.size), n=1, seed=0)
    rows = tuple(
        Row(kind="dummy", language=language, metric="size", estimate=estimate) for language in measured.plan.languages
    )
    return Findings(rows=rows, warnings=(CodedWarning(code="S001", detail="dummy"),), judged=True)


DUMMY = Analysis(request=Dummy, rows=one_row)


@pytest.fixture
def audited(tiny_folder, adapter_folder, tmp_path, monkeypatch):
    """Audit two planted languages with one analysis, as often as asked."""
    plant(monkeypatch, moved({"en": 2.0, "de": 2.0}))
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    pair = ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")
    corpus = load(tmp_path / "pairs.jsonl", parallel_rows(n=30))

    def run(analysis=DUMMY, request=None, **options):
        config = replace(FAST, analyses=(request or Dummy(),))
        return run_audit(pair, corpus, config=config, store=tmp_path / "store", analyses=(analysis,), **options)

    return run


def test_rows_of_an_analysis_carry_its_name_and_the_verdict_of_their_language(audited):
    audit = audited(request=Dummy(size=3))
    rows = audit.find(kind="dummy")
    assert {(row.analysis, row.estimate.value) for row in rows} == {("dummy", 3.0)}
    assert {row.language: row.verdict for row in rows} == {one.language: one.verdict for one in audit.verdicts}
    assert {row.analysis for row in audit.rows if row.kind != "dummy"} == {""}
    assert audit.config["analyses"] == {"dummy": {"options": {"dummy": True, "size": 3}}}
    assert CodedWarning(code="S001", detail="dummy") in audit.warnings


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelError("a model", found="x", expected="y", do="z"), "dummy: a model: found x; expected y; z."),
        (ValueError("a text of the corpus"), "dummy: ValueError"),
        (ZeroDivisionError(), "dummy: ZeroDivisionError"),
    ],
)
def test_an_analysis_that_fails_is_named_and_the_rest_stays(audited, error, words):
    def fail(measured, request):
        raise error

    audit = audited(replace(DUMMY, rows=fail))
    (warning,) = [warning for warning in audit.warnings if warning.code == "A001"]
    assert warning.detail == words
    whole = audited()
    assert audit.rows == tuple(row for row in whole.rows if row.kind != "dummy")
    assert audit.verdicts == whole.verdicts


def test_a_run_with_a_failed_analysis_is_not_taken_for_a_finished_one(audited, tmp_path):
    def fail(measured, request):
        raise ValueError("once")

    first = audited(replace(DUMMY, rows=fail), out=tmp_path / "out", reuse=True)
    again = audited(out=tmp_path / "out", reuse=True)
    assert not first.find(kind="dummy")
    assert again.find(kind="dummy")
    assert audited(replace(DUMMY, rows=fail), out=tmp_path / "out", reuse=True) == again  # now it is finished


def test_a_section_that_cannot_be_made_is_named_and_the_others_stand(audited):
    def fail(audit, frames):
        raise KeyError("x")

    def show(audit, frames):
        return (Section(key="shown", title="Shown", blocks=(Block(text="all is well"),)),)

    broken, shown = sections_of((replace(DUMMY, sections=fail), replace(DUMMY, sections=show)), audited())
    assert "KeyError" in broken.blocks[0].note
    assert shown.key == "shown"


def test_a_cross_check_that_disagrees_confounds_a_definite_verdict(audited):
    plain = audited()
    (german,) = [verdict for verdict in plain.verdicts if verdict.language == "de"]
    assert german.cross_check is None

    def checked(verdict):
        analysis = replace(DUMMY, rows=lambda measured, request: Findings(cross_checks={"de": verdict}))
        (found,) = [one for one in audited(analysis).verdicts if one.language == "de"]
        return found.verdict, found.cross_check

    assert checked(german.verdict) == (german.verdict, german.verdict)
    other = "reversed" if german.verdict != "reversed" else "reached"
    expected = german.verdict if german.verdict == "inconclusive" else "confounded"
    assert checked(other) == (expected, other)


def test_what_follows_is_asked_for_once_everything_is_there(audited):
    asked = []

    def follow(plan, request, needs):
        asked.append(plan.missing)
        return None if needs.inputs == "edited" else Needs(inputs="edited", settings={"followed": True})

    audit = audited(replace(DUMMY, follow=follow))
    assert audit.config["analyses"]["dummy"]["followed"]
    assert asked
    assert not any(asked)


def test_requests_that_do_not_fit_are_refused(audited):
    def refuse(request, config, corpus):
        raise UsageError("--dummy", found="x", expected="y", do="z")

    with pytest.raises(UsageError, match="--dummy: found x"):
        audited(replace(DUMMY, check=refuse))
    with pytest.raises(UsageError, match="analyses: found a CrossLingual; expected requests of Dummy"):
        audited(request=isogloss.CrossLingual())


def test_rows_of_an_unknown_analysis_are_skipped_and_named(audited, tmp_path):
    audited(out=tmp_path / "run")
    known = read_run(tmp_path / "run", ["dummy"]).audit
    assert known.find(kind="dummy")
    bare = read_run(tmp_path / "run", ["another"]).audit
    assert not bare.find(kind="dummy")
    assert [warning.code for warning in bare.warnings if warning.code == "A002"] == ["A002"]
    assert len(bare.rows) == len([row for row in known.rows if row.kind != "dummy"])
    data = json.loads((tmp_path / "run" / "audit.json").read_text("utf-8"))
    assert Audit.from_json(json.dumps(data)) == known  # reading alone keeps what was written


def test_options_of_a_request_are_recorded_without_defaults():
    ref = ModelRef(base="a/b")
    assert request_options(isogloss.Behaviour(placebo=ref)) == {"behaviour": True, "placebo": {"model": "placebo"}}
    assert request_options(isogloss.Matched(match=("length",))) == {"match": ["length"]}
    assert request_options(isogloss.Ablation()) == {"ablation": True}


def test_the_registry_lists_every_folder_and_its_request():
    assert [analysis.name for analysis in ANALYSES] == list(NAMES)
    assert [analysis.request for analysis in ANALYSES] == list(requests())
    assert [kind.__name__ for kind in requests()] == list(NAMES.values())
    assert all(getattr(isogloss, kind.__name__) is kind for kind in requests())
    assert set(METRICS) > {row.name for analysis in ANALYSES for row in analysis.metrics} != set()
    assert ForwardPasses(model=ModelRef(base="a/b"), key=()).passes == 1
