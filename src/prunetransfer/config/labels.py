"""Datasets without labels in a study: they may be sources, and only of what reads no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunetransfer.config.words import path
from prunetransfer.runtime.messages import show, words

Definitions = Mapping[str, Mapping[str, Any]]  # section → name → its node of the schema, with what it needs


def labelled(datasets: Mapping[str, Mapping[str, Any]], needs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The datasets whose labels are a task. needs: kind → what it needs; a view is as its base."""

    def kind(name: str) -> str:
        entry = datasets[name]
        return kind(entry["view_of"]) if "view_of" in entry else entry["kind"]

    return [name for name in datasets if needs[kind(name)]["labelled"]]


def reads_labels(needs: Mapping[str, Any]) -> bool:
    """Does a score or a recovery that needs this read its source's labels?"""
    return needs["labels"] if "labels" in needs else needs["sees"] == "labels"


def without_labels(config: Mapping[str, Any], definitions: Definitions) -> list[str]:
    """A line for each place of a config that wants labels of a dataset which has none.

    config: one that follows the schema, with its defaults; definitions: the schema's `$defs`.
    """
    needs = {
        section: {k: v["needs"] for k, v in known.items() if "needs" in v} for section, known in definitions.items()
    }
    with_labels = labelled(config["datasets"], needs["datasets"])
    return [f"{path(at)} = {show(value)}: {wrong}" for at, value, wrong in _wrong(config, needs, with_labels)]


def _wrong(config: Mapping[str, Any], needs: Definitions, with_labels: list[str]) -> Iterator[tuple[list, Any, str]]:
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
    if set(config["sources"]) & set(with_labels):
        return
    for section, key in {"scores": "score", "recoveries": "recovery"}.items():
        free = [name for name, of in needs[section].items() if not reads_labels(of)]
        for name, entry in config[section].items():
            if key in entry and entry[key] not in free:
                wrong = f"reads labels, which no source has ({words(config['sources'])}); allowed are {words(free)}"
                yield [section, name, key], entry[key], wrong
