"""A recipe: a TOML file with settings, models and corpora. It plans one audit for each model on each corpus."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isogloss.data.addresses import split_options
from isogloss.errors import UsageError, unknown
from isogloss.recipes.settings import (
    MODELS,
    READING,
    SETTINGS,
    TEXTS,
    Settings,
    make_settings,
    read_value,
    settings_values,
)

#: Folder of the recipes that come with isogloss.
BUNDLED = Path(__file__).parent
#: Keys of a recipe beside the settings.
KEYS = ("about", "models", "corpora")


@dataclass(frozen=True, kw_only=True)
class PlannedAudit:
    """One audit of a recipe: its names in folders and tables, and its settings."""

    model: str
    corpus: str
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A list of audits in the order in which they run: all corpora of a model, then the next model."""

    name: str
    about: str
    jobs: tuple[PlannedAudit, ...]


def bundled() -> dict[str, Path]:
    """Return the recipes that come with isogloss: name -> file."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.toml"))}


def single(settings: Settings) -> Recipe:
    """Make a recipe of the audit that settings describe; each of several aligned models is an audit."""
    jobs = _name_audits(None, None, settings)
    return Recipe(name=f"{jobs[0].model} on {jobs[0].corpus}", about="", jobs=tuple(jobs))


def read_recipe(where: str | Path, given: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe and plan its audits.

    Args:
        where: a .toml file, or the name of a recipe that comes with isogloss ("verma2025"; "recipes/verma2025.toml"
            means the same where there is no such file).
        given: settings that override those of the file. `pair` and `corpus` choose among its models and corpora.

    Raises:
        UsageError: the file does not exist or is not TOML, a key is unknown, a value has another type, two settings
            contradict each other, or `given` names a model or corpus that the recipe does not have.
    """
    path = _find_recipe(str(where))
    content = _parse_toml(path)
    about = content.pop("about", "")
    if not isinstance(about, str):
        raise UsageError(f"recipe {path.name}: about", found=repr(about), expected="a text", do="correct it")
    listed = {kind: content.pop(kind, None) for kind in ("models", "corpora")}
    common = _read_table(content, f"recipe {path.name}", also=KEYS)
    given = given or {}
    models = _read_entries(listed["models"], f"recipe {path.name}, models", common, alone=MODELS)
    texts = _read_entries(listed["corpora"], f"recipe {path.name}, corpora", common, alone=TEXTS)
    jobs = [job for model in models for text in texts for job in _plan_audits(path, common, model, text)]
    _refuse_same_names(path, jobs)
    chosen = _choose_audits(path, jobs, given)
    overrides = {name: value for name, value in given.items() if name not in {*MODELS, *TEXTS}}
    return Recipe(
        name=path.stem,
        about=about,
        jobs=tuple(
            PlannedAudit(
                model=job.model, corpus=job.corpus, settings=make_settings(settings_values(job.settings) | overrides)
            )
            for job in chosen
        ),
    )


def _find_recipe(where: str) -> Path:
    path = Path(where)
    if path.is_file():
        return path
    recipes = bundled()
    name = re.fullmatch(r"(?:recipes/)?([\w-]+)(?:\.toml)?", path.as_posix())
    if name and name[1] in recipes:
        return recipes[name[1]]
    if path.suffix == ".toml" or not name:
        raise UsageError(
            f"recipe {where}",
            found="no such file",
            expected=f"a .toml file, or {', '.join(recipes)}",
            do="check the path",
        )
    raise unknown(UsageError, "recipe", where, recipes)


def _parse_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        fault = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(f"recipe {path}", found=fault, expected="a TOML file", do="correct the file") from error


def _read_table(table: Mapping[str, object], where: str, also: Sequence[str] = ()) -> dict[str, Any]:
    """Check every key of a table; messages also list the keys in `also`, which are read elsewhere."""
    for name in table:
        if name not in SETTINGS:
            raise unknown(UsageError, "key", name, (*SETTINGS, *also), where)
    return {name: read_value(name, value, where) for name, value in table.items()}


def _read_entries(
    listed: object, where: str, common: Mapping[str, Any], *, alone: Sequence[str]
) -> list[tuple[str | None, dict[str, Any]]]:
    """Read a list of tables as (name or None, settings); without a list, return one entry without settings."""
    if listed is None:
        return [(None, {})]
    if both := [name for name in alone if name in common]:
        raise UsageError(where, found=f"{both[0]} beside the list", expected="it in the list", do="move it there")
    if not (isinstance(listed, list) and listed and all(isinstance(table, dict) for table in listed)):
        raise UsageError(where, found=repr(listed), expected="a list of tables, at least one", do="correct it")
    entries = []
    for number, table in enumerate(listed, start=1):
        table_name = f"{where} {number}"
        name = table.pop("name", None)
        if not (name is None or (isinstance(name, str) and name)):
            raise UsageError(f"{table_name}: name", found=repr(name), expected="a text", do="correct it")
        settings = _read_table(table, table_name, also=("name",))
        if not set(settings) & set(alone):
            expected = " or ".join(alone[:2])
            raise UsageError(table_name, found=f"no {alone[0]}", expected=expected, do="say what it is")
        entries.append((name, settings))
    return entries


def _plan_audits(
    path: Path,
    common: dict[str, Any],
    model: tuple[str | None, dict[str, Any]],
    text: tuple[str | None, dict[str, Any]],
) -> list[PlannedAudit]:
    (model_name, model_settings), (text_name, text_settings) = model, text
    if both := sorted(set(model_settings) & set(text_settings)):
        raise UsageError(
            f"recipe {path.name}",
            found=f"{both[0]} with a model and with a corpus",
            expected="it with one of them",
            do="remove one",
        )
    return _name_audits(model_name, text_name, make_settings(common | model_settings | text_settings))


def _name_audits(model_name: str | None, text_name: str | None, settings: Settings) -> list[PlannedAudit]:
    """Name an audit; each descendant of one reference is an audit, named by that descendant."""
    corpus = _make_folder_name(text_name or "+".join(_strip_suffix(source) for source in settings.corpus))
    if len(settings.aligned) < 2:  # noqa: PLR2004
        name = model_name or settings.pair or (settings.aligned[0] if settings.aligned else "embedded")
        return [PlannedAudit(model=_make_folder_name(name), corpus=corpus, settings=settings)]
    return [
        PlannedAudit(
            model=_make_folder_name(f"{model_name}-{aligned}" if model_name else aligned),
            corpus=corpus,
            settings=replace(settings, aligned=(aligned,)),
        )
        for aligned in settings.aligned
    ]


def _strip_suffix(corpus: str) -> str:
    name = str(split_options(corpus)[0])
    return Path(name).stem if Path(name).suffix else name


def _make_folder_name(name: str) -> str:
    """Make a name suitable for a folder: `org/model@main` is org-model-main."""
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


def _choose_audits(path: Path, jobs: Sequence[PlannedAudit], given: Mapping[str, Any]) -> list[PlannedAudit]:
    """Keep the models and corpora that the command line names."""
    for name in ("reference", "aligned", *READING):
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
        names = dict.fromkeys(getattr(job, attribute) for job in jobs)
        for choice in wanted:
            if choice not in names:
                raise unknown(UsageError, attribute, choice, names, f"{SETTINGS[name].option}: recipe {path.name}")
        jobs = [job for job in jobs if getattr(job, attribute) in wanted]
    return list(jobs)
