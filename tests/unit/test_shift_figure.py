"""The figure of retention under conditions."""

from __future__ import annotations

import pandas as pd
from unit.drawn import LONG, assert_readable, legend, panel, points

from prunetransfer.datasets.views import corrupt
from prunetransfer.figures import shift


def shifts(backbones: list[str], conditions: list[str]) -> pd.DataFrame:
    """Means over the unseen tasks, and over the source, which is not drawn; `features` keeps more than `magnitude`."""
    rows = [
        (backbone, score, condition, role, recovery, sparsity, kept - sparsity, kept - sparsity - 0.1 * place)
        for backbone in backbones
        for score, kept in (("magnitude", 0.9), ("features", 1.0))
        for place, condition in enumerate(conditions)
        for role, recovery in (("transfer", "none"), ("source", "none"), ("transfer", "finetune"))
        for sparsity in (0.1, 0.3)
    ]
    columns = ["backbone", "score", "condition", "role", "recovery", "sparsity", "retention", "shifted_retention"]
    frame = pd.DataFrame(rows, columns=columns).assign(study="mini", mask="global", readout="zero_shot")
    severity = [None if "resolution" in name else float(name.split()[-1]) for name in frame["condition"]]
    means = frame.assign(severity=severity, method=frame["recovery"], source=None, target=None, shifted_target=None)
    single = means.assign(source="digits", target="glyphs", shifted_target="foggy-glyphs", retention=0.0)
    return pd.concat([means, single], ignore_index=True)


def test_shift_draws_each_condition_beside_clean_images():
    figure = shift.draw(shifts(["resnet"], ["fog 1", "fog 5", "resolution 16"]))
    assert points(panel(figure, "resnet, features: fog")) == {
        "dense": ([0, 1], [1, 1]),
        "clean images": ([0.1, 0.3], [0.9, 0.7]),
        "fog 1": ([0.1, 0.3], [0.9, 0.7]),
        "fog 5": ([0.1, 0.3], [0.8, 0.6]),
    }
    assert points(panel(figure, "resnet, features: resolution")).keys() == {"dense", "clean images", "resolution 16"}
    assert legend(figure) == ["clean images", "severity 1", "severity 5", "resolution 16"]


def test_shift_is_readable_with_all_corruptions_at_all_severities():
    conditions = [f"{kind} {severity}" for kind in corrupt.Corruption.__args__ for severity in range(1, 6)]
    figure = shift.draw(shifts(["resnet", LONG], [*conditions, "resolution 16", "resolution 16, fog 3"]))
    assert_readable(figure)
    assert len([axes for axes in figure.axes if axes.axison]) == 2 * 21


def test_shift_draws_one_readout_and_one_entry_of_masks():
    found = shifts(["resnet"], ["fog 3"])
    others = [found.assign(retention=0.0, **column) for column in ({"mask": "erk"}, {"readout": "knn"})]
    figure = shift.draw(pd.concat([*others, found]))
    assert points(panel(figure, "resnet, features: fog")) == {
        "dense": ([0, 1], [1, 1]),
        "clean images": ([0.1, 0.3], [0.9, 0.7]),
        "fog 3": ([0.1, 0.3], [0.9, 0.7]),
    }
