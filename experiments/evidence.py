"""The evidence: does the hidden space of Gemma 3 270M speak for what the model does, in which languages, and where?

    python experiments/evidence.py --pairs FILE --instructions FILE [--mixed ADAPTER] [--placebo ADAPTER] [--write]

Two descendants of the base are audited, the English-only adapter and the mixed one: on the half of MultiParaDetox that
neither was trained on, nine languages, and on PolyRefuse's instructions of like length, the same ones in ten languages.
The mixed one is also edited, its harm direction taken out, and asked again about the pairs. What was computed is kept
in the store, so the same command goes on where it was stopped. The tables are written by `evidence_tables.py`; --write
puts them into docs/evidence.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import evidence_tables as tables
import polars as pl
from page import write_between

import isogloss
from isogloss.data.corpus import Corpus
from isogloss.io.files import sha256_text
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.cli.progress_bars import track
from isogloss.results import Audit

BEGIN = "<!-- written by experiments/evidence.py -->"
BASE = "embedded/gemma-3-270m"
#: Languages of PolyRefuse that have a table of answers and the same items; the Chinese ones are others.
INSTRUCTED = ("en", "ar", "de", "es", "fr", "it", "ja", "nl", "pl", "ru")
#: Texts per language and class. Six answers to each are read under each model, half a second of a core a text; edited
#: models read 40 of a class four times more.
PAIRS, INSTRUCTIONS = 120, 60
METRICS = ("between_class_variance", "auroc", "pair_accuracy")


def ask(
    aligned: str,
    corpus: Corpus,
    out: Path,
    *,
    part: str = "all",
    per_class: int | None = None,
    edited: bool = False,
    placebo: str | None = None,
) -> Audit:
    """Measure everything at once: all layers, behaviour, languages together, and edited models if wanted."""
    pair = ModelPair(name=out.name, reference=ModelRef.parse(BASE), aligned=ModelRef.parse(aligned), source="evidence")
    config = isogloss.AuditConfig(
        spec=isogloss.ExtractSpec(layers=("all",)),
        part=part,
        per_class=per_class,
        metrics=METRICS,
        controls=("bits_per_character", *(("ablate",) if edited else ())),
        behaviour=True,
        cross_lingual=True,
        placebo=ModelRef.parse(placebo) if placebo else None,
    )
    return isogloss.audit(pair, corpus, config=config, out=out, reuse=True, track=track)


def like_length(file: Path, work: Path) -> Corpus:
    """Read instructions whose length does not tell their class, in languages that can be asked: the same in each."""
    kept = work / "instructions.parquet"
    frame = pl.read_parquet(file).filter("length_matched", pl.col("language").is_in(INSTRUCTED))
    everywhere = frame.group_by("item_id").agg(pl.col("language").n_unique()).filter(language=len(INSTRUCTED))
    items = frame.filter(pl.col("item_id").is_in(everywhere["item_id"].implode())).unique(["item_id", "label"])
    # The hash of an item's name knows nothing of the item.
    few = items.sort(pl.col("item_id").map_elements(sha256_text, pl.String)).group_by("label").head(INSTRUCTIONS)
    frame = frame.join(few, on=["item_id", "label"], how="semi")
    frame.select("text", "label", "language", "item_id").sort("language", "item_id").write_parquet(kept)
    return isogloss.load_corpus(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default="multiparadetox", help="MultiParaDetox: its name, or a file")
    parser.add_argument(
        "--instructions", type=Path, help="PolyRefuse with a column length_matched; without it, not asked"
    )
    parser.add_argument("--mixed", default=f"{BASE}+embedded/mixed-dpo", help="base+adapter of the remedy")
    parser.add_argument("--placebo", help="base+adapter of isogloss tune --shuffle-labels --norm-of the mixed one")
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--write", action="store_true", help="write the tables into docs/evidence.md")
    wanted = parser.parse_args()
    work = wanted.work
    work.mkdir(parents=True, exist_ok=True)
    models = {"English only": f"{BASE}+embedded/english-dpo", "mixed": wanted.mixed}
    found: dict[str, dict[str, Audit]] = {}
    pairs = isogloss.load_corpus(wanted.pairs)
    found["MultiParaDetox"] = {
        name: ask(
            model,
            pairs,
            work / f"pairs-{name.replace(' ', '-')}",
            split="held-out",
            per_class=PAIRS,
            edited=name == "mixed",
            placebo=wanted.placebo if name == "mixed" else None,
        )
        for name, model in models.items()
    }
    if wanted.instructions:
        instructions = like_length(wanted.instructions, work)
        found["PolyRefuse"] = {
            name: ask(model, instructions, work / f"instructions-{name.replace(' ', '-')}")
            for name, model in models.items()
        }
    text = tables.page(found)
    print(text)
    if wanted.write:
        write_between("evidence.md", BEGIN, text)


if __name__ == "__main__":
    main()
