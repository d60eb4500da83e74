from __future__ import annotations

import pytest

from prunetransfer.stages.benchmarks import Cost, JobCost, job_costs, read_cost

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
LONG = HEADER + "90061.50\t1 day, 1:01:01\t717.38\t3383.21\t375.28\t435.97\t1.16\t0.04\t27.84\t3.73\n"
SHORT = HEADER + "0.31\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n"


def test_a_short_job_has_seconds_alone(tmp_path):
    (tmp_path / "long.tsv").write_text(LONG)
    (tmp_path / "short.tsv").write_text(SHORT)
    assert read_cost(tmp_path / "long.tsv") == Cost(90061.5, 3.73, 717.38)
    assert read_cost(tmp_path / "short.tsv") == Cost(0.31, None, None)


@pytest.mark.parametrize("content", ["", HEADER, LONG[:-8].rpartition("\t")[0], "a\tb\n1\t2\n"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "job.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{path}: not a benchmark file"):
        read_cost(path)


def test_jobs_of_other_stages_and_of_names_that_the_config_lost_do_not_count(tmp_path):
    for job in ("masks/net/seed0/0.5", "masks/net/seed1/0.5", "masks/old/seed0/0.5", "figures/net"):
        path = tmp_path / f"{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SHORT)
    pattern = rf"{tmp_path}/masks/(?P<backbone>[^/@]+)/seed(?P<seed>\d+)/(?P<sparsity>0\.\d+)\.tsv"
    found = list(job_costs(tmp_path, {"build_mask": pattern}, {"backbone": ["net"], "seed": ["0", "2"]}))
    wildcards = {"backbone": "net", "seed": "0", "sparsity": "0.5"}
    assert found == [JobCost("build_mask", "masks/net/seed0/0.5", wildcards, Cost(0.31, None, None))]
    assert len(list(job_costs(tmp_path, {"build_mask": pattern}))) == 3
