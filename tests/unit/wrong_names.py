"""Wrong masks, names and keys of a config, at one place each, with the line that answers them."""

from __future__ import annotations

from unit.configs import BLOCK, NAME, SCORES, VALID

DATASET = f"{NAME}, without -then-, which joins the datasets of a sequence"
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
]
