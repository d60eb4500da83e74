"""Sources that are several datasets in turn: `digits then glyphs` in a config, in tables `digits-then-glyphs`."""

from __future__ import annotations

JOINT = "-then-"
WRITTEN = " then "


def datasets_of(source: str) -> list[str]:
    """The datasets of a source in their order; one that is no sequence is its only one.

    >>> datasets_of("digits-then-glyphs"), datasets_of("digits")
    (['digits', 'glyphs'], ['digits'])
    """
    return source.split(JOINT)


def is_sequence(source: str | None) -> bool:
    """Is a source several datasets in turn? None is the source of what is data-free."""
    return source is not None and JOINT in source


def source_name(written: str) -> str:
    """What a source that a config writes is called in tables and names of files.

    >>> source_name("digits then glyphs")
    'digits-then-glyphs'
    """
    return JOINT.join(written.split(WRITTEN))
