"""What a file holds and what a stage's code is: a digest of its script and of all it imports; and the git revision.

Comments, docstrings, formatting and file times do not count; editing what runs does.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def code_digest(script: Path, *modules: str, score: str | None = None) -> str:
    """Sixteen hex digits over `script`, its import closure inside the package, and that of `modules`.

    modules: those that the stage finds by name at run time, e.g. `recovery.finetune`. score: where given, the other
    functions of the score registry do not count, so that editing one score leaves the rest cached.
    """
    files = _closure(script, *(_module_file(name.split(".")) for name in modules))
    # In order of what they hold: where script and package lie does not count.
    parts = sorted(f"{file.name}\0{_normalised(file, score)}\0" for file in files)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


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


def _closure(*roots: Path) -> set[Path]:
    found: set[Path] = set()
    queue = list(roots)
    while queue:
        file = queue.pop()
        if file not in found:
            found.add(file)
            queue += _imports(file)
    return found


@cache
def _imports(file: Path) -> list[Path]:
    files = []
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from package import module` and `from package.module import name` look alike.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, *parts = name.split(".")
            if top == PACKAGE.name and parts and (imported := _module_file(parts)):
                files.append(imported)
    return files


def _module_file(parts: list[str]) -> Path | None:
    path = PACKAGE.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _normalised(file: Path, score: str | None) -> str:
    tree = ast.parse(ast.unparse(_tree(file)))
    if score is not None:
        tree.body = [node for node in tree.body if not _is_other_score(node, score)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _is_other_score(node: ast.stmt, score: str) -> bool:
    return (
        isinstance(node, ast.FunctionDef)
        and node.name != score
        and any(
            isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == "pruning_score"
            for d in node.decorator_list
        )
    )
