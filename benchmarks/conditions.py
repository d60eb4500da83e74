"""What changes when test images, sources or draws do: tables of finished studies, for docs/findings.md.

    python benchmarks/conditions.py shift results/conditions docs
    python benchmarks/conditions.py shift-real results/conditions-real docs
    python benchmarks/conditions.py sources results/sources docs
    python benchmarks/conditions.py seeds results/seeds docs

The studies are those of these names in studies/.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from measuring import write_section

from prunetransfer.analysis.outcomes import cells
from prunetransfer.analysis.paired import mean_ratio, retention_difference
from prunetransfer.figures.style import DPI, WIDTH, draw_dense, legend_below, plain_looks, styled
from prunetransfer.storage.schemas.shift import SHIFT
from prunetransfer.storage.tables import read_table
from studies import outcomes_of

CONFIDENCE = 0.95
UNSEEN = ("glyphs", "textures")  # by sources of digits
SPARSITIES = (0.5, 0.7)
DATA_BASED = ("diagonal", "damped", "features")
LACKING = {
    "digits": "all 1078 images",
    "digits-20": "20 a class",
    "digits-5": "5 a class",
    "digits-1": "1 a class",
    "digits-tail": "a long tail, 100 : 1",
    "digits-wrong-20": "20% of the labels wrong",
    "digits-wrong-60": "60% wrong",
}
OTHERS = {
    "digits": "digits",
    "digits-half-1": "one half of them",
    "digits-half-2": "the other half",
    "glyphs": "glyphs",
    "both": "both at once",
    "digits-then-glyphs": "digits, then glyphs",
}
CONDITIONS_AT = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SECTIONS)
    parser.add_argument("study", type=Path, help="its folder below results")
    parser.add_argument("docs", type=Path)
    arguments = parser.parse_args()
    for section, lines in SECTIONS[arguments.what].items():
        write_section(arguments.docs / "findings.md", section, "\n".join([*lines(arguments.study), ""]))
    if arguments.what == "sources":
        images_figure(outcomes_of(arguments.study)).savefig(arguments.docs / "figures/few-images.png", dpi=DPI)


def _shift(study: Path) -> Iterator[str]:
    """A row a backbone and condition: the dense backbone's own fall, then the change of retention of each mask at
    CONDITIONS_AT, in percentage points; bold where Holm's correction leaves a verdict."""
    found = read_table(study / "tables/shift.parquet", SHIFT)
    means = found[found["target"].isna() & (found["sparsity"] == CONDITIONS_AT)]
    for role, of_role in means.groupby("role"):
        made = list(dict.fromkeys(zip(of_role["score"], of_role["recovery"], strict=True)))
        made.sort(key=lambda names: (names[1] != "none", names))
        columns = [f"`{score}`" + ("" if recovery == "none" else f" + `{recovery}`") for score, recovery in made]
        yield f"{'Unseen tasks' if role == 'transfer' else 'The source'}:\n"
        yield f"| | dense keeps | {' | '.join(columns)} |"
        yield "| --- | ---: |" + " ---: |" * len(columns)
        for (backbone, condition), rows in of_role.groupby(["backbone", "condition"]):
            by = rows.set_index(["score", "recovery"])
            dense = (rows["shifted_dense_top1"] / rows["dense_top1"]).mean()
            entries = [_signed(by.loc[names]) if names in by.index else "" for names in made]
            yield f"| `{backbone}`, {condition} | {dense:.2f} | {' | '.join(entries)} |"
        yield ""


def _signed(row: pd.Series) -> str:
    text = f"{100 * row['change']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
    return text if row["verdict"] == "equal" else f"**{text}**"


def _of(outcomes: pd.DataFrame, score: str, source: str, sparsity: float, recovery: str = "none") -> pd.DataFrame:
    """The rows of unseen tasks; a data-free score's have no source of their own but that of the recovery."""
    saw = outcomes["prune_source"].fillna(outcomes["tuned_on"] if recovery != "none" else source)
    names = (outcomes["score"] == score) & (outcomes["recovery"] == recovery) & (outcomes["sparsity"] == sparsity)
    return outcomes[names & (saw == source) & outcomes["target"].isin(UNSEEN)].sort_values(["target", "seed"])


def _lacking(study: Path) -> Iterator[str]:
    """A row a source: retention on unseen tasks, bare with the difference from magnitude, and recovered with that from
    the whole source; bold where the interval of the difference does not reach 0."""
    outcomes = outcomes_of(study)
    recovered = [("magnitude", "reconstruct"), ("features", "reconstruct"), ("magnitude", "finetune")]
    bare = [f"`{score}`, {100 * sparsity:g}%" for sparsity in SPARSITIES for score in DATA_BASED]
    columns = [*bare, *(f"`{score}` + `{recovery}`, 70%" for score, recovery in recovered)]
    for backbone, of in outcomes.groupby("backbone"):
        by_itself = " and ".join(
            f"{_kept(_of(of, 'magnitude', 'digits', sparsity)):.2f} at {100 * sparsity:g}%" for sparsity in SPARSITIES
        )
        yield f"`{backbone}`; by magnitude {by_itself}.\n"
        yield f"| images of digits | {' | '.join(columns)} |"
        yield "| --- |" + " ---: |" * len(columns)
        for source, label in LACKING.items():
            entries = [
                _beside(_of(of, score, source, sparsity), _of(of, "magnitude", source, sparsity))
                for sparsity in SPARSITIES
                for score in DATA_BASED
            ]
            entries += [
                _beside(_of(of, score, source, 0.7, recovery), _of(of, score, "digits", 0.7, recovery))
                for score, recovery in recovered
            ]
            yield f"| {label} | {' | '.join(entries)} |"
        yield ""


def _kept(rows: pd.DataFrame) -> float:
    return mean_ratio(cells(rows), CONFIDENCE).value


def _beside(rows: pd.DataFrame, other: pd.DataFrame) -> str:
    mean = f"{_kept(rows):.2f}"
    if rows.index.equals(other.index):
        return mean
    more = retention_difference(zip(cells(rows), cells(other), strict=True), CONFIDENCE)
    text = f"{mean} ({100 * more.value:+.1f})"
    return text if more.low <= 0 <= more.high else f"**{text}**"


def _several(study: Path) -> Iterator[str]:
    """A row a backbone and source: retention on each task, by score, at the largest sparsity."""
    bare = pd.read_parquet(study / "tables/accuracy.parquet").query("recovery == 'none'")
    of = bare[(bare["sparsity"] == SPARSITIES[-1]) & bare["prune_source"].isin(OTHERS)]
    kept = of.groupby(["backbone", "prune_source", "score", "target"])["retention"].mean()
    scores = [score for score in DATA_BASED if score in set(of["score"])]
    yield "| backbone, pruned with | " + " | ".join(f"`{score}`: digits / glyphs / textures" for score in scores) + " |"
    yield "| --- |" + " ---: |" * len(scores)
    for backbone in dict.fromkeys(of["backbone"]):
        for source, label in OTHERS.items():
            entries = [
                " / ".join(f"{kept[backbone, source, score, task]:.2f}" for task in ("digits", *UNSEEN))
                for score in scores
            ]
            yield f"| `{backbone}`, {label} | {' | '.join(entries)} |"


def _sampling(study: Path) -> Iterator[str]:
    """How far retention on a task differs, on average, between two draws, two halves and two tasks of the source; the
    draws are the seeds of studies/seeds.yaml, whose results lie beside the study's."""
    kept, drawn = _by_source(study), _by_source(study.parent / "seeds")["digits"].unstack("seed")
    drawn = drawn[drawn.index.isin(kept.index.droplevel("seed"))]
    apart = {
        "two draws of 256 of the 1078 images of digits": drawn.apply(_mean_gap, axis=1),
        "two halves of digits, no image in common": (kept["digits-half-1"] - kept["digits-half-2"]).abs(),
        "digits and glyphs": (kept["digits"] - kept["glyphs"]).abs(),
    }
    yield "| between | " + " | ".join(f"`{score}`" for score in DATA_BASED) + " |"
    yield "| --- |" + " ---: |" * len(DATA_BASED)
    for label, gaps in apart.items():
        means = 100 * gaps.groupby("score").mean()
        entries = [f"{means[score]:.1f}" if score in means else "" for score in DATA_BASED]
        yield f"| {label} | {' | '.join(entries)} |"


def _by_source(study: Path) -> pd.DataFrame:
    """Retention of data-based masks without recovery, a column a source."""
    bare = pd.read_parquet(study / "tables/accuracy.parquet").query("recovery == 'none'")
    by = ["backbone", "score", "sparsity", "target", "seed", "prune_source"]
    return bare[bare["prune_source"].notna()].set_index(by)["retention"].unstack("prune_source")


def _mean_gap(values: pd.Series) -> float:
    return float(np.mean([abs(a - b) for a, b in combinations(values, 2)]))


def _seeds(study: Path) -> Iterator[str]:
    """A row a backbone and sparsity: mean retention on unseen tasks by each score, its interval over images and seeds,
    and the standard deviation over seeds."""
    bare = outcomes_of(study).query("recovery == 'none'")
    bare = bare[bare["target"].isin(UNSEEN)]
    scores = list(dict.fromkeys(bare["score"]))
    yield "| backbone, sparsity | " + " | ".join(f"`{score}`" for score in scores) + " |"
    yield "| --- |" + " ---: |" * len(scores)
    for (backbone, sparsity), of in bare.groupby(["backbone", "sparsity"]):
        entries = []
        for score in scores:
            rows = of[of["score"] == score]
            mean = mean_ratio(cells(rows), CONFIDENCE)
            by_seed = [_kept(of_seed) for _, of_seed in rows.groupby("seed")]
            entries.append(f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}] ± {np.std(by_seed, ddof=1):.3f}")
        yield f"| `{backbone}`, {100 * sparsity:g}% | {' | '.join(entries)} |"


@styled
def images_figure(outcomes: pd.DataFrame) -> Figure:
    """Retention on unseen tasks against the images a class of the source, a panel a backbone, at 50%."""
    counts = {"digits-1": 1, "digits-5": 5, "digits-20": 20, "digits": 108}
    backbones = sorted(outcomes["backbone"].unique())
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    looks = plain_looks([*DATA_BASED])
    for axes, backbone in zip(figure.subplots(1, len(backbones), squeeze=False)[0], backbones, strict=True):
        of = outcomes[outcomes["backbone"] == backbone]
        for score, look in looks.items():
            means = [_kept(_of(of, score, source, 0.5)) for source in counts]
            axes.plot(list(counts.values()), means, label=score, **look)
        level = _kept(_of(of, "magnitude", "digits", 0.5))
        axes.axhline(level, color="black", linestyle=":", label="magnitude, without images")
        axes.set(title=f"{backbone}, 50%", xscale="log", xlabel="images a class of digits")
        axes.set_xticks(list(counts.values()), [str(count) for count in counts.values()])
        axes.minorticks_off()
        draw_dense(axes)
    figure.axes[0].set_ylabel("mean retention on unseen tasks")
    legend_below(figure, figure.axes[0].get_lines()[: len(looks) + 1])
    return figure


SECTIONS: dict[str, dict[str, Callable[[Path], Iterator[str]]]] = {
    "shift": {"shift": _shift},
    "shift-real": {"shift-real": _shift},
    "sources": {"lacking": _lacking, "several": _several, "sampling": _sampling},
    "seeds": {"seeds": _seeds},
}


if __name__ == "__main__":
    main()
