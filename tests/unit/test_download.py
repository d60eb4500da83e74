"""Downloads over a local server that cuts, refuses and fails as real ones do."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prunetransfer.models.download import download
from prunetransfer.storage.artifacts import ArtifactError

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every path; `answers`: what is wrong with the next, `ranges`: what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[str | int] = []
        self.ranges: list[str | None] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        answer = self.server.answers.pop(0) if self.server.answers else "whole"
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and answer != "no ranges" else 0
        if isinstance(answer, int) or start >= len(CONTENT):
            return self.send_error(answer if isinstance(answer, int) else 416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + 100_000] if answer == "cut" else CONTENT[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def visible(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("sha256", [DIGEST, DIGEST[:8]])
def test_a_file_is_fetched_once(server, tmp_path, sha256):
    path = download(server.url("nets/net.pth?version=1"), tmp_path / "a/b", sha256)
    assert path.read_bytes() == CONTENT and path.name.endswith("-net.pth")
    assert download(server.url("nets/net.pth?version=1"), tmp_path / "a/b", sha256) == path
    assert server.ranges == [None]


def test_files_of_one_name_do_not_collide(server, tmp_path):
    assert len({download(server.url(f"{place}/net.pth"), tmp_path, DIGEST) for place in ("a", "b")}) == 2


def test_what_was_cut_is_continued(server, tmp_path):
    server.answers = ["cut", 503, "cut"]
    assert download(server.url("net.pth"), tmp_path, DIGEST, wait=0).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-", "bytes=200000-"]


def test_an_interrupted_job_is_continued_by_the_next(server, tmp_path):
    server.answers = ["cut", 404]
    with pytest.raises(ArtifactError, match=r"net\.pth: download failed .*404"):
        download(server.url("net.pth"), tmp_path, DIGEST, wait=0)
    assert download(server.url("net.pth"), tmp_path, DIGEST).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=100000-"


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.answers = ["cut", "no ranges"]
    assert download(server.url("net.pth"), tmp_path, DIGEST, wait=0).read_bytes() == CONTENT


@pytest.mark.parametrize(("code", "attempts"), [(404, 1), (403, 1), (500, 6), (429, 6)])
def test_only_what_may_pass_is_tried_again(server, tmp_path, code, attempts):
    server.answers = [code] * 10
    with pytest.raises(ArtifactError, match=str(code)):
        download(server.url("net.pth"), tmp_path, DIGEST, wait=0)
    assert len(server.ranges) == attempts


def test_nobody_there_is_one_message(tmp_path):
    with pytest.raises(ArtifactError, match=r"^http://127\.0\.0\.1:1/net\.pth: download failed .*refused"):
        download("http://127.0.0.1:1/net.pth", tmp_path, DIGEST, wait=0)


def test_a_wrong_digest_names_both_and_leaves_nothing(server, tmp_path):
    with pytest.raises(ArtifactError) as error:
        download(server.url("net.pth"), tmp_path, "0" * 64)
    assert all(part in str(error.value) for part in ("net.pth", DIGEST, "0" * 64))
    assert visible(tmp_path) == []


def test_an_unknown_digest_is_named_and_the_file_waits_for_it(server, tmp_path):
    with pytest.raises(ArtifactError, match=f"SHA-256 is {DIGEST}; put it into the config if you trust it"):
        download(server.url("net.pth"), tmp_path, None)
    assert all(name.startswith(".") for name in visible(tmp_path))
    assert download(server.url("net.pth"), tmp_path, DIGEST).read_bytes() == CONTENT
    assert server.ranges == [None]


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    path = download(server.url("net.pth"), tmp_path, DIGEST)
    path.write_bytes(b"damaged")
    assert download(server.url("net.pth"), tmp_path, DIGEST).read_bytes() == CONTENT


def test_jobs_that_want_one_file_take_turns(server, tmp_path):
    with ThreadPoolExecutor(4) as jobs:
        paths = list(jobs.map(lambda _: download(server.url("net.pth"), tmp_path, DIGEST), range(4)))
    assert len(set(paths)) == 1 and paths[0].read_bytes() == CONTENT
    assert server.ranges == [None]
