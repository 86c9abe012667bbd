"""Rows -> a corpus without duplicates, and a corpus -> an equal number of texts per language and class.

Nothing is dropped silently: every rule that removes rows leaves a coded warning with their number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import polars as pl

from isogloss.data.corpus import MIN_PER_CLASS, SCHEMA, Corpus, text_id
from isogloss.data.normalisation import normalise_content
from isogloss.errors import CorpusError
from isogloss.io.files import sha256_text
from isogloss.warnings import CodedWarning

Conflicts = Literal["drop", "refuse"]


def unique_rows(
    rows: pl.DataFrame, *, name: str, conflicts: Conflicts = "drop"
) -> tuple[pl.DataFrame, tuple[CodedWarning, ...]]:
    """Remove duplicates and contradictions, language by language.

    Two texts are the same if they differ only in what `normalise_content` ignores. Of unpaired texts, later copies are
    dropped (C001), and texts under both labels are dropped (C002) or refused. A pair is dropped if its two texts are
    the same (C003), or if it shares a text with an earlier pair (C004), because pairs must be independent.
    """
    rows = rows.with_columns(text=pl.col("text").str.strip_chars(), key=normalise_content(rows["text"]))
    kept, warnings = [], []
    for code in rows["language"].unique().sort():
        of_language = rows.filter(pl.col("language") == code)
        for rule in (_drop_conflicts, _drop_copies, _drop_equal_pairs, _drop_shared_texts):
            of_language, warning = rule(of_language, code, conflicts, name)
            warnings += [warning] if warning else []
        kept.append(of_language)
    return pl.concat(kept).drop("key"), tuple(warnings)


def _drop_conflicts(
    rows: pl.DataFrame, code: str, conflicts: Conflicts, name: str
) -> tuple[pl.DataFrame, CodedWarning | None]:
    both = pl.col("pair_id").is_null() & (pl.col("harmful").n_unique().over("key") > 1)
    bad = rows.filter(both)
    if not bad.height:
        return rows, None
    if conflicts == "refuse":
        raise CorpusError(
            f"corpus {name}, row {bad['row'][0]}",
            found=f"{bad['key'].n_unique()} {code} texts under both labels",
            expected="one label a text",
            do="mend the labels, or drop such texts with --conflicts drop",
        )
    return rows.filter(~both), CodedWarning(code="C002", detail=f"{bad['key'].n_unique()} texts", language=code)


def _drop_copies(
    rows: pl.DataFrame, code: str, conflicts: Conflicts, name: str
) -> tuple[pl.DataFrame, CodedWarning | None]:
    del conflicts, name
    single = pl.col("pair_id").is_null()
    in_pair = pl.struct("pair_id", "key", "harmful")
    copy = (single & ~pl.col("key").is_first_distinct()) | (~single & ~in_pair.is_first_distinct())
    n = rows.filter(copy).height
    return rows.filter(~copy), CodedWarning(code="C001", detail=f"{n} copies dropped", language=code) if n else None


def _drop_equal_pairs(
    rows: pl.DataFrame, code: str, conflicts: Conflicts, name: str
) -> tuple[pl.DataFrame, CodedWarning | None]:
    del conflicts, name
    equal = pl.col("pair_id").is_not_null() & (pl.struct("pair_id", "key").is_duplicated())
    n = rows.filter(equal)["pair_id"].n_unique()
    return rows.filter(~equal), CodedWarning(code="C003", detail=f"{n} pairs dropped", language=code) if n else None


def _drop_shared_texts(
    rows: pl.DataFrame, code: str, conflicts: Conflicts, name: str
) -> tuple[pl.DataFrame, CodedWarning | None]:
    del conflicts, name
    seen: set[str] = set()
    shared: list[str] = []
    pairs = rows.drop_nulls("pair_id").group_by("pair_id", maintain_order=True).agg("key")
    for pair, keys in pairs.iter_rows():
        if seen.isdisjoint(keys):
            seen.update(keys)
        else:
            shared.append(pair)
    if not shared:
        return rows, None
    kept = rows.filter(pl.col("pair_id").is_null() | ~pl.col("pair_id").is_in(shared))
    return kept, CodedWarning(code="C004", detail=f"{len(shared)} pairs dropped", language=code)


def with_text_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Name every text by its language and content, and bring the columns into the order of SCHEMA."""
    ids = [text_id(code, text) for code, text in rows.select("language", "text").iter_rows()]
    return rows.with_columns(text_id=pl.Series(ids, dtype=pl.String)).select(list(SCHEMA))


def leave_out(corpus: Corpus, marks: pl.Series) -> tuple[Corpus | None, tuple[str, ...]]:
    """Leave out marked texts, with the other text of the pair and with translations of the same item.

    Args:
        corpus: labelled or parallel.
        marks: Boolean (texts,).

    Returns:
        The rest, None if there is none, and the ids of the texts that are left out, in order.
    """
    item, pair = pl.col("item_id"), pl.col("pair_id")
    out = (
        pl.when(item.is_not_null())
        .then(pl.col("marked").any().over("item_id"))
        .when(pair.is_not_null())
        .then(pl.col("marked").any().over("language", "pair_id"))
        .otherwise(pl.col("marked"))
    )
    frame = corpus.frame.with_columns(marked=marks).with_columns(out=out)
    left_out = tuple(sorted(frame.filter(pl.col("out"))["text_id"]))
    rest = frame.filter(~pl.col("out")).select(list(SCHEMA))
    return (replace(corpus, frame=rest) if rest.height else None), left_out


def balance(corpus: Corpus, *, per_class: int | None = None, seed: int = 0) -> Corpus:
    """Draw the same number of texts for every language and class.

    Units (item, else pair, else text) are drawn by a hash of the seed and the unit, never by position, because files
    are often sorted by label. So a smaller sample is contained in a larger one, and translations are drawn together.

    Args:
        corpus: labelled or parallel.
        per_class: texts wanted per language and class; None takes as many as the smallest language has.
        seed: another seed gives another sample.

    Raises:
        CorpusError: a language has one class only, or fewer than 20 texts (or `per_class`) in a class.
    """
    counts = corpus.counts()
    sizes = {code: min(harmful, harmless) for code, harmful, harmless in counts.iter_rows()}
    _check_sizes(corpus, per_class)
    n = min(sizes.values()) if per_class is None else per_class
    if (counts["harmful"] == n).all() and (counts["harmless"] == n).all():
        return corpus
    unit = pl.coalesce("item_id", "pair_id", "text_id")
    ranked = corpus.frame.with_columns(
        rank=unit.map_elements(lambda name: sha256_text(f"{seed}:{name}"), return_dtype=pl.String)
    ).sort("rank", "pair_id", "text_id")
    sample = ranked.group_by("language", "harmful", maintain_order=True).head(n).drop("rank")
    warnings = corpus.warnings
    if per_class is None and max(sizes.values()) > n:
        cut = ", ".join(f"{code} {size}" for code, size in sorted(sizes.items()) if size > n)
        warnings += (CodedWarning(code="C005", detail=f"{n} per class; there were {cut}"),)
    return Corpus(
        name=corpus.name,
        frame=sample.select(list(SCHEMA)),
        revision=corpus.revision,
        licence=corpus.licence,
        warnings=warnings,
    )


def _check_sizes(corpus: Corpus, per_class: int | None) -> None:
    floor = MIN_PER_CLASS if per_class is None else per_class
    if floor < MIN_PER_CLASS:
        raise CorpusError(
            "--per-class", found=str(floor), expected=f"at least {MIN_PER_CLASS}", do="ask for more texts per class"
        )
    for code, harmful, harmless in corpus.counts().iter_rows():
        subject = f"corpus {corpus.name}, language {code}"
        if not harmful or not harmless:
            raise CorpusError(
                subject,
                found=f"{'harmful' if harmful else 'harmless'} texts only",
                expected="both classes",
                do="add texts of the other class (--corpus can be given twice)",
            )
        if min(harmful, harmless) < floor:
            raise CorpusError(
                subject,
                found=f"{harmful} harmful and {harmless} harmless texts",
                expected=f"at least {floor} of each",
                do="add texts, or leave the language out with --languages",
            )
