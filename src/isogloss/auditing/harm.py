"""Harm directions of all languages -> rows: cosines, shares along the pivot's direction, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

from isogloss.auditing.rows import Place, jackknife_estimate
from isogloss.results import NAN, Estimate, Row
from isogloss.separation.compare import gain
from isogloss.separation.directions import Directions

CORRECTED = "delete-group jackknife of products between different items"
NOT_CLEAR = "the harm direction of {} is not clear of noise"


def direction_rows(found: Mapping[str, Directions], places: Mapping[str, Place], pivot: str) -> list[Row]:
    """Write rows for each model, and for how far alignment changed the cosines.

    Args:
        found: role -> the directions of that model.
        places: language -> where its rows belong.
        pivot: the language along whose direction shares are taken.
    """
    rows = [row for role, one in found.items() for row in _of_model(role, one, places, pivot)]
    return [*rows, *(_changes(found["reference"], found["aligned"], places) if "reference" in found else [])]


def _of_model(role: str, one: Directions, places: Mapping[str, Place], pivot: str) -> list[Row]:
    codes, known, nulls = one.languages, one.known, one.null_cosines
    rows = []
    for i, code in enumerate(codes):
        sure = jackknife_estimate(one.reliability(i), places[code], method=CORRECTED)
        rows.append(_row("reliability", role, places[code], "", sure))
    for i, j in permutations(range(len(codes)), 2):
        place, other = places[codes[i]], codes[j]
        reason = next((NOT_CLEAR.format(codes[k]) for k in (i, j) if not known[k]), None)
        plain = float(one.plain_cosines[i, j])
        null = nulls[:, i, j]
        cosine = jackknife_estimate(
            one.cosine(i, j), place, method=CORRECTED, plug_in=plain, null=null, reason=reason, test=True
        )
        value = NAN if reason else one.ceiling(i, j)
        ceiling = Estimate(value=value, n=place.n, seed=place.seed, reason=reason)
        rows += [_row("cosine", role, place, other, cosine), _row("ceiling", role, place, other, ceiling)]
        if other == pivot:
            share = jackknife_estimate(
                one.share(i, j), place, method=CORRECTED, plug_in=plain**2, null=null**2, reason=reason
            )
            rows.append(_row("share", role, place, other, share))
    return rows


def _changes(before: Directions, after: Directions, places: Mapping[str, Place]) -> list[Row]:
    known = before.known & after.known
    rows = []
    for i, j in permutations(range(len(before.languages)), 2):
        place = places[before.languages[i]]
        reason = None if known[[i, j]].all() else "a harm direction is not clear of noise in one of the models"
        moved = gain(before.cosine(i, j), after.cosine(i, j))
        changed = jackknife_estimate(moved, place, method=CORRECTED, reason=reason, test=True)
        rows.append(_row("cosine", "", place, before.languages[j], changed))
    return rows


def _row(kind: str, role: str, place: Place, other: str, estimate: Estimate) -> Row:
    return Row(
        kind=kind,
        model=role,
        language=place.language,
        other=other,
        layer=place.layer.index,
        norm=place.layer.norm,
        basis="means",
        metric="harm_direction",
        estimate=estimate,
    )
