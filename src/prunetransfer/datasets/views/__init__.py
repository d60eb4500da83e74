"""What a view does to its dataset: one module a step, with one function of the module's name."""
