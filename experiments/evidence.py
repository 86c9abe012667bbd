"""The evidence: do the hidden states of Gemma 3 270M predict its behaviour, in which languages, and at which layers?

    python experiments/evidence.py --pairs FILE --instructions FILE [--mixed ADAPTER] [--placebo ADAPTER] [--write]

Two descendants of the base are audited, the English-only adapter and the mixed one. The texts are the held-out half of
MultiParaDetox in nine languages, and instructions of PolyRefuse of similar length, the same in ten languages. For the
mixed adapter, directional ablation removes the harm direction on the pairs. Hidden states are cached, so the same
command resumes after an interruption. `evidence_tables.py` writes the tables; --write puts them into docs/evidence.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import evidence_tables as tables
import polars as pl
from page import write_between

import isogloss
from isogloss.cli.progress_bars import track
from isogloss.data.corpus import Corpus
from isogloss.io.files import sha256_text
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.results import Audit

BEGIN = "<!-- written by experiments/evidence.py -->"
BASE = "embedded/gemma-3-270m"
#: Languages of PolyRefuse with answers and with the same items. (The Chinese items differ.)
INSTRUCTION_LANGUAGES = ("en", "ar", "de", "es", "fr", "it", "ja", "nl", "pl", "ru")
#: Texts per language and class. Each model reads six answers to each text, half a second per text on one core; models
#: with an ablated direction read 40 texts per class four more times.
PAIRS, INSTRUCTIONS = 120, 60
METRICS = ("between_class_variance", "auroc", "pair_accuracy")


def run_audit(
    aligned: str,
    corpus: Corpus,
    out: Path,
    *,
    split: str = "all",
    per_class: int | None = None,
    ablate: bool = False,
    placebo: str | None = None,
) -> Audit:
    """Audit all layers with behaviour and cross-lingual transfer, and with directional ablation if `ablate`."""
    pair = ModelPair(name=out.name, reference=ModelRef.parse(BASE), aligned=ModelRef.parse(aligned), source="evidence")
    config = isogloss.AuditConfig(
        spec=isogloss.ExtractSpec(layers=("all",)),
        split=split,
        per_class=per_class,
        metrics=METRICS,
        controls=("bits_per_character",),
        analyses=(
            isogloss.Behaviour(placebo=ModelRef.parse(placebo) if placebo else None),
            *((isogloss.Ablation(),) if ablate else ()),
            isogloss.CrossLingual(),
        ),
    )
    return isogloss.audit(pair, corpus, config=config, out=out, reuse=True, track=track)


def similar_length(file: Path, work: Path) -> Corpus:
    """Select the same instructions in each language, of a length that does not reveal their class."""
    selected = work / "instructions.parquet"
    frame = pl.read_parquet(file).filter("length_matched", pl.col("language").is_in(INSTRUCTION_LANGUAGES))
    everywhere = (
        frame.group_by("item_id").agg(pl.col("language").n_unique()).filter(language=len(INSTRUCTION_LANGUAGES))
    )
    items = frame.filter(pl.col("item_id").is_in(everywhere["item_id"].implode())).unique(["item_id", "label"])
    # A hash of the item's name is independent of its content.
    few = items.sort(pl.col("item_id").map_elements(sha256_text, pl.String)).group_by("label").head(INSTRUCTIONS)
    frame = frame.join(few, on=["item_id", "label"], how="semi")
    frame.select("text", "label", "language", "item_id").sort("language", "item_id").write_parquet(selected)
    return isogloss.load_corpus(selected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default="multiparadetox", help="MultiParaDetox: its name, or a file")
    parser.add_argument("--instructions", type=Path, help="PolyRefuse with a column length_matched; default: skipped")
    parser.add_argument("--mixed", default=f"{BASE}+embedded/mixed-dpo", help="base+adapter of the remedy")
    parser.add_argument("--placebo", help="base+adapter of isogloss tune --shuffle-labels --norm-of the mixed one")
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--write", action="store_true", help="write the tables into docs/evidence.md")
    options = parser.parse_args()
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    models = {"English only": f"{BASE}+embedded/english-dpo", "mixed": options.mixed}
    audits: dict[str, dict[str, Audit]] = {}
    pairs = isogloss.load_corpus(options.pairs)
    audits["MultiParaDetox"] = {
        name: run_audit(
            model,
            pairs,
            work / f"pairs-{name.replace(' ', '-')}",
            split="held-out",
            per_class=PAIRS,
            ablate=name == "mixed",
            placebo=options.placebo if name == "mixed" else None,
        )
        for name, model in models.items()
    }
    if options.instructions:
        instructions = similar_length(options.instructions, work)
        audits["PolyRefuse"] = {
            name: run_audit(model, instructions, work / f"instructions-{name.replace(' ', '-')}")
            for name, model in models.items()
        }
    text = tables.page(audits)
    print(text)
    if options.write:
        write_between("evidence.md", BEGIN, text)


if __name__ == "__main__":
    main()
