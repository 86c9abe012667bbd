"""Hidden states in one call, for tests of what comes out of them."""

from dataclasses import replace

from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.extract import hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears
from isogloss.models.prompts import Prompts

#: torch's own products, with a mask, all blocks and tokens: what transformers does.
PLAIN = Execution(device="cpu", shortcuts=False)
#: What an audit takes on this machine.
OURS = choose_execution(dtype="float32", precision="exact", device="cpu")


def as_prompts(rows):
    """Rows of token ids that end with their text."""
    rows = tuple(map(tuple, rows))
    return Prompts(ids=rows, text_ends=tuple(map(len, rows)), cut=(False,) * len(rows), bos=True)


def run(model, rows, layers, *, execution=OURS, precision="exact", token_budget=None, position="last", bos=True):
    how = execution if token_budget is None else replace(execution, token_budget=token_budget, overhead=10**6)
    with fast_linears(model, how, precision):
        return hidden_states(model, plan_rows(rows, how, [position]), {position: layers}, execution=how, bos=bos)[
            position
        ]
