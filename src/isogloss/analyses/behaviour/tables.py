"""Shim."""

from isogloss.auditing.analysis import show_nothing as behaviour_sections

__all__ = ["behaviour_sections"]
