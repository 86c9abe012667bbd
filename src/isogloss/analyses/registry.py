"""ANALYSES: all analyses, in the order in which they run and are shown.

Each is a folder with its request (`request.py`, light enough for the command line to import) and its functions
(`analysis.py`). To add one, write the folder and add its name to this table (docs/adding.md).
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import cast

from isogloss.auditing.request import Request

ANALYSES = {
    "matched": "Matched",
    "chat_template": "ChatTemplate",
    "behaviour": "Behaviour",
    "ablation": "Ablation",
    "cross_lingual": "CrossLingual",
    "published_metrics": "PublishedMetrics",
}


@functools.cache
def requests() -> tuple[type[Request], ...]:
    """Return the requests of all analyses, without slow imports."""
    modules = {name: import_module(f"isogloss.analyses.{name}.request") for name in ANALYSES}
    return tuple(cast("type[Request]", getattr(modules[name], kind)) for name, kind in ANALYSES.items())
