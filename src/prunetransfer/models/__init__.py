"""What is pruned: backbones, and the checkpoints that they are made from."""
