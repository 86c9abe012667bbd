"""The remedy on a real model: from an audit that shows weak languages to adapters that reach them, and what that costs.

    python experiments/remedy.py [--corpus NAME-OR-FILE] [--seeds 0,1,2] [--steps 200] [--work FOLDER] [--write]

Every step is kept in WORK, so the same command goes on where it was stopped: adapters from their last checkpoint,
audits from the store. Weak languages are chosen on the half of the pairs that is trained on and judged on the other.
The tables are written by `remedy_tables.py`; --write puts them into docs/remedy.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import remedy_tables as tables
from page import write_between

import isogloss
from isogloss.activations.store import default_store
from isogloss.auditing.gains import primary_gains
from isogloss.auditing.plan import make_plan
from isogloss.corpora.corpus import Corpus
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.report.terminal import track
from isogloss.results import Audit
from isogloss.separation.mean_gap import gap_ratio
from isogloss.tuning.guards import Guards, LanguageGuard
from isogloss.tuning.weak import weak_languages

BEGIN = "<!-- written by experiments/remedy.py -->"
PIVOT = "en"
BASE = "embedded/gemma-3-270m"
ENGLISH = f"{BASE}+embedded/english-dpo"
#: Records in a step: half of the default, for the same time buys twice as many steps.
BATCH_SIZE = 8
#: Texts per language and class that guards read (124 bound two refusals below 5 %); greedy answers among them.
GUARD_TEXTS, GUARD_ANSWERS = 124, 50


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One adapter: its name, the arm of `isogloss tune`, and its seed."""

    name: str
    arm: str
    seed: int


def arms(seeds: Sequence[int]) -> list[Arm]:
    """List the adapters: the remedy for each seed, and for the first the arms that show what it is made of."""
    first, *others = seeds
    return [
        Arm(name=f"mixed-{first}", arm="mixed", seed=first),
        Arm(name=f"pivot-only-{first}", arm="pivot-only", seed=first),
        Arm(name=f"target-only-{first}", arm="target-only", seed=first),
        *(Arm(name=f"mixed-{seed}", arm="mixed", seed=seed) for seed in others),
    ]


def pair_of(aligned: str) -> ModelPair:
    """The base and a descendant."""
    name = aligned.rpartition("/")[2]
    return ModelPair(name=name, reference=ModelRef.parse(BASE), aligned=ModelRef.parse(aligned), source="remedy")


def choose(corpus: Corpus, work: Path) -> tuple[str, ...]:
    """Audit the English-only adapter on the half that is trained on, and name its weak languages, worst first."""
    config = isogloss.AuditConfig(part="training", controls=())
    audit = isogloss.audit(pair_of(ENGLISH), corpus, config=config, out=work / "choose", reuse=True, track=track)
    return tuple(one.language for one in weak_languages(audit))


def train(corpus: Corpus, weak: Sequence[str], arm: Arm, steps: int, work: Path) -> str:
    """Go on from the English-only adapter; an adapter that is there is not trained again."""
    out = work / arm.name
    if not out.is_dir():
        passes = 8 if arm.arm == "pivot-only" else 4  # its budget goes over one language's texts again and again
        config = isogloss.TuneConfig(
            languages=tuple(weak), arm=arm.arm, steps=steps, batch_size=BATCH_SIZE, seed=arm.seed, passes=passes
        )
        isogloss.tune(ModelRef.parse(ENGLISH), corpus, out, config=config, track=track)
    return f"{BASE}+{out}"


def judge(aligned: str, corpus: Corpus, out: Path) -> tables.Judged:
    """Audit a model on the held-out half, and keep what moves its gains."""
    pair, config = pair_of(aligned), isogloss.AuditConfig(part="held-out", controls=())
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


def guard(aligned: Iterable[tuple[str, str]], corpus: Corpus, work: Path) -> dict[str, tuple[LanguageGuard, ...]]:
    """Measure what models cost; what was measured before is read."""
    found = {}
    for name, model in aligned:
        out = work / f"guard-{name}.json"
        if not out.is_file():
            config = isogloss.GuardConfig(texts=GUARD_TEXTS, generate=GUARD_ANSWERS)
            out.write_text(isogloss.guards(pair_of(model), corpus, config=config, track=track).to_json(), "utf-8")
        found[name] = Guards.from_json(out.read_text("utf-8")).languages
    return found


def write(
    weak: Sequence[str],
    steps: int,
    judged: Mapping[str, tables.Judged],
    guarded: Mapping[str, Sequence[LanguageGuard]],
    other: Mapping[str, Mapping[str, Audit]],
) -> str:
    """Put all tables together."""
    english = judged["English only"]
    ours = {name: one for name, one in judged.items() if name != "English only"}
    ratios = {name: gap_ratio(english.gains, one.gains, pivot=PIVOT, languages=weak) for name, one in ours.items()}
    kept = {name: one.gains[PIVOT].value / english.gains[PIVOT].value for name, one in ours.items()}
    audits = {name: one.audit for name, one in judged.items()}
    first = next(iter(ours))
    parts = {
        f"Weak on the training half, worst first: {', '.join(weak)}. {steps} steps each.": [],
        "## What the held-out half can show": tables.power_lines(english.audit, weak),
        "## What was asked": tables.verdict_lines(ratios, kept, guarded),
        "## Mean gap to English over the weak languages": tables.ratio_lines(ratios, kept),
        "## Gain of every language": tables.gain_lines(audits, [PIVOT, *weak]),
        "## The probe's AUROC": tables.detectability_lines(audits, [PIVOT, *weak]),
        "## What it costs": tables.guard_lines(guarded),
        f"## Guards of {first}, language by language": tables.guard_language_lines(guarded[first]),
    }
    for position in ("last", "mean"):
        audits = {name: one[position] for name, one in other.items()}
        languages = next(iter(audits.values())).languages
        parts[f"## On the bundled corpus, position {position}"] = tables.gain_lines(audits, languages)
    return "\n\n".join("\n".join([head, "", *lines] if lines else [head]) for head, lines in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="multiparadetox")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("runs/remedy"))
    parser.add_argument("--write", action="store_true", help="write the tables into docs/remedy.md")
    wanted = parser.parse_args()
    corpus, work = isogloss.load_corpus(wanted.corpus), wanted.work
    work.mkdir(parents=True, exist_ok=True)
    weak = choose(corpus, work)
    if not weak:
        print("No weak language was found: there is nothing to remedy.")
        return
    made = arms([int(seed) for seed in wanted.seeds.split(",")])
    judged = {"English only": judge(ENGLISH, corpus, work / "judge-english")}
    for arm in made:
        judged[arm.name] = judge(train(corpus, weak, arm, wanted.steps, work), corpus, work / f"judge-{arm.name}")
    first = made[0].name
    other = {
        "English only": elsewhere(ENGLISH, work, "english"),
        first: elsewhere(f"{BASE}+{work / first}", work, first),
    }
    models = [("english", ENGLISH), *((arm.name, f"{BASE}+{work / arm.name}") for arm in made)]
    text = write(weak, wanted.steps, judged, guard(models, corpus, work), other)
    print(text)
    if wanted.write:
        write_between("remedy.md", BEGIN, text)


if __name__ == "__main__":
    main()
