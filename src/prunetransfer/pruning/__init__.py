"""Scores of weights, the masks made from them, and a network with a mask."""
