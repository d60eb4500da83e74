"""What all figures share: they say when there is nothing, cut no text, are the same bytes, and import little."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval

import matplotlib
import pytest
from unit.drawn import LONG, assert_readable
from unit.plotted import (
    MANY,
    accuracy,
    draw_efficiency,
    draw_safe,
    layer_sparsities,
    many_accuracies,
    many_recoveries,
    of_masks,
    pretrained,
)

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


def test_a_figure_of_nothing_says_so():
    assert_readable(
        style.empty("Nothing to show, as no target has anything to retain in any of the study's tables, alas.")
    )


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
