"""Gradient descent: one loop for fine-tuning and pre-training, its optimisers, augmentation on the device."""
