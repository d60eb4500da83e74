import subprocess
import sys
from ast import literal_eval
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from unit.drawn import LONG, assert_readable, legend, panel, points

from prunetransfer.analysis.retention import shown
from prunetransfer.figures import (
    efficiency,
    heatmap,
    layers,
    pretrainings,
    recoveries,
    retention,
    safe,
    style,
    targets,
)

MEASURED = {  # (score, prune source, tuned on): retention on digits, glyphs and textures at sparsities 0.1 and 0.3
    ("block", "digits", None): ([0.9, 0.6], [0.8, 0.5], [0.6, 0.1]),
    ("block", "glyphs", None): ([0.7, 0.4], [1.1, 0.7], [0.9, 0.3]),
    ("block", "digits", "digits"): ([None, 0.8], [None, 0.7], [None, 0.5]),
    ("magnitude", None, None): ([0.8, 0.2], [0.9, 0.4], [1.0, 0.6]),
}
MANY = ["block", "block-1e-2", "block-1e-6-cross-entropy-ggn", "diagonal", "diagonal-ggn", "magnitude", "snip", "x"]


def accuracy() -> pd.DataFrame:
    rows = []
    for (score, source, tuned_on), by_target in MEASURED.items():
        for target, values in zip(("digits", "glyphs", "textures"), by_target, strict=True):
            for sparsity, value in zip((0.1, 0.3), values, strict=True):
                if value is not None:
                    role = "source" if target in (source, tuned_on) else "transfer"
                    recovery = "finetune" if tuned_on else "none"
                    rows.append((score, source, tuned_on, target, role, recovery, sparsity, value))
    columns = ["score", "prune_source", "tuned_on", "target", "role", "recovery", "sparsity", "retention"]
    frame = pd.DataFrame(rows, columns=columns).assign(study="mini", backbone="resnet", readout="zero_shot", seed=0)
    return frame.assign(method=frame["recovery"], mask="global", own_sources=frame["target"])


def many_accuracies(backbones: list[str], scores: list[str], targets: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = ["backbone", "score", "prune_source", "target", "sparsity", "seed"]
    grid = product(backbones, scores, targets[:3], targets, (0.1, 0.5, 0.9), (0, 1))
    frame = pd.DataFrame(list(grid), columns=columns).assign(study="mini", readout="zero_shot", tuned_on=None)
    frame = frame.assign(mask="global", own_sources=frame["target"])
    role = frame["prune_source"].eq(frame["target"]).map({True: "source", False: "transfer"})
    return frame.assign(role=role, recovery="none", method="none", retention=rng.uniform(0.1, 1.1, len(frame)))


def many_recoveries(*names: list[str]) -> pd.DataFrame:
    frame = many_accuracies(*names)
    others = [frame.assign(recovery=name, method=name) for name in ("batchnorm", "finetune", "reconstruct+moments")]
    return pd.concat([frame, *others])


def layer_sparsities(backbones: dict[str, list[str]], scores: list[str]) -> pd.DataFrame:
    rows = [
        (backbone, score, source, sparsity, depth, name, 0.1 * depth + sparsity / 2 + (source == "glyphs") / 10)
        for backbone, names in backbones.items()
        for score in scores
        for source in ("digits", "glyphs")
        for sparsity in (0.2, 0.4, 0.6)
        for depth, name in enumerate(names)
    ]
    columns = ["backbone", "score", "prune_source", "sparsity", "depth", "layer", "layer_sparsity"]
    return pd.DataFrame(rows, columns=columns).assign(study="mini", mask="global", seed=0)


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


def pretrained(names: dict[str, str], scores: list[str]) -> pd.DataFrame:
    """Table PRETRAININGS: names: backbone → pre-training, in two groups."""
    rows = [
        (group, name, kind, score, sparsity, value, value - 0.05, value + 0.05)
        for group in ("resnet18", "vit")
        for place, (name, kind) in enumerate(names.items())
        for score in scores
        for sparsity, value in ((0.1, 1.0 - 0.1 * place), (0.5, 0.5 - 0.1 * place), (None, 0.75 - 0.1 * place))
    ]
    columns = ["group", "backbone", "pretraining", "score", "sparsity", "retention", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(role="transfer", readout="zero_shot")


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


def test_a_figure_of_nothing_says_so():
    assert_readable(
        style.empty("Nothing to show, as no target has anything to retain in any of the study's tables, alas.")
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


def test_figures_of_one_sparsity_take_the_middle_one_and_refuse_one_that_is_not_there():
    assert (
        heatmap.draw(many_accuracies(["vit"], ["block"], ["a", "b"]))
        .get_suptitle()
        .startswith("Retention at sparsity 0.5 ")
    )
    frame = layer_sparsities({"vit": ["fc.weight"]}, ["block"])
    assert layers.draw(frame).axes[0].get_title("left") == "vit: sparsity of each layer at 0.4 overall"
    with pytest.raises(ValueError, match=r"no rows at sparsity 0\.45; the table has 0\.2, 0\.4, 0\.6"):
        layers.draw(frame, 0.45)
    with pytest.raises(ValueError, match=r"no rows at sparsity 0\.45; the table has 0\.1, 0\.3"):
        heatmap.draw(accuracy(), 0.45)


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


def safe_sparsities(frame: pd.DataFrame, shown: dict[tuple[str, str, str], float]) -> pd.DataFrame:
    """A row a criterion and target; `shown`: (score, prune source or tuned on, target) → safe sparsity, else 0."""
    rows = frame.drop_duplicates(["backbone", "score", "prune_source", "tuned_on", "target"]).drop(columns="sparsity")
    source = rows["prune_source"].fillna(rows["tuned_on"]).fillna("")
    found = [shown.get(name, 0.0) for name in zip(rows["score"], source, rows["target"], strict=True)]
    return rows.assign(safe_sparsity=found, measured_sparsity=found, alpha=0.05, delta=0.1)


def draw_safe(frame: pd.DataFrame, shown: dict[tuple[str, str, str], float]):
    losses = frame.assign(dense_top1=0.8, top1=0.8 * frame["retention"])
    predicted = safe_sparsities(frame[frame["recovery"] == "none"], {}).assign(predicted_sparsity=0.1)
    return safe.draw(safe_sparsities(frame, shown), losses, predicted)


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


def of_masks(frame: pd.DataFrame, *masks: str) -> pd.DataFrame:
    """The table for masks of each of these names, which keep less and less."""
    kept = [frame.assign(retention=(1 - 0.1 * k) * frame["retention"]) for k in range(len(masks))]
    return pd.concat([rows.assign(**{"mask": mask}) for rows, mask in zip(kept, masks, strict=True)])


def times(frame: pd.DataFrame, faster: str) -> pd.DataFrame:
    """Table EFFICIENCY of the masks of an accuracy table: those of the name `faster` save time."""
    of_mask = ["study", "backbone", "score", "prune_source", "mask", "sparsity"]
    rows = frame.drop_duplicates(of_mask)[of_mask].assign(seed=0)
    saves = rows["mask"].eq(faster)
    of_size = [rows.assign(batch_size=size, speed_up=1 + size / 10 * rows["sparsity"] * saves) for size in (1, 32)]
    return pd.concat(of_size)


def draw_efficiency(frame: pd.DataFrame):
    frame = of_masks(frame, "2:4", "channels", "global", "heads-and-hidden-units")
    return efficiency.draw(times(frame, "channels"), frame)


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


def test_a_figure_may_ask_for_masks_of_every_kind():
    frame = of_masks(accuracy(), "first", "second")
    assert set(shown(frame, efficiency.EVERY)["mask"]) == {"first", "second"}


NAMES = [f"encoder.layers.{i}.self_attention.out_proj.weight" for i in range(60)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: retention.draw(accuracy()),
        lambda: retention.draw(many_accuracies(["resnet", LONG], MANY, ["a", "b", "c", "d"])),
        lambda: heatmap.draw(accuracy()),
        lambda: heatmap.draw(many_accuracies(["resnet", LONG], MANY[:4], ["digits", "a-long-name-of-a-dataset", "c"])),
        lambda: layers.draw(layer_sparsities({"resnet": NAMES[:3], LONG: NAMES}, MANY)),
        lambda: draw_safe(accuracy(), {}),
        lambda: draw_safe(many_accuracies(["resnet", LONG, "vit"], MANY, ["a", "b", "c", "d"]), {}),
        lambda: recoveries.draw(accuracy()),
        lambda: targets.draw(accuracy()),
        lambda: targets.draw(many_recoveries(["resnet", LONG], MANY[:4], ["a", "a-long-name-of-a-dataset", "c"])),
        lambda: pretrainings.draw(pretrained({"a": "supervised", "b": "dino"}, ["block"])),
        lambda: pretrainings.draw(pretrained({name: name for name in MANY}, MANY[:4])),
        lambda: draw_efficiency(accuracy()),
        lambda: draw_efficiency(many_recoveries(["resnet", LONG], MANY[:4], ["a", "b", "c"])),
    ],
    ids=[
        *("retention", "retention-large", "heatmap", "heatmap-large", "layers-large", "safe", "safe-large"),
        *("recoveries", "targets", "targets-large", "pretrainings", "pretrainings-large"),
        *("efficiency", "efficiency-large"),
    ],
)
def test_no_text_is_cut_or_covered(draw):
    assert_readable(draw())


@pytest.mark.parametrize("draw", [retention.draw, heatmap.draw, targets.draw], ids=["retention", "heatmap", "targets"])
def test_the_same_table_gives_the_same_files(tmp_path, draw):
    for name, frame in {"a": accuracy(), "b": accuracy().iloc[::-1]}.items():
        style.save(draw(frame), tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_figures_ignore_and_leave_alone_the_callers_settings():
    with matplotlib.rc_context({"font.size": 30, "axes.titlesize": 40}):
        figure = retention.draw(accuracy())
        assert figure.axes[0].title.get_fontsize() != 40
        assert figure.axes[0]._left_title.get_fontsize() == style.TITLE
        assert matplotlib.rcParams["axes.titlesize"] == 40


def test_looks_are_fixed_for_known_scores_and_distinct_for_all():
    alone, among = style.score_looks(["block"]), style.score_looks(MANY)
    assert (alone["block"]["color"], alone["block"]["marker"]) == (among["block"]["color"], among["block"]["marker"])
    assert list(among) == MANY
    assert len({look["color"] for look in among.values()}) == len(MANY)
    sizes = [look["markersize"] for look in among.values()]
    assert sizes == sorted(sizes, reverse=True)
    crowd = style.score_looks([f"s{i}" for i in range(20)])
    assert len({(look["color"], look["marker"]) for look in crowd.values()}) == 20


def test_the_tables_that_a_figure_draws_are_known_without_matplotlib():
    code = "import sys; from prunetransfer.figures import tables_read; print(tables_read()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, modules = done.stdout.splitlines()
    drawn = {"heatmap": heatmap, "layers": layers, "pretrainings": pretrainings, "safe": safe, "targets": targets}
    assert {name: list(figure.READS) for name, figure in drawn.items()}.items() <= literal_eval(found).items()
    assert "style" not in literal_eval(found) and "matplotlib" not in modules.split()


def test_tables_analysis_and_figures_import_no_torch_and_no_pyplot():
    modules = ["storage.tables", "report.summary", "analysis.verdicts", "figures.retention", "figures.heatmap"]
    imports = "; ".join(f"import prunetransfer.{module}" for module in [*modules, "figures.layers"])
    check = f"import sys; {imports}; print({{'torch', 'matplotlib.pyplot', 'snakemake'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
