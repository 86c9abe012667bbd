"""The command line: doors only."""
