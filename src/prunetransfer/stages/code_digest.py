"""What a file holds and what a stage's code is: a digest of its script and of all it imports; and the git revision.

Comments, docstrings, formatting, file times and annotations, which declare settings, do not count; editing what runs
does.
"""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
DECLARES = "settings/types.py"  # only what may be set


def code_digest(script: Path, *modules: str) -> str:
    """Sixteen hex digits over `script`, its import closure inside the package, and that of `modules`.

    modules: those that the stage finds by name at run time, e.g. `recovery.finetune`.
    """
    roots = [script, *(module_file(PACKAGE, name.split(".")) for name in modules)]
    return _digest(_closure(roots, _own_imports))


def source_digest(file: Path, folders: Sequence[Path]) -> str:
    """Sixteen hex digits over a Python file and all that it imports from `folders`, and these in turn.

    Raises SyntaxError if one of them is no Python.
    """
    return _digest(_closure([file], lambda file: _imports_from(file, folders)))


def short_digest(settings: Any) -> str:
    """Eight hex digits over what JSON can hold, the order of its keys aside: for names of files."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_revision(folder: Path) -> str | None:
    """The commit that `folder` is at, with `-dirty` where tracked files differ from it; None outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def module_file(folder: Path, parts: Sequence[str]) -> Path | None:
    """The source of the module or package of that name, in parts, below `folder`."""
    path = folder.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def syntax_tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), str(file))


def _digest(files: Iterable[Path]) -> str:
    # In order of what they hold: where script and package lie does not count.
    parts = sorted(f"{file.name}\0{_normalised(file)}\0" for file in files)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _closure(roots: Iterable[Path], imports: Callable[[Path], Iterable[Path]]) -> set[Path]:
    found: set[Path] = set()
    queue = list(roots)
    while queue:
        file = queue.pop()
        if file not in found:
            found.add(file)
            queue += imports(file)
    return found


@cache
def _own_imports(file: Path) -> list[Path]:
    names = [parts[1:] for level, parts in _imported(file) if not level and parts[0] == PACKAGE.name]
    found = (module_file(PACKAGE, parts) for parts in names if parts)
    return [imported for imported in found if imported and imported != PACKAGE / DECLARES]


def _imports_from(file: Path, folders: Sequence[Path]) -> Iterator[Path]:
    for level, parts in _imported(file):
        places = [file.parents[level - 1]] if level else folders
        # Importing `a.b.c` runs the packages `a` and `a.b` too.
        for length in range(1, len(parts) + 1):
            found = (module_file(place, parts[:length]) for place in places)
            yield from [path.resolve() for path in found if path][:1]


@cache
def _imported(file: Path) -> list[tuple[int, list[str]]]:
    """The names that may be modules, in parts, of all that a file imports; with 1 for a leading dot, 2 for two."""
    names = []
    for node in ast.walk(syntax_tree(file)):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from package import module` and `from package.module import name` look alike.
            start = [node.module] if node.module else []
            names += [(node.level, ".".join([*start, *part])) for part in ([], *([a.name] for a in node.names))]
    return [(level, name.split(".")) for level, name in names if name]


@cache
def _normalised(file: Path) -> str:
    tree = ast.parse(ast.unparse(syntax_tree(file)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Assign) and _is_type(node.value):
            node.value = ast.Constant(None)
    return ast.unparse(tree)


def _is_type(node: ast.expr) -> bool:
    """Is it `Annotated[…]`, the type of a setting that several functions of a module share?"""
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Annotated"
