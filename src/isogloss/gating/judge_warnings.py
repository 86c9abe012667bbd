"""A run's coded warnings -> findings: is a warning there, and if not, was what it warns of looked at?"""

from __future__ import annotations

from collections.abc import Iterator

from isogloss.gating.asked import Asked
from isogloss.gating.case import Case
from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, Finding
from isogloss.results import Audit

#: Codes that no run can have without these numbers of a language: fields of its rows, and how they are called.
NEEDED: dict[str, tuple[dict[str, str], str]] = {
    "S002": ({"kind": "control", "metric": "length_auroc"}, "the control by length"),
    "S003": ({"kind": "control", "metric": "ngram_auroc"}, "the control by n-grams"),
    "S004": ({"kind": "gain", "metric": "auroc"}, "the gain in AUROC"),
    "S007": ({"kind": "control", "metric": "random_weights_auroc"}, "the control by random weights"),
    "S008": ({"kind": "control", "metric": "shuffled_labels_auroc"}, "the control by shuffled labels"),
    "S009": ({"kind": "retention", "sample": "matched"}, "the comparison on matched texts (--match)"),
    "S013": ({"kind": "rendering"}, "the comparison of renderings (--rendering both)"),
}
#: Of these codes the pivot, with which others are compared, has no numbers of its own.
NOT_OF_PIVOT = ("S009",)


def judge_warnings(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    """Judge a rule that names codes: one finding a language, and one for the run if a warning is about it as a whole.

    A warning that is there fails. One that could not come because what it needs was not computed is inconclusive.
    """
    notices = case.audit.notices
    for code, value in asked.items():
        words = value if isinstance(value, tuple) else ()
        here = {notice.code for notice in notices if notice.language == code}
        found = tuple(word for word in words if word in here)
        unseen = [word for word in words if word not in here and not _looked_at(case.audit, word, code)]
        reason = f"not computed: {', '.join(NEEDED[word][1] for word in unseen)}" if unseen and not found else None
        verdict = FAIL if found else INCONCLUSIVE if unseen else PASS
        yield Finding(rule=name, language=code, verdict=verdict, asked=value, words=found, reason=reason)
    every = dict.fromkeys(word for value in asked.values() if isinstance(value, tuple) for word in value)
    whole = {notice.code for notice in notices if notice.language is None}
    if found := tuple(word for word in every if word in whole):
        yield Finding(rule=name, language=None, verdict=FAIL, asked=tuple(every), words=found)


def _looked_at(audit: Audit, word: str, code: str) -> bool:
    if word not in NEEDED or (word in NOT_OF_PIVOT and code == audit.pivot):
        return True
    return bool(audit.find(language=code, **NEEDED[word][0]))
