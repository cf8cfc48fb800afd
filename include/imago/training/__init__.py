"""Training: a frozen snapshot, cut in time, and contestants that are all fitted on the same rows."""
