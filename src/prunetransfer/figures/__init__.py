"""Figures from the tables, one module each with one `draw`. No torch, no display."""

from __future__ import annotations

import ast
from pathlib import Path


def tables_read() -> dict[str, list[str]]:
    """Every figure with the tables that it draws: the keys of its module's READS, which is not imported for it, as that
    takes Matplotlib."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.parse(file.read_bytes()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "READS":
                found[file.stem] = [key.value for key in node.value.keys]
    return found
