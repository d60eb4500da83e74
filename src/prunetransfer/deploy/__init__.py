"""What is taken home: a model pruned by one call, exported with its card."""
