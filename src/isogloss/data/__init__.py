"""What is read: texts with a language, a label and, if parallel, a pair id."""
