"""The config: defaults at every depth, views of datasets."""

from __future__ import annotations

import copy

import pytest
from unit.configs import VALID, changed, problems

from prunetransfer.config import ConfigError, validate_config
from prunetransfer.config.resolving import OF_PREPARATION


def test_fills_every_default_at_every_depth(repository, schema, root):
    filled = validate_config(VALID, repository / "workflow/schemas/config.schema.json", root)
    assert filled["threads"] == 1 and filled["gpu"] == "auto" and filled["tolerance"] == 0.05
    assert filled["head"] == {"kind": "ridge", "alpha": "auto"}
    assert (filled["readouts"], filled["neighbours"]) == (["zero_shot"], 20)
    assert filled["backbones"]["net"]["weights"] == {
        "source": "net.pt",
        "sha256": None,
        "entry": None,
        "prefix": "",
        "rename": [],
        "ignore": [],
        "missing": [],
        "seed": 0,
    }
    assert filled["backbones"]["net"]["options"] == {"layers": [1]} and filled["backbones"]["own"]["options"] == {}
    assert filled["datasets"]["glyphs"] == {"kind": "glyphs", "seed": 0, "train_per_class": 3, "test_per_class": 20}
    drawn = {"matrix": "empirical", "draws": None, "samples": 256, "sampling": "balanced"}
    relative = schema["$defs"]["scores"]["block"]["properties"]["relative"]
    assert filled["scores"] == {
        "magnitude": {"score": "magnitude"},
        "diagonal": {"score": "diagonal", "loss": "cross_entropy"} | drawn,
        "block-1": {
            **{"score": "block", "loss": "squared", **drawn, "block_size": 64},
            **{"relative": relative["default"], "damping": 1.0, "memory_budget": None},
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
    assert filled["broad+moments"] == {
        "masks": ["global"],
        "sparsities": [0.5],
        "backbones": ["net", "own"],
        "scores": scores,
    }


def test_no_recovery_is_called_as_tables_call_masks_made_in_steps(schema, root):
    named = changed("recoveries", {"none": {}, "steps": {"recovery": "moments"}})
    with pytest.raises(
        ConfigError, match=r"recoveries\.steps = 'steps': must be a name .*, and not steps, which tables call"
    ):
        validate_config(named, schema, root)


def test_no_recovery_is_the_default(schema, root):
    assert validate_config(changed("recoveries", ...), schema, root)["recoveries"] == {"none": {}}


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


def test_the_head_of_a_view_is_its_base_s_unless_it_has_its_own(schema, root):
    own = {"kind": "own", "classes": [4, 2, 0]}
    entries = {
        "whole": {"kind": "glyphs", "head": {"kind": "own"}},
        "three": {"view_of": "whole", "classes": ["A", "B", "C"]},
        "other": {"view_of": "three", "limit": 6, "head": own},
        "two": {"view_of": "other", "classes": ["C", "A"]},
    }
    datasets = validate_config(VALID | {"datasets": VALID["datasets"] | entries}, schema, root)["datasets"]
    first, second = {"kind": "own", "classes": None, "views": 0}, own | {"views": 2}
    assert [datasets[name]["head"] for name in entries] == [first, first, second, second]
    assert not any("head" in selection for selection in datasets["two"]["selections"])
    assert "head" not in datasets["glyphs"]


def test_a_mixture_holds_the_entries_of_its_parts(schema, root):
    entries = {
        "few": {"view_of": "mine", "limit": 5, "head": {"kind": "own"}},
        "mine": {"kind": "folder", "path": "mine", "skip_unreadable": True},
        "both": {"mixture_of": ["digits", "few"]},
        "all": {"mixture_of": ["both", "glyphs"], "head": {"kind": "own"}},
        "seen": {"view_of": "all", "per_class": 2},
    }
    datasets = validate_config(VALID | {"datasets": VALID["datasets"] | entries}, schema, root)["datasets"]
    few = {key: value for key, value in datasets["few"].items() if key not in ("head", *OF_PREPARATION)}
    both = {"kind": "mixture", "parts": {"digits": datasets["digits"], "few": few}}
    assert few["selections"] and datasets["both"] == both | {"skip_unreadable": True}
    parts = {"both": both, "glyphs": datasets["glyphs"]}
    head = {"kind": "own", "classes": None, "views": 0}
    assert datasets["all"] == {"kind": "mixture", "parts": parts, "skip_unreadable": True, "head": head}
    assert list(datasets["both"]["parts"]) == ["digits", "few"]
    assert datasets["seen"]["parts"] == parts and len(datasets["seen"]["selections"]) == 1


def test_a_sequence_has_the_name_that_tables_have(schema, root):
    config = VALID | {"sources": ["digits", "glyphs then digits"]}
    assert validate_config(config, schema, root)["sources"] == ["digits", "glyphs-then-digits"]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"mixture_of": ["digits", "a"]}, ".mixture_of[1] = 'a': a mixture of itself: a → a"),
        ({"mixture_of": ["digits", "b"]}, ".mixture_of[1] = 'b': a mixture of itself: a → b → a"),
        ({"mixture_of": ["digits", "zebras"]}, ".mixture_of[1] = 'zebras': no such dataset; defined are digits, "),
        ({"mixture_of": ["digits"]}, ".mixture_of = ['digits']: must be a list of at least two, each the name of a "),
        ({"mixture_of": ["digits", "digits"]}, ".mixture_of[1] = 'digits': is there twice"),
        ({"mixture_of": "digits"}, ".mixture_of = 'digits': must be a list of at least two, each the name of a "),
        ({"mixture_of": None}, ".mixture_of = null: must be a list of at least two, each the name of a dataset"),
        ({"mixture_of": ["digits", "mine"], "limit": 3}, ".limit = 3: no such key; allowed are mixture_of, head"),
        ({"kind": "mixture", "parts": {}}, ".kind = 'mixture': no such key; allowed are mixture_of, head"),
        ({"view_of": "a"}, ".view_of = 'a': a view of itself: a → a"),
        ({"view_of": "b"}, ".view_of = 'b': a view of itself: a → b → a"),
        ({"view_of": "digit"}, ".view_of = 'digit': no such dataset; defined are digits, glyphs, "),
        ({"view_of": "digits", "kind": "digits"}, ".kind = 'digits': no such key; allowed are view_of, "),
        ({"view_of": "digits", "limit": 0}, ".limit = 0: must be a whole number at least 1, or that of "),
        ({"view_of": "digits", "limit": {"val": 3}}, ".limit.val = 3: no such key; allowed are train, test"),
        ({"view_of": "digits", "classes": ["3"]}, ".classes = ['3']: must be a list of at least two, "),
        ({"view_of": "digits", "label_noise": 1.5}, ".label_noise = 1.5: must be a number from 0 to 1"),
        ({"view_of": "digits", "imbalance": 100}, ".imbalance = 100: must be how long the tail is, as {ratio: 100}"),
        ({"view_of": "digits", "part": {"number": 1}}, ".part.of: missing; must be a whole number at least 2"),
        ({"view_of": "digits", "corrupt": {"kind": "mist"}}, ".corrupt.kind = 'mist': must be one of gaussian_noise, "),
        ({"kind": "npz", "path": "no.npz"}, ".path = 'no.npz': there is no file '"),
        ({"kind": "torchvision", "name": "CIFAR"}, ".name = 'CIFAR': must be one of CIFAR10, "),
    ],
)
def test_a_wrong_entry_of_the_datasets_is_explained(entry, line, schema, root):
    others = VALID["datasets"] | {"b": {"view_of": "a"}}
    lines = problems(VALID | {"datasets": others | {"a": entry}}, schema, root)
    assert lines[0].startswith("datasets.a" + line)
    assert all(line.startswith("datasets.b.view_of = 'a': a view of itself") for line in lines[1:] if ".b" in line)


def test_what_a_sequence_has_not_is_refused_where_there_is_no_other_source(schema, root):
    stepped = {"score": "features", "steps": {"rounds": 2, "between": "moments"}}
    config = VALID | {
        "sources": ["digits then glyphs"],
        "scores": {"stepped": stepped, "magnitude": {}, "features": {}},
        "masks": {"global": {}, "nm": {"pattern": "2:4", "scores": ["features"]}, "free": {"pattern": "1:2"}},
        "recoveries": {"none": {}, "moments": {}},
    }
    assert problems(config, schema, root) == [
        "scores.stepped.steps: is not combined with a sequence, and `sources` has no dataset alone",
        "masks.nm.pattern = '2:4': has no masks that a sequence reaches step by step, and `sources` has no dataset "
        "alone; allowed are channels, unstructured",
    ]
    validate_config(config | {"sources": ["digits then glyphs", "textures"]}, schema, root)
