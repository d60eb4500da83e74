"""A file of the user's own: what it registers is checked, counted as code, and run like the package's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from unit.configs import VALID, problems
from unit.networks import backbone_of, head_of, images_of

from prunetransfer.config import validate_config
from prunetransfer.config.pins import pin
from prunetransfer.config.plugins import needs
from prunetransfer.criteria.source import Source
from prunetransfer.datasets.loading import load_samples
from prunetransfer.evaluation.grid import Target, evaluate_masks
from prunetransfer.pruning.masks import write_mask
from prunetransfer.recovery.case import Case
from prunetransfer.settings.registry import REGISTRY, find

HELPER = "BRIGHTEST = 255\n"
MINE = '''
from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from helper import BRIGHTEST
from PIL import Image
from pydantic import Field

from prunetransfer.curvature.diagonal import mean_squares
from prunetransfer.datasets.samples import Samples
from prunetransfer.evaluation.readouts import Reading
from prunetransfer.settings import types
from prunetransfer.settings.registry import dataset_kind, readout, recovery, score


@score(sees="labels")
def saliency(
    source,
    *,
    power: Annotated[float, Field(gt=0, description="Of the curvature.")] = 0.5,
    matrix: types.Matrix = "empirical",
    samples: types.Samples = 256,
):
    """F_jj^p |w_j|."""
    drawn = source.draw(samples, "balanced")
    curvature = mean_squares(source.gradients(drawn, "squared", matrix, None), len(drawn.labels))
    return {name: curvature[name] ** power * w.abs() for name, w in source.weights().items()}


@recovery(labels=False)
def grow(case, *, factor: Annotated[float, Field(ge=1, description="Of the kept weights.")] = 2.0) -> None:
    """The kept weights grow."""
    with torch.no_grad():
        for weight in case.backbone.prunable().values():
            weight.mul_(factor)


@readout(train=True)
def first_class(dense_head, test, train) -> Reading:
    """Every image is of the first class."""
    outputs = torch.zeros(len(test.labels), len(dense_head.bias))
    outputs[:, 0] = len(train.labels)
    return Reading(outputs, None)


@dataset_kind()
def greys(split: str, *, levels: Annotated[int, Field(ge=2, description="How many classes.")] = 3) -> Samples:
    """Plain grey images, a class a level."""
    grey = [np.full((8, 8), BRIGHTEST * level // levels, np.uint8) for level in range(levels)]
    return Samples([Image.fromarray(image) for image in grey], np.arange(levels), [str(k) for k in range(levels)])
'''
SCORE = "from prunetransfer.settings.registry import score\n\n@score(sees=None)\ndef "
USED = {
    "plugins": ["mine.py"],
    "datasets": VALID["datasets"] | {"mist": {"kind": "greys", "levels": 4}},
    "scores": {"magnitude": {}, "saliency": {"power": 1}, "mild": {"score": "saliency", "matrix": "ggn"}},
    "readouts": ["zero_shot", "first_class"],
    "recoveries": {"none": {}, "grow": {}},
}


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Without what a test has registered: the same names come from one folder after the other."""
    yield
    for entries in REGISTRY.values():
        for name in [
            name for name, entry in entries.items() if not entry.function.__module__.startswith("prunetransfer.")
        ]:
            del entries[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "net.pt").touch()
    (tmp_path / "data/mine").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def config(folder: Path, schema: dict) -> dict:
    """A checked config in which each of the file's functions is used, pinned."""
    checked = validate_config(VALID | USED, schema, folder)
    pin(checked, folder)
    return checked


def place_of(folder: Path) -> dict[str, str]:
    return {"file": str(folder / "mine.py")}


def test_its_settings_are_checked_and_filled_as_those_of_the_package(config):
    assert config["scores"]["saliency"] | {"power": 1.0, "matrix": "empirical"} == config["scores"]["saliency"]
    assert config["scores"]["mild"] | {"power": 0.5, "matrix": "ggn", "samples": 256} == config["scores"]["mild"]
    assert config["recoveries"]["grow"]["factor"] == 2.0 and config["recoveries"]["grow"]["sparsities"] == [0, 0.3, 0.5]
    assert config["datasets"]["mist"] == {"kind": "greys", "levels": 4}
    assert config["readouts"] == ["zero_shot", "first_class"]


def test_a_plan_is_told_what_they_need_and_where_they_are(config, schema):
    found = needs(schema, config["plugins"])
    own = {
        section: {name for name, node in functions.items() if "plugin" in node} for section, functions in found.items()
    }
    assert {section: names for section, names in own.items() if names} == {
        **{"datasets": {"greys"}, "scores": {"saliency"}, "recoveries": {"grow"}, "readouts": {"first_class"}},
    }
    place = found["scores"]["saliency"]["plugin"]
    assert place["file"] == "mine.py" and re.fullmatch("[0-9a-f]{16}", place["code"])
    assert found["scores"]["saliency"]["sees"] == "labels" and found["recoveries"]["grow"]["labels"] is False
    assert found["readouts"]["first_class"]["train"] is True and found["readouts"]["knn"]["keys"] == ["neighbours"]


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("mine.py", "mul_(factor)", "mul_(2 * factor)", True),
        ("helper.py", "255", "254", True),
        ("mine.py", '"Of the kept weights."', '"Other words."', False),
        ("mine.py", '"""The kept weights grow."""', '"""They grow."""', False),
    ],
)
def test_what_runs_counts_as_its_code(config, folder, schema, file, old, new, counts):
    before = config["plugins"]["mine.py"]["code"]
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    forget()
    checked = validate_config(VALID | USED, schema, folder)
    pin(checked, folder)
    assert (checked["plugins"]["mine.py"]["code"] != before) is counts


def forget() -> None:
    """A new process would not remember the files."""
    from prunetransfer.stages import code_digest

    for cached in (code_digest._imported, code_digest.syntax_tree, code_digest._normalised):
        cached.cache_clear()


def test_each_runs_like_the_packages_own(folder, tmp_path):
    place = place_of(folder)
    samples = load_samples("greys", "train", {"levels": 4}, tmp_path, plugin=place)
    assert samples.classes == ["0", "1", "2", "3"] and samples.images[3].getpixel((0, 0)) == 255 * 3 // 4
    backbone, images = backbone_of("conv"), images_of(12)
    weights = {name: weight.detach() for name, weight in backbone.prunable().items()}
    source = Source(backbone, head_of(backbone), images)
    scores = find("scores", "saliency", place).function(source, power=0.5)
    diagonal = find("scores", "diagonal").function(source)
    for name, values in scores.items():
        torch.testing.assert_close(values, (2 * diagonal[name]).sqrt())
    recovered = backbone_of("conv")
    case = Case(recovered, backbone, {}, None, images, 0)
    assert find("recoveries", "grow", place).function(case, factor=3.0) is None
    assert all(torch.equal(w, 3 * weights[name]) for name, w in recovered.prunable().items())
    write_mask(
        tmp_path / "mask",
        {name: (w > 0).numpy() for name, w in weights.items()},
        {"sparsity": 0.5, "mask": "global"},
    )
    readouts = {"first_class": {"plugin": place}}
    rows, _ = evaluate_masks(backbone, Target(head_of(backbone), images, readouts, images), [tmp_path / "mask"])
    assert rows[0]["readout"] == "first_class" and rows[0]["correct"] == int((images.labels == 0).sum())


def test_the_examples_of_the_documentation_run(folder, schema, repository):
    text = (repository / "docs/adding.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (plugin,) = (block for block in blocks if "def power(" in block)
    (module,) = (block for block in blocks if "def saliency(" in block)
    needed = (
        "from prunetransfer.criteria.source import Scores, Source\nfrom prunetransfer.settings.types import Matrix\n"
    )
    (folder / "documented.py").write_text(f"{needed}{plugin}\n\n{module}")
    scores = {"power": {"exponent": 0.5}, "saliency": {}}
    checked = validate_config(VALID | {"plugins": ["documented.py"], "scores": scores}, schema, folder)["scores"]
    assert checked["power"] == {"score": "power", "exponent": 0.5, "samples": 256}
    backbone, images = backbone_of("conv"), images_of(12)
    source, place = Source(backbone, head_of(backbone), images), {"file": str(folder / "documented.py")}
    diagonal = find("scores", "diagonal").function(source)
    for name, settings in scores.items():
        for layer, values in find("scores", name, place).function(source, **settings).items():
            torch.testing.assert_close(values, (2 * diagonal[layer]).sqrt(), msg=f"{name}, {layer}")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"plugins": ["none.py"]}, "plugins[0] = 'none.py': there is no file '"),
        ({"plugins": "mine.py"}, "plugins = 'mine.py': must be a list, each text that is not empty, none twice"),
        ({"scores": {"saliency": {"powr": 1}}}, "scores.saliency.powr = 1: no such key; allowed are score, power, "),
        ({"scores": {"saliency": {"power": 0}}}, "scores.saliency.power = 0: must be above 0"),
        ({"scores": {"salience": {}}}, "scores.salience.score = 'salience': no such score; defined are "),
        (
            {"readouts": ["first_clas"]},
            "readouts[0] = 'first_clas': must be one of zero_shot, linear_probe, knn, first_class",
        ),
    ],
)
def test_a_wrong_use_is_explained(changes, line, folder, schema):
    lines = [said for said in problems(VALID | USED | changes, schema, folder) if said.startswith(line)]
    assert len(lines) == 1
    if "powr" in line or "salience" in line or "first_clas'" in line:
        assert re.search("Did you mean '(power|saliency|first_class)'", lines[0])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f(:\n", "broken.py, line 1: invalid syntax"),
        ("\nimport nowhere_at_all\n", "line 2: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("ANSWER = 42\n", "registers nothing"),
        (
            SCORE + "odd(source, *, a=1): ...\n",
            "odd: its setting a has no type",
        ),
        (
            SCORE + "block(source): ...\n",
            "scores has 'block' already",
        ),
        (
            SCORE + "saliency(source): ...\n",
            "scores has 'saliency' already",
        ),
        (
            "from prunetransfer.settings.registry import dataset_kind\n\n"
            '@dataset_kind(downloaded_by=["name"])\ndef fetched(split, *, name: str, folder): ...\n',
            "fetched: only the package's own kinds of dataset are downloaded",
        ),
        ("raise SystemExit(3)\n", "line 1: SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_used_is_answered_in_one_line(text, complaint, folder, schema):
    (folder / "broken.py").write_text(text)
    (line,) = problems(VALID | USED | {"plugins": ["mine.py", "broken.py"]}, schema, folder)
    assert line.startswith("plugins[1] = 'broken.py': ") and complaint in line
