"""`isogloss doctor` on every architecture of the table: no false alarm, and what is off is named."""

import pytest
import torch

from architectures import ARCHITECTURES
from conftest import make_tokenizer
from isogloss.auditing import doctor as module
from isogloss.auditing.doctor import doctor
from isogloss.models.load import look_inside
from isogloss.models.pairs import ModelRef


@pytest.fixture(autouse=True)
def short_texts(monkeypatch):
    """Texts longer than the windows and chunks of the tiny models, but not by much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(module, "TOKENS", 150)
    monkeypatch.setattr(module, "SAMPLES", module.SAMPLES[:4])
    yield
    torch.set_num_threads(before)


def examine(architecture, folder, monkeypatch):
    model = architecture.build()
    if model is None:
        pytest.skip(f"the installed transformers has no class for {architecture.name}")
    monkeypatch.setattr(module, "load_model", lambda *args, **kwargs: look_inside(model, make_tokenizer()))
    return {result.check: result for result in doctor(ModelRef(base=str(folder)), device="cpu")}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda row: row.name)
def test_doctor_is_right_about(architecture, tiny_folder, monkeypatch):
    results = examine(architecture, tiny_folder, monkeypatch)
    assert not [result for result in results.values() if result.verdict == "failed"]
    shortcuts, head = results["shortcuts"], results["LM head"]
    taken = architecture.shares and architecture.fuses
    assert shortcuts.verdict == ("ok" if taken else "note")
    assert ("shared beginning" in shortcuts.found) == (not architecture.shares)
    assert ("fused MLP" in shortcuts.found) == (not architecture.fuses)
    assert head.verdict == ("ok" if architecture.causal else "note")
    listed = results["the model's own states"].found
    assert ("lacks the embeddings" in listed) == (not architecture.lists_embeddings)
