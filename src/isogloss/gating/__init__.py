"""The gate: judges a finished run by rules, as pass, fail or inconclusive. It needs no model."""
