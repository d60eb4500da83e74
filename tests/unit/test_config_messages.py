"""What a wrong config is answered with."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from unit.configs import NAME, VALID, changed, problems

from prunetransfer.config import validate_config

SCHEMA = json.loads((Path(__file__).parents[2] / "workflow/schemas/config.schema.json").read_text(encoding="utf-8"))
SCORES = ", ".join(SCHEMA["$defs"]["scores"])
BLOCK = ", ".join(SCHEMA["$defs"]["scores"]["block"]["properties"])
DATASET = f"{NAME}, without -then-, which joins the datasets of a sequence"
HEADS = "one of ridge, logistic (own is the head of a dataset, `datasets.NAME.head`)"
WRONG = [
    ("masks", {"nm": {"pattern": "4:2"}}, "masks.nm.pattern = '4:2': n must be below m, as in 2:4"),
    (
        "masks",
        {"nm": {"pattern": "2:4", "sparsities": [0.5]}},
        "masks.nm.sparsities = [0.5]: must be left out, as a 2:4 mask has 0.5",
    ),
    (
        "masks",
        {"nm": {"pattern": "2:4", "allocation": "erk"}},
        "masks.nm.allocation = 'erk': no such key; allowed are pattern, sparsities, backbones, scores",
    ),
    # names and keys
    ("study", ..., f"study: missing; must be {NAME}"),
    ("study", "a/b", f"study = 'a/b': must be {NAME}"),
    ("study", "..", f"study = '..': must be {NAME}"),
    ("study", "tiny\n", f"study = 'tiny\\n': must be {NAME}"),
    ("study", "x" * 65, f"study = '{'x' * 56}...: must be {NAME}"),
    ("study", 2024, f"study = 2024: must be {NAME} (put it in quotes)"),
    ("study", True, f"study = true: must be {NAME} (put it in quotes)"),
    ("data_root", "", "data_root = '': must be text that is not empty"),
    ("datasets/a@b", {"kind": "digits"}, f"datasets.a@b = 'a@b': must be {DATASET}"),
    ("datasets/", {"kind": "digits"}, f"datasets.'' = '': must be {DATASET}"),
    ("datasets/a-then-b", {"kind": "digits"}, f"datasets.a-then-b = 'a-then-b': must be {DATASET}"),
    ("datasets/7", {"kind": "digits", "seed": -1}, "datasets.7.seed = -1: must be at least 0 and at most 4294967295"),
    (
        "datasets/digits/sed",
        1,
        "datasets.digits.sed = 1: no such key; allowed are kind, head, seed. Did you mean 'seed'?",
    ),
    (
        "scores/diagonal/sample",
        64,
        "scores.diagonal.sample = 64: no such key; allowed are score, steps, loss, matrix, draws, samples, sampling. "
        "Did you mean 'samples'?",
    ),
    (
        "scores/diagonal/damping",
        0.1,
        "scores.diagonal.damping = 0.1: no such key; allowed are score, steps, loss, matrix, draws, samples, sampling. "
        "Did you mean 'sampling'?",
    ),
    (
        "scores/block-1/matrix",
        "hessian",
        "scores.block-1.matrix = 'hessian': must be one of empirical, fisher, ggn",
    ),
    ("scores/block-1/curvature", "ggn", f"scores.block-1.curvature = 'ggn': no such key; allowed are {BLOCK}"),
    (
        "scores/diagonal",
        {"matrix": "ggn", "draws": 0},
        "scores.diagonal.draws = 0: must be a whole number at least 1, or null",
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
        "sources/0",
        "digits then glyph",
        "sources[0] = 'digits then glyph': no such dataset 'glyph'; defined are digits, glyphs, textures, mine. "
        "Did you mean 'glyphs'?",
    ),
    (
        "sources/0",
        "digits-then-glyphs",
        "sources[0] = 'digits-then-glyphs': no such dataset; a sequence is written 'digits then glyphs'",
    ),
    (
        "sources/0",
        "digits then " * 12 + "digits",
        "sources[0] = 'digits then digits then digits then digits then digits t...: longer than the 128 characters "
        "that fit into a file name",
    ),
    (
        "datasets/mine/kind",
        "foldr",
        "datasets.mine.kind = 'foldr': no such kind; defined are digits, folder, glyphs, huggingface, npz, parquet, "
        "procedural, textures, torchvision. "
        "Did you mean 'folder'?",
    ),
    (
        "datasets/mine/kind",
        ...,
        "datasets.mine.kind: missing; must be the name of a kind; or view_of, the name of a dataset, or mixture_of, a "
        "list of names",
    ),
    (
        "scores/diagnal",
        {},
        f"scores.diagnal.score = 'diagnal': no such score; defined are {SCORES}. Did you mean 'diagonal'?",
    ),
    (
        "scores/block-1/score",
        "Blok",
        f"scores.block-1.score = 'Blok': no such score; defined are {SCORES}. Did you mean 'block'?",
    ),
    (
        "recoveries/finetunes",
        {},
        "recoveries.finetunes.recovery = 'finetunes': no such recovery; defined are batchnorm, compensate, finetune, "
        "moments, reconstruct. Did you mean 'finetune'?",
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
    ("head/kind", "logistc", f"head.kind = 'logistc': must be {HEADS}. Did you mean 'logistic'?"),
    ("head/kind", "own", f"head.kind = 'own': must be {HEADS}"),
    ("datasets/digits/head", "own", "datasets.digits.head = 'own': must be a mapping with the keys kind, classes"),
    ("datasets/digits/head", {"kind": "ridge"}, "datasets.digits.head.kind = 'ridge': must be own"),
    ("datasets/digits/head", {"classes": [1, 0]}, "datasets.digits.head.kind: missing; must be own"),
    (
        "datasets/digits/head",
        {"kind": "own", "classes": [7, 3, 7]},
        "datasets.digits.head.classes[2] = 7: is there twice",
    ),
    (
        "datasets/digits/head",
        {"kind": "own", "classes": [-1, 3]},
        "datasets.digits.head.classes[0] = -1: must be at least 0",
    ),
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
    ("scores/block-1/damping", 0, "scores.block-1.damping = 0: must be a number above 0, or null"),
    ("scores/block-1/damping", "auto", "scores.block-1.damping = 'auto': must be a number above 0, or null"),
    ("scores/block-1/relative", 2.0, "scores.block-1.relative = 2.0: must be left out, as `damping` says λ"),
    ("scores/block", {"relative": 0}, "scores.block.relative = 0: must be above 0"),
    ("scores/block", {"relative": None}, "scores.block.relative = null: must be a number above 0"),
    (
        "scores/block-1/damping_relative",
        True,
        f"scores.block-1.damping_relative = true: no such key; allowed are {BLOCK}. Did you mean 'relative'?",
    ),
    ("scores/features", {"whiten": 1}, "scores.features.whiten = 1: must be one of true, false"),
    (
        "sparsities",
        0.3,
        "sparsities = 0.3: must be a list of at least one, each a number at least 0 and below 1, none twice",
    ),
    ("scores/block-1/memory_budget", 0, "scores.block-1.memory_budget = 0: must be a number above 0, or null"),
    # numbers that YAML 1.1 reads as text
    (
        "scores/block-1/damping",
        "1e-4",
        "scores.block-1.damping = '1e-4': must be a number above 0, or null ('1e-4' is text in YAML; write 1.0e-4)",
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
    (
        "datasets/digits",
        None,
        "datasets.digits = null: must be a mapping with the dataset's kind, or with view_of or mixture_of",
    ),
    (
        "backbones/net",
        None,
        "backbones.net = null: must be a mapping with the keys architecture, options, pretraining, weights, size, "
        "mean, std, interpolation, crop, crop_mode, exclude",
    ),
    # scores that read no data
    ("scores/magnitude/samples", 8, "scores.magnitude.samples = 8: magnitude reads no data; allowed are score, steps"),
    (
        "scores/other",
        {"score": "magnitude", "loss": "squared"},
        "scores.other.loss = 'squared': magnitude reads no data; allowed are score, steps",
    ),
    # images beside the source, and steps
    (
        "scores/diagonal",
        {"beside": ["glyphs"]},
        "scores.diagonal.beside = ['glyphs']: no such key; allowed are score, steps, loss, matrix, draws, samples, "
        "sampling",
    ),
    (
        "scores/features",
        {"beside": ["gliphs"]},
        "scores.features.beside[0] = 'gliphs': no such dataset; defined are digits, glyphs, textures, mine. Did you "
        "mean 'glyphs'?",
    ),
    (
        "recoveries/moments",
        {"beside": ["glyphs", "textures"]},
        "recoveries.moments.beside[1] = 'textures': it shows images of the target textures; allowed are datasets that "
        "share none with a target",
    ),
    (
        "scores/block",
        {"steps": {"rounds": 2, "between": "finetune"}},
        "scores.block.steps = {'rounds': 2, 'between': 'finetune'}: no such key; allowed are score, relative, "
        "damping, block_size, memory_budget, loss, matrix, draws, samples, sampling",
    ),
    (
        "scores/magnitude",
        {"steps": {"rounds": 2, "between": "finetune"}},
        "scores.magnitude.steps.between = 'finetune': no such recovery without labels; none is defined",
    ),
    # what YAML can hold and JSON cannot
    ("datasets/digits/2", 0, "datasets.digits.2 = 0: no such key; allowed are kind, head, seed"),
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


def test_only_a_reconstruct_between_the_steps_can_refine(schema, root):
    config = changed("recoveries/moments", {})
    config["scores"]["magnitude"] = {"steps": {"rounds": 2, "between": "moments", "refine": True}}
    line = "scores.magnitude.steps.refine = true: needs a reconstruct between the steps, and moments is a moments"
    assert problems(config, schema, root) == [line]


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
