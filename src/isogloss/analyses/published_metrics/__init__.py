"""Published metrics: the numbers that other tools print, as they define them, beside those of isogloss."""
