"""Where the time of our extraction goes: self time of torch's operators, one pass over texts of the bundled corpus.

python benchmarks/time_by_operator.py [--texts 96] [--write]
"""

from __future__ import annotations

import argparse

from torch.profiler import ProfilerActivity, profile

from isogloss.data.load import load_corpus
from isogloss.hidden_states.execution import choose_execution
from isogloss.hidden_states.kernels import fast_linears
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from performance_page import machine, put, table, versions
from ways import our_states

SHOWN = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=96)
    parser.add_argument("--write", action="store_true", help="write the table to docs/performance.md")
    wanted = parser.parse_args()
    texts = load_corpus("mini").frame["text"].unique(maintain_order=True).sample(wanted.texts, seed=0).to_list()
    model = load_model(fetch(ModelRef(base="embedded/gemma-3-270m")), device="cpu")
    execution = choose_execution(dtype="float32", precision="exact", device="cpu")
    with fast_linears(model, execution):
        our_states(model, texts, execution)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            our_states(model, texts, execution)
    operators = sorted(profiler.key_averages(), key=lambda operator: -operator.self_cpu_time_total)
    total = sum(operator.self_cpu_time_total for operator in operators)
    rows = [
        [f"`{operator.key}`", f"{operator.self_cpu_time_total / total:.1%}", str(operator.count)]
        for operator in operators[:SHOWN]
    ]
    rest = operators[SHOWN:]
    rows.append(
        [
            f"{len(rest)} others",
            f"{sum(operator.self_cpu_time_total for operator in rest) / total:.1%}",
            str(sum(operator.count for operator in rest)),
        ]
    )
    setting = (
        f"{machine()}; {versions('isogloss', 'torch', 'transformers')}. {wanted.texts} texts, Gemma 3 270M, float32."
    )
    report = f"{setting}\n\n{table(['operator', 'share of time', 'calls'], rows)}"
    print(report)
    if wanted.write:
        put("time_by_operator", "\n" + report + "\n")


if __name__ == "__main__":
    main()
