"""The landscape's torch-free parts: agreement of two curvatures, rows beside the scores' predictions, figures."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import subspace_angles
from scipy.stats import spearmanr

from prunetransfer.analysis.landscape import Curvature, agreement, alignments, with_scores
from prunetransfer.figures import loss_paths, predictions, task_alignment


def arrays(seed: int, size: int = 40, count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((size, count)))[0].T
    return {"diagonal": rng.integers(0, 9, size) / 7.0, "eigenvectors": vectors}  # with ties


def test_agreement_is_what_scipy_finds():
    first, second = arrays(0), arrays(1)
    found = agreement(Curvature.of(first), Curvature.of(second))
    angles = subspace_angles(first["eigenvectors"].T, second["eigenvectors"].T)
    a, b = first["diagonal"], second["diagonal"]
    assert found == {
        "diagonal_cosine": pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b))),
        "diagonal_correlation": pytest.approx(spearmanr(a, b).statistic),
        "subspace_overlap": pytest.approx((np.cos(angles) ** 2).mean()),
        "chance_overlap": 3 / 40,
    }
    same = agreement(Curvature.of(first), Curvature.of(first))
    assert [same[name] for name in same if name != "chance_overlap"] == pytest.approx([1, 1, 1])


def test_tasks_are_compared_at_one_seed_and_seeds_in_one_task():
    jobs = [(task, seed, f"{task}{seed}") for task, seed in product(("b", "a"), (0, 1))]
    rows = list(alignments(jobs, lambda path: Curvature.of(arrays(sum(path.encode())))))
    found = {(row["between"], row["task"], row["seed"], row["other_task"], row["other_seed"]) for row in rows}
    assert found == {
        ("draws", "a", 0, "a", 1),
        ("tasks", "a", 0, "b", 0),
        ("tasks", "a", 1, "b", 1),
        ("draws", "b", 0, "b", 1),
    }


def test_a_task_that_is_no_target_has_a_prediction_alone():
    key = {"backbone": "net", "score": "magnitude", "prune_source": None, "mask": "global"}
    key |= {"sparsity": 0.3, "seed": 0}
    rows = pd.DataFrame([key | {"task": task} for task in ("red", "green")])
    losses = pd.DataFrame([key | {"target": "red", "readout": "zero_shot", "predicted": 2.0, "measured": 3.0}])
    found = with_scores(rows, losses).set_index("task")
    assert found["predicted"].to_dict() == {"red": 2.0, "green": 2.0}
    assert found.loc["red", "measured_test"] == 3.0 and np.isnan(found.loc["green", "measured_test"])


def masks() -> pd.DataFrame:
    rows = list(product(("resnet", "vit"), ("magnitude", "block"), ("digits", "glyphs"), (0.3, 0.5)))
    frame = pd.DataFrame(rows, columns=["backbone", "score", "task", "sparsity"]).assign(
        study="mini", mask="global", seed=0
    )
    frame["prune_source"] = frame["score"].map({"magnitude": None, "block": "digits"})
    return frame.assign(role=np.where(frame["task"] == frame["prune_source"], "source", "transfer"))


def test_predictions_are_drawn_where_they_are_and_what_is_not_positive_is_counted():
    frame = masks().assign(second_order=0.3, ggn_term=0.4, predicted=0.5, measured=0.25)
    frame.loc[frame.index[0], "measured"] = -1.0
    panels = predictions.draw(frame).axes
    assert [line.get_xdata()[0] for line in panels[0].lines[:1]] == pytest.approx([0.3])
    assert panels[1].lines[0].get_xdata()[0] == 0.4 and panels[2].lines[0].get_xdata()[0] == 0.5
    assert [[text.get_text() for text in axes.texts] for axes in panels] == [["1 not above 0"]] * 3 + [[]] * 3


def test_paths_are_relative_to_the_dense_loss_and_compare_roles_on_the_same_tasks():
    frame = masks().merge(pd.DataFrame({"t": [0.0, 1.0], "loss": [2.0, 3.0]}), how="cross")
    frame.loc[(frame["task"] == "glyphs") & (frame["t"] == 1), "loss"] = 99.0  # no source: not drawn
    for axes in loss_paths.draw(frame).axes:
        drawn = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"]
        assert [line.get_ydata().tolist() for line in drawn] == [[1.0, 1.5]] * 2


def test_alignment_has_subspaces_above_and_diagonals_below():
    row = {"study": "mini", "backbone": "vit", "between": "tasks", "seed": 0, "other_seed": 0}
    frame = pd.DataFrame([row | {"task": "a", "other_task": "b", "subspace_overlap": 0.1, "diagonal_correlation": 0.7}])
    (axes,) = task_alignment.draw(frame).axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(1.5, 0.5): "0.10", (0.5, 1.5): "0.70"}
