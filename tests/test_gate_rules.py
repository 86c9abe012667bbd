"""Rules as they are written: what is read, which of two stands, and what is refused."""

import pytest

from isogloss.data.languages import LANGUAGES
from isogloss.errors import UsageError
from isogloss.gating.rules import CLASSES, DEFINITE_VERDICTS, OPEN_VERDICTS, RULES, Rules, read_rules, rules_from

FILE = """
languages = ["hi", "am", "de"]
estimand = "silhouette:10@12"
min_retention = 0.25
no_reversed = true
no_verdicts = ["not reached"]
no_warnings = "S009"

[class.5]
min_retention = 0.6

[language.am]
min_retention = 0
no_reversed = false
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "gate.toml"
    path.write_text(FILE, "utf-8")
    return path


def test_a_file_is_read(file):
    rules = read_rules(file)
    assert rules.languages == ("hi", "am", "de")
    assert rules.estimand == "silhouette:10@12"
    assert rules.for_language("hi") == {
        "min_retention": 0.25,
        "no_reversed": True,
        "no_verdicts": ("not reached",),
        "no_warnings": ("S009",),
    }


def test_the_rule_that_is_closest_to_a_language_stands(file):
    rules = read_rules(file)
    assert LANGUAGES["de"].resource_class == 5
    assert rules.for_language("de")["min_retention"] == 0.6
    assert rules.for_language("am")["min_retention"] == 0.0  # zero is a rule, false is none
    assert "no_reversed" not in rules.for_language("am")
    assert rules.for_language("xx")["min_retention"] == 0.25  # a language that isogloss does not know has no class
    assert rules_from({"min_retention": 0.1, "class": {5: {"min_retention": 0.9}}}).for_language("hi-Latn") == {
        "min_retention": 0.1
    }


def test_options_take_the_place_of_the_top_of_the_file(file):
    rules = read_rules(file, {"min_retention": 0.4, "languages": ("hi",)})
    assert rules.for_language("hi")["min_retention"] == 0.4
    assert rules.for_language("de")["min_retention"] == 0.6
    assert rules.languages == ("hi",)
    assert read_rules(None, {"margin": 0.1}) == Rules(general={"margin": 0.1})


def test_verdicts_may_be_written_without_spaces():
    assert rules_from({"no_verdicts": ["not-reached", "not_measured"]}).for_language("hi")["no_verdicts"] == (
        "not reached",
        "not measured",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rule"),
        ("no_reversed = false", "no rule"),
        ('languages = ["hi"]', "no rule"),
        ("[class.5]", "no rule"),
        ("min_retentoin = 0.5", "did you mean 'min_retention'"),
        ("[class.5]\nmin_retentoin = 0.5", "class 5: unknown key: found 'min_retentoin'"),
        ("[language.am]\nestimand = 'x'", "language am: unknown key: found 'estimand'"),
        ("[classes.5]\nmin_retention = 0.5", "did you mean 'class'"),
        ("[class.6]\nmin_retention = 0.5", "resource class: found '6'"),
        ("[class.high]\nmin_retention = 0.5", "resource class: found 'high'"),
        ("class = 5\nmin_retention = 0.5", "tables such as [class.5]"),
        ("[class]\n5 = 0.5", "a table of rules"),
        ("language = ['am']\nmin_retention = 0.5", "tables such as [language.hi]"),
        ("min_retention = 50", "0 to 2"),
        ("min_retention = -0.1", "0 to 2"),
        ("min_retention = nan", "a number"),
        ("min_gain = inf", "a number"),
        ("min_retention = true", "a number"),
        ("min_retention = '0.5'", "a number"),
        ("margin = -0.1", "0 to 2"),
        ("gain_margin = -0.1", "0 or more"),
        ("no_reversed = 1", "true or false"),
        ("no_verdicts = []", "at least one"),
        ("no_verdicts = ['revered']", "did you mean 'reversed'"),
        ("no_verdicts = ['pivot']", "unknown verdict"),
        ("no_warnings = ['S999']", "unknown code"),
        ("no_warnings = [9]", "a list of codes"),
        ("languages = []\nmin_retention = 0.5", "at least one"),
        ("estimand = 5\nmin_retention = 0.5", "a text such as"),
        ("min_retention = ", "a TOML file"),
        ("min_retention = 0.5\nmin_retention = 0.6", "a TOML file"),
    ],
)
def test_what_is_no_rule_is_one_line(text, words, tmp_path):
    path = tmp_path / "gate.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        read_rules(path)
    assert words in str(caught.value)
    assert "gate.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("none.toml", ".", "binary"):
        with pytest.raises(UsageError, match="a TOML file"):
            read_rules(tmp_path / name)


def test_the_table_is_whole():
    for name, rule in RULES.items():
        assert name.isidentifier()
        assert rule.about.endswith(".")
        assert (rule.quantity == "") == (rule.judged_by == "warnings")
    assert not set(DEFINITE_VERDICTS) & set(OPEN_VERDICTS)
    assert {str(row.resource_class) for row in LANGUAGES.values() if row.resource_class is not None} <= set(CLASSES)
