"""Patterns, which weights may go together: one module each, a function of a `ranking.Ranking` registered by its name."""
