"""Units that can be taken out of a network whole, channels, hidden units and heads, and the smaller network without."""
