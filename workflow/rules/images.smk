def images_settings(wildcards):
    settings = config["datasets"][wildcards.dataset]
    return {key: value for key, value in settings.items() if key != "head"} | plugin("datasets", settings["kind"])


def images_code(wildcards):
    """The digest of what prepares a dataset: its kind, and the steps of the views that it is seen through."""
    entry = config["datasets"][wildcards.dataset]
    steps = {name for selection in entry.get("selections", ()) for name in selection if name in NEEDS["views"]}
    views = [module for step in sorted(steps) for module in modules("views", step)]
    return code("prepare_images", *modules("datasets", entry["kind"]), *views)


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
            code=images_code,
        log:
            log_of(paths.PREPARED),
        benchmark:
            costs_of(paths.PREPARED)
        threads: config["threads"]
        resources:
            **resources(mem_mb=4000, minutes=60),
        script:
            "../scripts/prepare_images.py"
