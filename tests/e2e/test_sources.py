"""stream:, tar: and sqlite: sources."""

import os
import sqlite3
import subprocess
import tarfile
import threading
import time

import pytest
import trees
from harness import FAILED, USAGE


@pytest.mark.threads
def test_a_stream_comes_back_byte_for_byte(coffer):
    data = trees.rows(1, 30_000) + os.urandom(300_000)
    made = coffer.backup("stream:dump.sql", input=data)
    assert made["source"] == "stream:dump.sql"
    assert made["bytes_read"] == len(data)
    assert coffer.run("dump", "latest:dump.sql").stdout == data
    assert coffer.run("dump", "latest:/dump.sql").stdout == data


def test_an_empty_stream_is_a_file_of_no_bytes(coffer):
    coffer.backup("stream:nothing", input=b"")
    assert coffer.run("dump", "latest:nothing").stdout == b""


def test_a_stream_that_changed_a_little_stores_a_little(coffer):
    data = trees.rows(2, 60_000)
    first = coffer.backup("stream:t", input=data)
    second = coffer.backup("stream:t", input=trees.change_rows(data, 9, 1))
    assert second["parent"] == first["snapshot"]
    assert second["chunks_delta"] > 0
    assert second["bytes_stored"] < first["bytes_stored"] * 0.06


def test_a_command_is_a_stream(coffer):
    coffer.run("backup", "stream:numbers", "--", "seq", "1", "1000")
    want = b"".join(b"%d\n" % i for i in range(1, 1001))
    assert coffer.run("dump", "latest:numbers").stdout == want


@pytest.mark.parametrize("command, word", [
    (["sh", "-c", "echo half; exit 7"], "7"),
    (["sh", "-c", "echo half; kill -9 $$"], "9"),
    (["/no/such/command"], "/no/such/command"),
])
def test_a_failing_command_makes_no_snapshot(coffer, command, word):
    coffer.fails("backup", "stream:x", "--", *command, code=FAILED, names=word)
    assert coffer.snapshots() == []


def test_a_command_needs_one_stream(coffer):
    coffer.fails("backup", coffer.work, "--", "true", code=USAGE)


@pytest.mark.parametrize("compress", ["", "gz", "xz", "bz2", "zst"])
def test_a_tar_is_unpacked_into_a_tree(coffer, tmp_path, compress):
    source = trees.small(coffer.work / "source")
    os.symlink("a/text", source / "link")
    os.link(source / "one", source / "again")
    archive = coffer.work / "files.tar"
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    if compress == "zst":
        subprocess.run(["zstd", "-q", "--rm", archive], check=True)
        archive = archive.with_suffix(".tar.zst")
    elif compress:
        tool = {"gz": "gzip", "xz": "xz", "bz2": "bzip2"}[compress]
        if subprocess.run(["which", tool], capture_output=True).returncode:
            pytest.skip(f"no {tool}")
        subprocess.run([tool, archive], check=True)
        archive = archive.with_suffix(f".tar.{compress}")
    coffer.backup(f"tar:{archive}")
    coffer.restore("latest", tmp_path / "out")
    a, b = trees.capture(source), trees.capture(tmp_path / "out")
    strip = lambda t: {k: (v[:-2] if k is not None else v) for k, v in t.items()}  # tar keeps whole seconds
    trees.assert_equal(strip(a), strip(b))


def test_a_tar_from_standard_input_shares_chunks_with_the_folder(coffer):
    source = trees.small(coffer.work / "source")
    first = coffer.backup(source)
    data = subprocess.run(["tar", "-C", source, "-c", "."], check=True, capture_output=True).stdout
    second = coffer.backup("tar:-", input=data)
    assert second["bytes_stored"] < first["bytes_stored"] / 20


def test_a_truncated_tar_is_refused(coffer):
    with tarfile.open(coffer.work / "x.tar", "w") as tar:
        tar.add(trees.small(coffer.work / "source"), "s")
    data = (coffer.work / "x.tar").read_bytes()
    (coffer.work / "x.tar").write_bytes(data[: len(data) // 2])
    coffer.fails("backup", f"tar:{coffer.work}/x.tar", code=FAILED)
    assert coffer.snapshots() == []


def test_a_source_that_fails_takes_nothing_from_the_next_one(coffer, tmp_path):
    """What was read of the first had been claimed, and was never stored."""
    data = os.urandom(3_000_000)
    (coffer.work / "data").write_bytes(data)
    with tarfile.open(coffer.work / "whole.tar", "w") as tar:
        tar.add(coffer.work / "data", "data")
        tar.add(coffer.work / "data", "again")
    whole = (coffer.work / "whole.tar").read_bytes()
    (coffer.work / "cut.tar").write_bytes(whole[:len(data) + 100_000])
    coffer.run("backup", f"tar:{coffer.work}/cut.tar", f"tar:{coffer.work}/whole.tar", code=FAILED)
    coffer.run("check", "--read-data")
    coffer.restore("latest", tmp_path / "out")
    assert (tmp_path / "out" / "data").read_bytes() == data


def make_database(path, rows=20_000, journal="delete", page=4096):
    db = sqlite3.connect(path)
    db.execute(f"pragma page_size={page}")
    db.execute(f"pragma journal_mode={journal}")
    db.execute("create table t(id integer primary key, a int, b text)")
    db.executemany("insert into t values(?,?,?)", ((i, i * 7, f"text of row {i} {i * 2654435761 % 2**32:08x}")
                                                  for i in range(rows)))
    db.commit()
    return db


@pytest.mark.parametrize("page", [512, 4096, 65536])
def test_a_database_at_rest_comes_back_byte_for_byte(coffer, tmp_path, page):
    path = coffer.work / "app.db"
    make_database(path, page=page).close()
    before = path.read_bytes()
    coffer.backup(f"sqlite:{path}")
    coffer.restore("latest", tmp_path / "out")
    assert (tmp_path / "out/app.db").read_bytes() == before
    assert path.read_bytes() == before
    assert sorted(os.listdir(coffer.work)) == ["app.db"]


def test_a_database_with_changed_rows_stores_a_few_per_cent(coffer):
    path = coffer.work / "app.db"
    db = make_database(path, 150_000)
    first = coffer.backup(f"sqlite:{path}")
    db.execute("update t set a = a + 1 where id % 100 = 3")
    db.commit()
    second = coffer.backup(f"sqlite:{path}")
    assert second["bytes_stored"] < first["bytes_stored"] * 0.1, (first, second)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_under_a_writer_is_consistent(coffer, tmp_path, journal):
    path = coffer.work / "app.db"
    db = make_database(path, 5000, journal)
    db.execute("create table sums(n int, total int)")
    db.execute("insert into sums values(0, 0)")
    db.commit()
    db.close()
    stop = threading.Event()

    def write():
        connection = sqlite3.connect(path, timeout=30)
        n = 0
        while not stop.is_set():
            n += 1
            with connection:
                connection.execute("update sums set n = n + 1, total = total + ?", (n,))
                connection.execute("insert into t(a, b) values(?, ?)", (n, "x" * 500))
            time.sleep(0.001)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [coffer.backup(f"sqlite:{path}")["snapshot"] for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    for i, snapshot in enumerate(made):
        coffer.restore(snapshot, tmp_path / str(i))
        copy = sqlite3.connect(tmp_path / str(i) / "app.db")
        assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
        n, total = copy.execute("select n, total from sums").fetchone()
        assert total == n * (n + 1) // 2
        copy.close()


def test_what_is_only_in_the_wal_is_backed_up(coffer, tmp_path):
    path = coffer.work / "app.db"
    db = make_database(path, 100, "wal")
    db.execute("pragma wal_autocheckpoint=0")
    db.execute("insert into t values(1000000, 1, 'only in the wal')")
    db.commit()
    db.execute("insert into t values(1000001, 1, 'not committed')")
    coffer.backup(f"sqlite:{path}")
    coffer.restore("latest", tmp_path / "out")
    copy = sqlite3.connect(tmp_path / "out/app.db")
    assert copy.execute("select id from t where id >= 1000000").fetchall() == [(1000000,)]
    copy.close()
    db.close()


@pytest.mark.parametrize("content", [b"just text, not a database\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_refused(coffer, content):
    path = coffer.work / "fake.db"
    path.write_bytes(content)
    coffer.fails("backup", f"sqlite:{path}", code=FAILED, names="fake.db")
    assert coffer.snapshots() == []


def test_a_missing_database_is_not_created(coffer):
    coffer.fails("backup", f"sqlite:{coffer.work}/gone.db", code=FAILED, names="gone.db")
    assert os.listdir(coffer.work) == []


@pytest.mark.slow
@pytest.mark.native
def test_a_long_run_of_zeros_is_quick_and_small(coffer):
    process = coffer.start("backup", "--json", "stream:zeros", "--", "head", "-c", str(600 << 20), "/dev/zero")
    started = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert time.monotonic() - started < 20
    assert coffer.stored_bytes() < 1 << 20
    count = subprocess.run(["sh", "-c", '"$0" dump latest:zeros | tr -d "\\0" | wc -c', __import__("harness").PROGRAM],
                           env=coffer.env(), capture_output=True, check=True, timeout=60).stdout
    assert int(count) == 0


def test_hard_linked_symbolic_links_come_back_as_links_of_one_inode(coffer, tmp_path):
    source = coffer.work / "links"
    source.mkdir()
    os.symlink("target", source / "one")
    os.link(source / "one", source / "two", follow_symlinks=False)
    archive = coffer.work / "links.tar"
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    for wanted in (str(source), f"tar:{archive}"):
        target = tmp_path / wanted[:3].strip("/")
        coffer.restore(coffer.backup(wanted)["snapshot"], target)
        assert os.readlink(target / "one") == os.readlink(target / "two") == "target"
        assert os.lstat(target / "one").st_ino == os.lstat(target / "two").st_ino
