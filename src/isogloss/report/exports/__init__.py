"""An audit for other people's documents: Markdown, LaTeX, CSV, model cards."""
