"""The folders of the package are read in one direction: each imports from itself and from those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import prunetransfer

PACKAGE = Path(prunetransfer.__file__).parent
ROOMS = [
    "storage",
    "runtime",
    "settings",
    "stages",
    "models",
    "datasets",
    "heads",
    "layers",
    "structure",
    "pruning",
    "curvature",
    "criteria",
    "training",
    "recovery",
    "evaluation",
    "landscape",
    "efficiency",
    "config",
    "analysis",
    "report",
    "figures",
    "deploy",
]


def imported(file: Path) -> set[str]:
    """The modules and names of the package that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == PACKAGE.name}


def module(name: str) -> str | None:
    """The module that an imported name is, or lies in."""
    parts = name.split(".")[1:]
    while parts:
        path = PACKAGE.joinpath(*parts)
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts)
        parts.pop()
    return None


def test_all_code_lies_in_a_room():
    files = {path.name for path in PACKAGE.glob("*.py")}
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert (files, folders) == ({"__init__.py", "__main__.py"}, set(ROOMS))


@pytest.mark.parametrize("room", ROOMS)
def test_no_import_runs_upwards(room):
    later = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in (PACKAGE / room).rglob("*.py")
        for name in imported(file)
        if (found := module(name)) and found.split(".")[0] in later
    }
    assert not wrong


def test_no_module_imports_itself_by_way_of_others():
    files = {
        path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")
    }
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    arrows = {name: {module(target) for target in imported(path)} - {None, name} for name, path in files.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above, name])
        if name not in done:
            for target in arrows[name]:
                visit(target, (*above, name))
            done.add(name)

    for name in arrows:
        visit(name, ())
