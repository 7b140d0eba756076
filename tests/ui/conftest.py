"""Real small trainings, MLflow's pages on them, and Debian's Chromium to look at them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

ROOT = Path(__file__).parents[2]
# What the trainings share is an experiment, so that MLflow names them by what differs.
SMALL = """# @package _global_
defaults:
  - override /data: mnist
  - override /augment: none
  - override /trainer: cpu
experiment: small
data: {take: per_class, take_n: 50}
trainer: {max_epochs: 4, batch_size: 32}
tracking: {system_metrics: false}
"""
TRAININGS = [
    ["model=softmax", "optimizer.lr=0.02"],
    ["model=lenet5", "optimizer.lr=0.05"],
    ["model=cnn"],
    ["model=cnn", "augment=shift", "seed=1"],
]
# In one process: what the trainings import is imported once.
TRAIN = """
import json, sys
from pathlib import Path
from filterlab.config import compose, resolved
from filterlab.stages.train import train
root = Path(sys.argv[1])
for overrides in json.loads(sys.argv[2]):
    config = compose.compose(root / "conf", ["seed=0", *overrides])
    (root / resolved.RESOLVED).parent.mkdir(exist_ok=True)
    (root / resolved.RESOLVED).write_text(resolved.dump(config))
    train(config, root=root, out=root)
"""
FLAGS = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
PATIENCE = 30_000  # milliseconds that a page may take to show something


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # No longer than a module: while it lives, no other test of this process can run an event loop.
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium: no `chromium` on PATH (Debian's package `chromium`)")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def repository(browser: Browser, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A repository whose mlflow.db has runs with curves and pictures: the one FILTERLAB_UI_STORE names, or one made here."""
    if named := os.environ.get("FILTERLAB_UI_STORE"):
        return Path(named).resolve()
    raw: Path = request.getfixturevalue("raw")
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "conf", root / "conf")
    (root / "conf/experiment/small.yaml").write_text(SMALL)
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).symlink_to(ROOT / name)
    (root / "data").mkdir()
    (root / "data/raw").symlink_to(raw)
    trainings = [["experiment=small", *training] for training in TRAININGS]
    command = [sys.executable, "-c", TRAIN, str(root), json.dumps(trainings)]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return root


@pytest.fixture(scope="module")
def pages(repository: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that `filterlab ui` prints for the repository, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [programs / "python", "-m", "filterlab.cli", "ui", "--port", str(port)]
    said = tmp_path_factory.mktemp("ui") / "stdout"
    with (
        said.open("w") as stdout,
        subprocess.Popen(command, cwd=repository, start_new_session=True, stdout=stdout, stderr=subprocess.DEVNULL) as server,
    ):
        try:
            for _ in range(450):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                    break
                except OSError:
                    assert server.poll() is None, "filterlab ui ended"
                    time.sleep(0.2)
            else:
                pytest.fail("filterlab ui does not answer")
            yield said.read_text().split()[3]
        finally:
            os.killpg(server.pid, signal.SIGTERM)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab of somebody who has never been here. What is asked of any other machine fails the test: the pages are for
    rooms without internet too.
    """
    outside: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            outside.append(request.url)

    with browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-US") as context:
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        tab.on("request", note)
        yield tab
    assert outside == []


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures of the pages go: the folder named by FILTERLAB_SCREENSHOTS, else one that is thrown away."""
    folder = Path(os.environ.get("FILTERLAB_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
