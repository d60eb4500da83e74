"""From the answers of evaluation jobs to tables and page, on outcomes that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from unit.findings import empty, findings, no_findings

from prunetransfer.analysis.comparisons import compare_scores, mean_retentions, recovery_changes, retention_intervals
from prunetransfer.analysis.dense import beside_chance, dense_table
from prunetransfer.analysis.influence import kept_overlap, mask_overlaps
from prunetransfer.analysis.outcomes import read_outcomes
from prunetransfer.analysis.predicted import KEY, predicted_increase, predicted_losses, predicted_safe
from prunetransfer.analysis.safe import halves, safe_table
from prunetransfer.analysis.shared import with_seeds
from prunetransfer.analysis.verdicts import judge
from prunetransfer.report.findings import Findings
from prunetransfer.report.pages import markdown
from prunetransfer.report.summary import summarise
from prunetransfer.report.verdicts import page
from prunetransfer.storage.artifacts import ArtifactError
from prunetransfer.storage.schemas.accuracy import PREDICTIONS
from prunetransfer.storage.schemas.registry import TABLES
from prunetransfer.storage.tables import read_table, table_metadata, write_table

IMAGES = 200
LABELS = np.arange(IMAGES) % 4
OF_STUDY = {
    **{"study": "mini", "seeds": [0], "methods": {"none": "none", "finetune": "finetune"}},
    "own_sources": {"digits": ["digits"], "glyphs": []},
}
MISTAKES = {  # (criterion, recovery, target): the first so many images are wrong at sparsities 0.3 and 0.6
    ("magnitude", "none", "digits"): (0, 40),
    ("magnitude", "none", "glyphs"): (2, 60),
    ("block@digits", "none", "digits"): (0, 4),
    ("block@digits", "none", "glyphs"): (0, 30),
    ("block@digits", "finetune@digits", "digits"): (0, 0),
    ("block@digits", "finetune@digits", "glyphs"): (0, 10),
}


@pytest.fixture
def files(tmp_path):
    """Prediction files of a study: the dense backbone is right on all images."""
    paths = []
    for (criterion, recovery, target), mistakes in MISTAKES.items():
        dense = {"mask": None, "sparsity": None, "predicted": LABELS.tolist()}
        rows = [dense | {"readout": name} for name in ("label", "zero_shot")]
        for sparsity, wrong in zip((0.3, 0.6), mistakes, strict=True):
            predicted = np.where(np.arange(IMAGES) < wrong, (LABELS + 1) % 4, LABELS).tolist()
            mask = {"mask": "global", "sparsity": sparsity}
            rows.append(mask | {"readout": "zero_shot", "predicted": predicted})
        job = {"backbone": "net", "criterion": criterion, "recovery": recovery, "seed": "0"}
        paths.append(tmp_path / f"{len(paths)}.parquet")
        write_table(paths[-1], pd.DataFrame(rows).assign(target=target), PREDICTIONS, {"wildcards": job})
    return paths


@pytest.fixture
def outcomes(files):
    return read_outcomes(files, dense_table(files, "mini", 0.95).drop_duplicates("target"), **OF_STUDY)


def one(frame: pd.DataFrame, **names) -> pd.Series:
    for column, value in names.items():
        frame = frame[frame[column].isna()] if value is None else frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_outcomes_say_which_images_are_right(outcomes):
    assert len(outcomes) == 12
    row = one(outcomes, score="block", recovery="none", target="glyphs", sparsity=0.6)
    assert (row["prune_source"], row["role"], row["seed"], row["readout"]) == ("digits", "transfer", 0, "zero_shot")
    assert row["dense"].all() and row["correct"].tolist() == [False] * 30 + [True] * 170
    assert set(outcomes.loc[outcomes["target"] == "digits", "role"]) == {"source", "transfer"}  # magnitude saw nothing


def test_outcomes_on_the_same_images_are_of_the_source_whatever_the_target_is_called(files):
    dense = dense_table(files, "mini", 0.95).drop_duplicates("target")
    outcomes = read_outcomes(files, dense, **OF_STUDY | {"own_sources": {"digits": [], "glyphs": ["digits"]}})
    seen = outcomes[outcomes["score"] == "block"].groupby("target")["role"].unique()
    assert {target: roles.tolist() for target, roles in seen.items()} == {"digits": ["transfer"], "glyphs": ["source"]}
    # A data-free mask counts for digits, the one source of the table, as a mask that saw it does.
    means = mean_retentions(outcomes, 0.95).query("recovery == 'none' and sparsity == 0.6").set_index(["score", "role"])
    assert means.loc[("magnitude", "source"), "retention"] == pytest.approx(1 - 60 / IMAGES)  # glyphs
    assert means.loc[("magnitude", "transfer"), "retention"] == pytest.approx(1 - 40 / IMAGES)


def test_jobs_that_saw_other_images_are_refused(files):
    settings = table_metadata(files[2])
    changed = read_table(files[2], PREDICTIONS)
    changed["predicted"] = [answers[::-1] for answers in changed["predicted"]]
    write_table(files[2], changed, PREDICTIONS, settings)
    with pytest.raises(ArtifactError, match=r"2\.parquet: its images of .* are not those of .*0\.parquet"):
        read_outcomes(files, dense_table(files[:2], "mini", 0.95), **OF_STUDY)


def test_a_recovery_changes_what_mcnemar_counts(outcomes):
    found = recovery_changes(outcomes, 0.95)
    row = one(found, target="glyphs", sparsity=0.6)
    assert (row["gained"], row["lost"], row["n"], row["change"], row["verdict"]) == (20, 0, 200, 0.1, "higher")
    assert row["p_value"] == pytest.approx(2 * 0.5**20)
    assert row["p_holm"] == pytest.approx(4 * row["p_value"])  # two targets, two sparsities
    assert one(found, target="digits", sparsity=0.6)["verdict"] == "equal"  # 4 gained: p = 1/8
    joined = one(found, target=None, sparsity=0.6)
    assert (joined["n"], joined["gained"]) == (200, 20)  # glyphs is the one transfer target
    assert joined["p_holm"] == pytest.approx(2 * joined["p_value"])


def test_masks_made_in_steps_are_no_bare_masks(files):
    dense = dense_table(files, "mini", 0.95).drop_duplicates("target")
    outcomes = read_outcomes(files, dense, **OF_STUDY, in_steps=["block"])
    row = one(outcomes, score="block", recovery="steps", target="glyphs", sparsity=0.6)
    assert (row["method"], row["tuned_on"], row["role"]) == ("steps", "digits", "transfer")
    assert set(outcomes[outcomes["recovery"] == "none"]["score"]) == {"magnitude"}
    assert one(recovery_changes(outcomes, 0.95), target="glyphs", sparsity=0.6)["gained"] == 20  # by fine-tuning
    verdicts = judge(outcomes, tolerance=0.05, confidence=0.95).set_index(["prediction", "score", "role"])["recovery"]
    assert (verdicts["P1", "magnitude", "transfer"], verdicts["P1", "block", "transfer"]) == ("none", "steps")
    assert "P2" not in verdicts


def test_scores_are_compared_on_the_same_source_and_target(outcomes):
    found = compare_scores(outcomes, 0.95)
    row = one(found, role="transfer", sparsity=0.6)
    assert (row["score"], row["other_score"], row["cases"]) == ("block", "magnitude", 1)
    assert row["difference"] == pytest.approx(30 / 200)
    assert row["low"] > 0 and row["verdict"] == "higher"
    assert one(found, role="source", sparsity=0.6)["difference"] == pytest.approx(36 / 200)
    assert one(found, role="source", sparsity=0.3)["verdict"] == "equal"


def test_safe_sparsity_is_chosen_on_one_half_and_reported_on_the_other(outcomes):
    found = safe_table(outcomes, alpha=0.1, delta=0.1, seed=5, confidence=0.95)
    row = one(found, score="magnitude", target="digits")
    assert (row["safe_sparsity"], row["next_sparsity"], row["calibration_images"]) == (0.3, 0.6, 100)
    tuned = one(found, recovery="finetune", target="glyphs")
    _, reported_on = halves(IMAGES, 5)
    expected = np.mean(reported_on < 10) if tuned["safe_sparsity"] == 0.6 else 0
    assert tuned["lost"] == pytest.approx(expected)
    assert (found["violations"] <= 0.1).all()


def masks(*kept):
    return {"a": np.isin(np.arange(10), kept)}


def test_masks_are_compared_between_sources_and_between_draws():
    drawn = {("digits", 0): masks(0, 1, 2, 3), ("glyphs", 0): masks(2, 3, 4, 5), ("digits", 1): masks(0, 1, 2, 9)}
    jobs = [
        {"backbone": "net", "score": "block", "prune_source": source, "seed": seed}
        | {"mask": "global", "sparsity": 0.6}
        for source, seed in drawn
    ]
    rows = pd.DataFrame(mask_overlaps(jobs, lambda job: drawn[job["prune_source"], job["seed"]]))
    assert len(rows) == 2  # other source and other seed at once says nothing
    assert one(rows, between="sources")["overlap"] == 0.5
    assert one(rows, between="draws")["overlap"] == 0.75
    with pytest.raises(ValueError, match="different weights"):
        kept_overlap(masks(1), {"b": np.ones(10, dtype=bool)})


def test_the_predicted_increase_is_the_sum_of_what_is_pruned():
    scores = {"a": np.array([[1, 2], [4, 8]], dtype=np.float32), "b": np.array([16, 32], dtype=np.float32)}
    mask = {"a": np.array([[False, True], [False, True]]), "b": np.array([True, False])}
    assert predicted_increase(scores, mask) == 37


def losses() -> pd.DataFrame:
    """Accuracy rows of a data-free and a data-based score: dense loss 1, loss 1 + q²."""
    return pd.DataFrame(
        {"study": "mini", "backbone": "net", "score": score, "prune_source": source, "sparsity": q, "target": "glyphs"}
        | {"retention": 1.0, "mask": "global", "own_sources": None}
        | {"role": "transfer", "readout": "zero_shot", "seed": 0, "recovery": "none", "loss": 1 + q**2, "dense_loss": 1}
        for score, source in (("magnitude", None), ("block", "digits"))
        for q in (0.1, 0.3, 0.6)
    )


def test_predicted_and_measured_safe_sparsity():
    accuracy = losses()
    predicted = accuracy[["backbone", "score", "prune_source", "mask", "sparsity", "seed"]].assign(
        predicted=[0.1, 0.2, 0.9, 0.0, 0.05, 0.09]
    )
    both = predicted_losses(predicted, accuracy)
    assert both["measured"].tolist() == pytest.approx([0.01, 0.09, 0.36] * 2)
    found = predicted_safe(both, accuracy, tolerance=0.1)
    magnitude, block = (one(found, score=score) for score in ("magnitude", "block"))
    assert (magnitude["predicted_sparsity"], magnitude["measured_sparsity"]) == (0.1, 0.3)
    assert (block["predicted_sparsity"], block["measured_sparsity"]) == (0.6, 0.3)
    assert magnitude["rank_correlation"] == 1 and block["allowed"] == 0.1


def test_where_nothing_was_predicted_there_are_no_rows(tmp_path):
    accuracy = losses().assign(prune_source="digits-then-glyphs")
    none = with_seeds(pd.DataFrame([], columns=[*KEY, "predicted"]), [0])
    both = predicted_losses(none, accuracy)
    frames = {"predicted_loss": both, "predicted_safe": predicted_safe(both, accuracy, 0.1)}
    for name, frame in frames.items():
        write_table(tmp_path / name, frame, TABLES[name], {})
        assert read_table(tmp_path / name, TABLES[name]).empty


def test_tables_fit_their_schemas_and_the_page_states_them(files, outcomes, tmp_path):
    accuracy, overlaps = losses(), pd.DataFrame(columns=TABLES["mask_overlap"].names)
    predicted = accuracy[KEY].assign(predicted=0.01)
    found = {
        "intervals": retention_intervals(outcomes, 0.95),
        "changes": recovery_changes(outcomes, 0.95),
        "comparisons": compare_scores(outcomes, 0.95),
        "mask_overlap": overlaps,
        "predicted_safe": predicted_safe(predicted_losses(predicted, accuracy), accuracy, 0.05),
    }
    made = found | vars(findings(outcomes, dense=dense_table(files, "mini", 0.95).drop_duplicates("target")))
    for name, frame in made.items():
        write_table(tmp_path / f"{name}.parquet", frame, TABLES[name], {})
    found = {name: read_table(tmp_path / f"{name}.parquet", TABLES[name]) for name in found}
    answers = Findings.read({name: tmp_path / f"{name}.parquet" for name in made})
    text = markdown(page(answers, **found))
    p2 = one(answers.verdicts, prediction="P2")
    assert f"| net | block | finetune | zero_shot | improved | {100 * p2['change']:+.1f} [" in text
    assert "| net | finetune | block | zero_shot | 0.6 | 1 | 0 | 0 |" in text
    assert "at most 5 percentage points of accuracy; the risk that this is wrong is at most 0.1" in text
    assert "cannot be told" not in text  # there is no overlap to speak about
    assert "nan" not in text.lower().split()


def test_the_page_says_that_one_seed_cannot_tell_sources_from_draws(outcomes):
    others = empty("changes", "comparisons", "predicted_safe")
    overlap = pd.DataFrame(
        [{"backbone": "net", "score": "block", "sparsity": 0.3, "between": "sources", "overlap": 0.8}]
    )
    text = markdown(page(no_findings(), **others, intervals=retention_intervals(outcomes, 0.95), mask_overlap=overlap))
    assert "| net | block | 0.3 | 0.800 | - |" in text and "cannot be told" in text
    assert "P1" not in text and "Safe sparsity" not in text


def test_chance_is_the_share_of_the_most_frequent_class_and_the_interval_is_exact():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    constant = beside_chance(labels, np.zeros(100, dtype=int), 0.95)
    assert (constant["top1"], constant["chance"], constant["classes"]) == (0.5, 0.5, 3)
    assert not constant["above_chance"]
    found = beside_chance(labels, np.where(np.arange(100) < 60, labels, -1), 0.95)
    assert (found["low"], found["high"]) == pytest.approx((0.497, 0.697), abs=1e-3)  # of 60 of 100, from tables
    assert not found["above_chance"]  # 0.6, but its interval reaches 0.497
    assert beside_chance(labels, np.where(np.arange(100) < 61, labels, -1), 0.95)["above_chance"]
    assert beside_chance(np.arange(100), np.where(np.arange(100) < 6, np.arange(100), 0), 0.95)["above_chance"]


@pytest.fixture
def at_chance(files):
    """The same files, in which the dense backbone answers `0` to every image of glyphs."""
    for path in files:
        rows, settings = read_table(path, PREDICTIONS), table_metadata(path)
        blind = (rows["target"] == "glyphs") & (rows["readout"] != "label")
        rows["predicted"] = [[0] * IMAGES if b else a for b, a in zip(blind, rows["predicted"], strict=True)]
        write_table(path, rows, PREDICTIONS, settings)
    return files


def test_a_target_at_chance_is_named_and_is_in_no_mean_verdict_or_guarantee(at_chance):
    dense = dense_table(at_chance, "mini", 0.95).drop_duplicates("target")
    assert dense.set_index("target")["above_chance"].to_dict() == {"digits": True, "glyphs": False}
    outcomes = read_outcomes(at_chance, dense, **OF_STUDY)
    assert set(outcomes["target"]) == {"digits"}
    found = findings(outcomes, dense=dense)
    assert set(found.safe_sparsity["target"]) == {"digits"} and set(found.retention["cases"]) == {1}
    assert set(found.verdicts["prediction"]) == {"P1"}  # no unseen task is left for P2
    text = markdown(page(found, **empty("changes", "comparisons", "intervals", "mask_overlap", "predicted_safe")))
    assert "nothing to retain: net on glyphs (zero_shot: 0.250 [0.192, 0.316], chance 0.250)." in text
    assert "no unseen task loses more" not in text


def test_where_every_target_is_at_chance_nothing_is_claimed(at_chance, tmp_path):
    dense = dense_table(at_chance, "mini", 0.95).drop_duplicates("target").assign(above_chance=False)
    outcomes = read_outcomes(at_chance, dense, **OF_STUDY)
    found = findings(outcomes, dense=dense)
    others = {
        "intervals": retention_intervals(outcomes, 0.95),
        "changes": recovery_changes(outcomes, 0.95),
        "comparisons": compare_scores(outcomes, 0.95),
    }
    for name, frame in (vars(found) | others).items():
        write_table(tmp_path / f"{name}.parquet", frame, TABLES[name], {})
        assert name == "dense" or frame.empty
    text = markdown(page(found, **others, **empty("mask_overlap", "predicted_safe")))
    assert text.startswith("# Verdicts of the study mini\n\nLeft out") and len(text.splitlines()) == 3
    accuracy = losses().assign(retention=None, tuned_on=None)
    assert summarise(accuracy, found).startswith("Left out of every mean")
    predicted = accuracy[KEY].assign(predicted=0.01)
    assert predicted_losses(predicted, accuracy).empty
