"""Fixtures: a fresh repository per test, and one with a backup that tests may copy and damage."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402
import trees  # noqa: E402


def pytest_configure(config):
    for line in (
        "slow: takes seconds even in a release build; left out under sanitizers",
        "native: preloads a library or counts memory, which sanitizers do not stand",
        "threads: works with several threads; run under the thread sanitizer",
        "root: needs root",
    ):
        config.addinivalue_line("markers", line)


def pytest_sessionstart(session):
    # A shell that runs the tests in the background has them ignore SIGINT, and the program would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not harness.PROGRAM.exists():
        pytest.exit(f"no program at {harness.PROGRAM}; build it or set COFFER_TEST_BUILD", 1)


def pytest_collection_modifyitems(items):
    for item in items:
        if os.geteuid() != 0 and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def empty(tmp_path):
    """coffer without a repository yet."""
    return harness.Coffer(tmp_path)


@pytest.fixture
def coffer(empty):
    """coffer with a fresh repository."""
    empty.init()
    return empty


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """A repository with two snapshots of a folder and one of a stream. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("sample")
    coffer = harness.Coffer(folder)
    coffer.init()
    coffer.source = trees.small(coffer.work / "source")
    coffer.rows = trees.rows(7, 4000)
    coffer.first = coffer.backup(coffer.source)["snapshot"]
    coffer.before = trees.capture(coffer.source)
    (coffer.source / "a/rows").write_bytes(trees.change_rows((coffer.source / "a/rows").read_bytes(), 3, 2))
    (coffer.source / "a/new").write_bytes(b"new")
    coffer.second = coffer.backup(coffer.source)["snapshot"]
    coffer.stream = coffer.backup("stream:rows", input=coffer.rows)["snapshot"]
    return coffer
