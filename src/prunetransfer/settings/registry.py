"""All that a config calls by name: a decorator registers a function under its own name and states what it needs.

The settings of a function are its keyword-only parameters, `samples: Annotated[Count, Field(description="…")] = 256`.
`python -m prunetransfer.config.schema` writes settings and needs into the config's schema, from which a plan reads them
without importing the function. A file that the config names among its `plugins` registers functions in the same way.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

PACKAGE = __name__.partition(".")[0]
# Where the functions of each section of the schema are, by name.
MODULES = {
    "datasets": "datasets.kinds.{name}",
    "views": "datasets.views.{name}",
    "scores": "criteria.{name}",
    "masks": "pruning.patterns.{name}",
    "recoveries": "recovery.{name}",
    "readouts": "evaluation.readouts",
    "pretrain": "training.objectives.{name}",
}


@dataclass(frozen=True)
class Entry:
    """A registered function, what it needs, and the model of settings that it takes beside its own, if any.

    units: of a score, its own form for whole units, if it has one.
    """

    function: Callable[..., Any]
    needs: Mapping[str, Any]
    model: type | None = None
    units: Callable[..., Any] | None = None

    @property
    def module(self) -> Any:
        return sys.modules[self.function.__module__]


REGISTRY: dict[str, dict[str, Entry]] = {section: {} for section in MODULES}


def dataset_kind(*, labelled: bool = True, images: type | None = None, downloaded_by: Sequence[str] = ()) -> Callable:
    """Register `kind(split, *, …) -> Samples`: one split, "train" or "test", of a dataset.

    labelled: are its labels a task? If not, it is a source alone, of scores and recoveries that read no labels. images:
    the settings of their preparation, `types.Gathered` or `types.Encoded`; None, where nothing can be wrong with them.
    downloaded_by: the settings that decide which files the `download` of its module fetches. A kind that asks by
    keyword for `data_root` is given the folder that relative paths start from, one that asks for `folder` the files
    that were fetched.
    """
    return _register("datasets", images, labelled=labelled, downloaded_by=list(downloaded_by))


def view_step(
    *, place: int, splits: Sequence[str] = ("train", "test"), pixels: bool = False, unchanged: Any = None
) -> Callable:
    """Register `step(samples, argument, seed) -> Samples`: what a view does to a split, no image being decoded.

    The type of its second parameter declares the key that a view may have. place: steps of a view are taken from the
    lowest to the highest. splits: those that it changes, unless its argument has one value a split or says its
    `splits`. pixels: does it change how images look? unchanged: the argument, or keys of it, that changes nothing.
    """
    return _register("views", place=place, splits=list(splits), pixels=pixels, unchanged=unchanged)


def score(*, sees: str | None, quadratic: bool = False, units: Callable[..., Any] | None = None) -> Callable:
    """Register `score(source, *, …)`: name → one number ≥ 0 a prunable weight of a `criteria.source.Source`.

    sees: what of the source it reads, "images" alone or also "labels" and the source's head; None: nothing.
    quadratic: is it w_j² times something that does not depend on w? Such a score can prune in steps. units: a function
    `(source, units, *, …)` of the same settings, which scores whole units of a `structure.units.Units`: an array for
    each family; None: the score of a unit is the sum of those of its weights. Raises ValueError for other settings.
    """

    def register(function: Callable) -> Callable:
        if units is not None and keywords(units) != keywords(function):
            raise ValueError(f"{units.__name__} and {function.__name__} must have the same settings")
        return _register("scores", of_units=units, sees=sees, quadratic=quadratic, units=units is not None)(function)

    return register


def pattern(*, name: str | None = None, units: bool = False, steps: bool = False, refinable: bool = False) -> Callable:
    """Register `pattern(ranking, sparsity, *, …)`: the mask of a `pruning.ranking.Ranking` at a sparsity.

    name: another than the function's own. units: does it take whole units out, so that the ranking must have them?
    steps: has it masks of any sparsity, so that one can be reached in steps? refinable: may a layer choose other
    weights than the mask's, if they are as many?
    """
    return _register("masks", name=name, units=units, steps=steps, refinable=refinable)


def recovery(*, labels: bool, resumable: bool = False) -> Callable:
    """Register `recovery(case, *, …)`, which changes the pruned backbone of a `recovery.case.Case` in place.

    labels: does it read labels and the source's head? resumable: does it go on from a saved state, and return a curve?
    """
    return _register("recoveries", labels=labels, resumable=resumable)


def readout(*, train: bool) -> Callable:
    """Register `readout(dense_head, test, train, *, …) -> Reading`.

    train: does it read the target's train images? What it asks for by keyword are keys of the study.
    """
    return _register("readouts", train=train)


def objective(name: str, *, labels: bool) -> Callable:
    """Register a class of `training.pretraining.Pretraining`, whose settings are the keywords of its `__init__`.

    labels: does it train on labels?
    """
    return _register("pretrain", name=name, labels=labels)


def _register(
    section: str,
    model: type | None = None,
    *,
    name: str | None = None,
    of_units: Callable[..., Any] | None = None,
    **needs: Any,
) -> Callable:
    def register(function: Callable) -> Callable:
        own, known = name or function.__name__, REGISTRY[section]
        if own in known and known[own].function.__module__ != function.__module__:
            raise ValueError(f"{section} has {own!r} already, of {known[own].function.__module__}")
        known[own] = Entry(function, needs, model, of_units)
        return function

    return register


def module_of(section: str, name: str) -> str:
    """The module of a function of the package's own, below the package."""
    return MODULES[section].format(name=re.sub(r"\W", "_", name))


def modules(section: str) -> Iterator[str]:
    """The modules of the package's own functions of a section, below the package."""
    package, _, last = MODULES[section].rpartition(".")
    if last != "{name}":
        yield MODULES[section]
        return
    folder = importlib.import_module(f"{PACKAGE}.{package}").__path__
    yield from (f"{package}.{module.name}" for module in pkgutil.iter_modules(folder))


def names(section: str) -> list[str]:
    """All names that are registered in a section; imports what the package has there."""
    for module in modules(section):
        importlib.import_module(f"{PACKAGE}.{module}")
    return sorted(REGISTRY[section])


def find(section: str, name: str, plugin: Mapping[str, str] | None = None) -> Entry:
    """What is registered under a name; imports its module, or the `file` of the user's that has it, a `plugin`."""
    if plugin:
        import_file(Path(plugin["file"]))
    else:
        importlib.import_module(f"{PACKAGE}.{module_of(section, name)}")
    return REGISTRY[section][name]


def import_file(file: Path) -> str:
    """Import a file of the user's, whose folder it may import from too; returns the name that its module has here."""
    file = file.resolve()
    name = f"{PACKAGE}_plugin_{sha256(bytes(file)).hexdigest()[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        sys.path.append(str(file.parent))
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
        finally:
            sys.path.remove(str(file.parent))
    return name


def keywords(function: Callable) -> Sequence[inspect.Parameter]:
    """The keyword-only parameters of a function, or of a class."""
    return [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
