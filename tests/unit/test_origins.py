"""Whether two entries of the config's `datasets` show the same images, as the workflow asks of a validated config."""

from __future__ import annotations

import pytest
from unit.configs import VALID

from prunetransfer.config import validate_config
from prunetransfer.datasets.origins import own_sources, same_images

DATASETS = {
    "photos": {"kind": "folder", "path": "photos"},
    "again": {"kind": "folder", "path": "./photos/", "seed": 7},
    "others": {"kind": "folder", "path": "others"},
    "few": {"view_of": "photos", "limit": 20},
    "fewer": {"view_of": "few", "per_class": 2, "seed": 3},
    "pets": {"view_of": "photos", "classes": ["cat", "dog"]},
    "dogs": {"view_of": "pets", "classes": ["dog", "cat"], "limit": 4},
    "cars": {"view_of": "photos", "classes": ["car", "bus"]},
    "cars-again": {"view_of": "again", "classes": ["bus", "lorry"]},
    "numbered": {"view_of": "photos", "classes": [0, 1]},
    "last": {"view_of": "numbered", "classes": [1, 0]},
    "beyond": {"view_of": "photos", "classes": [2, 3]},
    "digits": {"kind": "digits"},
    "pets-and-digits": {"mixture_of": ["pets", "digits"]},
    "more": {"mixture_of": ["pets-and-digits", "glyphs"]},
    "threes": {"view_of": "pets-and-digits", "classes": ["digits: 3", "digits: 4"]},
    "numbers": {"view_of": "pets-and-digits", "classes": [0, 1]},
    "cat-and-one": {"view_of": "more", "classes": ["pets-and-digits: pets: cat", "pets-and-digits: digits: 1"]},
    "digits-again": {"kind": "digits", "seed": 1},
    "letters": {"kind": "glyphs", "train_per_class": 5, "seed": 2},
    "glyphs": {"kind": "glyphs"},
    "mnist": {"kind": "torchvision", "name": "MNIST"},
    "letters-of-emnist": {"kind": "torchvision", "name": "EMNIST", "variant": "letters"},
    "digits-of-emnist": {"kind": "torchvision", "name": "EMNIST", "variant": "digits"},
    "file": {"kind": "parquet", "train": "a.parquet"},
    "files": {"kind": "parquet", "train": ["./a.parquet"], "test": "b.parquet", "label": "coarse"},
}


@pytest.fixture
def datasets(schema, root):
    config = VALID | {"datasets": DATASETS, "targets": ["digits"], "data_root": "not there yet"}
    return validate_config(config, schema, root)["datasets"]


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("photos", "photos", True),
        ("photos", "again", True),  # one folder under two names
        ("photos", "others", False),
        ("photos", "few", True),  # a view of it
        ("photos", "fewer", True),  # a view of a view
        ("again", "fewer", True),  # a view of a view of another entry of the folder
        ("few", "pets", True),
        ("pets", "dogs", True),
        ("pets", "cars", False),  # no class in common
        ("dogs", "cars", False),
        ("cars", "cars-again", True),
        ("numbered", "last", True),
        ("last", "beyond", False),  # the numbers of a view of a view are those of the view
        ("numbered", "pets", True),  # a number may be any name
        ("digits", "digits-again", True),  # the seed of a split
        ("letters", "glyphs", True),
        ("digits", "glyphs", False),
        ("mnist", "letters-of-emnist", False),
        ("letters-of-emnist", "digits-of-emnist", True),  # cut from the same scans
        ("file", "files", True),
        ("pets-and-digits", "digits-again", True),  # a mixture shows what its parts show
        ("pets-and-digits", "photos", True),
        ("pets-and-digits", "cars", False),
        ("pets-and-digits", "more", True),
        ("more", "letters", True),
        ("more", "mnist", False),
        ("threes", "digits", True),
        ("threes", "photos", False),  # all its classes are of another part
        ("numbers", "photos", True),  # a number may be a class of any part
        ("numbers", "digits", True),
        ("cat-and-one", "dogs", True),
        ("cat-and-one", "threes", False),
        ("cat-and-one", "glyphs", False),
    ],
)
def test_entries_show_the_same_images_whatever_they_are_called(datasets, name, other, same):
    assert same_images(datasets[name], datasets[other]) == same_images(datasets[other], datasets[name]) == same


def test_each_task_has_the_sources_that_it_shares_images_with(datasets):
    found = own_sources(datasets, ["few", "pets", "digits"], ["photos", "cars", "digits-again", "mnist"])
    assert found == {"photos": ["few", "pets"], "cars": ["few"], "digits-again": ["digits"], "mnist": []}


def test_of_a_sequence_each_dataset_is_listed_and_of_a_mixture_itself(datasets):
    sources = ["digits-then-pets", "pets-and-digits", "digits"]
    found = own_sources(datasets, sources, ["digits-again", "photos", "glyphs"])
    both = "pets-and-digits"
    assert found == {"digits-again": ["digits", both], "photos": ["pets", both], "glyphs": []}


def test_of_a_kind_that_is_not_listed_every_setting_decides_but_what_draws_and_labels():
    entry = {"kind": "scans", "clinic": "north", "seed": 0}
    assert same_images(entry, entry | {"seed": 1, "allow_overlap": True, "head": {"kind": "own"}})
    assert not same_images(entry, entry | {"clinic": "south"})
