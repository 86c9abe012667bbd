"""The gate: does a finished run hold what was asked of it? Pass, fail or inconclusive; no model is needed."""
