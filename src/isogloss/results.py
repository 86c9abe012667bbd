"""The result of an audit as values: frozen dataclasses with an exact JSON round trip and one tidy table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from isogloss.errors import StoreError
from isogloss.io.files import canonical_json, sha256_text, write_atomic
from isogloss.io.paths import AnyPath, parse_path, read_if_there
from isogloss.warnings import CodedWarning

VERSION = 2
NAN = float("nan")


def _one_nan(record: Any, names: Iterable[str]) -> None:  # noqa: ANN401 - of either frozen record below
    """NaN is not equal to NaN, but one object is: what is read back from JSON equals what was written."""
    for name in names:
        if math.isnan(getattr(record, name)):
            object.__setattr__(record, name, NAN)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with what is needed to judge it; NaN where a part is not known, and then `reason` says why.

    `low` and `high` bound it at confidence `level` by `method` (`approximate` says why they may cover less). `plug_in`
    is the statistic before debiasing, the number that papers print. `null_mean`, `null_low` and `null_high` (2.5 and
    97.5 %) describe the estimate under permuted labels. `p_value` is the one-sided permutation p of "no separation" for
    a score, the two-sided p of "zero" from the jackknife for a gain or gap; `p_family` is corrected for all languages
    and models (primary estimand only), `fdr` is the false discovery rate among everything else. `n` counts texts per
    class.
    """

    value: float
    n: int
    seed: int
    low: float = NAN
    high: float = NAN
    level: float = NAN
    method: str | None = None
    plug_in: float = NAN
    null_mean: float = NAN
    null_low: float = NAN
    null_high: float = NAN
    p_value: float = NAN
    p_family: float = NAN
    fdr: float = NAN
    approximate: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse a NaN without a reason."""
        if math.isnan(self.value) and not self.reason:
            raise ValueError("an Estimate without a value needs a reason")
        _one_nan(self, _floats(Estimate))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number: a model's score, a comparison of the two models, or a control.

    `kind` is score, gain, gap, retention, prompt format (gain in the chat template minus gain on raw text) or control;
    behaviour and behaviour_gain, _gap, _retention, _control; link (hidden states against behaviour; of all languages
    together `language` is empty and `n` counts languages); and those of docs/methods.md, section 12: transfer, cosine,
    ceiling, share (of `language` and `other`), reliability, frozen, rank, meaning (`language` is empty).
    `model` is reference or aligned for a score, else empty; in a behaviour_control also ablated, random_1 and so on.
    Layer, norm, basis and components are empty for controls. `sample` is "all", "matched" for pairs matched with the
    pivot's, or "chat" for the chat template where both prompt formats were read. `scale` is logit where differences are
    differences of log odds. `mde` is the smallest gap to the pivot that this metric would show here,
    `pivot_z` the pivot's gain over its standard error, `verdict` what the primary estimand says of the language.
    """

    kind: str
    language: str
    metric: str
    estimate: Estimate
    model: str = ""
    layer: int | None = None
    norm: str = ""
    basis: str = ""
    components: int | None = None
    sample: str = "all"
    scale: str = "plain"
    mde: float = NAN
    pivot_z: float = NAN
    verdict: str = ""
    other: str = ""

    def __post_init__(self) -> None:
        """Use one NaN."""
        _one_nan(self, _floats(Row))


@dataclass(frozen=True, kw_only=True)
class LanguageVerdict:
    """What the primary estimand says of a language.

    `verdict` is pivot, reached, weakened, lagging, not reached, reversed, confounded, inconclusive, or not measured.
    `low` and `high` are the simultaneous set of retention that it was read from. `matched` is the verdict on matched
    pairs where that was asked for, `disagree` says whether linear separability says otherwise, `reason` why nothing can be
    said.
    """

    language: str
    verdict: str
    low: float = NAN
    high: float = NAN
    matched: str | None = None
    disagree: bool = False
    reason: str | None = None

    def __post_init__(self) -> None:
        """Use one NaN."""
        _one_nan(self, _floats(LanguageVerdict))


@dataclass(frozen=True, kw_only=True)
class Primary:
    """The number that verdicts come from, fixed before the run; `layer` is a name such as "18-post" or "12"."""

    metric: str
    components: int
    layer: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that decides a result: two runs with the same identity are the same run."""

    corpus_name: str
    corpus: str
    models: dict[str, str]
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Eight hex digits for all of it."""
        return sha256_text(canonical_json(asdict(self)))[:8]


def folder_in(runs: AnyPath, identity: Identity) -> AnyPath:
    """Return the folder that a run has inside `runs` unless it is given another."""
    return runs / f"{Path(identity.corpus_name).stem}-{identity.name}"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The whole result. It holds no time, host or path, so the same audit gives the same bytes everywhere.

    `corpus` and `models` say what was measured (names, revisions, licences, hashes), `config` with which settings,
    `versions` with which libraries.
    """

    corpus: dict[str, Any]
    models: dict[str, Any]
    config: dict[str, Any]
    versions: dict[str, str]
    pivot: str
    primary: Primary
    rows: tuple[Row, ...]
    verdicts: tuple[LanguageVerdict, ...]
    warnings: tuple[CodedWarning, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in the order of the result, the pivot first."""
        rest = sorted({row.language for row in self.rows} - {self.pivot, ""})
        return (self.pivot, *rest)

    @property
    def has_reference(self) -> bool:
        """False for a model whose reference was never published."""
        return self.models.get("reference") is not None

    @property
    def identity(self) -> Identity:
        """What decided this result."""
        models = {role: model["sha256"] for role, model in self.models.items() if model}
        return Identity(
            corpus_name=self.corpus["name"], corpus=self.corpus["sha256"], models=models, config=self.config
        )

    def folder_in(self, runs: AnyPath) -> AnyPath:
        """Return the folder of this run inside `runs`."""
        return folder_in(runs, self.identity)

    def find(self, **wanted: Any) -> tuple[Row, ...]:  # noqa: ANN401 - values of any field of Row
        """Rows whose fields have the given values.

        Raises:
            TypeError: a name is not a field of Row.
        """
        if strangers := set(wanted) - {field.name for field in fields(Row)}:
            raise TypeError(f"Row has no field {min(strangers)!r}")
        return tuple(row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items()))

    def value(self, **wanted: Any) -> Estimate | None:  # noqa: ANN401
        """Return the only estimate among the rows found, or None if there is none."""
        rows = self.find(**wanted)
        if len(rows) > 1:
            raise ValueError(f"{len(rows)} rows match {wanted}")
        return rows[0].estimate if rows else None

    def table(self) -> pl.DataFrame:
        """All rows as one tidy frame: a line a number, columns of Row and of Estimate."""
        constant = {"corpus": self.corpus["name"]} | {name: self.config[name] for name in ("position", "prompt_format")}
        chat = self.config.get("chat") or {}
        in_chat = {name: chat[name] for name in ("position", "prompt_format") if name in chat}
        records = [
            constant
            | (in_chat if row.sample == "chat" else {})
            | {k: v for k, v in vars(row).items() if k != "estimate"}
            | vars(row.estimate)
            for row in self.rows
        ]
        return pl.DataFrame(records, schema=_table_schema())

    def to_json(self) -> str:
        """Write the audit as canonical JSON; NaN becomes null."""
        data = asdict(self)
        # Left out where it is empty: results from before there was such a field keep their bytes.
        data["rows"] = [{name: part for name, part in row.items() if name != "other" or part} for row in data["rows"]]
        return canonical_json({"version": VERSION, **data}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """Read what `to_json` wrote.

        Raises:
            StoreError: this is not an audit of a version that isogloss reads.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise StoreError("audit.json", found=str(error), expected="JSON", do="run the audit again") from error
        version = data.pop("version", None) if isinstance(data, dict) else None
        if type(version) is not int or version not in {1, VERSION}:
            expected, do = f"version 1 or {VERSION}", "read it with the isogloss that wrote it"
            raise StoreError("audit.json", found="another format", expected=expected, do=do)
        try:
            return cls._from_dict(_from_version_1(data) if version == 1 else data)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            found = f"a missing or strange field ({error})"
            raise StoreError("audit.json", found=found, expected="a whole audit", do="run the audit again") from error

    @classmethod
    def _from_dict(cls, data: dict[str, Any]) -> Audit:
        return cls(
            **data
            | {
                "primary": Primary(**data["primary"]),
                "rows": tuple(_read(Row, row | {"estimate": _read(Estimate, row["estimate"])}) for row in data["rows"]),
                "verdicts": tuple(_read(LanguageVerdict, row) for row in data["verdicts"]),
                "warnings": tuple(CodedWarning(**row) for row in data["warnings"]),
            }
        )

    def save(self, folder: AnyPath | str) -> None:
        """Write audit.json and results.parquet into a folder."""
        folder = parse_path(folder)
        write_atomic(folder / "audit.json", self.to_json())
        with (folder / "results.parquet").open("wb") as file:
            self.table().write_parquet(file)

    @classmethod
    def load(cls, folder: AnyPath | str) -> Audit:
        """Read audit.json from a run folder.

        Raises:
            StoreError: there is none, or it cannot be read.
        """
        path = parse_path(folder) / "audit.json"
        if (raw := read_if_there(path)) is None:
            raise StoreError(f"run {folder}", found="no audit.json", expected="a run folder", do="check the path")
        return cls.from_json(raw.decode("utf-8"))


def _floats(record: type[Any]) -> list[str]:
    return [field.name for field in fields(record) if field.type == "float"]


RecordT = TypeVar("RecordT", Estimate, Row, LanguageVerdict)


def _read(record: type[RecordT], data: dict[str, Any]) -> RecordT:
    """Build a record from JSON, where a missing number is null."""
    numbers = set(_floats(record))
    known: dict[str, Any] = {name: NAN if value is None and name in numbers else value for name, value in data.items()}
    return record(**known)


def _from_version_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 read a direction off each gain's interval; there were no verdicts."""
    data = {name: value for name, value in data.items() if name != "readings"}
    layer = str(data["config"]["layers"][-1])
    verdicts = [
        asdict(LanguageVerdict(language=code, verdict="not measured", reason="version 1 had no verdicts"))
        for code in sorted({row["language"] for row in data["rows"]})
    ]
    return data | {"primary": data["primary"] | {"layer": layer}, "verdicts": verdicts}


def _table_schema() -> dict[str, type[pl.DataType]]:
    types: dict[str, type[pl.DataType]] = {"float": pl.Float64, "int": pl.Int64, "int | None": pl.Int64}
    named: Iterable[dataclasses.Field[Any]] = (f for f in (*fields(Row), *fields(Estimate)) if f.name != "estimate")
    leading = dict.fromkeys(("corpus", "position", "prompt_format"), pl.String)
    return leading | {field.name: types.get(str(field.type), pl.String) for field in named}
