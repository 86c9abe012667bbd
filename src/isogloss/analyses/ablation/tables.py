"""Shim."""

from isogloss.auditing.analysis import show_nothing as ablation_sections

__all__ = ["ablation_sections"]
