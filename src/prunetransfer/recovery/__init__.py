"""What is done to W⊙c without changing c.

A module here is one recovery. Its `recover(backbone, mask, head, train, seed, **settings)` changes the backbone in
place; pruned weights are zero before and after.
"""
