"""The loss of a task around the dense weights: its curvature, and what a pruning perturbation does to it."""
