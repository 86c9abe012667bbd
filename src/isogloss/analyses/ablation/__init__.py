"""Does behaviour depend on the harm direction? The aligned model read without it."""
