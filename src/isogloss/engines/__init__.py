"""What does the work: pure functions mapped over units and items, on this machine or on Ray."""
