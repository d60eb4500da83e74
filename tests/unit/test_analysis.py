import math

import numpy as np
import pandas as pd
import pytest
from unit.findings import findings, no_findings

from prunetransfer.analysis.retention import at_sparsity, mean_retention, middle_sparsity, with_sources
from prunetransfer.analysis.roles import with_roles
from prunetransfer.analysis.verdicts import judge
from prunetransfer.report.answer import answer, headline, least_safe, sentences
from prunetransfer.report.pages import Table
from prunetransfer.report.summary import summarise
from prunetransfer.storage.schemas.accuracy import ACCURACY
from prunetransfer.storage.schemas.verdicts import VERDICTS
from prunetransfer.storage.tables import write_table


def row(score, target, sparsity, retention, source=None, tuned_on=None, seed=0, **changed) -> dict:
    """One measurement with a dense accuracy of 0.5; `source` is the prune source."""
    recovery = changed.get("recovery", "finetune" if tuned_on else "none")
    values = {
        **{"study": "mini", "backbone": "resnet", "architecture": "resnet18", "pretraining": "cifar10"},
        **{"score": score, "prune_source": source, "mask": "global", "sparsity": sparsity},
        **{"achieved_sparsity": sparsity, "recovery": recovery, "method": recovery, "tuned_on": tuned_on},
        **{"target": target, "own_sources": target},
        **{"role": "source" if target in (source, tuned_on) else "transfer", "readout": "zero_shot", "seed": seed},
        **{
            "n": 1000,
            "correct": round(500 * retention),
            "top1": 0.5 * retention,
            "loss": 0.4,
            "dense_top1": 0.5,
            "dense_loss": 0.3,
        },
        **{"retention": retention, "images_per_second": 100.0, "device": "cpu"},
    }
    return values | changed


def outcomes(rows: list[dict] | pd.DataFrame) -> pd.DataFrame:
    """The rows image by image: of 1000 images 500 are right dense, and those kept are among them as far as they go."""
    frame = pd.DataFrame(rows)
    right = [np.arange(1000) < correct for correct in frame["correct"]]
    return frame.assign(dense=[np.arange(1000) < 500] * len(frame), correct=right)


def block(retentions: dict[float, float], role: str) -> list[dict]:
    """Rows of `block@digits`: retention by sparsity on one target of this role."""
    target = {"source": "digits", "transfer": "glyphs"}[role]
    return [row("block", target, sparsity, retention, source="digits") for sparsity, retention in retentions.items()]


def judged(rows: list[dict] | pd.DataFrame, tolerance: float = 0.05) -> pd.DataFrame:
    return judge(outcomes(rows), tolerance, confidence=0.95)


def summary(accuracy: pd.DataFrame, **made) -> str:
    return summarise(accuracy, findings(outcomes(accuracy), **made))


def verdict(judged: pd.DataFrame, **names) -> pd.Series:
    for column, value in names.items():
        judged = judged[judged[column] == value]
    assert len(judged) == 1
    return judged.iloc[0]


def test_a_data_free_row_counts_once_for_every_source():
    rows = [row("magnitude", target, 0.1, 0.9) for target in ("digits", "glyphs", "textures")]
    rows += [row("block", "digits", 0.1, 0.9, source="glyphs"), row("magnitude", "digits", 0.1, 0.9, tuned_on="digits")]
    found = with_sources(pd.DataFrame(rows))
    untuned = found[(found["score"] == "magnitude") & (found["recovery"] == "none")]
    assert set(zip(untuned["source"], untuned["target"], untuned["role"], strict=True)) == {
        ("digits", "digits", "source"),
        ("digits", "glyphs", "transfer"),
        ("digits", "textures", "transfer"),
        ("glyphs", "digits", "transfer"),
        ("glyphs", "glyphs", "source"),
        ("glyphs", "textures", "transfer"),
    }
    assert len(untuned) == 6
    assert found.loc[found["score"] == "block", "source"].tolist() == ["glyphs"]
    assert found.loc[found["recovery"] == "finetune", "source"].tolist() == ["digits"]


def test_the_role_of_a_data_free_row_goes_by_the_images_and_not_by_the_names():
    rows = [
        row("magnitude", target, 0.1, 0.9, own_sources=own) for target, own in {"few": "all+some", "x": None}.items()
    ]
    rows += [row("block", "x", 0.1, 0.9, source=source, own_sources=None) for source in ("all", "x-ray")]
    found = with_sources(pd.DataFrame(rows))
    untuned = found[found["score"] == "magnitude"].set_index(["source", "target"])["role"].to_dict()
    assert untuned.pop(("all", "few")) == "source"
    assert set(untuned) == {("all", "x"), ("x-ray", "few"), ("x-ray", "x")} and set(untuned.values()) == {"transfer"}


def test_roles_say_what_the_mask_or_the_recovery_saw():
    own = {"few": ["all", "some"], "other": []}
    rows = [("all", None, "few"), (None, "some", "few"), ("other", "other", "few"), (None, None, "few")]
    rows += [("other", None, "other")]
    frame = with_roles(pd.DataFrame(rows, columns=["prune_source", "tuned_on", "target"]), own)
    assert frame["own_sources"].tolist() == ["all+some"] * 4 + [None]
    assert frame["role"].tolist() == ["source", "source", "transfer", "transfer", "transfer"]
    tasks = with_roles(frame[["prune_source", "target"]].rename(columns={"target": "task"}), own, of="task")
    assert tasks["role"].tolist() == ["source"] + ["transfer"] * 4


def test_the_role_of_a_sequence_is_that_of_each_of_its_datasets():
    own = {"few": ["all"], "letters": ["glyphs", "both"], "other": []}
    rows = [(source, target) for source in ("all-then-glyphs", "glyphs-then-all", "both") for target in own]
    frame = with_roles(pd.DataFrame(rows, columns=["prune_source", "target"]), own)
    assert frame["role"].tolist() == [*["source", "source", "transfer"] * 2, "transfer", "source", "transfer"]
    free = [row("magnitude", target, 0.1, 0.9, own_sources=name) for target, name in {"few": "all", "x": None}.items()]
    found = with_sources(pd.DataFrame([*free, row("block", "x", 0.1, 0.9, source="all-then-b", own_sources=None)]))
    untuned = found[found["score"] == "magnitude"].set_index(["source", "target"])["role"].to_dict()
    assert untuned == {("all-then-b", "few"): "source", ("all-then-b", "x"): "transfer"}


def test_without_any_source_data_free_rows_stay_transfer():
    found = with_sources(pd.DataFrame([row("magnitude", "digits", 0.1, 0.9)]))
    assert found["role"].tolist() == ["transfer"]
    assert mean_retention(found, by=["sparsity"])["retention"].tolist() == [0.9]


@pytest.mark.parametrize("column", ["study", "mask", "readout"])
def test_studies_masks_and_readouts_are_not_averaged_together(column):
    rows = [row("magnitude", "digits", 0.1, 0.9), row("magnitude", "digits", 0.1, 0.9, **{column: "other"})]
    with pytest.raises(ValueError, match=f"mixes {column} .*other"):
        with_sources(pd.DataFrame(rows))


def test_mean_retention_spans_pairs_after_averaging_their_seeds():
    retentions = {("glyphs", 0): 0.2, ("glyphs", 1): 0.6, ("textures", 0): 0.8, ("textures", 1): 1.0}
    rows = [row("block", target, 0.3, value, source="digits", seed=k) for (target, k), value in retentions.items()]
    found = mean_retention(with_sources(pd.DataFrame(rows)), by=["score", "sparsity"])
    assert found.columns.tolist() == ["score", "sparsity", "retention", "low", "high"]
    assert found.iloc[0, 2:].tolist() == pytest.approx([0.65, 0.4, 0.9])


def test_the_rows_of_a_sparsity_and_the_middle_one():
    frame = pd.DataFrame({"sparsity": [0.1, 0.2, 0.1 + 0.2, 0.3, 0.7, 0.5]})
    assert at_sparsity(frame, 0.3).index.tolist() == [2, 3]
    assert middle_sparsity(frame[frame["sparsity"] != 0.1 + 0.2]) == 0.3
    with pytest.raises(ValueError, match=r"no rows at sparsity 0\.4; the table has 0\.1, 0\.2"):
        at_sparsity(frame, 0.4)


@pytest.mark.parametrize(
    ("retentions", "name", "sustained"),
    [
        ({0.1: 1.02, 0.2: 0.97, 0.5: 0.96}, "holds", 0.5),
        ({0.1: 0.99, 0.2: 0.95, 0.5: 0.94}, "partly", 0.2),  # exactly 1 - τ is kept
        ({0.5: 0.97, 0.2: 0.90, 0.1: 0.98}, "partly", 0.1),  # rows unordered; what comes back later does not count
        ({0.1: 0.94, 0.2: 0.99}, "fails", 0.0),
    ],
)
@pytest.mark.parametrize("role", ["source", "transfer"])
def test_p1_is_the_largest_sparsity_up_to_which_retention_is_kept(retentions, name, sustained, role):
    other = block({0.1: 0.5, 0.2: 0.5, 0.5: 0.5}, "transfer" if role == "source" else "source")
    found_rows = judged(block(retentions, role) + other)
    found = verdict(found_rows, prediction="P1", role=role)
    assert (found["verdict"], found["sustained_sparsity"]) == (name, sustained)
    assert (found["cases"], found["tolerance"]) == (1, 0.05)
    assert "P2" not in set(found_rows["prediction"])


def test_p1_judges_the_mean_over_pairs_and_leaves_fine_tuned_rows_out():
    rows = [row("block", target, 0.1, value, source="digits") for target, value in [("glyphs", 0.8), ("textures", 1.1)]]
    rows += [row("block", "glyphs", 0.1, 0.1, source="digits", tuned_on="digits")]
    found = verdict(judged(rows), prediction="P1", role="transfer")
    assert (found["verdict"], found["cases"]) == ("holds", 2)
    assert verdict(judged(rows, tolerance=0.04), prediction="P1", role="transfer")["verdict"] == "fails"


def test_p1_counts_a_mean_that_misses_the_bound_by_rounding_as_kept():
    retentions = {"glyphs": 0.85, "textures": 0.95, "flowers": 1.05}
    assert pd.Series(retentions).mean() < 0.95
    rows = [row("block", target, 0.1, value, source="digits") for target, value in retentions.items()]
    assert judged(rows)["verdict"].tolist() == ["holds"]


def tuned_pairs(changes: list[float]) -> pd.DataFrame:
    """`block@digits` before (retention 0.6, top-1 0.3) and after fine-tuning, a transfer target a change of top-1."""
    rows = []
    for i, change in enumerate(changes):
        rows.append(row("block", f"t{i}", 0.3, 0.6, source="digits"))
        rows.append(row("block", f"t{i}", 0.3, 0.6 + 2 * change, source="digits", tuned_on="digits"))
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changes", "name", "fell"),
    [
        ([0.10, 0.12, 0.08], "improved", 0),
        ([-0.10, -0.12, -0.08], "harmed", 3),
        ([0.02, -0.02, 0.01], "mixed", 1),
        ([0.0, 0.0], "mixed", 0),
    ],
)
def test_p2_is_the_mean_change_of_paired_rows(changes, name, fell):
    found = verdict(judged(tuned_pairs(changes)), prediction="P2")
    assert (found["verdict"], found["role"], found["cases"], found["fell"]) == (name, "transfer", len(changes), fell)
    mean = sum(changes) / len(changes)
    assert found["change"] == pytest.approx(mean)
    # Every image changes to the same side, so each target's variance is that of a share of images.
    reach = 1.96 * math.sqrt(sum(abs(c) - c**2 for c in changes) / 1000) / len(changes)
    assert (found["low"], found["high"]) == pytest.approx((mean - reach, mean + reach), abs=2e-3)


def test_p2_pairs_a_tuned_data_free_mask_with_the_untuned_row_of_its_target():
    before = {"digits": 0.2, "glyphs": 0.4, "textures": 0.6}
    rows = [row("magnitude", target, sparsity, value) for target, value in before.items() for sparsity in (0.3, 0.7)]
    rows += [row("magnitude", target, 0.3, value + 0.2, tuned_on="digits") for target, value in before.items()]
    found = verdict(judged(rows), prediction="P2")
    assert (found["cases"], found["verdict"]) == (2, "improved")  # glyphs and textures; digits is the source
    assert found["change"] == pytest.approx(0.1)


def test_p2_pairs_only_the_same_seed_and_sparsity():
    rows = [
        *(row("block", "glyphs", 0.3, value, source="digits", seed=seed) for seed, value in [(0, 0.2), (1, 0.6)]),
        row("block", "glyphs", 0.3, 0.4, source="digits", tuned_on="digits", seed=0),
        row("block", "glyphs", 0.3, 1.0, source="digits", tuned_on="digits", seed=1),
        row("block", "glyphs", 0.5, 0.9, source="digits", tuned_on="digits", seed=1),
    ]
    found = verdict(judged(rows), prediction="P2")
    assert found["cases"] == 2
    assert found["change"] == pytest.approx((0.1 + 0.2) / 2)


def test_verdicts_fit_their_schema(tmp_path):
    accuracy = tuned_pairs([0.1, 0.2])
    write_table(tmp_path / "accuracy.parquet", accuracy, ACCURACY, {})
    write_table(tmp_path / "verdicts.parquet", judged(accuracy), VERDICTS, {})
    write_table(tmp_path / "none.parquet", judged(accuracy[accuracy["recovery"] == "lost"]), VERDICTS, {})
    assert (tmp_path / "none.parquet").exists()


def test_the_summary_states_the_numbers_of_both_tables():
    rows = block({0.1: 0.99, 0.3: 0.6}, "source") + block({0.1: 0.9, 0.3: 0.4}, "transfer")
    rows += [
        row("block", "glyphs", 0.3, 0.7, source="digits", tuned_on="digits"),
        row("magnitude", "glyphs", 0.1, 1.01),
        row("magnitude", "glyphs", 0.3, 0.97),
    ]
    accuracy = pd.DataFrame(rows)
    text = summary(accuracy)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "(2 targets, 1 seed)" in lines[0]
    assert "magnitude: data-free, so one mask is counted once for every source." in lines
    assert lines[lines.index("resnet") + 1 : lines.index("resnet") + 6] == [
        "sparsity 0.1 0.3",
        "source block 0.990 0.600",
        "transfer block 0.900 0.400",
        "transfer block + finetune - 0.700",
        "transfer magnitude 1.010 0.970",
    ]
    assert "resnet block source partly up to sparsity 0.1, assured up to 0.1" in lines
    assert "resnet block transfer fails not at 0.1, the lowest sparsity tried, assured at none" in lines
    assert "resnet magnitude transfer holds at every sparsity tried, up to 0.3, assured up to 0.3" in lines
    assert "P1: does pruning alone keep accuracy? (mean retention at least 0.95)" in lines
    assert "resnet block transfer improved +15.0 [+12.8, +17.2] over 1 pair, 0 fell" in lines
    assert "resnet transfer block none 0, finetune 0" in lines
    lost = "at most 5 percentage points lost on any unseen task, at risk 0.1"
    title = f"Safe sparsity: {lost} (0: not at the lowest one tried)"
    assert lines[lines.index(title) + 1 :][:2] == ["resnet block none 0, finetune 0", "resnet magnitude none 0.3"]
    assert " ".join(lines).endswith(
        "Pruned without recovery, no unseen task loses more than 5 percentage points of accuracy, with probability 90% "
        "for each number: resnet up to sparsity 0.3 (magnitude), at none that so few images can show (block). "
        "500 calibration images a task cannot show more. On all test images, which may be chance, no unseen task loses "
        "more than that: resnet up to sparsity 0.1 (block). resnet: Mean retention is at least 0.95 "
        "on unseen tasks up to sparsity 0.3 (magnitude), at none tried (block); on the source up to sparsity 0.1 "
        "(block). A recovery raises mean retention on unseen tasks, where it gains most: finetune from 0.40 "
        "[0.36, 0.44] to 0.70 [0.66, 0.74] at sparsity 0.3 (block). "
        "Fine-tuning on the source improves unseen tasks (block +15.0 percentage points)."
    )


def test_each_recovery_has_its_own_sustained_sparsity():
    rows = block({0.1: 0.99, 0.3: 0.6, 0.5: 0.99}, "transfer")
    for sparsity, retention in {0.3: 0.96, 0.5: 0.94}.items():
        rows.append(row("block", "glyphs", sparsity, retention, "digits", "digits", recovery="reconstruct+moments"))
    accuracy = pd.DataFrame(rows)
    text = summary(accuracy)
    assert "resnet  transfer  block  none 0.1, reconstruct+moments 0.3" in text
    assert "Safe after a recovery, where that is farther: reconstruct+moments up to sparsity 0.3 (block)." in " ".join(
        text.split()
    )
    assert "P2" not in text  # which is about fine-tuning alone


def test_the_summary_leaves_out_what_was_not_done():
    accuracy = pd.DataFrame([row("magnitude", "glyphs", 0.1, 0.5)])
    text = summary(accuracy)
    assert "P1" in text
    assert "P2" not in text and "recovery keep" not in text
    assert "counted once for every source" not in text


def test_the_least_safe_sparsity_is_over_every_source_and_target():
    found = pd.DataFrame(
        [
            row("block", target, 0.1, 1.0, source=source) | {"safe_sparsity": value, "measured_sparsity": value}
            for (source, target), value in {
                **{("digits", "glyphs"): 0.5, ("digits", "textures"): 0.7},
                **{("glyphs", "digits"): 0.3, ("glyphs", "textures"): 0.7, ("glyphs", "glyphs"): 0.1},
            }.items()
        ]
        + [
            row("magnitude", target, 0.1, 1.0) | {"safe_sparsity": 0.1, "measured_sparsity": 0.1}
            for target in ("glyphs", "digits")
        ]
    )
    assert least_safe(found)["safe_sparsity"].tolist() == [0.3, 0.1]
    assert least_safe(found, "source")["safe_sparsity"].tolist() == [0.1, 0.1]  # data-free: on the study's sources


def safe_sparsities(targets: dict[str, tuple[float, float, int]]) -> pd.DataFrame:
    """Of `magnitude`; targets: name → safe sparsity, measured sparsity, calibration images."""
    levels = {"alpha": 0.05, "delta": 0.1}
    names = ("safe_sparsity", "measured_sparsity", "calibration_images")
    return pd.DataFrame(
        [row("magnitude", name, 0.1, 1.0) | levels | dict(zip(names, t, strict=True)) for name, t in targets.items()]
    )


def test_targets_with_too_few_images_to_show_anything_are_named():
    found = safe_sparsities({"glyphs": (0.3, 0.3, 200), "mri": (0.0, 0.0, 17)})
    told, apart = headline(no_findings(safe_sparsity=found))
    assert told.endswith("for each number: resnet at none tried (magnitude).")
    assert apart.endswith(
        "no answer: mri (17 images). On the other unseen tasks: resnet up to sparsity 0.3 (magnitude)."
    )
    assert len(headline(no_findings(safe_sparsity=found[found["target"] == "glyphs"]))) == 1


def test_what_only_the_number_of_images_keeps_from_being_shown_is_told_apart_from_what_is_lost():
    found = safe_sparsities({"glyphs": (0.0, 0.5, 100), "textures": (0.1, 0.3, 120)})
    told, more = headline(no_findings(safe_sparsity=found))
    assert told.endswith("for each number: resnet at none that so few images can show (magnitude).")
    assert more == (
        "100 to 120 calibration images a task cannot show more. On all test images, which may be chance, no unseen "
        "task loses more than that: resnet up to sparsity 0.3 (magnitude)."
    )
    lost = safe_sparsities({"glyphs": (0.0, 0.0, 100), "textures": (0.1, 0.3, 120)})
    (told,) = headline(no_findings(safe_sparsity=lost))
    assert told.endswith("for each number: resnet at none tried (magnitude).")


def test_scores_stand_in_the_order_of_what_they_keep():
    kept = {"block": (0.99, 0.6), "diagonal": (0.7, 0.3), "magnitude": (0.99, 0.7)}
    rows = [row(score, "glyphs", q, r) for score, both in kept.items() for q, r in zip((0.1, 0.3), both, strict=True)]
    found = findings(outcomes(rows))
    assert headline(found)[0].endswith("resnet up to sparsity 0.1 (magnitude, block), at none tried (diagonal).")
    table = next(block for block in answer(found) if isinstance(block, Table))
    assert [line[1] for line in table.rows] == ["magnitude", "block", "diagonal"]


def test_recoveries_are_told_with_what_they_give_back():
    rows = block({0.1: 0.98, 0.3: 0.5, 0.5: 0.2}, "transfer")
    for recovery, sparsity, retention in [("reconstruct", 0.3, 0.9), ("reconstruct", 0.5, 0.3), ("moments", 0.3, 0.4)]:
        rows.append(row("block", "glyphs", sparsity, retention, "digits", "digits", recovery=recovery))
    found = findings(outcomes(rows))
    (told,) = sentences(found)
    assert "A recovery raises mean retention on unseen tasks, where it gains most: reconstruct from 0.50 [" in told
    assert "] to 0.90 [" in told and "] at sparsity 0.3 (block)." in told and "moments" not in told
    table = [made for made in answer(found) if isinstance(made, Table)][-1]
    assert table.names == ("backbone", "recovery", "0.1", "0.3", "0.5")
    assert list(table.rows) == [
        ("resnet", "none", "0.98 block", "0.50 block", "0.20 block"),
        ("resnet", "moments", "-", "0.40 block", "-"),
        ("resnet", "reconstruct", "-", "0.90 block", "0.30 block"),
    ]


def test_p2_goes_by_what_a_recovery_does_and_not_by_its_name():
    pairs = tuned_pairs([0.10, 0.12])
    named = pairs.assign(recovery=pairs["recovery"].replace("finetune", "tuned"))
    row = verdict(judged(named), prediction="P2")
    assert row[["recovery", "method", "verdict"]].tolist() == ["tuned", "finetune", "improved"]
    assert "block + tuned +11.0" in summary(named)
    for method in (
        "reconstruct",
        "reconstruct+finetune",
    ):  # whatever the entry's name; a chain does more than fine-tune
        misnamed = pairs.assign(method=pairs["method"].replace("finetune", method))
        assert set(judged(misnamed)["prediction"]) == {"P1"}
    both = pd.concat([pairs, named[named["recovery"] == "tuned"].assign(correct=300)])
    assert verdict(judged(both), recovery="tuned")["verdict"] == "mixed"
    assert verdict(judged(both), recovery="finetune")["verdict"] == "improved"


def test_readouts_are_judged_each_alone():
    rows = [*block({0.1: 1.0, 0.5: 0.5}, "source"), row("block", "glyphs", 0.1, 1.0, source="digits")]
    probed = [one | {"readout": "linear_probe", "retention": 1.0, "correct": 500} for one in rows]
    both = pd.DataFrame(rows + probed)
    found = judged(both)
    for readout, expected in (("zero_shot", "partly"), ("linear_probe", "holds")):
        assert verdict(found, readout=readout, role="source")["verdict"] == expected
    alone = pd.DataFrame(rows)
    assert summary(both) == summary(alone)
