"""A score's curvature on its data: computed on images of the source, and the choice of its damping.

A module with a `compute` is one kind. `compute(backbone, head, train, seed, **settings)` returns name → one number a
prunable weight, float32, in the layer's shape; and a record of what it did, anything JSON can hold, for the score file.
"""
