"""The request for metrics that others print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class PublishedMetrics:
    """Compute all metrics of PUBLISHED as well; `AuditConfig.metrics` may name single ones without this request."""

    name: ClassVar[str] = "published_metrics"
    about: ClassVar[str] = "Also compute the metrics that others print, as they define them (see `isogloss metrics`)."
    switch: ClassVar[str] = "published_metrics"
