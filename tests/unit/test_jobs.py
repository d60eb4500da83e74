"""What the names of a job say, and where its files lie."""

from __future__ import annotations

import string

import numpy as np
import pytest
from snakemake.iocontainers import Wildcards

from prunetransfer.pruning.masks import mask_columns, write_mask
from prunetransfer.stages import paths
from prunetransfer.stages.jobs import Job

RECOVERED = {
    **{"backbone": "net", "criterion": "block@digits", "recovery": "reconstruct+moments@glyphs"},
    **{"seed": "3", "mask": "0.5", "settings": "passed over"},
}


def test_a_job_is_what_its_names_say():
    job = Job.parse(RECOVERED)
    assert job == Job("net", "block", "digits", "reconstruct+moments", "glyphs", mask="0.5", seed=3)
    assert (job.link, job.earlier, job.is_shared) == ("moments", "reconstruct@glyphs", False)
    assert Job.parse(Wildcards(fromdict=RECOVERED)) == job
    assert Job.parse({}) == Job()


def test_key_columns_are_those_that_the_job_has():
    of_score = {"backbone": "net", "score": "magnitude", "prune_source": None, "seed": 0}
    wildcards = {"backbone": "net", "criterion": "magnitude", "seed": "0"}
    assert Job.parse(wildcards).key_columns == of_score
    bare = Job.parse(wildcards | {"recovery": "none", "targets": "a+b"})
    assert bare.key_columns == of_score | {"recovery": "none", "tuned_on": None}
    assert bare.link == "none" and bare.earlier is None


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        ({"criterion": "magnitude"}, True),
        ({"criterion": "magnitude", "recovery": "none"}, True),
        ({"criterion": "magnitude", "recovery": "finetune@digits"}, False),
        ({"criterion": "block@digits", "recovery": "none"}, False),
    ],
)
def test_seeds_share_what_nothing_is_drawn_for(names, shared):
    assert Job.parse(names).is_shared is shared


def test_a_masks_file_says_its_key_columns(tmp_path):
    wildcards = {"backbone": "net", "criterion": "block@digits", "seed": "1", "mask": "0.5"}
    write_mask(tmp_path / "mask", {"a": np.ones(4, bool)}, {"mask": "global", "sparsity": 0.5, "wildcards": wildcards})
    assert mask_columns(tmp_path / "mask") == {
        **{"backbone": "net", "score": "block", "prune_source": "digits", "seed": 1},
        **{"mask": "global", "sparsity": 0.5},
    }


PATTERNS = {name: pattern for name, pattern in vars(paths).items() if name.isupper()}


def test_no_two_kinds_of_files_lie_at_one_place_and_no_two_jobs_have_one_log():
    names = {field for pattern in PATTERNS.values() for _, field, _, _ in string.Formatter().parse(pattern) if field}
    filled = {name: pattern.format(**dict.fromkeys(names, "x")) for name, pattern in PATTERNS.items()}
    assert len(set(filled.values())) == len(filled)
    of_one_job = {"PREPARED", "IMAGES", "PREDICTIONS", "LOSS_PATHS", "CARD"}  # which the job's first file names
    logs = {name: paths.job_name(path) for name, path in filled.items() if name not in of_one_job}
    assert len(set(logs.values())) == len(logs)


def test_a_jobs_log_is_called_as_its_first_file():
    assert paths.job_name(paths.MASK) == "masks/{backbone}/{criterion}/seed{seed}/{mask}"
    assert paths.job_name(paths.WEIGHTS) == "weights/{backbone}-{settings}"
