"""The answer in words and tables: what a study's summary says, and in which order."""

from __future__ import annotations

import pandas as pd
from unit.findings import findings, no_findings
from unit.measured import block, outcomes, row, summary

from prunetransfer.report.answer import answer, headline, least_safe, sentences
from prunetransfer.report.pages import Table


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


def test_masks_made_in_steps_are_told_apart_from_bare_ones():
    steps = {"recovery": "steps", "method": "steps"}
    stepped = [row("recipe", "glyphs", s, kept, "digits", "digits", **steps) for s, kept in {0.1: 1, 0.3: 0.98}.items()]
    text = " ".join(summary(pd.DataFrame(block({0.1: 0.99, 0.3: 0.6}, "transfer") + stepped)).split())
    promise = "no unseen task loses more than 5 percentage points of accuracy, with probability 90% for each number"
    in_steps = "Pruned in steps, with recovery between them"
    assert f"{promise}: resnet up to sparsity 0.1 (block). {in_steps}: resnet up to sparsity 0.3 (recipe)." in text
    assert (
        "resnet recipe transfer holds at every sparsity tried, up to 0.3, assured up to 0.3, recovered in steps" in text
    )
    assert "transfer recipe + steps 1.000 0.980" in text and "Safe after a recovery" not in text
    alone = " ".join(summary(pd.DataFrame(stepped)).split())
    assert "Pruned without recovery" not in alone
    assert f"{in_steps}, {promise}: resnet up to sparsity 0.3 (recipe)." in alone


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
