"""The result of an audit as values: frozen dataclasses with an exact JSON round trip and one tidy table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import StoreError
from isogloss.io.files import canonical_json, parse_json, sha256_text, write_atomic
from isogloss.io.paths import AnyPath, parse_path, read_if_there
from isogloss.records import Estimate, LanguageVerdict, Primary, Row, read_record
from isogloss.result_checks import refuse_unsound
from isogloss.stats.thresholds import THRESHOLDS, Thresholds
from isogloss.warnings import CodedWarning

VERSION = 3


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that determines a result: two runs with the same identity are the same run."""

    corpus_name: str
    corpus: str
    models: dict[str, str]
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Eight hex digits: the start of a hash of the identity."""
        return sha256_text(canonical_json(asdict(self)))[:8]


def folder_in(runs: AnyPath, identity: Identity) -> AnyPath:
    """Return the default folder of a run inside `runs`."""
    return runs / f"{Path(identity.corpus_name).stem}-{identity.name}"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The whole result. It holds no time, host or path, so the same audit gives the same bytes everywhere.

    `corpus` and `models` identify what was measured (names, revisions, licences, hashes). `config` holds the settings
    and `versions` the versions of libraries.
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
    thresholds: Thresholds = THRESHOLDS

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in the order of the result, the pivot first."""
        rest = sorted({row.language for row in self.rows} - {self.pivot, ""})
        return (self.pivot, *rest)

    @property
    def has_reference(self) -> bool:
        """Whether there is a reference model; some are never published."""
        return self.models.get("reference") is not None

    @property
    def identity(self) -> Identity:
        """The identity of the run: everything that determined this result."""
        models = {role: model["sha256"] for role, model in self.models.items() if model}
        return Identity(
            corpus_name=self.corpus["name"], corpus=self.corpus["sha256"], models=models, config=self.config
        )

    def folder_in(self, runs: AnyPath) -> AnyPath:
        """Return the folder of this run inside `runs`."""
        return folder_in(runs, self.identity)

    @property
    def primary_layer(self) -> tuple[int, str]:
        """Index and norm of the layer that verdicts come from."""
        name, _, norm = self.primary.layer.partition("-")
        return int(name), norm

    def primary_row(self, kind: str, language: str, *, model: str = "", sample: str = "all") -> Row | None:
        """Return the row of the primary estimand: a model's score, a gain, gap or retention; None if there is none."""
        layer, norm = self.primary_layer
        rows = self.find(
            kind=kind,
            language=language,
            model=model,
            sample=sample,
            layer=layer,
            norm=norm,
            metric=self.primary.metric,
            components=self.primary.components,
        )
        return rows[0] if rows else None

    def primary_estimate(self, kind: str, language: str, *, model: str = "", sample: str = "all") -> Estimate | None:
        """Return the estimate of `primary_row`; None if there is none."""
        row = self.primary_row(kind, language, model=model, sample=sample)
        return row.estimate if row else None

    def class_distance(self, kind: str, language: str, *, model: str = "") -> Estimate | None:
        """Return a score, gain or retention of the class distance at the primary layer; None if there is none."""
        layer, norm = self.primary_layer
        named = {"language": language, "model": model, "layer": layer, "norm": norm, "metric": "class_distance"}
        return self.value(kind=kind, sample="all", analysis="", **named)

    def verdict(self, language: str) -> LanguageVerdict | None:
        """Return the verdict of a language; None if there is none."""
        return next((verdict for verdict in self.verdicts if verdict.language == language), None)

    def find(self, **wanted: Any) -> tuple[Row, ...]:  # noqa: ANN401 - values of any field of Row
        """Return the rows whose fields have the given values.

        Raises:
            TypeError: a name is not a field of Row.
        """
        if unknown_fields := set(wanted) - {field.name for field in fields(Row)}:
            raise TypeError(f"Row has no field {min(unknown_fields)!r}")
        return tuple(row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items()))

    def value(self, **wanted: Any) -> Estimate | None:  # noqa: ANN401
        """Return the estimate of the only row with the given field values; None if there is no row.

        Raises:
            TypeError: a name is not a field of Row.
            ValueError: several rows match.
        """
        rows = self.find(**wanted)
        if len(rows) > 1:
            raise ValueError(f"{len(rows)} rows match {wanted}")
        return rows[0].estimate if rows else None

    def table(self) -> pl.DataFrame:
        """Return all rows as one tidy frame: one line per number, with the columns of Row and Estimate."""
        analyses = self.config.get("analyses", {})
        records = [
            {"corpus": self.corpus["name"]}
            | {
                name: analyses.get(row.analysis, {}).get(name, self.config[name])
                for name in ("position", "prompt_format")
            }
            | {name: value for name, value in vars(row).items() if name != "estimate"}
            | vars(row.estimate)
            for row in self.rows
        ]
        return pl.DataFrame(records, schema=_table_schema())

    def to_json(self) -> str:
        """Write the audit as canonical JSON; NaN becomes null."""
        data = asdict(self)
        return canonical_json({"version": VERSION, **data}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """Read what `to_json` wrote, exactly; `load` also checks that numbers and verdicts fit each other.

        Raises:
            StoreError: the text is not an audit in a format version that this isogloss reads.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise StoreError("audit.json", found=str(error), expected="JSON", do="run the audit again") from error
        version = data.pop("version", None) if isinstance(data, dict) else None
        if version != VERSION:
            raise StoreError(
                "audit.json",
                found=f"format version {version!r}" if isinstance(version, int) else "another format",
                expected=f"format version {VERSION}",
                do="read it with the isogloss that wrote it, or run the audit again",
            )
        try:
            return cls._from_dict(data)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            fault = f"a missing or strange field ({error})"
            raise StoreError("audit.json", found=fault, expected="a whole audit", do="run the audit again") from error

    @classmethod
    def _from_dict(cls, data: dict[str, Any]) -> Audit:
        return cls(
            **data
            | {
                "primary": Primary(**data["primary"]),
                "rows": tuple(
                    read_record(Row, row | {"estimate": read_record(Estimate, row["estimate"])}) for row in data["rows"]
                ),
                "verdicts": tuple(read_record(LanguageVerdict, row) for row in data["verdicts"]),
                "warnings": tuple(CodedWarning(**row) for row in data["warnings"]),
                "thresholds": Thresholds(**data["thresholds"]),
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
        """Read audit.json from a run folder of anybody, and check it (see `refuse_unsound`).

        Raises:
            StoreError: the file is missing, cannot be read, or is not what an audit writes.
        """
        path = parse_path(folder) / "audit.json"
        try:
            raw = read_if_there(path)
            text = None if raw is None else raw.decode("utf-8")
        except (OSError, ValueError) as error:  # ValueError: of the path or of UTF-8
            raise StoreError(f"run {folder}", found=str(error), expected="audit.json", do="check the path") from error
        if text is None:
            raise StoreError(f"run {folder}", found="no audit.json", expected="a run folder", do="check the path")
        audit = cls.from_json(text)
        refuse_unsound(audit)
        return audit


def _table_schema() -> dict[str, type[pl.DataType]]:
    types: dict[str, type[pl.DataType]] = {"float": pl.Float64, "int": pl.Int64, "int | None": pl.Int64}
    named: Iterable[dataclasses.Field[Any]] = (f for f in (*fields(Row), *fields(Estimate)) if f.name != "estimate")
    leading = dict.fromkeys(("corpus", "position", "prompt_format"), pl.String)
    return leading | {field.name: types.get(str(field.type), pl.String) for field in named}
