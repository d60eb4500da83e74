"""Figures of retention: by sparsity, recovery, target and pre-training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from unit.drawn import legend, panel, points
from unit.plotted import accuracy, pretrained

from prunetransfer.figures import (
    heatmap,
    pretrainings,
    recoveries,
    retention,
    style,
    targets,
)


def test_retention_lines_are_means_over_pairs():
    figure = retention.draw(accuracy())
    source, transfer = panel(figure, "resnet: source targets"), panel(figure, "resnet: transfer targets")
    assert points(source) == {
        "dense": ([0, 1], [1, 1]),
        "block, none": ([0.1, 0.3], [1.0, 0.65]),
        "block, finetune": ([0.3], [0.8]),
        "magnitude, none": ([0.1, 0.3], [0.85, 0.3]),  # on digits and on glyphs, which are sources
    }
    assert points(transfer) == {
        "dense": ([0, 1], [1, 1]),
        "block, none": ([0.1, 0.3], [0.75, 0.325]),
        "block, finetune": ([0.3], [0.6]),
        "magnitude, none": ([0.1, 0.3], [(0.9 + 1 + 0.8 + 1) / 4, (0.4 + 0.6 + 0.2 + 0.6) / 4]),
    }


def test_retention_tells_scores_by_colour_and_recoveries_by_dashes():
    figure = retention.draw(accuracy())
    lines = {line.get_label(): line for line in panel(figure, "resnet: transfer targets").lines}
    assert lines["block, none"].get_color() == lines["block, finetune"].get_color() == style.LOOKS["block"][0]
    assert lines["magnitude, none"].get_color() == style.LOOKS["magnitude"][0]
    assert (lines["block, none"].get_linestyle(), lines["block, finetune"].get_linestyle()) == ("-", "--")
    assert legend(figure) == ["block", "magnitude", "no recovery", "finetune"]


def test_masks_made_in_steps_have_a_line_and_a_panel_also_where_there_are_no_others():
    frame = accuracy().query("score == 'block' and recovery == 'none'").assign(recovery="steps", method="steps")
    transfer = panel(retention.draw(frame), "resnet: transfer targets")
    assert points(transfer)["block, steps"] == ([0.1, 0.3], [0.75, 0.325])
    assert not transfer.collections[0].get_segments()  # whiskers are of bare masks
    assert "resnet: block" in [axes.get_title("left") for axes in heatmap.draw(frame).axes]


def test_retention_whiskers_span_the_pairs():
    figure = retention.draw(accuracy())
    whiskers = {w.get_label(): w for w in panel(figure, "resnet: transfer targets").collections}
    spans = [segment[:, 1].tolist() for segment in whiskers["block, range"].get_segments()]
    assert spans == [[0.6, 0.9], [0.1, 0.5]]
    assert to_hex(whiskers["block, range"].get_color()[0]).upper() == style.LOOKS["block"][0]


def test_retention_draws_only_the_roles_and_recoveries_there_are():
    frame = accuracy()
    figure = retention.draw(frame[(frame["score"] == "magnitude") & (frame["recovery"] == "none")])
    assert [axes.get_title("left") for axes in figure.axes] == ["resnet: transfer targets"]
    assert legend(figure) == ["magnitude"]


def test_retention_makes_room_above_the_dense_line():
    figure = retention.draw(accuracy().replace({"retention": {1.1: 1.6}}))
    assert figure.axes[0].get_ylim()[1] > 1.6


def test_recoveries_are_compared_on_transfer_targets():
    frame = accuracy()
    chained = frame[frame["recovery"] == "finetune"].assign(recovery="reconstruct+moments", retention=0.95)
    chained = chained.assign(method="reconstruct+moments")
    frame = pd.concat([frame, chained])
    figure = recoveries.draw(frame)
    shown = {line.get_label(): line for line in panel(figure, "resnet: block").lines}
    assert shown["none"].get_ydata().tolist() == pytest.approx([0.75, 0.325])
    assert shown["reconstruct+moments"].get_xdata().tolist() == [0.3]
    assert shown["reconstruct+moments"].get_ydata().tolist() == [0.95]
    assert legend(figure) == ["no recovery", "finetune", "reconstruct+moments"]
    assert legend(retention.draw(frame)) == ["block", "magnitude", "no recovery", "finetune"]


def test_retention_goes_by_what_a_recovery_does_and_not_by_its_name():
    frame = accuracy()
    named = frame.assign(recovery=frame["recovery"].replace("finetune", "slow"))
    assert legend(retention.draw(named)) == ["block", "magnitude", "no recovery", "slow"]


def test_targets_show_each_recovery_of_each_target_at_the_sparsity_of_most():
    frame = accuracy()
    figure = targets.draw(frame)
    assert figure.get_suptitle() == "Retention of transfer targets at sparsity 0.3"
    axes = panel(figure, "resnet: block")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["digits", "glyphs", "textures"]
    shown = {line.get_label(): line for line in axes.lines}
    assert shown["none"].get_xdata().tolist() == pytest.approx([0.4, 0.5, (0.1 + 0.3) / 2])
    assert shown["finetune"].get_xdata().tolist() == pytest.approx([0.7, 0.5])  # digits is its source
    assert np.round(shown["none"].get_ydata()).tolist() == [0, 1, 2]
    assert np.round(shown["finetune"].get_ydata()).tolist() == [1, 2]
    spans = [segment[:, 0].tolist() for line in axes.collections for segment in line.get_segments()]
    assert [0.1, 0.3] in spans  # of textures, over its two sources
    assert legend(figure) == ["no recovery", "finetune", "dense"]
    with pytest.raises(ValueError, match=r"no rows at sparsity 0\.45"):
        targets.draw(frame, 0.45)


def test_pretrainings_have_a_line_and_a_band_each():
    figure = pretrainings.draw(pretrained({"a": "supervised", "b": "dino", "c": "dino"}, ["block", "magnitude"]))
    axes = panel(figure, "vit: magnitude")
    assert points(axes) == {
        "dense": ([0, 1], [1, 1]),
        "supervised": ([0.1, 0.5], [1.0, 0.5]),
        "dino (b)": ([0.1, 0.5], [0.9, 0.4]),
        "dino (c)": ([0.1, 0.5], [0.8, 0.3]),
    }
    band = axes.collections[0].get_paths()[0].vertices  # of the first label, dino (b)
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(0.35), pytest.approx(0.95))
    assert legend(figure) == ["dino (b)", "dino (c)", "supervised"]
