"""An audit is a value: exact in JSON, one line a number as a table, and readable for ever."""

import dataclasses
import hashlib
import json
import math
import struct
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmade import small_audit
from isogloss.errors import StoreError
from isogloss.records import NAN, Estimate, LanguageVerdict, Primary, Row
from isogloss.results import VERSION, Audit, Identity, folder_in
from isogloss.warnings import CodedWarning

GOLDEN = Path(__file__).parent / "golden" / "audit_v3.json"


def rows():
    return (
        Row(
            kind="score",
            language="en",
            metric="silhouette",
            model="aligned",
            layer=4,
            norm="post",
            basis="pca",
            components=10,
            estimate=Estimate(
                value=0.1 + 0.2,
                n=30,
                seed=7,
                low=-1e-308,
                high=5e-324,
                level=0.95,
                method="jackknife",
                plug_in=0.25,
                p_family=2 / 501,
                fdr=1e-300,
                approximate="few texts",
                null_mean=-0.0,
                null_low=1 / 3,
                null_high=2**0.5,
                p_value=1 / 501,
            ),
        ),
        Row(
            kind="gain",
            language="sw",
            metric="silhouette",
            layer=4,
            norm="post",
            basis="pca",
            components=10,
            estimate=Estimate(value=0.25, n=30, seed=7),
            sample="matched",
            scale="logit",
            mde=0.125,
            pivot_z=-7.5,
            verdict="weakened",
        ),
        Row(
            kind="retention",
            language="am",
            metric="silhouette",
            layer=4,
            norm="post",
            basis="pca",
            components=10,
            estimate=Estimate(value=NAN, n=30, seed=7, reason="the pivot gained nothing"),
        ),
        Row(kind="control", language="en", metric="length_auroc", estimate=Estimate(value=1, n=30, seed=7)),
    )


def audit(**changes):
    fields = {
        "corpus": {"name": "mini", "sha256": "c0", "licence": None, "revision": "1"},
        "models": {"reference": {"name": "base", "sha256": "a0"}, "aligned": {"name": "tuned", "sha256": "b0"}},
        "config": {"position": "last", "prompt_format": "raw", "seed": 7, "layers": ["0", "4"], "per_class": None},
        "versions": {"numpy": "2.4"},
        "pivot": "en",
        "primary": Primary(metric="between_class_variance", components=10, layer="4"),
        "rows": rows(),
        "verdicts": (
            LanguageVerdict(language="en", verdict="pivot"),
            LanguageVerdict(
                language="sw", verdict="weakened", low=0.3, high=0.1 + 0.2, cross_check="reached", disagree=True
            ),
            LanguageVerdict(language="am", verdict="not measured", reason="the pivot gained nothing"),
        ),
        "warnings": (CodedWarning(code="C005", detail="é"), CodedWarning(code="S002", detail="0.9", language="sw")),
    }
    return Audit(**fields | changes)


def bits(value):
    """Any value with its floats as bits: NaN equals NaN, and zero keeps its sign."""
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {name: bits(item) for name, item in vars(value).items()}
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack(">d", value)
    if isinstance(value, tuple | list):
        return type(value).__name__, [bits(item) for item in value]
    if isinstance(value, dict):
        return {name: bits(item) for name, item in value.items()}
    return value


# Estimate


def test_estimate_without_value_needs_a_reason():
    for reason in (None, ""):
        with pytest.raises(ValueError, match="needs a reason"):
            Estimate(value=NAN, n=1, seed=0, reason=reason)
    assert math.isnan(Estimate(value=NAN, n=1, seed=0, reason="why").value)


@pytest.mark.parametrize("value", [audit(), small_audit()], ids=["audit", "small audit"])
def test_what_is_read_back_equals_what_was_written(value):
    """NaN included: a missing number is one object."""
    assert Audit.from_json(value.to_json()) == value


def test_unknown_parts_of_an_estimate_are_nan_never_zero():
    estimate = Estimate(value=0.5, n=1, seed=0)
    assert all(math.isnan(getattr(estimate, name)) for name in FLOAT_PARTS)
    assert (estimate.method, estimate.reason) == (None, None)


@pytest.mark.parametrize("value", [Estimate(value=1.0, n=1, seed=0), rows()[0], audit()])
def test_results_cannot_be_changed(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 0)


# JSON


def test_json_round_trip_is_exact():
    before = audit()
    after = Audit.from_json(before.to_json())
    assert bits(after) == bits(before)
    assert after.to_json() == before.to_json()


def test_json_round_trip_of_an_audit_without_reference_rows_or_warnings():
    before = audit(models={"reference": None, "aligned": {"sha256": "b0"}}, rows=(), verdicts=(), warnings=())
    after = Audit.from_json(before.to_json())
    assert bits(after) == bits(before)
    assert not after.has_reference
    assert audit().has_reference


FLOATS = st.floats(allow_infinity=False)
FLOAT_PARTS = [field.name for field in dataclasses.fields(Estimate) if field.type == "float" and field.name != "value"]
ESTIMATES = st.builds(
    Estimate,
    value=st.floats(allow_infinity=False, allow_nan=False),
    n=st.integers(0, 2**62),
    seed=st.integers(0, 2**62),
    method=st.none() | st.text(),
    approximate=st.none() | st.text(),
    reason=st.none() | st.text(),
    **dict.fromkeys(FLOAT_PARTS, FLOATS),
) | st.builds(
    Estimate, value=st.just(NAN), n=st.integers(0), seed=st.integers(0), reason=st.text(min_size=1), low=FLOATS
)


@settings(max_examples=40)
@given(ESTIMATES)
def test_any_estimate_survives_json_exactly(estimate):
    before = audit(rows=(Row(kind="score", language="en", metric="m", estimate=estimate),))
    after = Audit.from_json(before.to_json())
    assert bits(after) == bits(before)


def test_json_is_strict_and_knows_no_nan():
    def refuse(name):
        raise AssertionError(name)

    data = json.loads(audit().to_json(), parse_constant=refuse)
    assert data["version"] == VERSION
    assert data["rows"][2]["estimate"]["value"] is None
    assert audit().to_json().endswith("}\n")


def test_order_of_keys_does_not_change_the_bytes():
    config = audit().config
    assert audit(config=dict(reversed(config.items()))).to_json() == audit().to_json()


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None, [1]])
def test_other_versions_are_refused(version):
    data = json.loads(audit().to_json()) | {"version": version}
    with pytest.raises(StoreError, match="expected format version 3"):
        Audit.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["[]", "null", "3", '"audit"', "{}"])
def test_other_json_is_refused(text):
    with pytest.raises(StoreError, match=r"audit\.json: found another format"):
        Audit.from_json(text)


@pytest.mark.parametrize("text", ["", "{", audit().to_json()[:200]])
def test_broken_json_is_refused(text):
    with pytest.raises(StoreError, match=r"audit\.json: found .*; expected JSON; run the audit again"):
        Audit.from_json(text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data["rows"][0]["estimate"].update(value=None),
        lambda data: data["warnings"][0].update(code="X001"),
        lambda data: data["rows"].append("row"),
        lambda data: data.pop("verdicts"),
        lambda data: data["verdicts"][0].update(reading="rose"),
    ],
    ids=["no reason", "unknown code", "no row", "no verdicts", "strange field"],
)
def test_a_damaged_audit_is_refused_in_one_line(damage):
    data = json.loads(audit().to_json())
    damage(data)
    with pytest.raises(StoreError, match=r"audit\.json: found a missing or strange field") as error:
        Audit.from_json(json.dumps(data))
    assert "\n" not in str(error.value)


def test_the_golden_audit_keeps_its_bytes():
    """The file was written by hand-made code; the code that reads and writes it may change, its bytes may not."""
    text = GOLDEN.read_text("utf-8")
    golden = Audit.from_json(text)
    assert golden.to_json() == text
    assert bits(golden) == bits(small_audit())
    assert golden.languages == ("en", "am", "sw")
    assert golden.identity.name == "8fbe159a"
    assert [(one.language, one.verdict, one.cross_check) for one in golden.verdicts] == [
        ("en", "pivot", None),
        ("am", "confounded", "inconclusive"),
        ("sw", "not reached", None),
    ]
    assert math.isnan(golden.verdicts[0].low)
    assert golden.verdicts[2].high == 0.2421875
    gap = golden.find(kind="gap")[0]
    assert (gap.estimate.value, gap.estimate.high, gap.mde) == (0.21875, 2**0.5, 0.125)
    assert math.isnan(gap.estimate.p_family)


def test_version_3_json_has_these_fields():
    data = json.loads(GOLDEN.read_text("utf-8"))
    assert data["version"] == VERSION == 3
    assert set(data["rows"][0]) == {field.name for field in dataclasses.fields(Row)}
    assert set(data["rows"][0]["estimate"]) == {field.name for field in dataclasses.fields(Estimate)}
    assert set(data["verdicts"][0]) == {field.name for field in dataclasses.fields(LanguageVerdict)}
    assert set(data["primary"]) == {"metric", "components", "layer"}
    pivot = data["verdicts"][0]
    assert (pivot["low"], pivot["cross_check"], pivot["disagree"]) == (None, None, False)


# Table


def test_table_has_one_line_a_row_with_its_numbers():
    table = audit().table()
    assert table.height == len(rows())
    assert table["value"].to_list()[:2] == [0.1 + 0.2, 0.25]
    assert table["kind"].to_list() == ["score", "gain", "retention", "control"]
    assert set(table.select("corpus", "position", "prompt_format").rows()) == {("mini", "last", "raw")}
    for line, row in zip(table.to_dicts(), rows(), strict=True):
        known = {**vars(row), **vars(row.estimate)}
        assert bits(
            {name: float(v) if name == "value" else v for name, v in known.items() if name != "estimate"}
        ) == bits({name: v for name, v in line.items() if name not in {"corpus", "position", "prompt_format"}})


def test_table_keeps_unknown_numbers_apart_from_absent_ones():
    table = audit().table()
    assert table["value"].is_nan().to_list() == [False, False, True, False]
    assert table["value"].null_count() == 0
    assert table["layer"].to_list() == [4, 4, 4, None]


def test_table_has_a_column_for_everything_that_judges_a_number():
    table = audit().table()
    numbers = ("plug_in", "p_value", "p_family", "fdr", "mde", "pivot_z")
    words = ("approximate", "reason", "method", "sample", "scale", "verdict")
    assert {table.schema[name] for name in numbers} == {pl.Float64}
    assert {table.schema[name] for name in words} == {pl.String}
    assert bits(table.row(0, named=True)["plug_in"]) == bits(0.25)
    assert table["approximate"].to_list() == ["few texts", None, None, None]
    assert table["sample"].to_list() == ["all", "matched", "all", "all"]
    assert table["verdict"].to_list()[:2] == ["", "weakened"]
    assert table["pivot_z"].is_nan().to_list() == [True, False, True, True]


def test_parquet_keeps_nan_and_none_apart(tmp_path):
    audit().save(tmp_path)
    table = pl.read_parquet(tmp_path / "results.parquet")
    assert table["fdr"].null_count() == 0
    assert table["fdr"].is_nan().to_list() == [False, True, True, True]
    assert table["approximate"].null_count() == 3


def test_table_has_the_same_columns_and_types_without_rows():
    empty = audit(rows=()).table()
    assert empty.height == 0
    assert empty.schema == audit().table().schema
    assert empty.schema["value"] == pl.Float64
    assert empty.schema["layer"] == empty.schema["n"] == pl.Int64


# Finding


def test_find_gives_the_rows_with_these_fields():
    result = audit()
    assert result.find() == result.rows
    assert [row.language for row in result.find(metric="silhouette", layer=4)] == ["en", "sw", "am"]
    assert result.find(layer=None) == (result.rows[3],)
    assert result.find(kind="score", language="sw") == ()


def test_find_refuses_a_name_that_is_no_field():
    with pytest.raises(TypeError, match="Row has no field 'lang'"):
        audit().find(lang="en")


def test_value_gives_the_only_estimate_or_none():
    assert audit().value(kind="gain", language="sw").value == 0.25
    assert audit().value(kind="gain", language="en") is None
    with pytest.raises(ValueError, match="3 rows match"):
        audit().value(metric="silhouette")


def test_languages_begin_with_the_pivot():
    assert audit().languages == ("en", "am", "sw")
    assert audit(pivot="sw").languages == ("sw", "am", "en")


# Identity and files


def test_identity_is_a_hash_of_corpus_models_and_settings():
    identity = Identity(corpus_name="mini", corpus="aa", models={"aligned": "bb"}, config={"seed": 0, "low": NAN})
    text = '{"config": {"low": null, "seed": 0}, "corpus": "aa", "corpus_name": "mini", "models": {"aligned": "bb"}}'
    assert identity.name == hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    "change",
    [
        {"corpus": {"name": "mini", "sha256": "c1"}},
        {"models": {"reference": None, "aligned": {"sha256": "b0"}}},
        {"models": {"reference": {"sha256": "b0"}, "aligned": {"sha256": "a0"}}},
        {"config": audit().config | {"seed": 8}},
    ],
    ids=["corpus", "no reference", "swapped", "seed"],
)
def test_what_decides_a_result_changes_its_identity(change):
    assert audit(**change).identity.name != audit().identity.name


@pytest.mark.parametrize("change", [{"versions": {"numpy": "3"}}, {"rows": ()}, {"warnings": ()}])
def test_what_does_not_decide_a_result_leaves_its_identity(change):
    assert audit(**change).identity == audit().identity


@pytest.mark.parametrize(
    ("corpus", "stem"), [("mini", "mini"), ("my pairs.jsonl", "my pairs"), ("mini+b.csv", "mini+b")]
)
def test_run_folder_is_named_by_corpus_and_identity(corpus, stem):
    identity = Identity(corpus_name=corpus, corpus="aa", models={}, config={})
    assert folder_in(Path("runs"), identity) == Path("runs") / f"{stem}-{identity.name}"


def test_saved_audit_is_loaded_back(tmp_path):
    folder = tmp_path / "new" / "run"
    audit().save(str(folder))
    small_audit().save(str(tmp_path / "sound"))
    assert bits(Audit.load(tmp_path / "sound")) == bits(small_audit())
    assert bits(pl.read_parquet(folder / "results.parquet").to_dicts()) == bits(audit().table().to_dicts())
    first = (folder / "audit.json").read_bytes()
    Audit.from_json(first.decode()).save(folder)
    assert (folder / "audit.json").read_bytes() == first


@pytest.mark.parametrize("there", [True, False])
def test_folder_without_an_audit_is_refused(tmp_path, there):
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with pytest.raises(StoreError, match=r"run .*/run: found no audit\.json; expected a run folder; check the path"):
        Audit.load(folder)
