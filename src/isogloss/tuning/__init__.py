"""WHAT TO DO ABOUT IT: preference tuning in chosen languages."""
