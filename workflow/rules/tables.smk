# Which jobs a study has, and its tables: what each is made from is declared here once, and one rule makes them all.
EVALUATED = [
    dict(backbone=backbone, criterion=criterion, recovery=recovery, targets=targets, seed=seed)
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    for targets in TARGETS
    for seed in seeds(criterion, recovery)
    if masks(backbone, criterion, recovery)
]
EVALUATIONS = [file(paths.EVALUATION, **job) for job in EVALUATED]
PREDICTIONS = [file(paths.PREDICTIONS, **job) for job in EVALUATED]
ANSWERS = dict(predictions=PREDICTIONS, dense=table("dense"))
# The dense answers are the same in all jobs of a backbone and a group of targets: the first of them is read.
DENSE_ANSWERS = [
    next(
        file(paths.PREDICTIONS, **job) for job in EVALUATED if (job["backbone"], job["targets"]) == (backbone, targets)
    )
    for backbone in config["backbones"]
    for targets in TARGETS
]
SCORED = [
    dict(backbone=backbone, criterion=criterion, seed=seed)
    for backbone in config["backbones"]
    for criterion in criteria()
    for seed in seeds(criterion)
]
# A sequence has no score of its own: its masks are made from those of its datasets.
WITH_SCORES = [job for job in SCORED if not is_sequence(Job.parse(job).prune_source)]
ALL_SCORES = [file(paths.SCORE, **job) for job in WITH_SCORES]
MASKED = [job | dict(mask=mask) for job in SCORED for mask in masks_of(job)]
MASKS = [file(paths.MASK, **job) for job in MASKED]
TRAINED = [
    file(paths.RECOVERED, recovery=recovery, backbone=backbone, criterion=criterion, seed=seed, mask=mask)
    for backbone in config["backbones"]
    for criterion in criteria()
    for recovery in recoveries(backbone, criterion)
    if recovery != "none"
    if NEEDS["recoveries"][config["recoveries"][Job.parse({"recovery": recovery}).link]["recovery"]]["resumable"]
    for seed in config["seeds"]
    for mask in masks(backbone, criterion, recovery)
]
PRETRAININGS = pretraining_groups(config["backbones"])
# What the statistics know of the study: its seeds, what each recovery does, which images a target shares.
OF_STUDY = dict(
    study=config["study"],
    seeds=config["seeds"],
    methods=METHODS,
    own_sources=own_sources(config["datasets"], config["sources"], config["targets"]),
    shifted=list(SHIFTS),
    in_steps=IN_STEPS,
)


def is_swept(score):
    """Does the config have the same score with another number of images, and differing in nothing else?"""
    settings = config["scores"][score]
    others = [other for name, other in config["scores"].items() if name != score]
    return any(
        settings.get("samples") != other.get("samples") and settings | {"samples": None} == other | {"samples": None}
        for other in others
    )


# Script → `reads` (its input), `tables` (its output), `knows` (of the study), `asks` for megabytes and minutes.
TABLE_STAGES = {
    "dense": dict(
        reads=dict(predictions=DENSE_ANSWERS),
        tables=["dense"],
        knows=dict(study=config["study"], confidence=config["confidence"]),
    ),
    "aggregate_accuracy": dict(
        reads=dict(rows=EVALUATIONS, dense=table("dense")),
        tables=["accuracy"],
        knows=dict(
            of_study=OF_STUDY,
            labels={
                name: {key: backbone[key] for key in ("architecture", "pretraining")}
                for name, backbone in config["backbones"].items()
            },
        ),
    ),
    "parameters": dict(
        reads=dict(weights=[weights_file(name) for name in config["backbones"]]),
        tables=["parameters"],
        knows=dict(study=config["study"], backbones=list(config["backbones"])),
    ),
    "layer_sparsity": dict(
        reads=dict(masks=MASKS),
        tables=["layer_sparsity"],
        knows=dict(study=config["study"], seeds=config["seeds"]),
    ),
    "convergence": dict(
        reads=dict(
            scores=[
                file(paths.SCORE, **job)
                for job in WITH_SCORES
                if Job.parse(job).prune_source and is_swept(Job.parse(job).score)
            ]
        ),
        tables=["convergence"],
        knows=dict(
            study=config["study"],
            # Of a pattern that takes whole units out, the scores of single weights say too little.
            masks=[
                dict(mask=name, sparsity=sparsity, made={key: entry[key] for key in entry if key not in TRIED})
                for name, entry in config["masks"].items()
                if not NEEDS["masks"][registered_name(entry["pattern"])]["units"]
                for sparsity in entry["sparsities"]
            ],
        ),
        asks=(4000, 30),
    ),
    "training": dict(
        reads=dict(recovered=TRAINED),
        tables=["training"],
        knows=dict(study=config["study"], methods=METHODS),
    ),
    "verdicts": dict(
        reads=ANSWERS,
        tables=["verdicts", "retention", "intervals", "changes", "comparisons"],
        knows=dict(of_study=OF_STUDY, levels={key: config[key] for key in ("tolerance", "confidence")}),
        asks=(4000, 30),
    ),
    "pretrainings": dict(
        reads=ANSWERS,
        tables=["pretrainings", "pretraining_comparisons"],
        knows=dict(of_study=OF_STUDY, labels=PRETRAININGS, confidence=config["confidence"]),
        asks=(4000, 30),
    ),
    "safe_sparsity": dict(
        reads=ANSWERS,
        tables=["safe_sparsity"],
        knows=dict(of_study=OF_STUDY, levels=config["safe"] | {"confidence": config["confidence"]}),
        asks=(4000, 30),
    ),
    "mask_overlap": dict(
        reads=dict(masks=[file(paths.MASK, **job) for job in MASKED if Job.parse(job).prune_source]),
        tables=["mask_overlap"],
        knows=dict(study=config["study"]),
        asks=(4000, 60),
    ),
    "predicted_loss": dict(
        reads=dict(scores=ALL_SCORES, masks=MASKS, accuracy=table("accuracy")),
        tables=["predicted_loss", "predicted_safe"],
        knows=dict(seeds=config["seeds"], tolerance=config["tolerance"]),
        asks=(4000, 60),
    ),
}
if SHIFTS:
    TABLE_STAGES["shift"] = dict(
        reads=ANSWERS | dict(answers=DENSE_ANSWERS),
        tables=["shift"],
        knows=dict(of_study=OF_STUDY, shifts=SHIFTS, confidence=config["confidence"]),
        asks=(4000, 30),
    )
if LANDSCAPE:
    TABLE_STAGES |= {
        "aggregate_spectra": dict(
            reads=dict(spectra=landscape_files(paths.SPECTRUM, dataset=TASK_NAMES)),
            tables=["landscape", "spectrum", "alignment"],
            knows=dict(study=config["study"]),
            asks=(8000, 60),
        ),
        "aggregate_perturbations": dict(
            reads=dict(
                rows=landscape_files(paths.PERTURBATION, targets=list(TASKS)),
                paths=landscape_files(paths.LOSS_PATHS, targets=list(TASKS)),
                predicted_loss=table("predicted_loss"),
            ),
            tables=["perturbations", "paths"],
            knows=dict(
                study=config["study"],
                own_sources=own_sources(config["datasets"], config["sources"], TASK_NAMES),
            ),
        ),
    }
if EFFICIENCY:
    TABLE_STAGES["aggregate_efficiency"] = dict(
        reads=dict(rows=MEASUREMENTS),
        tables=["efficiency"],
        knows=dict(study=config["study"]),
    )
if PRETRAINED:
    TABLE_STAGES["pretraining"] = dict(
        reads=dict(cards=PRETRAINED),
        tables=["pretraining"],
        knows=dict(
            study=config["study"],
            labels={
                name: {key: recipe[key] for key in ("objective", "dataset")}
                | {"pretraining": config["backbones"][name]["pretraining"]}
                for name, recipe in config["pretrain"].items()
            },
        ),
    )
TABLES = {name: table(name) for stage in TABLE_STAGES.values() for name in stage["tables"]} | {"costs": table("costs")}

for stage, of in TABLE_STAGES.items():

    rule:
        name:
            stage
        input:
            **of["reads"],
        output:
            **{name: table_in_report(name) for name in of["tables"]},
        params:
            **of["knows"],
            stage=stage,
            code=code(stage),
        log:
            LOGS / f"{stage}.log",
        benchmark:
            COSTS / f"{stage}.tsv"
        localrule: True
        resources:
            **resources(*of.get("asks", (2000, 10))),
        # Of `stage` itself Snakemake would take the last value when the job runs.
        script:
            "../scripts/{params.stage}.py"
