"""`isogloss plan`: estimate what a recipe needs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import in_bytes, show
from isogloss.cli.settings import with_settings
from isogloss.errors import UsageError
from isogloss.recipes.settings import make_settings

if TYPE_CHECKING:
    from isogloss.recipes.facts import TextFacts
    from isogloss.recipes.needs import AuditNeeds, ModelNeeds, ResourceNeeds

UNKNOWN = "unknown"
MINUTE, HOUR, DAY = 60, 3600, 86400


@with_settings
def plan(
    given: dict[str, Any],
    recipe: Annotated[
        str | None,
        typer.Argument(help="Recipe (TOML). Default: the audit that the options describe.", show_default=False),
    ] = None,
    flops: Annotated[
        float, typer.Option(help="Operations per second that each GPU sustains, such as 1e14 for a large one.", min=1)
    ] = 1e14,
    gpus: Annotated[int, typer.Option(help="GPUs that share the work (`isogloss audit --engine ray`).", min=1)] = 1,
    tokens_per_text: Annotated[
        int | None, typer.Option(help="Tokens assumed for each text. Default: 64.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Estimate the downloads, licences, memory, disk and time that a recipe needs.

    All numbers are estimates: no weights are loaded, and the network is not used.
    """
    if not math.isfinite(flops):
        raise UsageError("--flops", found=str(flops), expected="a finite number", do="correct it")
    from isogloss.recipes.needs import TOKENS_PER_TEXT, estimate_needs  # noqa: PLC0415 - imports torch
    from isogloss.recipes.recipe import read_recipe, single  # noqa: PLC0415

    audits = read_recipe(recipe, given) if recipe is not None else single(make_settings(given))
    needs = estimate_needs(audits, tokens_per_text=tokens_per_text or TOKENS_PER_TEXT)
    if as_json:
        sums = {"download": needs.download, "disk": needs.disk, "flops": needs.flops}
        about = {
            "seconds": needs.seconds(flops, gpus),
            "gpus": gpus,
            "lower_bound": needs.unknown,
            "licences": _group_licences(needs),
        }
        typer.echo(json.dumps(asdict(needs) | sums | about, indent=1))
        return
    typer.echo(f"{needs.recipe}: {_format_count(len(needs.audits), 'audit')}. All numbers are estimates.\n")
    show(map(_describe_model, needs.models))
    typer.echo()
    show(map(_describe_text, needs.texts))
    typer.echo()
    show(map(_describe_audit, needs.audits))
    typer.echo()
    for line in _describe_sums(needs, flops, gpus):
        typer.echo(line)


def _describe_model(needs: ModelNeeds) -> dict[str, str]:
    facts = needs.facts
    return {
        "model": facts.model,
        "parameters": f"{facts.size.parameters / 1e9:.3g} B" if facts.size else UNKNOWN,
        "on this machine": facts.here,
        "download": _format_size(facts.download),
        "licence to accept": UNKNOWN if facts.licence is None else facts.licence or "none",
        "GPU memory": _format_size(needs.gpu_memory),
        "host memory": _format_size(needs.host_memory),
    }


def _describe_text(facts: TextFacts) -> dict[str, str]:
    return {
        "corpus": facts.corpus,
        "languages": " ".join(facts.languages) or UNKNOWN,
        "texts": UNKNOWN if facts.texts is None else f"{facts.texts:,}",
        "on this machine": "yes" if facts.here else "no",
        "texts from": facts.source,
    }


def _describe_audit(needs: AuditNeeds) -> dict[str, str]:
    return {
        "model": needs.model,
        "corpus": needs.corpus,
        "forward passes": str(needs.passes),
        "disk": _format_size(needs.disk),
        "operations": UNKNOWN if needs.flops is None else f"{needs.flops:.2g}",
    }


def _describe_sums(needs: ResourceNeeds, rate: float, gpus: int) -> list[str]:
    models = needs.models
    local = sum(model.facts.here == "yes" for model in models)
    any_known = any(audit.flops is not None for audit in needs.audits)
    speed = f"{rate:.3g} operations per second" + (f" on each of {gpus} GPUs" if gpus > 1 else "")
    time = f"{_format_bound(needs)}{_format_duration(needs.seconds(rate, gpus))} at {speed}" if any_known else UNKNOWN
    gpu, host = (_format_largest([getattr(model, kind) for model in models]) for kind in ("gpu_memory", "host_memory"))
    count = _format_count(len(models), "model")
    lines = {
        "Download": f"{_format_sum(needs, needs.download)} of weights; {local} of {count} already on this machine",
        "Memory": f"{gpu} of GPU memory, or {host} without a GPU; models are loaded one at a time",
        "Disk": f"{_format_sum(needs, needs.disk)} for hidden states, in addition to the downloads",
        "Time": f"{time} for {needs.flops:.2g} operations in forward passes; loading and measuring come in addition",
        "Assumed": f"{needs.tokens_per_text} tokens per text, 2 operations per token and parameter of the blocks (and "
        "of the LM head for likelihoods), and 2 bytes per downloaded parameter where files are not listed; the "
        "store is assumed empty",
    }
    licences = [f"  {licence}: {' '.join(repos)}" for licence, repos in _group_licences(needs).items()]
    gates = ["Accept on the hub, then `hf auth login`:", *licences] if licences else []
    return [*(f"{name}: {line}." for name, line in lines.items()), *gates]


def _format_bound(needs: ResourceNeeds) -> str:
    return "at least " if needs.unknown else ""


def _format_sum(needs: ResourceNeeds, value: int) -> str:
    return UNKNOWN if needs.unknown and not value else f"{_format_bound(needs)}{in_bytes(value)}"


def _group_licences(needs: ResourceNeeds) -> dict[str, list[str]]:
    models: dict[str, list[str]] = {}
    for facts in (model.facts for model in needs.models):
        if facts.licence and facts.here != "yes":
            models.setdefault(facts.licence, []).append(facts.model)
    return models


def _format_size(value: int | None) -> str:
    return UNKNOWN if value is None else in_bytes(value)


def _format_largest(values: list[int | None]) -> str:
    known = [value for value in values if value is not None]
    return in_bytes(max(known)) if known else UNKNOWN


def _format_count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _format_duration(seconds: float) -> str:
    """Format a duration for people.

    >>> _format_duration(30), _format_duration(5400), _format_duration(200_000)
    ('under a minute', '1.5 hours', '2.3 days')
    """
    if seconds < MINUTE:
        return "under a minute"
    unit, name = next((u, n) for u, n in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")) if seconds >= u)
    return f"{seconds / unit:.2g} {name}"
