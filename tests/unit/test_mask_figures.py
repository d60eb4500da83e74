"""Figures of masks: the heat map, layers, safe sparsities, what time they save."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from unit.drawn import legend, panel, points
from unit.plotted import accuracy, draw_safe, layer_sparsities, of_masks, times

from prunetransfer.figures import (
    efficiency,
    heatmap,
    layers,
    safe,
)


def test_heat_map_shows_every_pair_and_frames_the_sources():
    figure = heatmap.draw(accuracy(), 0.3)
    axes = panel(figure, "resnet: block")
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {
        **{(0.5, 0.5): "0.60", (1.5, 0.5): "0.50", (2.5, 0.5): "0.10"},
        **{(0.5, 1.5): "0.40", (1.5, 1.5): "0.70", (2.5, 1.5): "0.30"},
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["digits", "glyphs"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["digits", "glyphs", "textures"]
    assert axes.get_ylim() == (2, 0)  # digits above
    assert [frame.get_xy() for frame in axes.patches if isinstance(frame, Rectangle)] == [(0, 0), (1, 1)]
    assert figure.get_suptitle() == "Retention at sparsity 0.3 (framed: the mask saw the target)"


def test_heat_map_gives_a_data_free_score_one_value_for_all_sources():
    axes = panel(heatmap.draw(accuracy(), 0.1), "resnet: magnitude")
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        **{(0.5, 1.0): "0.80", (1.5, 1.0): "0.90", (2.5, 1.0): "1.00"}
    }
    assert axes.collections[0].get_array().shape == (1, 3)
    assert len(axes.patches) == 0


def test_heat_map_frames_what_a_mask_saw_under_another_name():
    frame = accuracy().replace({"target": {"digits": "a-view"}})  # whose role stays that of digits
    axes = panel(heatmap.draw(frame, 0.3), "resnet: block")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a-view", "glyphs", "textures"]
    assert [frame.get_xy() for frame in axes.patches if isinstance(frame, Rectangle)] == [(0, 0), (1, 1)]


def test_heat_map_averages_seeds_and_leaves_missing_pairs_empty():
    frame = accuracy()
    frame = frame[~((frame["prune_source"] == "glyphs") & (frame["target"] == "textures"))]
    frame = pd.concat([frame, frame.assign(seed=1, retention=frame["retention"] + 0.1)])
    axes = panel(heatmap.draw(frame, 0.3), "resnet: block")
    assert [text.get_text() for text in axes.texts] == ["0.65", "0.55", "0.15", "0.45", "0.75"]


def test_layers_stand_in_forward_order_with_the_mean_over_sources():
    frame = layer_sparsities({"resnet": ["stem.weight", "body.weight", "a.weight"]}, ["block", "magnitude"])
    figure = layers.draw(frame.sample(frac=1, random_state=0), 0.4)
    axes = panel(figure, "resnet: sparsity of each layer at 0.4 overall")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["stem", "body", "a"]
    assert points(axes) == {
        "block": ([0, 1, 2], [0.25, 0.35, 0.45]),
        "magnitude": ([0, 1, 2], [0.25, 0.35, 0.45]),
        "whole backbone": ([0, 1], [0.4, 0.4]),
    }
    assert legend(figure) == ["block", "magnitude", "whole backbone"]


def test_safe_cells_have_the_worst_loss_and_its_colour():
    everywhere = {("magnitude", "", target): 0.1 for target in ("digits", "glyphs", "textures")}
    figure = draw_safe(accuracy().replace({"retention": {0.8: 0.97, 0.9: 0.97}}), everywhere)
    axes = panel(figure, "resnet: unseen tasks")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["block", "block + finetune", "magnitude"]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    cells = {(0.5, 0.5): "32", (1.5, 0.5): "72", (1.5, 1.5): "40", (0.5, 2.5): "2", (1.5, 2.5): "64"}
    assert shown == cells  # block@digits on textures, and so on; fine-tuned at 0.3 alone
    colours = {patch.get_xy(): to_hex(patch.get_facecolor()).upper() for patch in axes.patches}
    assert colours[0, 2] == safe.SHOWN and colours[1, 2] == safe.LOST and colours[0, 0] == safe.LOST
    (bar,) = axes.collections  # of block: magnitude predicts no loss
    assert bar.get_segments()[0][:, 0].tolist() == [1, 1]
    unshown = panel(draw_safe(accuracy().replace({"retention": {0.8: 0.97, 0.9: 0.97}}), {}), "resnet: unseen tasks")
    assert {p.get_xy(): to_hex(p.get_facecolor()).upper() for p in unshown.patches}[0, 2] == safe.KEPT


def test_efficiency_has_retention_against_the_speed_up_of_the_largest_batch():
    frame = of_masks(accuracy(), "global", "channels")
    figure = efficiency.draw(times(frame, "channels"), frame)
    assert figure.get_suptitle() == "Retention of transfer targets and speed-up, batches of 32"
    axes = panel(figure, "resnet: block")
    lines = {line.get_label(): line for line in axes.lines}
    found = {label: (list(line.get_xdata()), list(line.get_ydata())) for label, line in lines.items()}
    assert found["global, none"] == ([1, 1], pytest.approx([0.75, 0.325]))
    assert found["channels, none"] == (pytest.approx([1.32, 1.96]), pytest.approx([0.675, 0.2925]))
    assert found["channels, finetune"] == (pytest.approx([1.96]), pytest.approx([0.54]))
    assert lines["global, none"].get_color() == lines["global, finetune"].get_color()
    assert lines["global, none"].get_color() != lines["channels, none"].get_color()
    assert (lines["global, none"].get_linestyle(), lines["global, finetune"].get_linestyle()) == ("-", "--")
    assert legend(figure) == ["channels", "global", "no recovery", "finetune"]
    none_saved = efficiency.draw(times(frame, "no such mask"), frame)
    assert none_saved.axes[0].get_xlim() == efficiency.LEAST_RANGE


def test_efficiency_leaves_out_what_was_not_measured_and_says_so_of_nothing():
    frame = of_masks(accuracy(), "global")
    measured = times(frame[frame["score"] == "block"], "global")
    assert [axes.get_title("left") for axes in efficiency.draw(measured, frame).axes] == ["resnet: block"]
    for nothing in (frame.iloc[:0], frame[frame["score"] == "magnitude"]):
        assert not efficiency.draw(measured, nothing).axes
