"""What a study measured and guarantees of one of its pruned backbones, and what made it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from prunetransfer.analysis.outcomes import cells, read_outcomes
from prunetransfer.analysis.paired import mean_ratio
from prunetransfer.analysis.roles import judged
from prunetransfer.datasets.splits import read_split
from prunetransfer.deploy.card import licence_of
from prunetransfer.deploy.pruned import Facts, Measured
from prunetransfer.deploy.study import Choice, Study
from prunetransfer.models.packages import PREFIX
from prunetransfer.pruning.names import read_name
from prunetransfer.report.answer import least_safe
from prunetransfer.stages import paths
from prunetransfer.stages.sequences import datasets_of
from prunetransfer.storage.artifacts import read_metadata


def facts(study: Study, choice: Choice, weights: Path, safest: bool) -> Facts:
    """What the card tells of the choice. weights: the dense ones; safest: as of `pruned_model`."""
    entry, config = study.config["backbones"][choice.backbone], study.config
    job, source = choice.job, entry["weights"]["source"]
    steps, in_steps = study.names["steps"](job.score), ""
    if steps:
        in_steps = f" in {steps['rounds']} steps with `{steps['between']}` between them"
        in_steps += " and the last mask refined" if steps["refine"] else ""
    none = "no other recovery" if steps else "no recovery"
    recovery = none if choice.recovery == "none" else f"recovery `{job.recovery}`"
    seen = _seen(study, choice)
    images = f", on images of {', '.join(seen)}" if seen else ", on no images"
    return Facts(
        name=f"{choice.backbone}, pruned to sparsity {choice.mask}",
        pruning=(
            f"The backbone `{choice.backbone}` (`{entry['architecture']}`, pre-training {entry['pretraining']}) was "
            f"pruned to sparsity {choice.mask} by the score `{job.score}`{in_steps}, with {recovery}{images}. "
            f"It is part of the study `{config['study']}` of prunetransfer."
        ),
        measured=list(_measured(study, choice)),
        confidence=config["confidence"],
        guarantee=_guarantee(study, choice, safest),
        provenance=_provenance(study, choice, weights),
        licence=licence_of(entry["architecture"], source),
    )


def _rows(study: Study, frame: pd.DataFrame, choice: Choice, *leave_out: str) -> pd.DataFrame:
    """The rows of a table that are about the choice."""
    for column, value in study.columns(choice).items():
        if column not in leave_out:
            frame = frame[frame[column].isna() if value is None else frame[column] == value]
    return frame


def _measured(study: Study, choice: Choice) -> Iterator[Measured]:
    """The accuracy table's rows, with intervals of the same images' outcomes."""
    files = [study.file(paths.PREDICTIONS, choice, targets=group) for group in study.names["TARGETS"]]
    outcomes = _rows(study, read_outcomes(files, study.table("dense"), **study.names["OF_STUDY"]), choice)
    by = ["target", "readout"]
    found = {name: mean_ratio(cells(rows), study.config["confidence"]) for name, rows in outcomes.groupby(by)}
    for row in judged(_rows(study, study.table("accuracy"), choice)).itertuples():
        interval = found.get((row.target, row.readout))
        kept = (interval.value, interval.low, interval.high) if interval else (None, None, None)
        yield Measured(row.target, row.role == "transfer", row.readout, row.n, row.dense_top1, row.top1, *kept)


def _guarantee(study: Study, choice: Choice, safest: bool) -> str:
    """What is guaranteed on unseen tasks, in sentences; and that nothing is, where that is so."""
    table = _rows(study, study.table("safe_sparsity"), choice, "sparsity")
    table = table[(table["role"] == "transfer") & (table["readout"] == "zero_shot")]
    if table.empty:
        return "Nothing is guaranteed: the study has no unseen task for this mask."
    first, least, sparsity = table.iloc[0], table["safe_sparsity"].min(), float(read_name(choice.mask)["sparsity"])
    tasks = ", ".join(sorted(table["target"].unique()))
    if least < sparsity:
        shown = f"sparsity {least:g} was" if least else "no sparsity that was tried was"
        return f"Nothing is guaranteed at this sparsity: on the unseen tasks ({tasks}) {shown} shown to be safe."
    told = (
        f"With probability {1 - first.delta:.0%} over the images that this was shown on, pruning costs at most "
        f"{100 * first.alpha:g} percentage points of accuracy on each unseen task ({tasks}), read by its head."
    )
    return f"{told} {_selection(study, choice)}" if safest else told


def _selection(study: Study, choice: Choice) -> str:
    safe = least_safe(study.table("safe_sparsity"))
    count = int((safe["backbone"] == choice.backbone).sum())
    if count == 1:
        return ""
    return (
        f"This holds for each combination of score and recovery by itself; this one is the best of {count}, so "
        f"that the risk of the choice is at most {count} times as large."
    )


def _provenance(study: Study, choice: Choice, weights: Path) -> dict[str, str]:
    mask, made = read_metadata(study.mask_file(choice)), read_metadata(weights)
    config, entry = study.config, study.config["backbones"][choice.backbone]
    source = entry["weights"]["source"]
    public = source in ("timm", "pretrain", "random") or source.startswith((PREFIX, "https://", "torchvision:"))
    found = {
        "study": config["study"],
        "seed": str(choice.seed),
        "revision": mask.get("revision") or "unknown",
        "versions": ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items()),
        "checkpoint": source if public else Path(source).name,
        "SHA-256 of the checkpoint": made.get("checkpoint_sha256", "none: there is no file of one"),
    }
    for dataset in _seen(study, choice):
        images = read_split(study.made(study.names["images"](dataset, choice.backbone, "train"))).images
        found[f"SHA-256 of the prepared train images of {dataset}"] = hashlib.sha256(images.numpy()).hexdigest()
    return found


def _seen(study: Study, choice: Choice) -> list[str]:
    """The datasets whose train images the mask or the recovery saw."""
    job, config = choice.job, study.config
    links = [] if choice.recovery == "none" else job.recovery.split("+")
    if steps := study.names["steps"](job.score):
        links.append(steps["between"])
    entries = [config["scores"][job.score], *(config["recoveries"][link] for link in links)]
    beside = [dataset for entry in entries for dataset in entry.get("beside", ())]
    own = datasets_of(job.prune_source) if job.prune_source else []
    return [dataset for dataset in dict.fromkeys([*own, job.tuned_on, *beside]) if dataset]
