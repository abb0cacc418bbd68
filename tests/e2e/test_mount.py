"""Mounted snapshots, through the kernel: what is read is what was backed up, and trouble is an error, never a hang."""

import contextlib
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest
import trees
from harness import BUSY, DAMAGED, FAILED, KEY, USAGE, fault_env, flip, needs_shim

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fuse") or os.geteuid() != 0,
                                reason="needs /dev/fuse and root")


def is_mounted(folder):
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == str(folder) and " - fuse.coffer " in line for line in mounts)


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@contextlib.contextmanager
def mounted(coffer, *args, name="mnt"):
    """The mount in the foreground; its messages are in .log afterwards."""
    folder = coffer.folder / name
    folder.mkdir(exist_ok=True)
    process = coffer.start("mount", "--foreground", folder, *args)
    try:
        wait_until(lambda: is_mounted(folder) or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        folder = type(folder)(folder)
        yield folder, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        subprocess.run(["umount", "-l", str(folder)], stderr=subprocess.DEVNULL, check=False)


def end(process):
    """Stop the mount; what it said."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=20)[1].decode()


@pytest.fixture
def rich(coffer):
    coffer.source = trees.rich(coffer.work / "source")
    coffer.snapshot = coffer.backup(coffer.source, code={0, 3})["snapshot"]
    return coffer


def test_a_mounted_tree_equals_the_original(rich):
    with mounted(rich) as (mnt, _):
        trees.assert_equal(rich.source, (mnt / "latest").resolve())


def test_one_snapshot_as_the_root(rich):
    with mounted(rich, "--snapshot", rich.snapshot[:12]) as (mnt, _):
        trees.assert_equal(rich.source, mnt)


def test_names_of_one_file_have_one_inode(rich):
    with mounted(rich) as (mnt, _):
        top = mnt / "latest"
        inodes = {os.lstat(top / name).st_ino for name in ("hard/one", "hard/two", "a/three")}
        assert len(inodes) == 1
        assert os.lstat(top / "hard/one").st_nlink == 3


def test_folders_by_source_host_and_tag(coffer):
    source = trees.small(coffer.work / "source")
    first = coffer.backup(source, "--tag", "daily", "--host", "one")["snapshot"]
    second = coffer.backup(source, "--tag", "daily", "--tag", "a/b", "--host", "two")["snapshot"]
    key = ("files:" + str(source)).replace("/", "%2F")
    with mounted(coffer) as (mnt, _):
        names = sorted(os.listdir(mnt / "snapshots"))
        assert {n[-8:] for n in names} == {first[:8], second[:8]}
        assert os.listdir(mnt / "by-source") == [key]
        assert sorted(os.listdir(mnt / "by-source" / key)) == [*names, "latest"]
        assert sorted(os.listdir(mnt / "by-tag")) == ["a%2Fb", "daily"]
        assert sorted(os.listdir(mnt / "by-host")) == ["one", "two"]
        assert (mnt / "by-host/one/latest").resolve().name.endswith(first[:8])
        assert (mnt / "latest").resolve().name.endswith(second[:8])
        trees.assert_equal(source, (mnt / "by-tag/daily/latest").resolve())
        with pytest.raises(FileNotFoundError):
            os.stat(mnt / "by-tag/weekly")


def test_new_snapshots_appear(coffer):
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    with mounted(coffer) as (mnt, _):
        assert len(os.listdir(mnt / "snapshots")) == 1
        (source / "new").write_bytes(b"new")
        snapshot = coffer.backup(source)["snapshot"]
        wait_until(lambda: len(os.listdir(mnt / "snapshots")) == 2)
        wait_until(lambda: (mnt / "latest").resolve().name.endswith(snapshot[:8]))
        assert (mnt / "latest/new").read_bytes() == b"new"


def test_filters_choose_what_is_shown(coffer):
    one, two = trees.small(coffer.work / "one"), trees.small(coffer.work / "two")
    coffer.backup(one, "--tag", "x")
    coffer.backup(two)
    with mounted(coffer, "--source", one) as (mnt, _):
        assert len(os.listdir(mnt / "snapshots")) == 1
    with mounted(coffer, "--tag", "nothing has it") as (mnt, _):
        assert sorted(os.listdir(mnt)) == ["by-host", "by-source", "by-tag", "snapshots"]
        assert os.listdir(mnt / "snapshots") == []


def test_nothing_can_be_written(rich):
    with mounted(rich) as (mnt, _):
        for change in (lambda: open(mnt / "latest/one", "wb"), lambda: os.unlink(mnt / "latest/one"),
                       lambda: os.mkdir(mnt / "new"), lambda: os.chmod(mnt / "latest/one", 0o600)):
            with pytest.raises(OSError) as caught:
                change()
            assert caught.value.errno == errno.EROFS


def test_reads_at_any_place_from_many_processes(coffer):
    data = trees.rows(3, 120_000) + random.Random(4).randbytes(6 << 20)
    (coffer.work / "file").write_bytes(data)
    coffer.backup(coffer.work / "file")
    reader = ("import os, random, sys\n"
              "path, want, seed = sys.argv[1:]\n"
              "rng = random.Random(int(seed))\n"
              "data = open(want, 'rb').read()\n"
              "fd = os.open(path, os.O_RDONLY)\n"
              "for _ in range(300):\n"
              "    off, n = rng.randrange(len(data) + 9), rng.choice([1, 100, 4096, 70000])\n"
              "    assert os.pread(fd, n, off) == data[off:off + n], (off, n)\n"
              "assert open(path, 'rb').read() == data\n")
    with mounted(coffer, "--cache-size", "8M") as (mnt, _):
        processes = [subprocess.Popen(["/usr/bin/python3", "-c", reader, str(mnt / "latest/file"),
                                       str(coffer.work / "file"), str(seed)]) for seed in range(16)]
        assert [p.wait(timeout=120) for p in processes] == [0] * 16


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_mounted_sqlite_database_opens_read_only(coffer, mode):
    path = coffer.work / "app.db"
    database = sqlite3.connect(path)
    database.execute(f"pragma journal_mode={mode}")
    database.execute("create table t(a, b)")
    database.executemany("insert into t values(?, ?)", [(i, "x" * i) for i in range(2000)])
    database.commit()
    coffer.backup(f"sqlite:{path}")
    with mounted(coffer) as (mnt, _):
        shown = mnt / "latest/app.db"
        result = subprocess.run(["sqlite3", str(shown), "pragma integrity_check; select sum(length(b)) from t"],
                                capture_output=True, text=True, check=True)
        assert result.stdout.split() == ["ok", str(sum(range(2000)))]
        head = shown.read_bytes()[:100]
        assert head[18:20] == b"\1\1"
    coffer.restore("latest", coffer.folder / "out")
    assert (coffer.folder / "out/app.db").read_bytes()[18:20] == (b"\2\2" if mode == "wal" else b"\1\1")
    database.close()


def test_damage_is_an_error_for_what_needs_it_and_named(coffer):
    rng = random.Random(5)
    source = coffer.work / "source"
    source.mkdir()
    for name in "abcdefgh":
        (source / name).write_bytes(rng.randbytes(2 << 20))
    coffer.backup(source)
    pack = max(coffer.objects("packs"), key=lambda p: p.stat().st_size)
    flip(pack, pack.stat().st_size // 2)
    with mounted(coffer) as (mnt, process):
        outcomes = {}
        for name in "abcdefgh":
            try:
                outcomes[name] = (mnt / "latest" / name).read_bytes() == (source / name).read_bytes()
            except OSError as error:
                assert error.errno == errno.EIO
                outcomes[name] = None
        assert False not in outcomes.values()
        bad = [name for name, outcome in outcomes.items() if outcome is None]
        assert 1 <= len(bad) <= 2 and len(bad) < len(outcomes)
        said = end(process)
        assert f"/{bad[0]}: " in said and pack.name[:8] in said


def test_the_repository_goes_away(rich):
    with mounted(rich) as (mnt, _):
        os.listdir(mnt / "latest/a")
        rich.path.rename(rich.folder / "gone")
        outcomes = set()
        for folder, _, files in os.walk((mnt / "latest").resolve()):
            for name in files:
                path = os.path.join(folder, name)
                if not os.path.isfile(path) or os.path.islink(path) or not os.path.getsize(path):
                    continue
                try:
                    with open(path, "rb") as file:
                        file.read()
                    outcomes.add(None)
                except OSError as error:
                    outcomes.add(error.errno)
        assert outcomes <= {None, errno.EIO}, outcomes
        os.listdir(mnt / "snapshots")
        (rich.folder / "gone").rename(rich.path)
        wait_until(lambda: len(os.listdir(mnt / "snapshots")) == 1)
        trees.assert_equal(rich.source, (mnt / "latest").resolve())


def test_in_the_background_and_umount(rich):
    mnt = rich.folder / "mnt"
    mnt.mkdir()
    rich.run("mount", mnt, "--log", rich.folder / "log")
    try:
        assert is_mounted(mnt)
        assert (mnt / "latest/one").read_bytes() == (rich.source / "one").read_bytes()
        with open(mnt / "latest/one", "rb"):
            line = rich.fails("umount", mnt, code=BUSY, names=[mnt])
            assert "in use" in line
        rich.run("umount", mnt)
        wait_until(lambda: not is_mounted(mnt))
    finally:
        subprocess.run(["umount", "-l", str(mnt)], stderr=subprocess.DEVNULL, check=False)
    rich.fails("umount", mnt, code=FAILED, names=[mnt])


def test_a_dead_mount_is_replaced(rich):
    with mounted(rich) as (mnt, process):
        process.kill()
        process.wait()
        with pytest.raises(OSError) as caught:
            os.listdir(mnt)
        assert caught.value.errno == errno.ENOTCONN
        rich.run("mount", mnt, "--quiet")
        assert (mnt / "latest/one").read_bytes() == (rich.source / "one").read_bytes()
        rich.run("umount", mnt)


def test_a_signal_ends_it_although_it_is_used(rich):
    with mounted(rich) as (mnt, process):
        file = open(mnt / "latest/one", "rb")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert not is_mounted(mnt)
        file.close()


def test_what_cannot_be_mounted_is_refused(rich):
    empty = rich.folder / "empty"
    empty.mkdir()
    rich.fails("mount", rich.folder / "missing", code=FAILED, names="missing")
    rich.fails("mount", rich.source, code=FAILED, names=[rich.source, "not empty"])
    rich.fails("mount", rich.source / "one", code=FAILED, names=["one", "not a folder"])
    rich.fails("mount", empty, "--snapshot", "0000000000", code=FAILED, names="0000000000")
    rich.fails("mount", empty, "--snapshot", "nosuch", code=USAGE, names="nosuch")
    with mounted(rich) as (mnt, _):
        rich.fails("mount", mnt, code=FAILED, names=[mnt, "a mount of coffer already"])
    rich.fails("mount", empty, "--log", rich.folder / "no/such", code=FAILED, names="no/such")
    (rich.folder / "other key").write_bytes(b"x" * 40)
    rich.fails("mount", empty, code=KEY, env={"COFFER_KEY_FILE": rich.folder / "other key"})
    assert not is_mounted(empty)


def test_as_an_ordinary_user(rich):
    # As udev makes it; a bare container has it for root alone.
    os.chmod("/dev/fuse", 0o666)
    mnt = rich.folder / "mnt"
    mnt.mkdir()
    prefix = rich.as_nobody(rich.path, rich.key, rich.cache, mnt)
    rich.run("mount", mnt, prefix=prefix)
    try:
        # Root may not look into another user's mount, so that user compares.
        for name in ("one", "a/text", "secret"):
            data = subprocess.run([*prefix, "cat", mnt / "latest" / name], capture_output=True, check=True).stdout
            assert data == (rich.source / name).read_bytes()
        rich.run("umount", mnt, prefix=prefix)
    finally:
        subprocess.run(["umount", "-l", str(mnt)], stderr=subprocess.DEVNULL, check=False)


def test_a_repository_that_was_deleted_and_put_back(rich):
    copy = rich.folder / "copy"
    shutil.copytree(rich.path, copy)
    with mounted(rich) as (mnt, process):
        shown = os.listdir(mnt / "snapshots")
        shutil.rmtree(rich.path)
        time.sleep(3.2)
        assert os.listdir(mnt / "snapshots") == shown, "the last list serves on"
        with pytest.raises(OSError):
            (mnt / "latest/a/text").read_bytes()
        copy.rename(rich.path)
        time.sleep(3.2)
        assert os.listdir(mnt / "snapshots") == shown
        trees.assert_equal(rich.source, (mnt / "latest").resolve())
        said = end(process)
        assert f"the repository {rich.path} is gone" in said


def test_a_snapshot_damaged_since_is_told_once(coffer):
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    last = coffer.backup(source)["snapshot"]
    with mounted(coffer) as (mnt, process):
        assert len(os.listdir(mnt / "snapshots")) == 2
        flip(coffer.path / "snapshots" / last, 100)
        wait_until(lambda: len(os.listdir(mnt / "snapshots")) == 1)
        time.sleep(3.2)
        os.listdir(mnt / "snapshots")
        said = end(process)
        assert said.count("is damaged and left out") == 1 and last in said


def test_a_mount_killed_a_moment_ago_is_replaced(rich):
    with mounted(rich) as (mnt, process):
        os.stat(mnt)
        process.kill()
        process.wait()
        rich.run("mount", mnt, "--quiet")
        assert (mnt / "latest/one").read_bytes() == (rich.source / "one").read_bytes()
        rich.run("umount", mnt)


def test_holes_are_shown(coffer):
    source = coffer.work / "source"
    source.mkdir()
    sizes = {"holes": 9 << 20, "nothing": 5 << 20, "full": 3 << 20}
    data = random.Random(8).randbytes(3 << 20)
    for name, size in sizes.items():
        with open(source / name, "wb") as file:
            file.truncate(size)
            if name != "nothing":
                file.write(data[:1 << 20] if name == "holes" else data)
            if name == "holes":
                file.seek(6 << 20)
                file.write(data[1 << 20:2 << 20])
    coffer.backup(source)

    def holes(path):
        found, fd, at = [], os.open(path, os.O_RDONLY), 0
        while at < os.fstat(fd).st_size:
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            try:
                at = os.lseek(fd, hole, os.SEEK_DATA)
            except OSError as error:
                assert error.errno == errno.ENXIO
                at = os.fstat(fd).st_size
            found.append((hole, at))
        os.close(fd)
        return found

    with mounted(coffer) as (mnt, _):
        for name in sizes:
            assert holes(mnt / "latest" / name) == holes(source / name)
            assert os.stat(mnt / "latest" / name).st_blocks * 512 == len(data) * {"holes": 2, "nothing": 0}.get(name, 3) // 3


def test_a_mount_of_its_own_repository_is_not_backed_up(rich):
    with mounted(rich, name=rich.source / "mnt"):
        snapshot = rich.backup(rich.source, code={0, 3})["snapshot"]
    assert not rich.run("ls", f"{snapshot}:mnt").out.strip()


def test_names_too_long_for_any_file(rich):
    with mounted(rich) as (mnt, _):
        for folder in (mnt, mnt / "latest"):
            with pytest.raises(OSError) as caught:
                os.stat(folder / ("x" * 256))
            assert caught.value.errno == errno.ENAMETOOLONG


@pytest.mark.threads
def test_readers_in_parallel_while_snapshots_come(coffer):
    source = trees.many_small(coffer.work / "source")
    coffer.backup(source)
    with mounted(coffer, "--cache-size", "8M") as (mnt, process):
        failures = []

        def read(number):
            try:
                top = mnt / "snapshots" / os.listdir(mnt / "snapshots")[0]
                for folder, _, files in os.walk(top):
                    for name in files:
                        path = os.path.join(folder, name)
                        want = os.path.join(source, os.path.relpath(path, top))
                        with open(path, "rb") as a, open(want, "rb") as b:
                            if a.read() != b.read():
                                failures.append(path)
            except Exception as error:  # pylint: disable=broad-except
                failures.append(repr(error))

        threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        coffer.backup(source)
        for thread in threads:
            thread.join()
        assert not failures
        assert end(process).count("\n") == 1, "only the line that it is mounted"


@needs_shim
@pytest.mark.native
def test_a_bad_sector_costs_only_what_is_in_it(coffer):
    source = coffer.work / "source"
    source.mkdir()
    data = random.Random(3).randbytes(6 << 20)
    (source / "noise").write_bytes(data)
    coffer.backup(source)
    pack = max(coffer.objects("packs"), key=lambda p: p.stat().st_size)
    coffer.variables.update(fault_env(coffer, bad=f"{pack.name}:{pack.stat().st_size // 2}:512"))
    bad = 0
    with mounted(coffer) as (mnt, _), open(mnt / "latest/noise", "rb", buffering=0) as file:
        for off in range(0, len(data), 4096):
            try:
                assert os.pread(file.fileno(), 4096, off) == data[off:off + 4096]
            except OSError as error:
                assert error.errno == errno.EIO
                bad += 4096
    assert 0 < bad < len(data) // 3, "a frame and no more"


def read_snapshots(mnt, versions, stop, gone, failures):
    """Read all that is shown, again and again. What is of a snapshot that is to go may fail, but never be wrong."""
    rounds = 0
    while not stop.is_set() or rounds < 2:
        rounds += 1
        for shown in os.listdir(mnt / "snapshots"):
            snapshot = shown.split("-")[-1]
            for name, want in versions.get(snapshot, {}).items():
                try:
                    with open(mnt / "snapshots" / shown / name, "rb") as file:
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                        data = file.read()
                except OSError as error:
                    if snapshot not in gone or error.errno not in (errno.EIO, errno.ENOENT, errno.ESTALE):
                        failures.append(f"{shown}/{name}: {error}")
                    continue
                if data != want:
                    failures.append(f"{shown}/{name} is wrong")


@pytest.mark.threads
def test_a_mount_is_read_beside_forget_and_prune(coffer):
    rng = random.Random(11)
    source = coffer.work / "source"
    source.mkdir()
    versions, made = {}, []
    rows = trees.rows(5, 40_000)

    def backup():
        for name in ("noise", "more"):
            (source / name).write_bytes(rng.randbytes(2 << 20))
        (source / "rows").write_bytes(trees.change_rows(rows, len(versions), 2))
        made.append(coffer.backup(source)["snapshot"])
        versions[made[-1][:8]] = {p.name: p.read_bytes() for p in source.iterdir()}

    for _ in range(5):
        backup()
    with mounted(coffer, "--cache-size", "8M") as (mnt, process):
        stop, gone, failures = threading.Event(), set(), []
        held = open(mnt / "by-source" / os.listdir(mnt / "by-source")[0] / "latest/rows", "rb")
        threads = [threading.Thread(target=read_snapshots, args=(mnt, versions, stop, gone, failures)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                forgotten = made.pop(0)
                gone.add(forgotten[:8])
                coffer.run("forget", forgotten, "--yes")
                coffer.run("prune", "--now", "--yes")
                backup()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failures
        wait_until(lambda: {name.split("-")[-1] for name in os.listdir(mnt / "snapshots")} == {m[:8] for m in made})
        with held:
            assert held.read() == versions[made[1][:8]]["rows"], "opened before, and still right"
        for name, want in versions[made[0][:8]].items():
            shown, = (s for s in os.listdir(mnt / "snapshots") if s.endswith(made[0][:8]))
            assert (mnt / "snapshots" / shown / name).read_bytes() == want
    coffer.check()
