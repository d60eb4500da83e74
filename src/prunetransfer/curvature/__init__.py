"""Second-order information of the loss on m source images.

A module with a `compute` is one kind. `compute(backbone, head, train, seed, **settings)` returns name → one number a
prunable weight, float32, in the layer's shape; and a record of what it did, anything JSON can hold, for the score file.
"""
