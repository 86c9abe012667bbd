"""The remedy on a real model: from an audit that shows weak languages to adapters that reach them, and what that costs.

    python experiments/remedy.py [--corpus NAME-OR-FILE] [--seeds 0,1,2] [--steps 300] [--work FOLDER] [--after FOLDER]
        [--arms mixed,pivot-only,target-only] [--train NAME] [--write]

Every step is kept in WORK, so the same command goes on where it was stopped: adapters from their last checkpoint,
audits from the store. With --after every arm goes on, for as many steps more and with records drawn anew, from its own
adapter in the WORK of an earlier round. Weak languages are chosen on the half of the pairs that is trained on and
judged on the other. The tables are written by `remedy_tables.py`; --write puts them into docs/remedy.md, those of a
later round in a place of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import remedy_tables as tables
from page import write_between

import isogloss
from isogloss.tuning.gain_change import primary_gains
from isogloss.auditing.plan import make_plan
from isogloss.data.corpus import Corpus
from isogloss.data.splits import split_corpus
from isogloss.hidden_states.store import default_store
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.cli.progress_bars import track
from isogloss.results import Audit
from isogloss.stats.effects import gap_ratio
from isogloss.tuning.side_effects import LanguageGuard, SideEffects, side_effects_of_descendants
from isogloss.tuning.weak_languages import weak_languages

#: Where the tables of the first round stand in docs/remedy.md, and those of a later one.
BEGIN = "<!-- written by experiments/remedy.py -->"
BEGIN_LATER = "<!-- written by experiments/remedy.py, later round -->"
ARMS = ("mixed", "pivot-only", "target-only")
PIVOT = "en"
BASE = "embedded/gemma-3-270m"
#: What all adapters go on from.
ENGLISH, BEFORE = f"{BASE}+embedded/english-dpo", "english-dpo"
#: Records in a step: small batches at a constant rate move further in the same time than large ones.
BATCH_SIZE = 8
#: What a later round adds to its seed, so that its records are drawn anew.
LATER = 100
#: Texts per language and class that guards read (59 without a refusal bound their share below 5 %); greedy answers.
GUARD_TEXTS, GUARD_ANSWERS = 60, 50


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One adapter: its name, the arm of `isogloss tune`, and its seed."""

    name: str
    arm: str
    seed: int


def arms(wanted: Sequence[str], seeds: Sequence[int]) -> list[Arm]:
    """List the adapters: the remedy for each seed, and for the first the arms that show what it is made of."""
    made = [(arm, seed) for arm in wanted for seed in (seeds if arm == "mixed" else seeds[:1])]
    return [Arm(name=f"{arm}-{seed}", arm=arm, seed=seed) for arm, seed in made]


def pair_of(aligned: str) -> ModelPair:
    """The base and a descendant."""
    name = aligned.rpartition("/")[2]
    return ModelPair(name=name, reference=ModelRef.parse(BASE), aligned=ModelRef.parse(aligned), source="remedy")


def choose(corpus: Corpus, work: Path) -> tuple[str, ...]:
    """Audit the English-only adapter on the half that is trained on, and name its weak languages, worst first."""
    config = isogloss.AuditConfig(split="training", controls=())
    audit = isogloss.audit(pair_of(ENGLISH), corpus, config=config, out=work / "choose", reuse=True, track=track)
    return tuple(one.language for one in weak_languages(audit))


def train(corpus: Corpus, weak: Sequence[str], arm: Arm, *, steps: int, work: Path, after: Path | None) -> str:
    """Go on from the English-only adapter, or an earlier round, unless that was done, and name what came of it."""
    out = work / arm.name
    if not out.is_dir():
        passes = 16 if arm.arm == "pivot-only" else 4  # its budget goes over one language's texts again and again
        seed = arm.seed + (LATER if after else 0)
        config = isogloss.TuneConfig(
            languages=tuple(weak), arm=arm.arm, steps=steps, batch_size=BATCH_SIZE, seed=seed, passes=passes
        )
        start = f"{BASE}+{after / arm.name}" if after else ENGLISH
        isogloss.tune(ModelRef.parse(start), corpus, out, config=config, track=track)
    return f"{BASE}+{out}"


def judge(aligned: str, corpus: Corpus, out: Path) -> tables.Judged:
    """Audit a model on the held-out half, and keep what moves its gains."""
    pair, config = pair_of(aligned), isogloss.AuditConfig(split="held-out", controls=())
    audit = isogloss.audit(pair, corpus, config=config, out=out, reuse=True, track=track)
    return tables.Judged(audit=audit, gains=primary_gains(make_plan(pair, corpus, config, default_store(), track)))


def elsewhere(aligned: str, work: Path, name: str) -> dict[str, Audit]:
    """Audit a model where it was not tuned: on another corpus, in more languages, with two read-outs."""
    corpus, found = isogloss.load_corpus("mini"), {}
    for position in ("last", "mean"):
        config = isogloss.AuditConfig(spec=isogloss.ExtractSpec(position=position), controls=())
        out = work / f"mini-{position}-{name}"
        found[position] = isogloss.audit(pair_of(aligned), corpus, config=config, out=out, reuse=True, track=track)
    return found


def guard(models: Mapping[str, str], corpus: Corpus, work: Path) -> dict[str, tuple[LanguageGuard, ...]]:
    """Measure what models cost beside the adapter that they go on from, on the held-out half, unless it was done."""
    files = {name: work / f"guard-{name}.json" for name in models}
    new = {name: ModelRef.parse(models[name]) for name, file in files.items() if not file.is_file()}
    if new:
        config = isogloss.SideEffectConfig(texts=GUARD_TEXTS, generate=GUARD_ANSWERS)
        _, held_out = split_corpus(corpus)
        assert held_out is not None  # noqa: S101 - it has pairs
        for name, one in side_effects_of_descendants(
            ModelRef.parse(ENGLISH), new, held_out, config=config, track=track
        ).items():
            files[name].write_text(one.to_json(), "utf-8")
    return {name: SideEffects.from_json(file.read_text("utf-8")).languages for name, file in files.items()}


def write(
    weak: Sequence[str],
    steps: str,
    judged: Mapping[str, tables.Judged],
    guarded: Mapping[str, Sequence[LanguageGuard]],
    other: Mapping[str, Mapping[str, Audit]],
) -> str:
    """Put all tables together."""
    first = next(name for name in judged if name.startswith("mixed"))
    equal = next(name for name in judged if name.startswith("pivot-only"))
    compared = {}
    for before in (equal, BEFORE):
        known = judged[before].gains
        compared[before] = {
            name: tables.Change(
                ratio=gap_ratio(known, one.gains, pivot=PIVOT, languages=weak),
                kept=one.gains[PIVOT].value / known[PIVOT].value,
            )
            for name, one in judged.items()
            if name not in (before, BEFORE)
        }
    audits = {name: one.audit for name, one in judged.items()}
    parts = {
        f"Weak on the training half, worst first: {', '.join(weak)}. {steps} each.": [],
        "### What the held-out half can show": tables.power_lines(judged[equal].audit, weak),
        "### What was asked": tables.verdict_lines(compared[equal], guarded[first]),
        f"### Mean gap to English beside {equal}, English alone for as many steps": tables.ratio_lines(compared[equal]),
        f"### The same beside {BEFORE}, where all began": tables.ratio_lines(compared[BEFORE]),
        "### Gain of every language": tables.gain_lines(audits, [PIVOT, *weak]),
        "### The probe's AUROC": tables.separability_lines(audits, [PIVOT, *weak]),
        f"### What it costs beside {BEFORE}": tables.side_effect_lines(guarded),
        f"### Guards of {first}, language by language": tables.side_effect_language_lines(guarded[first]),
    }
    for position in ("last", "mean"):
        audits = {name: one[position] for name, one in other.items()}
        languages = next(iter(audits.values())).languages
        parts[f"### On the bundled corpus, position {position}"] = tables.gain_lines(audits, languages)
    return "\n\n".join("\n".join([head, "", *lines] if lines else [head]) for head, lines in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="multiparadetox")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--work", type=Path, default=Path("runs/remedy"))
    parser.add_argument("--after", type=Path, help="WORK of an earlier round, whose adapters are gone on from")
    parser.add_argument("--arms", default=",".join(ARMS), help="mixed, pivot-only (what it is held against) and others")
    parser.add_argument("--train", metavar="NAME", help="train this adapter and stop: several can be trained at once")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/remedy.md")
    wanted = parser.parse_args()
    named = wanted.arms.split(",")
    if not {"mixed", "pivot-only"} <= set(named) <= set(ARMS):
        parser.error(f"--arms: found {wanted.arms}; expected mixed and pivot-only among {', '.join(ARMS)}")
    corpus, work = isogloss.load_corpus(wanted.corpus), wanted.work
    work.mkdir(parents=True, exist_ok=True)
    weak = choose(corpus, work)
    if not weak:
        print("No weak language was found: there is nothing to remedy.")
        return
    seeds = [int(seed) for seed in wanted.seeds.split(",")]
    made = arms(named, seeds)
    if wanted.train:
        arm = next((one for one in made if one.name == wanted.train), None)
        if arm is None:
            parser.error(f"--train: found {wanted.train}; expected one of {', '.join(one.name for one in made)}")
        train(corpus, weak, arm, steps=wanted.steps, work=work, after=wanted.after)
        return
    how = {"steps": wanted.steps, "work": work, "after": wanted.after}
    models = {BEFORE: ENGLISH} | {arm.name: train(corpus, weak, arm, **how) for arm in made}
    judged = {name: judge(model, corpus, work / f"judge-{name}") for name, model in models.items()}
    first, more = (next(arm.name for arm in made if arm.arm == kind) for kind in ("mixed", "pivot-only"))
    other = {name: elsewhere(models[name], work, name) for name in (BEFORE, first)}
    guarded = guard({name: models[name] for name in (first, more)}, corpus, work)
    steps = f"{wanted.steps} steps{' more' if wanted.after else ''}"
    text = write(weak, steps, judged, guarded, other)
    print(text)
    if wanted.write:
        write_between("remedy.md", BEGIN_LATER if wanted.after else BEGIN, text)


if __name__ == "__main__":
    main()
