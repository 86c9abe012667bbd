"""WHAT THEY THINK: hidden states, computed once and kept on disk."""
