"""Several audits: what they are called, and whether they may stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath
from isogloss.results import Audit
from isogloss.text import sanitize


def _corpus(audit: Audit) -> str:
    return f"{audit.corpus['name']} {str(audit.corpus['sha256'])[:8]}"


def _primary(audit: Audit) -> str:
    return f"{audit.primary.metric} in {audit.primary.components} components"


#: What must agree before two numbers may be compared: what is looked at, and how it is said.
NEEDED: dict[str, tuple[Callable[[Audit], str], Callable[[Audit], str]]] = {
    "corpus": (lambda audit: str(audit.corpus["sha256"]), _corpus),
    "pivot": (lambda audit: audit.pivot, lambda audit: audit.pivot),
    "primary metric": (_primary, _primary),
}
#: Settings that may differ, and then are said.
SAID = ("position", "prompt_format", "max_tokens", "dtype", "match", "seed", "permutations", "level")


def named(folders: Sequence[AnyPath], audits: Sequence[Audit]) -> list[tuple[str, Audit]]:
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


def differences(audits: Sequence[tuple[str, Audit]]) -> dict[str, str]:
    """What of NEEDED differs, and how: empty if the audits may be compared."""
    found = {}
    for name, (key, say) in NEEDED.items():
        said = {key(audit): sanitize(say(audit)) for _, audit in audits}
        if len(said) > 1:
            found[name] = ", ".join(said.values())
    return found


def refuse_differences(audits: Sequence[tuple[str, Audit]]) -> None:
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


def warning(audits: Sequence[tuple[str, Audit]]) -> str | None:
    """Say above a table that its columns cannot be compared, or None."""
    found = differences(audits)
    if not found:
        return None
    what = "; ".join(f"{name}: {values}" for name, values in found.items())
    return f"Not comparable: these audits differ in {what}. A difference between columns may come from that alone."


def remarks(audits: Sequence[tuple[str, Audit]]) -> list[str]:
    """Say which other settings differ between the audits."""
    found = []
    for name in SAID:
        values = [_words(audit.config.get(name)) for _, audit in audits]
        if len(set(values)) > 1:
            found.append(f"{name.replace('_', ' ')}: {', '.join(values)}")
    layers = [sanitize(audit.primary.layer) for _, audit in audits]
    if len(set(layers)) > 1:
        found.append(f"layer: {', '.join(layers)}")
    return [f"Settings that differ, run by run: {'; '.join(found)}."] if found else []


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return sanitize(" ".join(str(part) for part in value)) or "none"
    return sanitize("not recorded" if value is None else str(value))
