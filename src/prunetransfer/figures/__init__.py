"""Figures from the tables, one module each with one `draw`. No torch, no display."""
