"""Several audits side by side: whether they may be compared, their tables, and one page of all of them."""
