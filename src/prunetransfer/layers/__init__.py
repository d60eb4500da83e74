"""How a forward pass uses a weight."""
