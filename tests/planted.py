"""Audits whose hidden states are planted: what alignment did in each language is known."""

import itertools
import json
import os
from pathlib import Path

import numpy as np

import isogloss
from isogloss import AuditConfig
from isogloss.hidden_states.store import gaps, write

#: Settings of most tests here: the controls that need a model are left out.
QUICK = AuditConfig(permutations=100, controls=(), workers=1)
WIDTH = 24
PLANTINGS = itertools.count()
PLANTED = {"execution": {"kernel": "planted"}, "versions": {}, "drift": {"max": 0.0}}


def states(seed, harmful, shift):
    """Hidden states with a decaying spectrum in which the classes stand `shift` apart on the strongest axis."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(len(harmful), WIDTH)) / np.sqrt(np.arange(1, WIDTH + 1))
    hidden[:, 0] += shift * harmful
    return hidden.astype(np.float32)


def plant(monkeypatch, hidden_of):
    """Take the place of the models: `hidden_of(role, code, part, layer)` gives the states of a language.

    They are kept apart, for they go by the names of models that other tests really run.
    """
    monkeypatch.setenv("ISOGLOSS_CACHE", str(Path(os.environ["ISOGLOSS_CACHE"]) / f"planted-{next(PLANTINGS)}"))

    def fill(found, **kwargs):
        for role, wanted in found.items():
            for code, place in wanted.entries.items():
                part = wanted.corpus.part(code)
                arrays = {
                    layer.name: np.asarray(hidden_of(role, code, part, layer), dtype=np.float32)
                    for layer in wanted.layers
                }
                arrays["token_counts"] = np.full(part.height, 5, dtype=np.int32)
                arrays["cut"] = np.zeros(part.height, dtype=bool)
                if gaps(place, list(arrays)):
                    write(place, range(part.height), arrays, about=PLANTED)
        return len(found)

    monkeypatch.setattr("isogloss.auditing.run.fill", fill)


def moved(gains, *, start=0.0):
    """States that alignment moves by `gains[code]`; noise differs between languages, not between models."""

    def hidden_of(role, code, part, layer):
        shift = start + (gains.get(code, 0.0) if role == "aligned" else 0.0)
        seed = [*code.encode(), layer.index]
        return states(seed, part["harmful"].to_numpy(), shift)

    return hidden_of


def load(path, rows):
    """Write rows to a file and load it as a corpus."""
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return isogloss.load_corpus(path)
