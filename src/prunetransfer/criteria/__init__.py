"""The pruning scores: one module each, a function of a `source.Source` registered by its name.

A score is one number ≥ 0 a prunable weight; the weights of lowest score go first.
"""
