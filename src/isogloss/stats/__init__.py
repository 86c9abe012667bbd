"""WHAT THAT MEANS: pure numbers; numpy and scipy in, numbers out; no torch, no files."""
