"""What the chat template changes: the same texts raw and as a user turn of the template."""
