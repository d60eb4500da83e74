"""Which weights go: scores, masks and their patterns."""
