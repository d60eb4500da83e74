"""Tables that figures are drawn of."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from prunetransfer.figures import (
    efficiency,
    safe,
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
