"""Does the answer depend on the prompt format? Model and format, two by two."""
