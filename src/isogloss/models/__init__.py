"""What is measured: model references, checkpoints, loading, adapters and prompts."""
