"""Which weights may go together: one module a pattern, a function of a `ranking.Ranking` registered by its name."""
