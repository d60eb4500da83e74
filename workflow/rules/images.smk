def with_plugins(entry):
    """An entry of a dataset, with what a job must know of the user's own kinds in it."""
    if "parts" in entry:
        return entry | {"parts": {name: with_plugins(part) for name, part in entry["parts"].items()}}
    return entry | plugin("datasets", entry["kind"])


def images_settings(wildcards):
    entry = config["datasets"][wildcards.dataset]
    return with_plugins({key: value for key, value in entry.items() if key != "head"})


def selections(entry):
    """Those of an entry's views and of its parts'."""
    yield from entry.get("selections", ())
    for part in entry.get("parts", {}).values():
        yield from selections(part)


def images_digest(wildcards):
    """The digest of what prepares a dataset: its kinds, and the steps of the views that it is seen through."""
    entry = config["datasets"][wildcards.dataset]
    kinds = dict.fromkeys(part["kind"] for part in without_parts(entry))
    steps = {step for selection in selections(entry) for step in selection if step in NEEDS["views"]}
    used = [("datasets", kind) for kind in kinds] + [("views", step) for step in sorted(steps)]
    return code("prepare_images", *(module for section, name in used for module in modules(section, name)))


# Whose train images are another dataset's has no more than test images to prepare.
PREPARED = {
    "prepare_images": (["train", "test"], [name for name, same in SAME_TRAIN.items() if same == name]),
    "prepare_test_images": (["test"], [name for name, same in SAME_TRAIN.items() if same != name]),
}

for prepares, (splits, datasets) in PREPARED.items():

    rule:
        name:
            prepares
        input:
            lambda wildcards: list(download_records(wildcards.dataset)),
        output:
            **{split: intermediate("images", paths.IMAGES.replace("{split}", split)) for split in splits},
        wildcard_constraints:
            dataset=any_of(datasets),
        params:
            dataset=images_settings,
            data_root=config["data_root"],
            code=images_digest,
        log:
            log_of(paths.PREPARED),
        benchmark:
            costs_of(paths.PREPARED)
        threads: config["threads"]
        resources:
            **resources(mem_mb=4000, minutes=60),
        script:
            "../scripts/prepare_images.py"
