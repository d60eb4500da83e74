import struct
import zlib

import pandas as pd
import pytest
from unit.findings import no_findings

from prunetransfer.report.overview import overview
from prunetransfer.report.pages import Heading, Picture, Points, Table, html, markdown
from prunetransfer.storage.schemas.costs import COSTS

BLOCKS = [
    Heading("a < b", 1),
    "One & two.",
    Points(["first", "second"]),
    Table(("name", "value"), [("x<y", "+1.0"), ("z", "-")]),
]


@pytest.fixture
def picture(tmp_path):
    """A PNG of one pixel."""
    chunks = {b"IHDR": struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0), b"IDAT": zlib.compress(b"\0\0"), b"IEND": b""}
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks.items()]
    (tmp_path / "figure.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return tmp_path / "figure.png"


def test_a_page_as_markdown():
    table = "| name | value |\n| --- | --- |\n| x<y | +1.0 |\n| z | - |"
    assert markdown(BLOCKS) == f"# a < b\n\nOne & two.\n\n- first\n- second\n\n{table}\n"


def test_a_page_as_html_is_escaped_and_needs_no_other_file(picture):
    text = html([*BLOCKS, Picture(picture, "one pixel")])
    assert "<title>a &lt; b</title>" in text and "<h1>a &lt; b</h1>" in text and "<p>One &amp; two.</p>" in text
    assert '<th>name</th><th class="number">value</th>' in text
    assert '<tr><td>x&lt;y</td><td class="number">+1.0</td></tr>' in text
    assert 'src="data:image/png;base64,iVBORw0KGgo' in text
    assert text.count("src=") == 1 and "href=" not in text and "http" not in text


def test_the_front_page_says_what_the_study_took_and_what_made_it(picture):
    job = dict.fromkeys(COSTS.names) | {"study": "mini", "stage": "evaluate", "device": "cpu", "torch": "2.11"}
    jobs = [
        job | {"job": "a", "seconds": 60.0, "cpu_seconds": 90.0, "peak_mb": 1500.0},
        job | {"job": "b", "seconds": 120.0, "cpu_seconds": 180.0, "peak_mb": 1000.0, "torch": "2.12"},
        job | {"job": "c", "seconds": 0.4, "stage": "build_mask"},
    ]
    text = markdown(overview(no_findings(), pd.DataFrame(jobs), {"safe": picture}))
    assert text.startswith("# How far can each backbone be pruned")
    assert "3 jobs: 0:03:00 (h:mm:ss) one after the other, 0:04:30 of processor time" in text and "1.5 GB" in text
    assert "| evaluate | 2 | 180 | 270 | 100% | 1500 |\n| build mask | 1 | 0 | 0 | 0% | - |" in text
    assert "| device | cpu |\n| PyTorch | 2.11, 2.12 |" in text
