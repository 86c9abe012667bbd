"""A recipe: a TOML file with settings, models and corpora -> one audit for each model on each corpus."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isogloss.errors import UsageError, unknown
from isogloss.recipes.settings import MODELS, SETTINGS, TEXTS, Settings, make_settings, read_value, settings_values

#: Where the recipes are that come with isogloss.
BUNDLED = Path(__file__).parent
#: Keys of a recipe beside the settings.
KEYS = ("about", "models", "corpora")


@dataclass(frozen=True, kw_only=True)
class PlannedAudit:
    """One audit of a recipe: names for folder and table, and its settings."""

    model: str
    corpus: str
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Audits that belong together, in the order in which they run: all corpora of a model, then the next model."""

    name: str
    about: str
    jobs: tuple[PlannedAudit, ...]


def bundled() -> dict[str, Path]:
    """Return the recipes that come with isogloss: name -> file."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.toml"))}


def single(settings: Settings) -> Recipe:
    """Write the audit that settings name as a recipe; several aligned models are several audits."""
    jobs = _named(None, None, settings)
    return Recipe(name=f"{jobs[0].model} on {jobs[0].corpus}", about="", jobs=tuple(jobs))


def read_recipe(where: str | Path, given: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe and settle its audits.

    Args:
        where: a .toml file, or the name of a recipe that comes with isogloss ("verma2025"; "recipes/verma2025.toml"
            means the same where there is no such file).
        given: settings that stand above those of the file. `pair` and `corpus` choose among its models and corpora.

    Raises:
        UsageError: there is no such file, it is not TOML, a key is unknown or a value of another type, two settings
            contradict each other, or `given` asks for what the recipe does not have.
    """
    path = _find(str(where))
    content = _parse(path)
    about = content.pop("about", "")
    if not isinstance(about, str):
        raise UsageError(f"recipe {path.name}: about", found=repr(about), expected="a text", do="correct it")
    listed = {kind: content.pop(kind, None) for kind in ("models", "corpora")}
    common = _read_table(content, f"recipe {path.name}", also=KEYS)
    given = given or {}
    models = _entries(listed["models"], f"recipe {path.name}, models", common, alone=MODELS)
    texts = _entries(listed["corpora"], f"recipe {path.name}, corpora", common, alone=TEXTS)
    jobs = [job for model in models for text in texts for job in _jobs(path, common, model, text)]
    _refuse_same_names(path, jobs)
    chosen = _choose(path, jobs, given)
    others = {name: value for name, value in given.items() if name not in {*MODELS, *TEXTS}}
    return Recipe(
        name=path.stem,
        about=about,
        jobs=tuple(
            PlannedAudit(
                model=job.model, corpus=job.corpus, settings=make_settings(settings_values(job.settings) | others)
            )
            for job in chosen
        ),
    )


def _find(where: str) -> Path:
    path = Path(where)
    if path.is_file():
        return path
    known = bundled()
    name = re.fullmatch(r"(?:recipes/)?([\w-]+)(?:\.toml)?", path.as_posix())
    if name and name[1] in known:
        return known[name[1]]
    if path.suffix == ".toml" or not name:
        raise UsageError(
            f"recipe {where}",
            found="no such file",
            expected=f"a .toml file, or {', '.join(known)}",
            do="check the path",
        )
    raise unknown(UsageError, "recipe", where, known)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(f"recipe {path}", found=found, expected="a TOML file", do="mend the file") from error


def _read_table(table: Mapping[str, object], where: str, also: Sequence[str] = ()) -> dict[str, Any]:
    """Check every key of a table; `also` are keys that are named among the known ones and read elsewhere."""
    for name in table:
        if name not in SETTINGS:
            raise unknown(UsageError, "key", name, (*SETTINGS, *also), where)
    return {name: read_value(name, value, where) for name, value in table.items()}


def _entries(
    listed: object, where: str, common: Mapping[str, Any], *, alone: Sequence[str]
) -> list[tuple[str | None, dict[str, Any]]]:
    """Read a list of tables as (name or None, settings); without a list there is one entry with nothing of its own."""
    if listed is None:
        return [(None, {})]
    if both := [name for name in alone if name in common]:
        raise UsageError(where, found=f"{both[0]} beside the list", expected="it in the list", do="move it there")
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        raise UsageError(where, found=repr(listed), expected="a list of tables, at least one", do="correct it")
    entries = []
    for number, table in enumerate(listed, start=1):
        here = f"{where} {number}"
        name = table.pop("name", None)
        if not (name is None or (isinstance(name, str) and name)):
            raise UsageError(f"{here}: name", found=repr(name), expected="a text", do="correct it")
        found = _read_table(table, here, also=("name",))
        if not set(found) & set(alone):
            expected = " or ".join(alone[:2])
            raise UsageError(here, found=f"no {alone[0]}", expected=expected, do="say what it is")
        entries.append((name, found))
    return entries


def _jobs(
    path: Path,
    common: dict[str, Any],
    model: tuple[str | None, dict[str, Any]],
    text: tuple[str | None, dict[str, Any]],
) -> list[PlannedAudit]:
    (model_name, of_model), (text_name, of_text) = model, text
    if both := sorted(set(of_model) & set(of_text)):
        raise UsageError(
            f"recipe {path.name}",
            found=f"{both[0]} with a model and with a corpus",
            expected="it with one of them",
            do="remove one",
        )
    return _named(model_name, text_name, make_settings(common | of_model | of_text))


def _named(model_name: str | None, text_name: str | None, settings: Settings) -> list[PlannedAudit]:
    """Name an audit; descendants of one reference are an audit each, named by themselves."""
    corpus = _file_name(text_name or "+".join(_stem(one) for one in settings.corpus))
    if len(settings.aligned) < 2:  # noqa: PLR2004
        name = model_name or settings.pair or (settings.aligned[0] if settings.aligned else "embedded")
        return [PlannedAudit(model=_file_name(name), corpus=corpus, settings=settings)]
    return [
        PlannedAudit(
            model=_file_name(f"{model_name}-{one}" if model_name else one),
            corpus=corpus,
            settings=replace(settings, aligned=(one,)),
        )
        for one in settings.aligned
    ]


def _stem(corpus: str) -> str:
    return Path(corpus).stem if Path(corpus).suffix else corpus


def _file_name(name: str) -> str:
    """Make a name fit for a folder: `org/model@main` is org-model-main."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "own"


def _refuse_same_names(path: Path, jobs: Sequence[PlannedAudit]) -> None:
    seen = set()
    for job in jobs:
        key = job.model, job.corpus
        if key in seen:
            raise UsageError(
                f"recipe {path.name}",
                found=f"{job.model} on {job.corpus} twice",
                expected="other names",
                do='give each its own, such as name = "tuned"',
            )
        seen.add(key)


def _choose(path: Path, jobs: Sequence[PlannedAudit], given: Mapping[str, Any]) -> list[PlannedAudit]:
    """Keep the models and corpora that the command line names."""
    for name in ("reference", "aligned", "column"):
        if name in given:
            raise UsageError(
                SETTINGS[name].option,
                found=f"it beside the recipe {path.name}",
                expected="models and corpora from the recipe (--pair and --corpus choose among them)",
                do="drop one of them",
            )
    for name, attribute in (("pair", "model"), ("corpus", "corpus")):
        if name not in given:
            continue
        wanted = [given[name]] if name == "pair" else given[name]
        known = dict.fromkeys(getattr(job, attribute) for job in jobs)
        for one in wanted:
            if one not in known:
                raise unknown(UsageError, attribute, one, known, f"{SETTINGS[name].option}: recipe {path.name}")
        jobs = [job for job in jobs if getattr(job, attribute) in wanted]
    return list(jobs)
