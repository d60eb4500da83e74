"""Labelled images: the kinds of dataset, and prepared splits (decoded once to uint8, memory-mapped on reading)."""
