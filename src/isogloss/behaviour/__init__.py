"""WHAT THEY WOULD SAY: likelihoods of texts."""
