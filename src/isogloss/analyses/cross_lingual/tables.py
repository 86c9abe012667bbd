"""Shim."""

from isogloss.auditing.analysis import show_nothing as cross_lingual_sections

__all__ = ["cross_lingual_sections"]
