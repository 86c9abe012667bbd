"""Recipes: several audits written down in one file, with the settings of the command line."""
