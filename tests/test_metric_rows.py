"""A row of a table of metrics carries all that is special to its metric; no code decides by a name."""

import ast
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import isogloss
from isogloss.analyses.behaviour.metrics import BEHAVIOURS
from isogloss.analyses.published_metrics.metrics import PUBLISHED
from isogloss.errors import MetricError
from isogloss.stats.block import score_block
from isogloss.stats.component_scores import component_scores
from isogloss.stats.metrics import METRICS, metric
from isogloss.stats.permutations import draw
from isogloss.stats.probe import ridge_probe
from isogloss.stats.probe_scores import probe_scores

SOURCE = Path(isogloss.__file__).parent
ROOMS = ("stats", "auditing", "analyses", "report", "gating", "tuning", "recipes", "cli")
TABLES = METRICS | PUBLISHED | BEHAVIOURS


def decisions(source):
    """Lines that compare a metric with a name, or read something off its family."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Is | ast.IsNot):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            sides = [node.slice] if is_family(node.slice) else []
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        else:
            continue
        constants = [part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)]
        if any(is_family(side) for side in sides) or any(value in TABLES for value in constants):
            yield sides[0].lineno


def is_family(node):
    return isinstance(node, ast.Attribute) and node.attr == "family"


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_decides_by_the_name_of_a_metric(room):
    faults = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sorted((SOURCE / room).rglob("*.py"))
        for line in decisions(path.read_text("utf-8"))
    ]
    assert faults == []


@pytest.mark.parametrize(
    "line",
    [
        'if row.name == "silhouette": pass',
        'if metric != "bhattacharyya": pass',
        'log = name in ("auroc", "bhattacharyya")',
        'if row.family == "component": pass',
        "method = METHODS[score.row.family]",
        'match name:\n    case "aqi":\n        pass',
    ],
)
def test_a_decision_by_name_would_be_seen(line):
    assert list(decisions(line))


def test_every_metric_has_one_name_and_one_row():
    assert len(TABLES) == len(METRICS) + len(PUBLISHED) + len(BEHAVIOURS)
    assert [name for name, row in TABLES.items() if row.name != name] == []


def test_verdicts_may_come_from_component_metrics_only():
    assert [name for name, row in TABLES.items() if row.judges] == [
        "between_class_variance",
        "bhattacharyya",
        "silhouette",
    ]


def test_rows_travel_between_processes():
    for row in TABLES.values():
        assert pickle.loads(pickle.dumps(row)) == row


def block(n=30, width=6):
    rng = np.random.default_rng(0)
    harmful = np.arange(2 * n) < n
    x = rng.normal(size=(2 * n, width)) * np.linspace(2, 1, width)
    x[harmful, 0] += 1
    return x, draw(harmful, None, n_permutations=20, seed=0)


def test_a_new_metric_is_a_new_row():
    x, draws = block()
    row = replace(METRICS["between_class_variance"], name="new", many=METRICS["silhouette"].many)
    row = replace(row, without_units=METRICS["silhouette"].without_units, null=METRICS["silhouette"].null)
    new, silhouette = score_block(x, draws, [row, METRICS["silhouette"]], (2,)).scores
    assert (new.metric, new.row) == ("new", row)
    assert new.jackknife.value == silhouette.jackknife.value
    assert metric("new", {"new": row}) is row


def test_a_row_without_a_function_that_its_scorer_needs_is_refused():
    x, draws = block()
    with pytest.raises(MetricError, match="silhouette: found no function `without_units`; expected one"):
        component_scores(x, draws, [replace(METRICS["silhouette"], without_units=None)], (2,))
    with pytest.raises(MetricError, match="auroc: found no function `influence`; expected one"):
        probe_scores(ridge_probe(x), draws, [replace(METRICS["auroc"], influence=None)])


def test_a_metric_of_answers_cannot_score_hidden_states():
    x, draws = block()
    with pytest.raises(MetricError, match="refusal_margin: found a metric of answers; expected one of hidden states"):
        score_block(x, draws, [BEHAVIOURS["refusal_margin"]], (2,))
