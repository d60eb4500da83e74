"""What the entries of a checked config have in common: pre-trainings of one architecture, recoveries of one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def pretraining_groups(backbones: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Each backbone's `group` and `pretraining`: a group is all that share an architecture and its options.

    The group is named by its architecture; a second one of the same architecture, with other options, by `NAME (2)`.
    """
    variants: dict[str, list[Any]] = {}
    labels = {}
    for name, backbone in backbones.items():
        known = variants.setdefault(backbone["architecture"], [])
        if backbone["options"] not in known:
            known.append(backbone["options"])
        place = known.index(backbone["options"]) + 1
        group = backbone["architecture"] + (f" ({place})" if place > 1 else "")
        labels[name] = {"group": group, "pretraining": backbone["pretraining"]}
    return labels


def several_pretrainings(labels: Mapping[str, Mapping[str, str]]) -> bool:
    """Does any group of `pretraining_groups` have more than one pre-training?"""
    pairs = {(label["group"], label["pretraining"]) for label in labels.values()}
    return len(pairs) > len({group for group, _ in pairs})


def recovery_methods(recoveries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What each entry of `recoveries` does: its recovery's function; for a chain those of its links, joined by `+`."""
    return {name: "+".join(recoveries[link].get("recovery", link) for link in name.split("+")) for name in recoveries}
