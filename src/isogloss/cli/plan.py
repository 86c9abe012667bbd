"""`isogloss plan`: what a recipe will need."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import in_bytes, show
from isogloss.cli.settings import with_settings
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
        typer.Argument(help="A recipe (TOML); without one, the audit that the options name.", show_default=False),
    ] = None,
    flops: Annotated[
        float, typer.Option(help="Operations a second that your machine sustains, such as 1e14 for a large GPU.", min=1)
    ] = 1e14,
    gpus: Annotated[int, typer.Option(help="GPUs that share the work (`isogloss audit --engine ray`).", min=1)] = 1,
    tokens_per_text: Annotated[int | None, typer.Option(help="Assumed for all texts. Default: 64.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Say what a recipe will download, and the licences, memory, disk and time that it needs.

    No weights are loaded and nothing is asked of the network: all numbers are estimates.
    """
    from isogloss.recipes.needs import TOKENS_PER_TEXT, estimate_needs  # noqa: PLC0415 - imports torch
    from isogloss.recipes.recipe import read_recipe, single  # noqa: PLC0415

    wanted = read_recipe(recipe, given) if recipe is not None else single(make_settings(given))
    needs = estimate_needs(wanted, tokens_per_text=tokens_per_text or TOKENS_PER_TEXT)
    if as_json:
        sums = {"download": needs.download, "disk": needs.disk, "flops": needs.flops}
        about = {
            "seconds": needs.seconds(flops, gpus),
            "gpus": gpus,
            "lower_bound": needs.unknown,
            "licences": _licences(needs),
        }
        typer.echo(json.dumps(asdict(needs) | sums | about, indent=1))
        return
    typer.echo(f"{needs.recipe}: {_many(len(needs.audits), 'audit')}. All numbers are estimates.\n")
    show(map(_model, needs.models))
    typer.echo()
    show(map(_text, needs.texts))
    typer.echo()
    show(map(_audit, needs.audits))
    typer.echo()
    for line in _sums(needs, flops, gpus):
        typer.echo(line)


def _model(one: ModelNeeds) -> dict[str, str]:
    facts = one.facts
    return {
        "model": facts.model,
        "parameters": f"{facts.size.parameters / 1e9:.3g} B" if facts.size else UNKNOWN,
        "here": facts.here,
        "download": _size(facts.download),
        "licence to accept": UNKNOWN if facts.licence is None else facts.licence or "none",
        "GPU memory": _size(one.gpu_memory),
        "host memory": _size(one.host_memory),
    }


def _text(one: TextFacts) -> dict[str, str]:
    return {
        "corpus": one.corpus,
        "languages": " ".join(one.languages) or UNKNOWN,
        "texts": UNKNOWN if one.texts is None else f"{one.texts:,}",
        "here": "yes" if one.here else "no",
        "texts from": one.source,
    }


def _audit(one: AuditNeeds) -> dict[str, str]:
    return {
        "model": one.model,
        "corpus": one.corpus,
        "forward passes": str(one.passes),
        "disk": _size(one.disk),
        "operations": UNKNOWN if one.flops is None else f"{one.flops:.2g}",
    }


def _sums(needs: ResourceNeeds, rate: float, gpus: int) -> list[str]:
    models = needs.models
    here = sum(one.facts.here == "yes" for one in models)
    known = [one.flops for one in needs.audits if one.flops is not None]
    where = f"{rate:.3g} operations a second" + (f" on each of {gpus} GPUs" if gpus > 1 else "")
    time = f"{_least(needs)}{_duration(needs.seconds(rate, gpus))} at {where}" if known else UNKNOWN
    gpu, host = (_largest([getattr(one, kind) for one in models]) for kind in ("gpu_memory", "host_memory"))
    lines = {
        "Download": f"{_sum(needs, needs.download)} of weights; {here} of {_many(len(models), 'model')} here already",
        "Memory": f"{gpu} of GPU memory, or {host} without a GPU; models are loaded one at a time",
        "Disk": f"{_sum(needs, needs.disk)} for hidden states, beside the downloads",
        "Time": f"{time} for {needs.flops:.2g} operations in forward passes; loading and measuring come on top",
        "Assumed": f"{needs.tokens_per_text} tokens a text, 2 operations per token and parameter of the blocks (and of "
        "the LM head for likelihoods), and 2 "
        "bytes per downloaded parameter where no list of files is known; the store is taken to be empty",
    }
    licences = [f"  {licence}: {' '.join(repos)}" for licence, repos in _licences(needs).items()]
    gates = ["Accept on the hub, then `hf auth login`:", *licences] if licences else []
    return [*(f"{name}: {line}." for name, line in lines.items()), *gates]


def _least(needs: ResourceNeeds) -> str:
    return "at least " if needs.unknown else ""


def _sum(needs: ResourceNeeds, value: int) -> str:
    return UNKNOWN if needs.unknown and not value else f"{_least(needs)}{in_bytes(value)}"


def _licences(needs: ResourceNeeds) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in needs.models:
        if one.facts.licence and one.facts.here != "yes":
            found.setdefault(one.facts.licence, []).append(one.facts.model)
    return found


def _size(value: int | None) -> str:
    return UNKNOWN if value is None else in_bytes(value)


def _largest(values: list[int | None]) -> str:
    known = [value for value in values if value is not None]
    return in_bytes(max(known)) if known else UNKNOWN


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _duration(seconds: float) -> str:
    """Write a time for people.

    >>> _duration(30), _duration(5400), _duration(200_000)
    ('under a minute', '1.5 hours', '2.3 days')
    """
    if seconds < MINUTE:
        return "under a minute"
    unit, name = next((u, n) for u, n in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")) if seconds >= u)
    return f"{seconds / unit:.2g} {name}"
