"""Several audits: what they are called, and whether they may stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath
from isogloss.report.recorded_settings import analysis_settings, in_words
from isogloss.results import Audit
from isogloss.text import sanitize

#: Audits with their names, in the order in which they were given.
NamedAudits = Sequence[tuple[str, Audit]]


def _corpus(audit: Audit) -> str:
    return f"{audit.corpus['name']} {str(audit.corpus['sha256'])[:8]}"


def _primary(audit: Audit) -> str:
    return f"{audit.primary.metric} in {audit.primary.components} components"


def _scaling(audit: Audit) -> str:
    return str(audit.config.get("scaling", "none"))


#: What must agree before two numbers may be compared: what is looked at, and how it is written.
NEEDED: dict[str, tuple[Callable[[Audit], str], Callable[[Audit], str]]] = {
    "corpus": (lambda audit: str(audit.corpus["sha256"]), _corpus),
    "pivot": (lambda audit: audit.pivot, lambda audit: audit.pivot),
    "primary metric": (_primary, _primary),
    "scaling": (_scaling, _scaling),
}
#: Settings that may differ, and are then named.
NAMED_SETTINGS = ("position", "prompt_format", "template_args", "max_tokens", "dtype", "seed", "permutations", "level")


def name_audits(folders: Sequence[AnyPath], audits: Sequence[Audit]) -> list[tuple[str, Audit]]:
    """Call each audit by its aligned model; where two have the same, by its folder, and last by its path.

    Raises:
        UsageError: a folder is named twice.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("compare", found="a run twice", expected="different runs", do="name each once")
    choices = (
        [str(audit.models["aligned"]["name"]) for audit in audits],
        [folder.resolve().name for folder in folders],
        [str(folder) for folder in folders],
    )
    names = next((names for names in choices if len({sanitize(name) for name in names}) == len(names)), choices[-1])
    return [(sanitize(name), audit) for name, audit in zip(names, audits, strict=True)]


def differences(audits: NamedAudits) -> dict[str, str]:
    """Name what of NEEDED differs, with its values: empty if the audits may be compared."""
    different = {}
    for name, (key, write) in NEEDED.items():
        values = {key(audit): sanitize(write(audit)) for _, audit in audits}
        if len(values) > 1:
            different[name] = ", ".join(values.values())
    return different


def refuse_differences(audits: NamedAudits) -> None:
    """Stop unless corpus, pivot and primary metric agree.

    Raises:
        UsageError: they do not.
    """
    for name, values in differences(audits).items():
        raise UsageError(
            "compare",
            found=f"different {name} ({values})",
            expected=f"the same {name} in all runs",
            do="run the audits on the same, or see the tables all the same with --anyway",
        )


def warning(audits: NamedAudits) -> str | None:
    """Say above a table that its columns cannot be compared, or None."""
    different = differences(audits)
    if not different:
        return None
    listed = "; ".join(f"{name}: {values}" for name, values in different.items())
    return f"Not comparable: these audits differ in {listed}. A difference between columns may come from that alone."


def remarks(audits: NamedAudits) -> list[str]:
    """Say which other settings differ between the audits."""
    values = {
        name: [in_words(audit.config.get(name), "not recorded") for _, audit in audits] for name in NAMED_SETTINGS
    }
    settings = [analysis_settings(audit) for _, audit in audits]
    for name in sorted({name for each in settings for name in each}):
        values[name] = [each.get(name, "none") for each in settings]
    values["layer"] = [sanitize(audit.primary.layer) for _, audit in audits]
    listed = [f"{name.replace('_', ' ')}: {', '.join(each)}" for name, each in values.items() if len(set(each)) > 1]
    return [f"Settings that differ, run by run: {'; '.join(listed)}."] if listed else []
