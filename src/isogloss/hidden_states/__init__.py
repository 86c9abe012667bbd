"""Hidden states of models on corpora: read once in checked forward passes, and kept in a store."""
