"""Images made from nothing, a function a family; a new module stands in the import below, a new function nowhere."""

from prunetransfer.datasets.procedural import fields, gratings, leaves, shapes, strokes
from prunetransfer.datasets.procedural.families import FAMILIES

__all__ = ["FAMILIES", "fields", "gratings", "leaves", "shapes", "strokes"]
