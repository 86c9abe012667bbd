"""Does the model act on it? Likelihoods of refusals and texts, greedy answers, and their link to hidden states."""
