"""Pre-trained weights: fetched, verified, read in each provider's format, converted for the headless backbone."""
