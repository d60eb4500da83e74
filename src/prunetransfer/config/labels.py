"""Datasets without labels in a study: they may be sources, and only of what reads no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunetransfer.config.resolving import resolved
from prunetransfer.config.words import path
from prunetransfer.datasets.mixtures import without_parts
from prunetransfer.runtime.messages import show, words
from prunetransfer.stages.sequences import datasets_of

Needs = Mapping[str, Mapping[str, Any]]  # section → name → what it needs


def labelled(datasets: Mapping[str, Mapping[str, Any]], needs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The datasets whose labels are a task; a mixture's are, if those of all its parts are.

    datasets: of a validated config, views and mixtures resolved; needs: kind → what it needs.
    """
    return [
        name for name, entry in datasets.items() if all(needs[of["kind"]]["labelled"] for of in without_parts(entry))
    ]


def reads_labels(needs: Mapping[str, Any]) -> bool:
    """Does a score or a recovery that needs this read its source's labels?"""
    return needs["labels"] if "labels" in needs else needs["sees"] == "labels"


def without_labels(config: Mapping[str, Any], needs: Needs) -> list[str]:
    """A line for each place of a config that wants labels of a dataset which has none.

    config: one that follows the schema, with its defaults; needs: section → name → what it needs.
    """
    with_labels = labelled(resolved(config["datasets"]), needs["datasets"])
    return [f"{path(at)} = {show(value)}: {wrong}" for at, value, wrong in _wrong(config, needs, with_labels)]


def _wrong(config: Mapping[str, Any], needs: Needs, with_labels: list[str]) -> Iterator[tuple[list, Any, str]]:
    """Place, value, what is wrong with it."""
    others = words(with_labels) or "none"
    has_none = f"has no labels, so it may only be a source or stand beside one; datasets with labels are {others}"
    for index, target in enumerate(config["targets"]):
        if target not in with_labels:
            yield ["targets", index], target, has_none
    for name, recipe in config["pretrain"].items():
        if recipe["dataset"] not in with_labels and needs["pretrain"][recipe["objective"]]["labels"]:
            free = [objective for objective, of in needs["pretrain"].items() if not of["labels"]]
            wrong = f"has no labels, which {recipe['objective']} trains on; objectives that need none are {words(free)}"
            yield ["pretrain", name, "dataset"], recipe["dataset"], wrong
    for name, entry in config["datasets"].items():
        if "head" in entry and name not in with_labels:
            yield ["datasets", name, "head", "kind"], entry["head"]["kind"], "must be left out, as it has no labels"
    # A score reads the labels of all datasets of a sequence, a recovery those of the last.
    read = {"scores": ("score", slice(None)), "recoveries": ("recovery", slice(-1, None))}
    for section, (key, seen) in read.items():
        if any(set(datasets_of(source)[seen]) <= set(with_labels) for source in config["sources"]):
            continue
        free = [name for name, of in needs[section].items() if not reads_labels(of)]
        for name, entry in config[section].items():
            if key in entry and entry[key] not in free:
                wrong = f"reads labels, which no source has ({words(config['sources'])}); allowed are {words(free)}"
                yield [section, name, key], entry[key], wrong
