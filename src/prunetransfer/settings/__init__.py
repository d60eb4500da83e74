"""What may be set: the types of settings, and the registry of all that a config calls by name. No torch is imported."""
