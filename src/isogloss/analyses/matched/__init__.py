"""Could the texts explain it? The comparison on texts matched with those of the pivot."""
