"""Writing that is cut short, by a kill or a full disk: what was there stays, nothing half written is left."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

from prunetransfer.storage.artifacts import read_tensors, write_tensors

LIMIT = 4096  # bytes a file

# Each writer, given `path`, wants far more than that.
WRITERS = {
    "tensors": "write_tensors(path, {'w': np.ones(10**5)}, {})",
    "stream": "write_stream(path, {}, 'w', (10, 10**4), np.ones((10, 1, 10**4), np.uint8), {})",
    "table": "write_table(path, pd.DataFrame({'a': np.random.rand(10**5)}), SCHEMA, {})",
    "figure": "save(Figure(), path, path + '.svg')",
    "state": "SavedState(path, {}, []).save({'w': torch.ones(10**5)})",
}
PREAMBLES = {
    "tensors": "import numpy as np; from prunetransfer.storage.artifacts import write_tensors",
    "stream": "import numpy as np; from prunetransfer.storage.artifacts import write_stream",
    "table": "import numpy as np, pandas as pd, pyarrow as pa; from prunetransfer.storage.schemas.columns import key; "
    "from prunetransfer.storage.tables import write_table; SCHEMA = pa.schema([key('a', pa.float64(), '')])",
    "figure": "from matplotlib.figure import Figure; from prunetransfer.figures.style import save",
    "state": "import torch; from prunetransfer.training.saved_state import SavedState",
}


def python(code: str, path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import sys; path = sys.argv[1]; {code}", str(path)], text=True, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_nothing_half_written(tmp_path, kind):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))"
    done = python(f"{PREAMBLES[kind]}; {limited}; {WRITERS[kind]}", tmp_path / "file")
    assert done.returncode == 1 and f"ArtifactError: {tmp_path}/" in done.stderr.splitlines()[-1]
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_was_killed_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    write_tensors(path, {"w": np.zeros(2)}, {})
    die = "(np.ones((1, 4), np.uint8) if k < 2 else os.kill(os.getpid(), 9) for k in range(4))"
    done = python(f"import os; {PREAMBLES['stream']}; write_stream(path, {{}}, 'w', (4, 4), {die}, {{}})", path)
    assert done.returncode == -signal.SIGKILL
    assert read_tensors(path)["w"].tolist() == [0, 0]
    assert len(list(tmp_path.iterdir())) == 2
    write_tensors(path, {"w": np.ones(2)}, {})
    assert [left.name for left in tmp_path.iterdir()] == ["file"]
