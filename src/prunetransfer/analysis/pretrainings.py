"""Which pre-training prunes best? Backbones of one architecture, paired on the same test images, without recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import pandas as pd

from prunetransfer.analysis.comparisons import verdicts_of
from prunetransfer.analysis.outcomes import by_readout, cells
from prunetransfer.analysis.paired import holm, mean_ratio, retention_difference
from prunetransfer.analysis.roles import judged
from prunetransfer.storage.schemas.pretrainings import PRETRAINING_COMPARISONS, PRETRAININGS

CELL = ["source", "target", "seed", "sparsity"]
OF_GROUP = ["study", "group", "score", "readout", "role", "mask"]


def grouped(outcomes: pd.DataFrame, labels: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """The outcomes without recovery of every group of at least two pre-trainings, with columns group and pretraining.

    labels: backbone → its `group` and `pretraining`. Only the cells (source, target, seed, sparsity of one score and
    readout) that every backbone of the group has are kept, so that all means run over the same images.
    """
    named = pd.DataFrame.from_dict(labels, orient="index", columns=["group", "pretraining"]).rename_axis("backbone")
    several = named.groupby("group")["pretraining"].transform("nunique") > 1
    bare = [frame[frame["recovery"] == "none"] for frame in by_readout(judged(outcomes))]
    if not several.any() or not bare:
        return pd.DataFrame(columns=[*outcomes.columns, "source", "group", "pretraining"])
    frame = pd.concat(bare).merge(named[several].reset_index(), on="backbone")
    members = frame["group"].map(frame.groupby("group")["backbone"].nunique())
    return frame[frame.groupby([*OF_GROUP, *CELL], dropna=False)["backbone"].transform("nunique") == members]


def pretraining_retentions(grouped: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Mean retention of every backbone of a group (schema PRETRAININGS). grouped: of `grouped`."""
    rows = []
    for about, group in _conditions(grouped):
        for (backbone, pretraining), own in group.groupby(["backbone", "pretraining"]):
            found = mean_ratio(cells(own), confidence)
            named = {"backbone": backbone, "pretraining": pretraining, "cases": len(own), "confidence": confidence}
            values = {"retention": found.value, "low": found.low, "high": found.high}
            rows.append(about | named | values | {"dense_top1": own["dense"].map(lambda right: right.mean()).mean()})
    return pd.DataFrame(rows, columns=PRETRAININGS.names)


def compare_pretrainings(grouped: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Every two backbones of a group, of different pre-training (schema PRETRAINING_COMPARISONS).

    grouped: of `grouped`. The difference of their mean retentions, image by image. Holm's correction runs over all
    comparisons of a group, mask and readout at single sparsities, and over those of the means over all sparsities.
    """
    rows = []
    for about, group in _conditions(grouped):
        members = {name: own.sort_values(CELL) for name, own in group.groupby(["backbone", "pretraining"])}
        for (first, pretraining), (second, other_pretraining) in combinations(members, 2):
            if pretraining == other_pretraining:
                continue
            both = members[first, pretraining], members[second, other_pretraining]
            found = retention_difference(zip(*map(cells, both), strict=True), confidence)
            named = {"backbone": first, "pretraining": pretraining}
            named |= {"other_backbone": second, "other_pretraining": other_pretraining}
            values = {"difference": found.value, "low": found.low, "high": found.high, "p_value": found.p_value}
            rows.append(about | named | values | {"cases": len(both[0]), "confidence": confidence})
    names = PRETRAINING_COMPARISONS.names
    found = pd.DataFrame(rows, columns=[name for name in names if name not in ("p_holm", "verdict")])
    family = [*(found[name] for name in ("group", "mask", "readout")), found["sparsity"].isna()]
    found["p_holm"] = found.groupby(family)["p_value"].transform(holm).astype(float)
    return found.assign(verdict=verdicts_of(found["difference"], found["p_holm"], confidence))[names]


def _conditions(grouped: pd.DataFrame) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """Each condition and its rows: every sparsity, and all of them together under the sparsity None."""
    for names, group in grouped.groupby(OF_GROUP):
        about = dict(zip(OF_GROUP, names, strict=True))
        for sparsity, rows in group.groupby("sparsity"):
            yield about | {"sparsity": sparsity}, rows
        yield about | {"sparsity": None}, group
