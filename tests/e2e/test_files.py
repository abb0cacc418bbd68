"""files: a folder comes back as it was."""

import json
import os
import time

import pytest
import trees
from harness import DONE, FAILED, PARTIAL


@pytest.mark.threads
def test_a_folder_with_everything_comes_back_equal(coffer, tmp_path):
    source = trees.rich(coffer.work / "source")
    before = trees.capture(source)
    made = coffer.backup(source)
    assert made["bytes_read"] > 0
    coffer.restore("latest", tmp_path / "out", "--verify")
    trees.assert_equal(before, tmp_path / "out")
    trees.assert_equal(before, source)


@pytest.mark.threads
def test_many_small_files_come_back_equal(coffer, tmp_path):
    source = trees.many_small(coffer.work / "source")
    coffer.backup(source)
    for threads in ("1", "3"):
        coffer.restore("latest", tmp_path / threads, "--threads", threads)
        trees.assert_equal(source, tmp_path / threads)


@pytest.mark.parametrize("chunker", ["vg16", "prf16", "fixed"])
@pytest.mark.parametrize("cipher", ["aes-256-gcm", "chacha20-poly1305", "none"])
def test_every_cipher_and_chunker_gives_back_what_it_got(empty, tmp_path, cipher, chunker):
    empty.init("--cipher", cipher, "--chunker", chunker)
    source = trees.small(empty.work / "source")
    empty.backup(source)
    empty.check()
    empty.restore("latest", tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")


def test_holes_stay_holes(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        file.seek(64 << 20)
        file.write(b"x" * 5000)
        file.truncate(128 << 20)
    made = coffer.backup(source)
    assert made["bytes_stored"] < 100_000
    coffer.restore("latest", tmp_path / "out")
    st = os.stat(tmp_path / "out/sparse")
    assert st.st_size == 128 << 20
    assert st.st_blocks * 512 < 1 << 20
    trees.assert_equal(source, tmp_path / "out")


def test_an_unchanged_folder_stores_almost_nothing(coffer):
    source = trees.small(coffer.work / "source")
    (source / "big").write_bytes(os.urandom(4 << 20))
    first = coffer.backup(source)
    again = coffer.backup(source)
    assert again["parent"] == first["snapshot"]
    assert again["files_unchanged"] == again["files"]
    assert again["bytes_stored"] < first["bytes_stored"] / 100
    reread = coffer.backup("--ignore-times", source)
    assert reread["files_unchanged"] == 0
    assert reread["chunks_new"] == 0
    assert reread["bytes_stored"] < first["bytes_stored"] / 100


def test_a_few_changed_rows_store_a_few_per_cent(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    text = trees.rows(5, 60_000)
    (source / "table").write_bytes(text)
    first = coffer.backup(source)
    for day in range(2):
        text = trees.change_rows(text, day, 1)
        (source / "table").write_bytes(text)
        later = coffer.backup(source)
        assert later["bytes_stored"] < first["bytes_stored"] * 0.06, (first, later)
    coffer.restore("latest", tmp_path / "out")
    assert (tmp_path / "out/table").read_bytes() == text


def test_a_change_that_keeps_size_and_mtime_is_seen(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    file = source / "file"
    file.write_bytes(b"one")
    os.utime(file, ns=(trees.BASE_NS, trees.BASE_NS))
    coffer.backup(source)
    time.sleep(0.02)
    file.write_bytes(b"two")
    os.utime(file, ns=(trees.BASE_NS, trees.BASE_NS))
    coffer.backup(source)
    coffer.restore("latest", tmp_path / "out")
    assert (tmp_path / "out/file").read_bytes() == b"two"


def test_a_single_file_is_a_source(coffer, tmp_path):
    file = coffer.work / "one.txt"
    file.write_bytes(b"content")
    coffer.backup(file)
    coffer.restore("latest", tmp_path / "out")
    assert (tmp_path / "out/one.txt").read_bytes() == b"content"


def test_a_path_within_the_snapshot_restores_alone(sample, tmp_path):
    sample.restore(f"{sample.second}:a/b", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["more", "noise"]
    sample.restore(f"{sample.second}:/a/new", tmp_path / "file")
    assert (tmp_path / "file/new").read_bytes() == b"new"
    sample.restore(sample.first, tmp_path / "first")
    trees.assert_equal(sample.before, tmp_path / "first")


def test_excludes_leave_out(coffer, tmp_path):
    source = coffer.work / "source"
    for name in ("keep.txt", "drop.log", "sub/drop.log", "sub/keep.log", "cache/CACHEDIR.TAG", "cache/x", "tmp/x"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (source / "cache/CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    patterns = coffer.work / "patterns"
    patterns.write_text("/tmp/\n!keep.log\n")
    coffer.backup("--exclude", "*.log", "--exclude-from", patterns, "--exclude-caches", source)
    coffer.restore("latest", tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["cache/CACHEDIR.TAG", "keep.txt", "sub/keep.log"]


def test_restore_does_not_touch_existing_files(sample, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "one").write_bytes(b"mine")
    sample.fails("restore", sample.first, "--to", target, code=FAILED, names="one")
    assert (target / "one").read_bytes() == b"mine"
    assert not [p for p in target.rglob("*") if p.is_file() and p.name.startswith(".")]
    sample.restore(sample.first, target, "--overwrite")
    trees.assert_equal_below(sample.before, target)


def test_a_dry_run_writes_nothing(sample, coffer, tmp_path):
    sample.restore("latest", tmp_path / "out", "--dry-run", "--source", f"files:{sample.source}")
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")
    source = trees.small(coffer.work / "source")
    before = coffer.stored_bytes()
    coffer.backup("--dry-run", source)
    assert coffer.stored_bytes() == before
    assert coffer.snapshots() == []


def test_several_sources_make_several_snapshots(coffer):
    for name in "ab":
        (coffer.work / name).mkdir()
        (coffer.work / name / "file").write_bytes(name.encode())
    result = coffer.run("backup", "--json", coffer.work / "a", coffer.work / "b")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert all(line["version"] == 1 for line in lines)
    assert [line["source"] for line in lines if "event" not in line] == [f"files:{coffer.work}/{n}" for n in "ab"]
    assert sorted(s["source"] for s in coffer.snapshots()) == [f"files:{coffer.work}/{n}" for n in "ab"]


def test_one_failing_source_does_not_stop_the_others(coffer):
    (coffer.work / "a").mkdir()
    (coffer.work / "b").mkdir()
    result = coffer.run("backup", coffer.work / "a", coffer.work / "gone", coffer.work / "b", code=FAILED)
    assert "gone" in result.error_line
    assert len(coffer.snapshots()) == 2


@pytest.mark.root
def test_an_unreadable_file_is_skipped_with_status_3(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    (source / "open").write_bytes(b"x")
    (source / "closed").write_bytes(b"y")
    (source / "closed").chmod(0)
    coffer.cache.mkdir(exist_ok=True)
    prefix = coffer.as_nobody(coffer.path, coffer.key, coffer.cache)
    result = coffer.run("backup", source, code=PARTIAL, prefix=prefix)
    assert "closed" in result.error_line
    coffer.restore("latest", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["open"]


def test_every_file_name_appears_once_per_listing(coffer):
    source = trees.rich(coffer.work / "source")
    coffer.backup(source)
    listed = coffer.run("ls", "latest", "--recursive", "--json").json
    assert len(listed) == len(trees.capture(source, attributes=False)) - 2


def test_a_target_under_a_missing_folder_is_made(sample, tmp_path):
    sample.restore(sample.first, tmp_path / "a/b/c", code=DONE)
    trees.assert_equal(sample.before, tmp_path / "a/b/c")
