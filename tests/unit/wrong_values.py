"""Wrong values of a config, at one place each, with the line that answers them."""

from __future__ import annotations

import math

import yaml
from unit.configs import BLOCK

HEADS = "one of ridge, logistic (own is the head of a dataset, `datasets.NAME.head`)"
WRONG = [
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
