"""One module a kind of dataset, found by its name: `load(split, **settings) -> Samples`."""
