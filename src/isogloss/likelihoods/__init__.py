"""WHAT THEY WOULD SAY: likelihoods of texts and answers, and what they write."""
