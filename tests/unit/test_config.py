"""The config: what is allowed, what a wrong one is answered with, and that the schema agrees with the library."""

from __future__ import annotations

import copy
import importlib
import inspect
import math
import pkgutil
import random
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

import prunetransfer.curvature
import prunetransfer.datasets.kinds
import prunetransfer.recovery
from prunetransfer.config import ConfigError, keywords, validate_config
from prunetransfer.config.docs import page
from prunetransfer.config.validation import load_schema
from prunetransfer.curvature.seeds import CURVATURES
from prunetransfer.datasets.kinds.torchvision import SPLITS_OF, VARIANTS
from prunetransfer.datasets.splits import SAMPLINGS
from prunetransfer.datasets.views import STEPS
from prunetransfer.evaluation import READOUTS
from prunetransfer.heads.fitting import KINDS
from prunetransfer.losses import LOSSES
from prunetransfer.scores import SCORES

DIGEST = "0123456789abcdef" * 4
NAME = "text of at most 64 letters, digits and - _ . that starts with a letter, a digit or _"
VALID = yaml.safe_load("""
study: tiny
seeds: [0, 1]
data_root: data
backbones:
  net: {architecture: resnet18, options: {layers: [1]}, pretraining: none, size: 8, mean: [0, 0, 0.5], std: [1, 1, 0.5],
        interpolation: bilinear, crop: 1, weights: {source: net.pt}}
  own: {architecture: resnet18, pretraining: digits, size: 8, mean: [0, 0, 0], std: [1, 1, 1],
        interpolation: bicubic, crop: 0.875, weights: {source: pretrain}}
datasets:
  digits: {kind: digits}
  glyphs: {kind: glyphs, train_per_class: 3}
  textures: {kind: textures}
  mine: {kind: folder, path: mine}
sources: [digits]
targets: [digits, textures]
scores:
  magnitude: {}
  diagonal: {loss: cross_entropy}
  block-1: {score: block, damping: 1}
sparsities: [0, 0.3, 0.5]
recoveries: {none: {}, finetune: {epochs: 1, sparsities: [0.5]}}
pretrain: {own: {dataset: digits, epochs: 1, optimizer: sgd, learning_rate: 0.1, weight_decay: 0}}
""")


@pytest.fixture(scope="module")
def schema(repository: Path) -> dict:
    return yaml.safe_load((repository / "workflow/schemas/config.schema.yaml").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights and images that VALID names."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "net.pt").touch()
    (folder / "data/mine").mkdir(parents=True)
    return folder


def changed(path: str, value: object) -> dict:
    """VALID with another value at `path`; `...` removes what is there."""
    config = copy.deepcopy(VALID)
    place = config
    *parents, last = path.split("/")
    for key in parents:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return config


def problems(config: object, schema: dict | Path, root: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate_config(config, schema, root)
    return str(caught.value).splitlines()


# --- defaults -----------------------------------------------------------------------------------------------------


def test_fills_every_default_at_every_depth(repository, root):
    filled = validate_config(VALID, repository / "workflow/schemas/config.schema.yaml", root)
    assert filled["threads"] == 1 and filled["gpu"] == "auto" and filled["tolerance"] == 0.05
    assert filled["head"] == {"kind": "ridge", "alpha": "auto"}
    assert (filled["readouts"], filled["neighbours"]) == (["zero_shot"], 20)
    assert filled["backbones"]["net"]["weights"] == {
        "source": "net.pt",
        "sha256": None,
        "entry": None,
        "prefix": "",
        "ignore": [],
        "missing": [],
        "seed": 0,
    }
    assert filled["backbones"]["net"]["options"] == {"layers": [1]} and filled["backbones"]["own"]["options"] == {}
    assert filled["datasets"]["glyphs"] == {"kind": "glyphs", "seed": 0, "train_per_class": 3, "test_per_class": 20}
    drawn = {"curvature": "empirical", "draws": None, "samples": 256, "sampling": "balanced"}
    assert filled["scores"] == {
        "magnitude": {"score": "magnitude"},
        "diagonal": {"score": "diagonal", "loss": "cross_entropy"} | drawn,
        "block-1": {
            **{"score": "block", "loss": "squared", **drawn, "block_size": 64},
            **{"damping": 1.0, "damping_relative": False, "damping_sparsity": 0.5, "memory_budget": None},
        },
    }
    assert filled["recoveries"]["none"] == {}
    assert (
        filled["recoveries"]["finetune"] | {"loss": "squared", "batch_size": 64, "milestones": []}
        == (filled["recoveries"]["finetune"])
    )
    assert filled["pretrain"]["own"]["batch_size"] == 128


def test_leaves_config_and_schema_untouched(schema, root):
    config, before = copy.deepcopy(VALID), copy.deepcopy(schema)
    validate_config(config, schema, root)["scores"]["magnitude"]["score"] = "other"
    assert config == VALID and schema == before


def test_a_filled_config_is_valid_and_stays_as_it_is(schema, root):
    filled = validate_config(VALID, schema, root)
    assert validate_config(filled, schema, root) == filled


def test_settings_do_not_depend_on_how_they_are_written(schema, root):
    """Snakemake compares the text of parameters: order of keys and 1 against 1.0 must not make jobs run again."""
    other = changed("scores/block-1", {"damping": 1.0, "samples": 256, "score": "block"})
    other["sparsities"] = [-0.0, 0.3, 0.5]
    other = {key: other[key] for key in reversed(other)}
    assert repr(validate_config(other, schema, root)) == repr(validate_config(VALID, schema, root))


@pytest.mark.parametrize("path", ["scores/diagonal", "recoveries/none", "recoveries/finetune"])
def test_an_entry_left_empty_has_the_defaults(path, schema, root):
    assert validate_config(changed(path, None), schema, root) == validate_config(changed(path, {}), schema, root)


def test_recovery_is_tried_at_all_sparsities_unless_told(schema, root):
    filled = validate_config(changed("recoveries/finetune/sparsities", ...), schema, root)
    assert filled["recoveries"]["finetune"]["sparsities"] == [0.0, 0.3, 0.5]


def test_a_chain_of_recoveries_names_entries(schema, root):
    chained = {"none": {}, "broad": {"recovery": "reconstruct"}, "moments": {}, "broad+moments": {"sparsities": [0.5]}}
    filled = validate_config(changed("recoveries", chained), schema, root)["recoveries"]
    assert filled["broad"]["recovery"] == "reconstruct" and filled["moments"]["recovery"] == "moments"
    scores = ["magnitude", "diagonal", "block-1"]
    assert filled["broad+moments"] == {"sparsities": [0.5], "backbones": ["net", "own"], "scores": scores}


def test_no_recovery_is_the_default(schema, root):
    assert validate_config(changed("recoveries", ...), schema, root)["recoveries"] == {"none": {}}


# --- messages -----------------------------------------------------------------------------------------------------

WRONG = [
    # names and keys
    ("study", ..., f"study: missing; must be {NAME}"),
    ("study", "a/b", f"study = 'a/b': must be {NAME}"),
    ("study", "..", f"study = '..': must be {NAME}"),
    ("study", "tiny\n", f"study = 'tiny\\n': must be {NAME}"),
    ("study", "x" * 65, f"study = '{'x' * 56}...: must be {NAME}"),
    ("study", 2024, f"study = 2024: must be {NAME} (put it in quotes)"),
    ("study", True, f"study = true: must be {NAME} (put it in quotes)"),
    ("data_root", "", "data_root = '': must be text that is not empty"),
    ("datasets/a@b", {"kind": "digits"}, f"datasets.a@b = 'a@b': must be {NAME}"),
    ("datasets/", {"kind": "digits"}, f"datasets.'' = '': must be {NAME}"),
    ("datasets/7", {"kind": "digits", "seed": -1}, "datasets.7.seed = -1: must be at least 0 and at most 4294967295"),
    ("datasets/digits/sed", 1, "datasets.digits.sed = 1: no such key; allowed are kind, seed. Did you mean 'seed'?"),
    (
        "scores/diagonal/sample",
        64,
        "scores.diagonal.sample = 64: no such key; allowed are score, loss, curvature, draws, samples, sampling. "
        "Did you mean 'samples'?",
    ),
    (
        "scores/diagonal/damping",
        0.1,
        "scores.diagonal.damping = 0.1: no such key; allowed are score, loss, curvature, draws, samples, sampling. "
        "Did you mean 'sampling'?",
    ),
    (
        "scores/block-1/curvature",
        "hutchinson",
        "scores.block-1.curvature = 'hutchinson': must be one of empirical, fisher, ggn",
    ),
    (
        "scores/diagonal",
        {"curvature": "ggn", "draws": 0},
        "scores.diagonal.draws = 0: must be a whole number at least 1, or nothing",
    ),
    (
        "scores/diagonal/draws",
        4,
        "scores.diagonal.draws = 4: must be left out, as empirical curvature draws nothing",
    ),
    ("head/aplha", 1, "head.aplha = 1: no such key; allowed are kind, alpha. Did you mean 'alpha'?"),
    ("backbones/net/weights/source", ..., "backbones.net.weights.source: missing; must be text that is not empty"),
    # names of things that must exist
    (
        "targets/1",
        "texture",
        "targets[1] = 'texture': no such dataset; defined are digits, glyphs, textures, mine. Did you mean 'textures'?",
    ),
    ("sources/0", "zebras", "sources[0] = 'zebras': no such dataset; defined are digits, glyphs, textures, mine"),
    (
        "datasets/mine/kind",
        "foldr",
        "datasets.mine.kind = 'foldr': no such kind; defined are digits, glyphs, textures, folder, npz, parquet, "
        "torchvision, huggingface. "
        "Did you mean 'folder'?",
    ),
    (
        "datasets/mine/kind",
        ...,
        "datasets.mine.kind: missing; must be the name of a kind, or view_of the name of a dataset",
    ),
    (
        "scores/diagnal",
        {},
        "scores.diagnal.score = 'diagnal': no such score; defined are magnitude, diagonal, block. "
        "Did you mean 'diagonal'?",
    ),
    (
        "scores/block-1/score",
        "Blok",
        "scores.block-1.score = 'Blok': no such score; defined are magnitude, diagonal, block. Did you mean 'block'?",
    ),
    (
        "recoveries/finetunes",
        {},
        "recoveries.finetunes.recovery = 'finetunes': no such recovery; defined are finetune, moments, batchnorm, "
        "reconstruct, compensate. Did you mean 'finetune'?",
    ),
    (
        "recoveries/finetune+momentss",
        {},
        "recoveries.finetune+momentss = 'momentss': no such recovery; defined are finetune",
    ),
    (
        "recoveries/finetune/backbones",
        ["nett"],
        "recoveries.finetune.backbones[0] = 'nett': no such backbone; defined are net, own. Did you mean 'net'?",
    ),
    (
        "recoveries/none",
        ...,
        "recoveries.none: missing; must be an empty mapping (none: {}), as retention before any recovery is always "
        "measured",
    ),
    (
        "recoveries/none/epochs",
        1,
        "recoveries.none.epochs = 1: no such key; none is allowed",
    ),
    (
        "recoveries/finetune",
        {"schedule": "cosine", "milestones": [2]},
        "recoveries.finetune.milestones = [2]: must be left out, as a cosine has none",
    ),
    (
        "recoveries/finetune/sparsities",
        [0.4],
        "recoveries.finetune.sparsities[0] = 0.4: no such sparsity; defined are 0, 0.3, 0.5",
    ),
    (
        "pretrain/own/dataset",
        "digit",
        "pretrain.own.dataset = 'digit': no such dataset; defined are digits, glyphs, textures, mine. "
        "Did you mean 'digits'?",
    ),
    (
        "pretrain/nett",
        VALID["pretrain"]["own"],
        "pretrain.nett = 'nett': no such backbone; defined are net, own. Did you mean 'net'?",
    ),
    ("pretrain", {}, "backbones.own.weights.source = 'pretrain': pretrain has no recipe for 'own'"),
    ("pretrain/own/optimizer", "SGD", "pretrain.own.optimizer = 'SGD': must be one of sgd, adamw. Did you mean 'sgd'?"),
    # numbers
    ("sparsities/1", 1.2, "sparsities[1] = 1.2: must be at least 0 and below 1"),
    ("sparsities/1", 1, "sparsities[1] = 1: must be at least 0 and below 1"),
    ("sparsities/0", -0.1, "sparsities[0] = -0.1: must be at least 0 and below 1"),
    ("sparsities/0", math.nan, "sparsities[0] = nan: must be a number at least 0 and below 1 and finite"),
    ("sparsities/0", False, "sparsities[0] = false: must be a number at least 0 and below 1"),
    ("seeds/0", True, "seeds[0] = true: must be a whole number at least 0 and at most 4294967295"),
    ("seeds/0", 2**32, "seeds[0] = 4294967296: must be at least 0 and at most 4294967295"),
    ("seeds/0", 0.0, "seeds[0] = 0.0: must be a whole number at least 0 and at most 4294967295"),
    ("threads", 0, "threads = 0: must be at least 1"),
    ("threads", 10**400, "threads = inf: must be a whole number at least 1 and finite"),
    ("tolerance", 0, "tolerance = 0: must be above 0 and below 1"),
    ("tolerance", math.inf, "tolerance = inf: must be a number above 0 and below 1 and finite"),
    ("head", {"alpha": 0}, "head.alpha = 0: must be auto or a number above 0"),
    ("head", {"alpha": "atuo"}, "head.alpha = 'atuo': must be auto or a number above 0"),
    ("head/kind", "logistc", "head.kind = 'logistc': must be one of ridge, logistic. Did you mean 'logistic'?"),
    (
        "readouts",
        [],
        "readouts = []: must be a list of at least one, each one of zero_shot, linear_probe, knn, none twice",
    ),
    ("readouts", ["knn", "knn"], "readouts[1] = 'knn': is there twice"),
    ("readouts", ["knnn"], "readouts[0] = 'knnn': must be one of zero_shot, linear_probe, knn. Did you mean 'knn'?"),
    ("neighbours", 0, "neighbours = 0: must be at least 1"),
    ("neighbours", 2.5, "neighbours = 2.5: must be a whole number at least 1"),
    ("gpu", "atuo", "gpu = 'atuo': must be one of auto, true, false. Did you mean 'auto'?"),
    ("gpu", 1, "gpu = 1: must be one of auto, true, false"),
    (
        "backbones/net/mean",
        [123.7, 0, 0],
        "backbones.net.mean[0] = 123.7: must be at least 0 and at most 1",
    ),
    (
        "backbones/net/std",
        [1, 1],
        "backbones.net.std = [1, 1]: must be a list of 3, each a number above 0 and at most 1",
    ),
    ("scores/block-1/damping", 0, "scores.block-1.damping = 0: must be auto or a number above 0"),
    ("scores/block-1/damping", None, "scores.block-1.damping = null: must be auto or a number above 0"),
    ("scores/block-1/damping_relative", 1, "scores.block-1.damping_relative = 1: must be one of true, false"),
    ("scores/block-1/damping_sparsity", 0, "scores.block-1.damping_sparsity = 0: must be above 0 and below 1"),
    ("scores/block-1/memory_budget", 0, "scores.block-1.memory_budget = 0: must be a number above 0, or null"),
    # numbers that YAML 1.1 reads as text
    (
        "scores/block-1/damping",
        "1e-4",
        "scores.block-1.damping = '1e-4': must be auto or a number above 0 ('1e-4' is text in YAML; write 1.0e-4)",
    ),
    ("threads", "1E1", "threads = '1E1': must be a whole number at least 1 ('1E1' is text in YAML; write 10)"),
    ("threads", "4", "threads = '4': must be a whole number at least 1 ('4' is text in YAML; write 4)"),
    (
        "head",
        {"alpha": "1.5e3"},
        "head.alpha = '1.5e3': must be auto or a number above 0 ('1.5e3' is text in YAML; write 1.5e+3)",
    ),
    # lists and mappings
    ("targets", [], "targets = []: must be a list of at least one, each the name of a dataset, none twice"),
    ("targets", "digits", "targets = 'digits': must be a list of at least one, each the name of a dataset, none twice"),
    ("targets", ["digits", "digits"], "targets[1] = 'digits': is there twice"),
    ("sparsities", [0.3, 0.5, 0.30], "sparsities[2] = 0.3: is there twice"),
    ("scores", {}, "scores = {}: must be a mapping with at least one entry"),
    ("scores", None, "scores = null: must be a mapping with at least one entry"),
    ("scores", ["block"], "scores = ['block']: must be a mapping with at least one entry"),
    ("scores/diagonal", [], "scores.diagonal = []: must be a mapping with the keys score or nothing"),
    ("head", None, "head = null: must be a mapping with the keys kind, alpha"),
    ("datasets/digits", None, "datasets.digits = null: must be a mapping with the dataset's kind, or with view_of"),
    (
        "backbones/net",
        None,
        "backbones.net = null: must be a mapping with the keys architecture, options, pretraining, weights, size, "
        "mean, std, interpolation, crop, exclude",
    ),
    # scores that read no data
    ("scores/magnitude/samples", 8, "scores.magnitude.samples = 8: magnitude reads no data"),
    (
        "scores/other",
        {"score": "magnitude", "loss": "squared"},
        "scores.other.loss = 'squared': magnitude reads no data",
    ),
    # what YAML can hold and JSON cannot
    ("datasets/digits/2", 0, "datasets.digits.2 = 0: no such key; allowed are kind, seed"),
    (
        "backbones/net/options",
        {"when": yaml.safe_load("2001-01-01")},
        "backbones.net.options.when = 2001-01-01: YAML reads this as a date; if it is text, put it in quotes",
    ),
    (
        "backbones/net/options",
        yaml.safe_load("{no: 1}"),
        "backbones.net.options.false: YAML does not read this key as text; put it in quotes",
    ),
    ("backbones/net/options", yaml.safe_load("&x {a: *x}"), "backbones.net.options.a: nested too deeply"),
]


@pytest.mark.parametrize(("path", "value", "line"), WRONG, ids=[f"{k}-{case[0]}" for k, case in enumerate(WRONG)])
def test_one_mistake_is_answered_with_one_clear_line(path, value, line, schema, root):
    assert problems(changed(path, value), schema, root) == [line]


def test_every_mistake_is_listed_once_in_order(schema, root):
    config = changed("sparsities", [0.3, 1.0, 2.0]) | {"targets": ["texture"], "thread": 2, "seeds": []}
    lines = problems(config, schema, root)
    assert lines == sorted(lines)
    assert [line.split(" ")[0] for line in lines] == [
        "recoveries.finetune.sparsities[0]",
        "seeds",
        "sparsities[1]",
        "sparsities[2]",
        "targets[0]",
        "thread",
    ]


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_file_is_told_what_a_study_needs(empty, schema, root):
    missing = [line.split(":")[0] for line in problems(empty, schema, root)]
    assert missing == ["backbones", "datasets", "scores", "sources", "sparsities", "study", "targets"]


@pytest.mark.parametrize("config", [[], ["study"], "study", 3, math.nan, True])
def test_what_is_no_mapping_is_refused(config, schema, root):
    (line,) = problems(config, schema, root)
    assert line.startswith("config = ") and "must be a mapping with the keys study, seeds" in line


def test_a_missing_folder_of_images_is_named_in_full(schema, root):
    (line,) = problems(changed("datasets/mine/path", "images"), schema, root)
    assert line == f"datasets.mine.path = 'images': there is no folder '{root}/data/images'"
    validate_config(changed("datasets/mine/path", str(root / "data/mine")), schema, root)


# --- weights ------------------------------------------------------------------------------------------------------

SOURCE = "backbones.net.weights.source"
SHA256 = "backbones.net.weights.sha256"
NEEDED = "must be 64 hexadecimal digits in lower case, which shipped weights need"


@pytest.fixture
def shipped(monkeypatch, tmp_path) -> None:
    """A package that ships small.safetensors and the card that stands beside it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.safetensors").touch()
    (tmp_path / "data/small.json").touch()
    monkeypatch.setattr(keywords.importlib.resources, "files", lambda package: tmp_path)


@pytest.mark.parametrize(
    "weights",
    [
        {"source": "package:small.safetensors", "sha256": DIGEST},
        {"source": "https://example.org/net.pt", "sha256": DIGEST},
        {"source": "https://example.org/net.pt"},
        {"source": "timm"},
        {"source": "torchvision:ResNet18_Weights.IMAGENET1K_V1"},
        {"source": "random", "seed": 3},
        {"source": "net.pt", "entry": "state_dict", "prefix": "module.", "ignore": ["fc.*"], "missing": ["bn.*"]},
        {"source": "net.pt"},
        {"source": "net.pt", "sha256": DIGEST},
        {"source": "net.pt", "sha256": None},
    ],
)
def test_weights_may_be_shipped_fetched_or_a_file(weights, shipped, schema, root):
    config = changed("backbones/net/weights", weights)
    assert validate_config(config, schema, root)["backbones"]["net"]["weights"]["source"] == weights["source"]


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        (
            {"source": "package:smal.safetensors", "sha256": DIGEST},
            f"{SOURCE} = 'package:smal.safetensors': no such file; defined are package:small.safetensors. "
            "Did you mean 'package:small.safetensors'?",
        ),
        (
            {"source": "package:../data/small.safetensors", "sha256": DIGEST},
            f"{SOURCE} = 'package:../data/small.safetensors': no such file; defined are package:small.safetensors. "
            "Did you mean 'package:small.safetensors'?",
        ),
        ({"source": "package:small.safetensors"}, f"{SHA256}: missing; {NEEDED}"),
        ({"source": "package:small.safetensors", "sha256": None}, f"{SHA256} = null: {NEEDED}"),
        (
            {"source": "torchvision:resnet50"},
            f"{SOURCE} = 'torchvision:resnet50': names no weights; write them as in "
            "torchvision:ResNet50_Weights.IMAGENET1K_V2",
        ),
        ({"source": "tim"}, f"{SOURCE} = 'tim': there is no file '{{root}}/tim'. Did you mean 'timm'?"),
        (
            {"source": "net.pt", "sha256": DIGEST.upper()},
            f"{SHA256} = '{DIGEST.upper()[:56]}...: must be 64 hexadecimal digits in lower case",
        ),
        (
            {"source": "http://example.org/net.pt"},
            f"{SOURCE} = 'http://example.org/net.pt': of addresses, only https:// is fetched",
        ),
        ({"source": ""}, f"{SOURCE} = '': must be text that is not empty"),
    ],
)
def test_wrong_weights_are_explained(weights, line, shipped, schema, root):
    assert problems(changed("backbones/net/weights", weights), schema, root) == [line.format(root=root)]


def test_a_missing_checkpoint_is_named_in_full(schema, root):
    (line,) = problems(changed("backbones/net/weights/source", "nets.pt"), schema, root)
    assert line == f"{SOURCE} = 'nets.pt': there is no file '{root}/nets.pt'"


def test_a_package_that_ships_nothing_says_so(monkeypatch, tmp_path, schema, root):
    monkeypatch.setattr(keywords.importlib.resources, "files", lambda package: tmp_path)
    weights = {"source": "package:small.safetensors", "sha256": DIGEST}
    (line,) = problems(changed("backbones/net/weights", weights), schema, root)
    assert line == f"{SOURCE} = 'package:small.safetensors': no such file; none is defined"


# --- nothing but ConfigError ---------------------------------------------------------------------------------------

CYCLE = yaml.safe_load("&x [*x, {a: *x}]")
JUNK = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        3.5,
        math.nan,
        math.inf,
        10**30,
        10**5000,
        -(10**5000),
        "",
        " ",
        "a\nb",
        "1e-4",
        "\0",
    ),
    *("digits", "net", "block", "pretrain", "package:", "https://", "x" * 5000, "\ud800", "{", "%s", "../..", "~"),
    *([], [None], [[]], [{}], ["digits"], [0.1, 0.1], [1, True], {}, {"": ""}, {1: 2}, {None: None}, {"kind": []}),
    *({"score": {}}, {"score": None}, {"source": []}, {"weights": 3}, {"sparsities": {}}, {(1, 2): 3}, {10**5000: 0}),
    *yaml.safe_load("[2001-01-01, 2001-01-01 10:00:00, !!binary aGk=, !!set {a, b}, 0x10, 1:30]"),
    *(CYCLE, {10**5000}, (1, 2), 1j, object(), [[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]),
]


def places(value: object, deepest: int = 6) -> list[tuple[dict | list, object]]:
    """Every container of a config with each of its keys or positions."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys if deepest for place in [(value, key), *places(value[key], deepest - 1)]]


def mutate(config: dict, draw: random.Random) -> None:
    container, key = draw.choice(places(config))
    change = draw.choice(["replace", "replace", "remove", "add", "swap"])
    if change == "remove":
        del container[key]
    elif change == "add" and isinstance(container, dict):
        container[draw.choice([*"abc", "score", "kind", "none", 1, None, "a/b", "x\ny"])] = draw.choice(JUNK)
    elif change == "swap":
        other, other_key = draw.choice(places(config))
        container[key] = copy.deepcopy(other[other_key])
    else:
        container[key] = draw.choice(JUNK)


@pytest.mark.parametrize("seed", range(8))
def test_no_config_raises_anything_but_config_error(seed, schema, root):
    draw = random.Random(seed)
    refused = 0
    for _ in range(200):
        config = copy.deepcopy(VALID)
        for _ in range(draw.randint(1, 4)):
            mutate(config, draw)
        try:
            validate_config(config, schema, root)
        except ConfigError as error:
            refused += 1
            assert all(line.strip() for line in str(error).split("\n"))
    assert refused > 100


@pytest.mark.parametrize("junk", range(len(JUNK)))
def test_no_value_of_any_key_raises_anything_but_config_error(junk, schema, root):
    for key in VALID:
        try:
            validate_config(VALID | {key: JUNK[junk]}, schema, root)
        except ConfigError as error:
            assert str(error)


# --- views --------------------------------------------------------------------------------------------------------


def test_a_view_becomes_its_base_seen_through_selections(schema, root):
    few = {"view_of": "glyphs", "classes": ["A", 3], "seed": 1}
    config = VALID | {"datasets": VALID["datasets"] | {"tiny": {"view_of": "few", "limit": {"train": 2}}, "few": few}}
    datasets = validate_config(config, schema, root)["datasets"]
    glyphs = {"kind": "glyphs", "seed": 0, "train_per_class": 3, "test_per_class": 20}
    every = {"train": None, "test": None}
    first = {"classes": ["A", 3], "per_class": every, "limit": every, "seed": 1}
    second = {"classes": None, "per_class": every, "limit": every | {"train": 2}, "seed": 0}
    assert datasets["glyphs"] == glyphs
    assert datasets["few"] == glyphs | {"selections": [first]}
    assert datasets["tiny"] == glyphs | {"selections": [first, second]}


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"view_of": "a"}, ".view_of = 'a': a view of itself: a → a"),
        ({"view_of": "b"}, ".view_of = 'b': a view of itself: a → b → a"),
        ({"view_of": "digit"}, ".view_of = 'digit': no such dataset; defined are digits, glyphs, "),
        ({"view_of": "digits", "kind": "digits"}, ".kind = 'digits': no such key; allowed are view_of, "),
        ({"view_of": "digits", "limit": 0}, ".limit = 0: must be a whole number at least 1, or that of "),
        ({"view_of": "digits", "limit": {"val": 3}}, ".limit.val = 3: no such key; allowed are train, test"),
        ({"view_of": "digits", "classes": ["3"]}, ".classes = ['3']: must be a list of at least two, "),
        ({"kind": "npz", "path": "no.npz"}, ".path = 'no.npz': there is no file '"),
        ({"kind": "torchvision", "name": "CIFAR"}, ".name = 'CIFAR': must be one of CIFAR10, "),
    ],
)
def test_a_wrong_entry_of_the_datasets_is_explained(entry, line, schema, root):
    others = VALID["datasets"] | {"b": {"view_of": "a"}}
    lines = problems(VALID | {"datasets": others | {"a": entry}}, schema, root)
    assert lines[0].startswith("datasets.a" + line)
    assert all(line.startswith("datasets.b.view_of = 'a': a view of itself") for line in lines[1:])


# --- the schema, the library and the page agree ----------------------------------------------------------------------


def settings(function: object, *others: str) -> dict[str, object]:
    """The keywords of a function beside `others`, with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in others}


def modules(package: object) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def keyword_only(function: object) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_the_schema_is_a_json_schema_in_which_every_key_is_described(schema):
    jsonschema.Draft202012Validator.check_schema(load_schema(schema))

    def check(node: dict, at: str) -> None:
        for key, child in node.get("properties", {}).items():
            assert child["description"].endswith((".", "?")), f"{at}.{key}"
            explained = {"default", "default_from", "default_of_model"} & child.keys() or key in node.get(
                "required", ()
            )
            assert explained or key in ("kind", "score", "recovery"), (
                f"{at}.{key} is neither required nor has a default"
            )
            check(child, f"{at}.{key}")
        if isinstance(node.get("additionalProperties"), dict):
            check(node["additionalProperties"], f"{at}.<name>")

    schema = load_schema(schema)
    check(schema, "")
    for section in ("datasets", "scores"):
        for name, definition in schema["$defs"][section].items():
            check(definition, f"{section}.{name}")


def test_each_kind_of_dataset_takes_what_its_load_function_does(schema):
    kinds = load_schema(schema)["$defs"]["datasets"]
    view = kinds.pop("view")["properties"]
    assert view.keys() == {"view_of", "seed", *STEPS}
    assert sorted(kinds) == modules(prunetransfer.datasets.kinds)
    for kind, definition in kinds.items():
        load = importlib.import_module(f"prunetransfer.datasets.kinds.{kind}").load
        options = {key: node.get("default", inspect.Parameter.empty) for key, node in definition["properties"].items()}
        assert options.pop("kind") is inspect.Parameter.empty
        for of_preparing in ("skip_unreadable", "allow_overlap"):
            assert options.pop(of_preparing, False) is False
        assert options == settings(load, "split", "data_root", "folder"), kind


def test_the_schema_names_the_datasets_of_torchvision(schema):
    properties = load_schema(schema)["$defs"]["datasets"]["torchvision"]["properties"]
    assert properties["name"]["enum"] == sorted(SPLITS_OF)
    assert all(name in properties["variant"]["description"] for name in VARIANTS)


def test_each_score_takes_what_its_curvature_does(schema):
    definitions = load_schema(schema)["$defs"]["scores"]
    assert {score.curvature or "none" for score in SCORES.values()} == definitions.keys()
    assert definitions.keys() - {"none"} <= set(modules(prunetransfer.curvature))
    for curvature in definitions.keys() - {"none"}:
        compute = importlib.import_module(f"prunetransfer.curvature.{curvature}").compute
        assert definitions[curvature]["properties"].keys() - {"score"} == keyword_only(compute), curvature


def test_each_score_may_choose_what_the_library_has(schema):
    definitions = load_schema(schema)["$defs"]["scores"]
    diagonal, block = (definitions[curvature]["properties"] for curvature in ("diagonal", "block"))
    assert tuple(block["curvature"]["enum"]) == CURVATURES
    assert tuple(diagonal["curvature"]["enum"]) == (*CURVATURES, "hutchinson")
    assert diagonal["sampling"]["enum"] == block["sampling"]["enum"] == list(SAMPLINGS)
    assert diagonal["loss"]["enum"] == block["loss"]["enum"] == list(LOSSES)


@pytest.mark.parametrize("draws", [None, 3])
@pytest.mark.parametrize("curvature", ["fisher", "ggn", "hutchinson"])
def test_curvature_that_draws_may_be_told_how_often(curvature, draws, schema, root):
    config = changed("scores/diagonal", {"curvature": curvature, "draws": draws})
    assert validate_config(config, schema, root)["scores"]["diagonal"]["draws"] == draws


def test_the_schema_names_the_readouts_and_kinds_of_head(schema):
    properties = load_schema(schema)["properties"]
    assert properties["readouts"]["items"]["enum"] == list(READOUTS)
    assert properties["head"]["properties"]["kind"]["enum"] == list(KINDS)


def test_each_recovery_takes_what_its_function_does(schema):
    recoveries = load_schema(schema)["$defs"]["recoveries"]
    known = recoveries.keys() - {"none", "chain"}
    assert sorted(known) == modules(prunetransfer.recovery)
    for name in known:
        recover = importlib.import_module(f"prunetransfer.recovery.{name}").recover
        settings = recoveries[name]["properties"].keys() - {"recovery", "sparsities", "backbones", "scores"}
        assert settings == keyword_only(recover), name


def test_a_recipe_is_what_pretraining_takes(schema):
    from prunetransfer.pretraining import pretrain

    recipe = load_schema(schema)["properties"]["pretrain"]["additionalProperties"]["properties"]
    assert recipe.keys() - {"dataset", "seed"} == keyword_only(pretrain)


def test_the_embedded_study_is_valid(repository, schema):
    config = yaml.safe_load((repository / "config.yaml").read_text())
    assert validate_config(config, schema, repository)["study"] == config["study"]


def test_the_other_studies_lack_nothing_but_data(repository, schema):
    for study in (repository / "studies").glob("*.yaml"):
        try:
            validate_config(yaml.safe_load(study.read_text()), schema, repository)
        except ConfigError as error:
            assert all("there is no f" in line for line in str(error).splitlines()), f"{study.name}: {error}"


def test_the_reference_page_is_current(repository, schema):
    committed = (repository / "docs/config.md").read_text(encoding="utf-8")
    assert committed == page(load_schema(schema)), "run: python -m prunetransfer.config.docs"


def test_reading_a_config_loads_nothing_heavy():
    """Every job of a cluster run reads the config again."""
    heavy = ["torch", "snakemake", "pandas", "pyarrow", "matplotlib", "sklearn", "timm"]
    code = f"import prunetransfer.config, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
