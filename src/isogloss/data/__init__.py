"""WHAT IS READ: texts with a language, a label and (if parallel) a pair id."""
