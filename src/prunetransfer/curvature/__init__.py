"""Second derivatives of a loss: per-sample gradients, blocks, products with the matrix."""
