"""WHAT A PERSON SEES: audits as tables, charts and terminal text."""
