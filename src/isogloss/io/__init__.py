"""Files, folders and locks, here or in a remote store; hashes; downloads from the hub."""
