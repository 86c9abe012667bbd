"""isogloss: how far does an LLM's safety alignment reach beyond English?

Public names are loaded when they are first used: `import isogloss` imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isogloss.analyses.ablation.request import Ablation as Ablation
    from isogloss.analyses.audit import METRICS as METRICS
    from isogloss.analyses.audit import audit as audit
    from isogloss.analyses.audit_states import audit_states as audit_states
    from isogloss.analyses.behaviour.request import Behaviour as Behaviour
    from isogloss.analyses.chat_template.request import ChatTemplate as ChatTemplate
    from isogloss.analyses.cross_lingual.request import CrossLingual as CrossLingual
    from isogloss.analyses.matched.request import Matched as Matched
    from isogloss.analyses.published_metrics.request import PublishedMetrics as PublishedMetrics
    from isogloss.analyses.sensitivity import sensitivity as sensitivity
    from isogloss.auditing.config import AuditConfig as AuditConfig
    from isogloss.data.corpus import Corpus as Corpus
    from isogloss.data.languages import LANGUAGES as LANGUAGES
    from isogloss.data.load import load_corpus as load_corpus
    from isogloss.data.named_corpora import CORPORA as CORPORA
    from isogloss.engines.config import EngineConfig as EngineConfig
    from isogloss.errors import IsoglossError as IsoglossError
    from isogloss.gating.judge import gate as gate
    from isogloss.gating.rules import read_rules as read_rules
    from isogloss.hidden_states.fill import extract as extract
    from isogloss.hidden_states.spec import ExtractSpec as ExtractSpec
    from isogloss.models.pairs import MODEL_PAIRS as MODEL_PAIRS
    from isogloss.models.pairs import ModelPair as ModelPair
    from isogloss.models.pairs import ModelRef as ModelRef
    from isogloss.recipes.needs import estimate_needs as estimate_needs
    from isogloss.recipes.recipe import read_recipe as read_recipe
    from isogloss.recipes.run_recipe import run_recipe as run_recipe
    from isogloss.results import Audit as Audit
    from isogloss.stats import metrics as metrics
    from isogloss.tuning.callback import SeparationCallback as SeparationCallback
    from isogloss.tuning.config import TuneConfig as TuneConfig
    from isogloss.tuning.gain_change import gain_change as gain_change
    from isogloss.tuning.preferences import preferences as preferences
    from isogloss.tuning.side_effects import SideEffectConfig as SideEffectConfig
    from isogloss.tuning.side_effects import side_effects as side_effects
    from isogloss.tuning.train import tune as tune
    from isogloss.tuning.weak_languages import weak_languages as weak_languages

__version__ = "0.1.0"

_HOMES = {
    "PublishedMetrics": "isogloss.analyses.published_metrics.request",
    "Matched": "isogloss.analyses.matched.request",
    "CrossLingual": "isogloss.analyses.cross_lingual.request",
    "ChatTemplate": "isogloss.analyses.chat_template.request",
    "Behaviour": "isogloss.analyses.behaviour.request",
    "Ablation": "isogloss.analyses.ablation.request",
    "AuditConfig": "isogloss.auditing.config",
    "Audit": "isogloss.results",
    "CORPORA": "isogloss.data.named_corpora",
    "Corpus": "isogloss.data.corpus",
    "EngineConfig": "isogloss.engines.config",
    "ExtractSpec": "isogloss.hidden_states.spec",
    "SideEffectConfig": "isogloss.tuning.side_effects",
    "IsoglossError": "isogloss.errors",
    "LANGUAGES": "isogloss.data.languages",
    "METRICS": "isogloss.analyses.audit",
    "MODEL_PAIRS": "isogloss.models.pairs",
    "ModelPair": "isogloss.models.pairs",
    "ModelRef": "isogloss.models.pairs",
    "SeparationCallback": "isogloss.tuning.callback",
    "TuneConfig": "isogloss.tuning.config",
    "audit": "isogloss.analyses.audit",
    "audit_states": "isogloss.analyses.audit_states",
    "estimate_needs": "isogloss.recipes.needs",
    "extract": "isogloss.hidden_states.fill",
    "gain_change": "isogloss.tuning.gain_change",
    "gate": "isogloss.gating.judge",
    "side_effects": "isogloss.tuning.side_effects",
    "load_corpus": "isogloss.data.load",
    "metrics": "isogloss.stats.metrics",
    "preferences": "isogloss.tuning.preferences",
    "read_recipe": "isogloss.recipes.recipe",
    "read_rules": "isogloss.gating.rules",
    "run_recipe": "isogloss.recipes.run_recipe",
    "sensitivity": "isogloss.analyses.sensitivity",
    "tune": "isogloss.tuning.train",
    "weak_languages": "isogloss.tuning.weak_languages",
}

__all__ = [  # noqa: PLE0604 - the names are the keys of the table above
    *_HOMES,
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'isogloss' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if name == "metrics" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
