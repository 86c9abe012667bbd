"""What a model's LM head gives: bits of texts, likelihoods of answers, greedy answers and whether they are refusals."""
