"""One question, one place: each analysis is a module or folder with the functions of `auditing.analysis.Analysis`."""
