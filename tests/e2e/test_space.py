"""A full disk: of the repository, of the cache, of the restore target."""

import os
import subprocess

import pytest
import trees
from harness import DONE, FAILED, PARTIAL

pytestmark = pytest.mark.root


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_repository_disk_keeps_earlier_snapshots(coffer, disk, tmp_path):
    coffer.path = disk / "repo"
    coffer.run("init")
    source = trees.small(coffer.work / "source")
    first = coffer.backup(source)["snapshot"]
    line = coffer.fails("backup", "stream:big", code=FAILED, input=os.urandom(12 << 20))
    assert "space" in line
    assert [s["id"] for s in coffer.snapshots()] == [first]
    coffer.check()
    coffer.restore(first, tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")


def fill(path):
    try:
        with open(path, "ab") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
    except OSError:
        pass


def test_a_full_cache_disk_does_not_harm(coffer, disk, tmp_path):
    coffer.cache = disk / "cache"
    fill(disk / "filler")
    source = trees.small(coffer.work / "source")
    # The index is only a cache: it is kept in memory when its disk is full.
    snapshot = coffer.backup(source)["snapshot"]
    coffer.restore(snapshot, tmp_path / "while_full")
    trees.assert_equal(source, tmp_path / "while_full")
    os.unlink(disk / "filler")
    coffer.backup(source)
    coffer.check()
    coffer.restore("latest", tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")


def test_a_full_cache_disk_does_not_harm_a_write_host(coffer, disk, tmp_path):
    coffer.run("key", "add", "--role", "write", "--new-key-file", tmp_path / "w")
    admin, coffer.key, coffer.cache = coffer.key, tmp_path / "w", disk / "cache"
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    fill(disk / "filler")
    (source / "new").write_bytes(os.urandom(100_000))
    result = coffer.run("backup", source, "--json", "-v")
    assert result.err.count("keys of new packs are not kept") == 1 and "space" in result.err
    assert result.json["files_unchanged"] == result.json["files"] - 1
    again = coffer.backup(source)
    assert again["bytes_stored"] < 10_000 and again["chunks_new"] == 0
    coffer.key = admin
    coffer.check()


def test_a_full_target_disk_is_said_and_leaves_nothing_wrong(coffer, disk):
    source = coffer.work / "source"
    source.mkdir()
    for i in range(6):
        (source / f"file{i}").write_bytes(os.urandom(2 << 20))
    coffer.backup(source)
    result = coffer.restore("latest", disk / "out", code=FAILED)
    assert "space" in result.error_line
    trees.assert_nothing_wrong(source, disk / "out")
