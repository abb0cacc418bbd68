"""What the design promises beyond single commands: write-once objects, secrecy, bounded memory, odd surroundings."""

import os
import stat
import threading
import time

import pytest
import trees
from harness import DONE, FAILED, PARTIAL


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_objects_are_never_changed_or_removed(coffer):
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    before = contents(coffer.path)
    (source / "a/rows").write_bytes(trees.rows(9, 5000))
    coffer.backup(source)
    coffer.run("tag", "latest", "--add", "x")
    coffer.check()
    after = contents(coffer.path)
    assert {name: after.get(name) for name in before} == before


def test_reading_commands_write_nothing(sample, tmp_path):
    before = contents(sample.path)
    for args in (["snapshots"], ["ls", "latest"], ["find", "x"], ["stats"], ["audit"],
                 ["diff", sample.first, sample.second], ["restore", sample.first, "--to", tmp_path / "out"]):
        sample.run(*args)
    assert contents(sample.path) == before
    objects = sample.contents()
    sample.check()
    assert sample.contents() == objects


@pytest.mark.parametrize("cipher", ["aes-256-gcm", "chacha20-poly1305"])
def test_neither_names_nor_content_nor_tags_can_be_read_in_the_store(empty, cipher):
    empty.init("--cipher", cipher)
    source = empty.work / "topsecretfolder"
    source.mkdir()
    (source / "topsecretname").write_bytes(os.urandom(100) + b"topsecretcontent" + os.urandom(100))
    empty.backup(source, "--tag", "topsecrettag", "--host", "topsecrethost")
    for folder in (empty.path, empty.cache):
        for path in folder.rglob("*"):
            assert "topsecret" not in path.name
            if path.is_file():
                assert b"topsecret" not in path.read_bytes(), path


def test_equal_content_in_two_repositories_has_nothing_in_common(tmp_path, coffer):
    from harness import Coffer
    other = Coffer(tmp_path / "other")
    other.init()
    data = os.urandom(300_000)
    coffer.backup("stream:x", input=data)
    other.backup("stream:x", input=data)
    a, b = ({p.name for p in c.objects("packs")} for c in (coffer, other))
    assert not a & b


def test_repository_cache_and_key_are_for_the_owner_only(coffer):
    old = os.umask(0)
    try:
        coffer.backup("stream:x", input=b"x" * 10_000)
    finally:
        os.umask(old)
    for top in (coffer.path, coffer.cache, coffer.key):
        for path in [top, *top.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_packs_are_named_by_their_hash(sample):
    import hashlib
    for path in sample.objects("packs"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        assert path.parent.name == path.name[:2]


@pytest.mark.parametrize("name", ["with space", "-dash", "colon:name", "grüße", "quote'\"", "new\nline"])
def test_a_repository_may_have_an_odd_name(empty, name):
    empty.path = empty.folder / name
    empty.init()
    empty.backup("stream:x", input=b"x")
    assert empty.run("dump", "latest:x").stdout == b"x"


def test_a_repository_may_be_named_relatively_or_by_url(empty):
    env = {"COFFER_REPOSITORY": None}
    empty.run("-r", "here", "init", "--key-file", empty.key, env=env)
    empty.run("-r", "./here", "snapshots", env=env)
    empty.run("-r", f"file:{empty.work}/here", "snapshots", env=env)
    line = empty.fails("-r", "gopher://x/y", "snapshots", code={1, 2}, env=env)
    assert "gopher" in line


def test_without_home_and_cache_folder_the_program_works_or_says_why(coffer):
    env = {"HOME": None, "COFFER_CACHE_DIR": None, "XDG_CACHE_HOME": None, "PATH": "/usr/bin:/bin"}
    result = coffer.run("snapshots", code={DONE, FAILED}, env=env)
    if result.code == FAILED:
        assert "cache" in result.error_line


def test_a_source_that_holds_the_repository_is_backed_up(coffer, tmp_path):
    """Its own packs are files like others: no endless growth, no deadlock."""
    coffer.run("backup", coffer.folder, code={DONE, PARTIAL}, timeout=60)
    coffer.check()


@pytest.mark.root
def test_devices_come_back(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    try:
        os.mknod(source / "char", stat.S_IFCHR | 0o620, os.makedev(1, 3))
        os.mknod(source / "block", stat.S_IFBLK | 0o600, os.makedev(7, 300))
    except PermissionError:
        pytest.skip("may not make devices here")
    coffer.backup(source)
    coffer.restore("latest", tmp_path / "out")
    for name in ("char", "block"):
        a, b = os.lstat(source / name), os.lstat(tmp_path / "out" / name)
        assert (a.st_mode, a.st_rdev, a.st_mtime_ns) == (b.st_mode, b.st_rdev, b.st_mtime_ns)


def test_a_path_longer_than_the_system_limit_comes_back(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    here = os.getcwd()
    try:
        os.chdir(source)
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        with open("bottom", "wb") as file:
            file.write(b"deep")
        coffer.backup(source, cwd=coffer.work)
        coffer.restore("latest", tmp_path / "out")
        os.chdir(tmp_path / "out")
        for _ in range(30):
            os.chdir("d" * 200)
        with open("bottom", "rb") as file:
            assert file.read() == b"deep"
    finally:
        os.chdir(here)


def test_a_file_that_changes_while_read_is_told(coffer):
    source = coffer.work / "source"
    source.mkdir()
    path = source / "growing"
    path.write_bytes(os.urandom(32 << 20))
    stop = threading.Event()

    def grow():
        with open(path, "ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")
                time.sleep(0.0005)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        result = coffer.run("backup", source, code=PARTIAL)
    finally:
        stop.set()
        writer.join()
    assert "growing" in result.error_line
    coffer.check()


def peak_bytes(coffer, size):
    process = coffer.start("backup", f"stream:r{size}", "--", "head", "-c", str(size), "/dev/urandom",
                           stdout=-3, stderr=-3)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == DONE
    return usage.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.native
def test_memory_does_not_grow_with_the_stream(coffer):
    little, much = peak_bytes(coffer, 300 << 20), peak_bytes(coffer, 900 << 20)
    assert much < 512 << 20
    # On a slow disk full packs wait in memory, two of 32 MiB more or less.
    assert much < little * 1.2 + (64 << 20), (little, much)


@pytest.mark.slow
def test_a_folder_of_twenty_thousand_files(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    for i in range(20_000):
        (source / f"file {i * 7919 % 20_000:05}").write_bytes(b"%d" % i)
    first = coffer.backup(source)
    assert first["files"] == 20_000
    again = coffer.backup(source)
    assert again["bytes_stored"] < first["bytes_stored"] / 50
    coffer.restore("latest", tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")
