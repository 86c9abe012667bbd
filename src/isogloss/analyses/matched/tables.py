"""Shim."""

from isogloss.auditing.analysis import show_nothing as matched_sections

__all__ = ["matched_sections"]
