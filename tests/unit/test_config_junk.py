"""Whatever stands in a config, it is accepted or answered with a ConfigError."""

from __future__ import annotations

import copy
import math
import random

import pytest
import yaml
from unit.configs import VALID

from prunetransfer.config import ConfigError, validate_config

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
