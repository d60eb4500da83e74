"""Networks of the user's own, `path/to/file.py:factory` or `package.module:factory`: found and read, not run."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from prunetransfer.runtime.messages import no_such
from prunetransfer.stages.code_digest import module_file, source_digest, syntax_tree

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
# With these a module may define names that its text does not show.
HIDDEN = {"*", "__getattr__", "exec", "globals", "setattr", "vars"}


def is_factory(architecture: str) -> bool:
    return ":" in architecture and not architecture.startswith("torchvision:")


def unknown_factory(architecture: str, root: Path) -> str | None:
    """What is wrong with the name of a factory, as far as its source tells. root: where relative paths start."""
    place, _, name = architecture.rpartition(":")
    file = _file(place, root)
    if file is None and place.endswith(".py"):
        return f"there is no file {os.path.abspath(root / place)!r}"
    if file is None:
        return f"no module {place!r} is installed"
    if file.suffix != ".py":  # compiled
        return None
    try:
        names = _defined(syntax_tree(file))
    except SyntaxError as error:
        return f"{file}, line {error.lineno}: {error.msg}"
    return None if names is None or name in names else no_such(f"name in {place}", name, sorted(names))


def factory_digest(architecture: str, root: Path) -> str | None:
    """Sixteen hex digits over the source of a factory and of all that it imports and that was not installed.

    None where there is no source to edit: of an installed package, as of timm, another version is no other code here.
    """
    place = architecture.rpartition(":")[0]
    file = _file(place, root)
    if file is None or file.suffix != ".py" or _is_installed(file):
        return None
    beside = file.parents[0] if place.endswith(".py") else _base(file, place)
    paths = [Path(entry).resolve() for entry in sys.path]
    return source_digest(file, (beside, root.resolve(), *(path for path in paths if not _is_installed(path))))


def _file(place: str, root: Path) -> Path | None:
    if place.endswith(".py"):
        return (root / place).resolve() if os.path.isfile(root / place) else None
    top, *parts = place.split(".")
    # Of a top-level name nothing is run.
    spec = importlib.util.find_spec(top) if top.isidentifier() and top != "__main__" else None
    if spec is None or not all(part.isidentifier() for part in parts):
        return None
    if not parts:
        return Path(spec.origin) if spec.has_location else None
    folders = spec.submodule_search_locations or ()
    return next((file for folder in folders if (file := module_file(Path(folder), parts))), None)


def _base(file: Path, place: str) -> Path:
    """The folder in which the top-level package of a module lies."""
    return file.parents[len(place.split(".")) - (file.name != "__init__.py")]


def _is_installed(path: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or path.is_relative_to(STANDARD_LIBRARY)


def _defined(tree: ast.Module) -> set[str] | None:
    """The names that a module defines; None where its text does not tell."""
    names: set[str] = set()
    for node in _outside_of_functions(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Name(id=name) if name in HIDDEN:
                return None
    return None if names & HIDDEN else names


def _outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _outside_of_functions(child)
