"""Shim."""

from isogloss.auditing.analysis import show_nothing as chat_template_sections

__all__ = ["chat_template_sections"]
