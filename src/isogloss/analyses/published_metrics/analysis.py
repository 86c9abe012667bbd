"""The row of ANALYSES."""

from __future__ import annotations

from isogloss.analyses.published_metrics.metrics import PUBLISHED
from isogloss.analyses.published_metrics.request import PublishedMetrics
from isogloss.auditing.analysis import Analysis

ANALYSIS = Analysis(request=PublishedMetrics, metrics=tuple(PUBLISHED.values()))
