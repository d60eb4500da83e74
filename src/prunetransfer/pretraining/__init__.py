"""Train a small backbone from scratch on prepared images: where the shipped weights come from.

A module here, beside `card`, `monitor` and `run`, is one objective: its `build(backbone, width, classes, **settings)` returns a
`run.Pretraining`; `width` is the number of features. In the config a module's name has dashes.
"""
