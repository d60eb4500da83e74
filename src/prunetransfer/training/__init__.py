"""Training on prepared images: the loop, its optimizers and augmentation, and pre-training from scratch."""
