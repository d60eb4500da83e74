"""What is done to W⊙c without changing c: one module a recovery, a function of a `case.Case` registered by its name."""
