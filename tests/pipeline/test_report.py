"""The report in a real browser, without network: what a reader sees, and that nothing is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
]
# Opens each result that the report can show, as a click does, and notes what came; then the front page again.
VISIT = """
(async () => {
  const sleep = ms => new Promise(done => setTimeout(done, ms));
  const shown = async (elements, isIt = () => true) => {
    for (let tries = 0; tries < 100; tries++, await sleep(50)) {
      const found = [...document.querySelectorAll(`#app ${elements}`)].find(isIt);
      if (found && (found.complete ?? true)) return found;
    }
    throw new Error(`no ${elements}`);
  };
  const figure = await shown('img[src^="data:image/png"]');
  const found = {front: document.querySelector('#app').innerText, images: {}, pages: {}};
  found.images['front page'] = figure.naturalWidth;
  for (const [path, result] of Object.entries(results)) {
    const kind = {'image/png': 'img', 'text/html': 'html'}[result.mime_type];
    if (!kind) continue;
    app.setView({content: kind, contentPath: result.data_uri, resultPath: path});
    if (kind == 'img') found.images[path] = (await shown('img', image => image.src == result.data_uri)).naturalWidth;
    else found.pages[path] = (await shown('iframe')).src.length;
  }
  for (const category of Object.keys(categories)) { app.showCategory(category); await sleep(100); }
  const note = document.createElement('pre');
  note.id = 'found';
  note.textContent = JSON.stringify(found);
  document.body.append(note);
})();
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")


def complaints(said: str) -> list[str]:
    """All that scripts wrote to the console, except the advice of a library of Snakemake's."""
    return [line for line in re.findall(r"CONSOLE.*", said) if "cdn.tailwindcss.com should not be used" not in line]


def visit(browser: str, page: Path, folder: Path) -> tuple[str, str]:
    """The page's elements after its scripts have run, and what the browser had to say."""
    command = [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0"]
    command += ["--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_report_answers_first_and_shows_everything(browser, study, tmp_path):
    study.run("--report", "report.html")
    head, tail = (study.folder / "report.html").read_text().rsplit("</body>", 1)
    page = tmp_path / "report.html"
    page.write_text(f"{head}<script>{VISIT}</script></body>{tail}")
    elements, said = visit(browser, page, tmp_path)
    assert not complaints(said)
    (note,) = re.findall(r'<pre id="found">(.*)</pre>', elements)
    found = json.loads(unescape(note))
    lines = [line for line in found["front"].splitlines() if line.strip()]
    asked = next(i for i, line in enumerate(lines) if line.startswith("How far can each backbone be pruned"))
    assert lines[asked + 1].startswith("Pruned without recovery, no unseen task loses more than 5 percentage points")
    assert {"What it took", "What made it", "What was done"} <= set(lines)
    names = {Path(path).stem for path in found["images"]}
    assert {"front page", "safe", "retention", "heatmap", "recoveries", "targets", "layers"} <= names
    assert all(width > 300 for width in found["images"].values()), found["images"]
    assert [Path(path).name for path in found["pages"]] == ["verdicts.html"]


def test_pages_open_by_themselves(browser, finished_study, tmp_path):
    for name in ("overview", "verdicts"):
        elements, said = visit(browser, finished_study.folder / f"results/tiny/{name}.html", tmp_path / name)
        assert "Pruned without recovery" in elements and not complaints(said)
