"""WHO IS ASKED: model references, checkpoints, tokens."""
