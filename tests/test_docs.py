"""The documentation says what the tables say."""

import re
from pathlib import Path

import pytest

from families import FAMILIES
from isogloss.corpora.sources import CORPORA
from isogloss.models.pairs import MODEL_PAIRS
from isogloss.notices import NOTICES
from isogloss.separation.controls import CONTROLS
from isogloss.separation.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
METHODS = (ROOT / "docs" / "methods.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize(("code", "meaning"), NOTICES.items())
def test_every_code_is_explained_in_its_own_words(code, meaning):
    line = re.search(rf"^\| {code} \| (.*?) \|$", METHODS, re.MULTILINE)
    assert line is not None
    assert meaning.split(";")[0] in line.group(1).replace(" (eigenvalue ratio below 1.1)", "")


@pytest.mark.parametrize("name", [*METRICS, *CONTROLS])
def test_every_number_is_defined(name):
    assert re.search(rf"^\| {name} \| .+ \|$", METHODS, re.MULTILINE)


def test_every_family_has_its_row():
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    pairs = {str(row.aligned): name for name, row in MODEL_PAIRS.items()}
    for family in FAMILIES:
        pair = f"`--pair {pairs[family.repo]}`" if family.repo in pairs else "–"
        assert f"| {family.name} | {family.repo} | {pair} | {family.model} | " in page
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (ROOT / "docs" / target).exists(), target


def test_the_readme_names_every_corpus_and_its_links_exist():
    for name in CORPORA:
        assert name in README
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
