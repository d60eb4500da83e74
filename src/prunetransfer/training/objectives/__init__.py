"""What pre-training minimises.

A module here is one objective: its `build(backbone, width, classes, **settings)` returns a `pretraining.Pretraining`;
`width` is the number of features. In the config a module's name has dashes.
"""
