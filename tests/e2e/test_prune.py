"""Space comes back: what users see of prune, and that nothing of it loses anything, whatever happens meanwhile."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest
import trees
from harness import BUILD, BUSY, DAMAGED, DONE, FAILED, KEY, PARTIAL, USAGE, Coffer, flip, is_sanitized, kill_after

CLOCK = BUILD / "tests" / "fault" / "libclockshift.so"
SECONDS = float(os.environ.get("COFFER_LOOP_SECONDS", "20"))


def noise(coffer, name, seed, size=300_000):
    path = coffer.work / "source" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(size))


def capture(coffer):
    return {p.name: p.read_bytes() for p in (coffer.work / "source").iterdir()}


def make(coffer, n=3):
    """n snapshots that share one file and have one of their own each; snapshot -> what it holds."""
    noise(coffer, "shared", 0)
    made = {}
    for i in range(n):
        noise(coffer, "own", i + 1)
        made[coffer.backup(coffer.work / "source")["snapshot"]] = capture(coffer)
    return made


def aged(coffer, n=3):
    """make, and all but the newest snapshot forgotten; the newest and what it holds."""
    made = make(coffer, n)
    coffer.run("forget", "--keep-last", "1", "--yes")
    newest = list(made)[-1]
    return {newest: made[newest]}


def prune(coffer, *args, **kw):
    return coffer.run("prune", "--yes", "--json", *args, **kw).json


def assert_whole(coffer, made, code=DONE):
    """Nothing is wrong, and each snapshot restores equal, by a program that knows nothing yet."""
    target = coffer.folder / "out"
    fresh = coffer.with_cache(coffer.folder / "fresh")
    fresh.path, fresh.variables = coffer.path, coffer.variables
    fresh.forget_cache()
    fresh.check(code=code)
    for snapshot, want in made.items():
        shutil.rmtree(target, ignore_errors=True)
        fresh.restore(snapshot, target)
        found = {p.name: p.read_bytes() for p in target.rglob("*") if p.is_file()}
        assert found == want, snapshot
    fresh.forget_cache()


def age(coffer, kind, seconds=7200):
    """As if what is under gc had been stored so long ago, by the store's clock."""
    for path in (coffer.path / "gc" / kind).rglob("*"):
        if path.is_file():
            when = path.stat().st_mtime - seconds
            os.utime(path, (when, when))


def gc(coffer, kind):
    return [p for p in coffer.objects("gc") if p.relative_to(coffer.path / "gc").parts[0] == kind]


def test_a_pack_that_was_cut_is_named(coffer):
    make(coffer, 1)
    pack = max(coffer.objects("packs"), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    os.truncate(pack, pack.stat().st_size // 2)
    assert pack.name in coffer.run("prune", "--yes", code=PARTIAL).error_line


def test_nothing_goes_without_yes(coffer):
    made = aged(coffer)
    before = coffer.contents()
    for args in ([], ["--dry-run"], ["--now"], ["--now", "--dry-run"]):
        text = coffer.run("prune", *args).out
        assert "to condemn" in text and "--yes" in text
        plan = coffer.run("prune", *args, "--json").json
        assert plan["version"] == 1 and plan["dry_run"] and plan["packs_condemned"] > 0
        assert coffer.contents() == before
    assert_whole(coffer, made)


def test_now_gives_the_space_back_at_once(coffer):
    made = aged(coffer)
    before = coffer.stored_bytes()
    plan = coffer.run("prune", "--now", "--json").json
    done = prune(coffer, "--now")
    assert done["version"] == 1 and not done["dry_run"] and not done["cannot_remove"]
    assert done["packs_condemned"] == plan["packs_condemned"]
    assert done["bytes_removed"] > 550_000 and done["packs_waiting"] == 0 and done["next_seconds"] == 0
    assert coffer.stored_bytes() < before - 500_000
    assert gc(coffer, "tomb") == gc(coffer, "lease") == []
    assert_whole(coffer, made)
    assert "nothing to prune" in coffer.run("prune", "--now", "--yes").out
    assert "nothing to prune" in coffer.run("prune").out


def test_condemned_packs_wait_for_the_grace(coffer):
    made = aged(coffer)
    packs = coffer.objects("packs")
    done = prune(coffer)
    assert done["packs_condemned"] == done["packs_waiting"] > 0 and done["packs_removed"] == 0
    assert 86000 < done["next_seconds"] <= 86400
    assert set(packs) <= set(coffer.objects("packs"))
    text = coffer.run("prune", "--yes").out
    assert "waiting" in text and "can be removed in 2" in text
    assert_whole(coffer, made)
    age(coffer, "tomb", 86400)
    done = prune(coffer)
    assert done["packs_removed"] > 0 and done["packs_waiting"] == 0
    assert not set(packs) <= set(coffer.objects("packs"))
    assert_whole(coffer, made)


def test_a_grace_of_seconds_is_over_after_seconds(coffer):
    made = aged(coffer)
    prune(coffer, "--grace", "2s")
    assert prune(coffer, "--grace", "1h")["packs_removed"] == 0
    time.sleep(2.1)
    assert prune(coffer, "--grace", "2s")["packs_removed"] > 0
    assert_whole(coffer, made)


@pytest.mark.parametrize("args, names", [
    (["--yes", "--dry-run"], ["--yes", "--dry-run"]),
    (["--now", "--grace", "1h"], ["--now", "--grace"]),
    (["--grace", "soon"], ["--grace", "soon"]),
    (["--max-unused", "lots"], ["--max-unused", "lots"]),
    (["--max-unused", "101%"], ["--max-unused", "101%"]),
    (["--max-repack", "1"], ["--max-repack"]),
    (["latest"], ["latest"]),
])
def test_arguments_that_make_no_sense_are_usage_errors(coffer, args, names):
    coffer.fails("prune", *args, code=USAGE, names=names)


def test_max_unused_and_max_repack_bound_what_is_copied(coffer):
    for i in range(4):
        noise(coffer, f"file{i}", i, 2 << 20)
    coffer.backup(coffer.work / "source")
    for i in range(3):
        (coffer.work / "source" / f"file{i}").unlink()
    kept = coffer.backup(coffer.work / "source")["snapshot"]
    coffer.run("forget", "--keep-last", "1", "--yes")
    assert prune(coffer, "--now", "--max-unused", "1G")["packs_repacked"] == 0
    assert prune(coffer, "--now", "--max-unused", "0", "--max-repack", "1M")["bytes_repacked"] <= 1 << 20
    done = prune(coffer, "--now", "--max-unused", "0")
    assert done["packs_repacked"] > 0 and coffer.stored_bytes() < 3 << 20
    assert prune(coffer, "--now", "--max-unused", "0")["bytes_unused"] == 0
    assert_whole(coffer, {kept: capture(coffer)})


def stalled_backup(coffer, name="stalled"):
    """A backup that waits for `release`; it has stored its lease."""
    gate, begun = coffer.work / f"{name}.gate", coffer.work / f"{name}.begun"
    n = len(gc(coffer, "lease")) if (coffer.path / "gc").exists() else 0
    process = coffer.start("backup", "--json", f"stream:{name}", "--", "sh", "-c",
                           f"echo begun; touch {begun}; while [ ! -e {gate} ]; do sleep 0.05; done; cat {coffer.work}/source/shared")
    deadline = time.monotonic() + 30
    while not begun.exists() or not (coffer.path / "gc").exists() or len(gc(coffer, "lease")) <= n:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, gate


def end(process, gate):
    gate.touch()
    out, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


@pytest.mark.threads
def test_a_backup_that_runs_is_waited_for(coffer):
    made = aged(coffer)
    process, gate = stalled_backup(coffer)
    prune(coffer, "--grace", "1s")
    time.sleep(1.1)
    done = prune(coffer, "--grace", "1s")
    assert done["backups_waited_for"] == 1 and done["packs_removed"] == 0
    assert "still at work" in coffer.run("prune", "--yes", "--grace", "1s").out
    code, err = end(process, gate)
    assert code == DONE, err
    assert prune(coffer, "--grace", "1s")["packs_removed"] > 0
    assert_whole(coffer, made)
    assert coffer.run("dump", "latest:stalled", "--source", "stream:stalled").stdout[6:] == made[list(made)[0]]["shared"]


@pytest.mark.threads
@pytest.mark.parametrize("how", ["now", "stale"])
def test_a_backup_that_is_given_up_says_so_and_commits_nothing(coffer, how):
    made = aged(coffer)
    process, gate = stalled_backup(coffer)
    if how == "now":
        args = ["--now"]
    else:
        args = ["--grace", "1s"]
        prune(coffer, *args)
        time.sleep(1.1)
        age(coffer, "lease")
    result = coffer.run("prune", "--yes", *args, code=PARTIAL)
    assert "stream:stalled" in result.err and "given up" in result.err
    code, err = end(process, gate)
    assert code == BUSY and len(err.splitlines()) == 1 and "back up again" in err
    assert [s["id"] for s in coffer.snapshots()] == list(made)
    assert_whole(coffer, made)


@pytest.mark.native
@pytest.mark.threads
def test_a_second_prune_is_refused(coffer):
    aged(coffer)
    prune(coffer)
    # One that is held up, with its lease there.
    process = coffer.start("prune", "--yes", prefix=["sh", "-c", 'exec "$@"', "sh"])
    deadline = time.monotonic() + 20
    while not gc(coffer, "lease") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    if not gc(coffer, "lease"):
        pytest.skip("it was too quick to be caught")
    line = coffer.fails("prune", "--yes", code=BUSY, names=["at work already", "--now"])
    assert "an hour" in line
    coffer.run("prune")
    age(coffer, "lease")
    prune(coffer)


def test_a_damaged_snapshot_stops_it(coffer):
    made = make(coffer)
    names = list(made)
    coffer.run("forget", names[0], "--yes")
    flip(coffer.path / "snapshots" / names[1], 100)
    before = set(coffer.objects("packs"))
    for args in ([], ["--yes"], ["--now", "--yes"]):
        coffer.fails("prune", *args, code=DAMAGED, names=[names[1], "nothing is removed"])
    assert before <= set(coffer.objects("packs"))


def test_a_missing_snapshot_stops_it_until_it_is_back_or_given_up(coffer, tmp_path):
    made = make(coffer)
    names = list(made)
    coffer.run("forget", names[0], "--yes")
    away = coffer.path / "snapshots" / names[-1]
    away.rename(tmp_path / "away")
    before = set(coffer.objects("packs"))
    for args in ([], ["--yes"], ["--now", "--yes"]):
        coffer.fails("prune", *args, code=DAMAGED, names=[names[-1][:8], "is missing", "nothing is removed"])
    assert "prune waits for" in coffer.run("forget", "--keep-last", "9", "--yes", code=PARTIAL).err
    assert before <= set(coffer.objects("packs"))
    (tmp_path / "away").rename(away)
    coffer.run("forget", "--keep-last", "9", "--yes")
    coffer.run("prune", "--now", "--yes")
    coffer.run("check", "--read-data")
    away.unlink()
    coffer.run("forget", names[-1], "--yes")
    coffer.run("prune", "--now", "--yes")
    coffer.check()


def test_a_lost_pack_stops_it(coffer):
    made = make(coffer)
    coffer.run("forget", list(made)[0], "--yes")
    # The one with the shared file and what was forgotten.
    max(coffer.objects("packs"), key=lambda p: p.stat().st_size).unlink()
    before = set(coffer.objects("packs"))
    coffer.fails("prune", "--now", "--yes", code=DAMAGED, names="nothing is removed")
    assert before <= set(coffer.objects("packs"))


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty"])
@pytest.mark.parametrize("kind", ["tomb", "lease", "intent"])
def test_damaged_objects_of_prune_are_named_and_lose_nothing(coffer, kind, harm):
    made = aged(coffer)
    prune(coffer)
    if kind == "intent":
        folder = coffer.path / "gc" / "intent"
        folder.mkdir(exist_ok=True)
        (folder / ("ab" * 32)).write_bytes(gc(coffer, "tomb")[0].read_bytes())
    if kind == "lease":
        process, gate = stalled_backup(coffer)
        process.kill()
        end(process, gate)
    for path in gc(coffer, kind):
        path.chmod(0o600)
        if harm == "flip":
            flip(path, path.stat().st_size // 2)
        else:
            os.truncate(path, 0 if harm == "empty" else path.stat().st_size - 7)
    name = gc(coffer, kind)[0].name
    noise(coffer, "own", 99)
    made[coffer.backup(coffer.work / "source", code={DONE, PARTIAL})["snapshot"]] = capture(coffer)
    for args in ([], ["--now"]):
        result = coffer.run("prune", "--yes", *args, code={PARTIAL, DAMAGED, BUSY})
        assert name[:8] in result.err, (args, result)
    assert_whole(coffer, made, code={DONE, PARTIAL})
    made[coffer.backup(coffer.work / "source", code={DONE, PARTIAL})["snapshot"]] = capture(coffer)
    assert_whole(coffer, made, code={DONE, PARTIAL})


@pytest.mark.root
def test_a_disk_that_fills_while_repacking_leaves_everything_whole(coffer, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        coffer.path = disk / "repo"
        coffer.run("init")
        for i in range(8):
            noise(coffer, f"file{i}", i, 1 << 20)
        coffer.backup(coffer.work / "source")
        for i in range(0, 8, 2):
            (coffer.work / "source" / f"file{i}").unlink()
        made = {coffer.backup(coffer.work / "source")["snapshot"]: capture(coffer)}
        coffer.run("forget", "--keep-last", "1", "--yes")
        # No room for all that is to be copied.
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(bytes(free - (2 << 20)))
        result = coffer.run("prune", "--yes", "--now", "--max-unused", "0", code=FAILED)
        assert "space" in result.err.splitlines()[-1]
        assert_whole(coffer, made)
        (disk / "filler").unlink()
        assert prune(coffer, "--now", "--max-unused", "0")["packs_waiting"] == 0
        assert coffer.stored_bytes() < 5 << 20
        assert_whole(coffer, made)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.root
@pytest.mark.native
def test_a_store_that_refuses_deletes_loses_nothing(coffer):
    made = aged(coffer)
    process, gate = stalled_backup(coffer)
    process.kill()
    end(process, gate)
    prefix = coffer.as_nobody(coffer.folder)
    # Where a dead backup left its lease only the owner deletes.
    lease = gc(coffer, "lease")[0]
    os.chown(lease.parent, 0, 0)
    os.chown(lease, 0, 0)
    lease.chmod(0o644)
    lease.parent.chmod(0o1777)
    folders = [coffer.path / "packs", *(p for p in (coffer.path / "packs").iterdir() if p.is_dir())]
    assert "lets nothing be removed" in coffer.run("prune", "--yes", "--now", "--max-unused", "1G", prefix=prefix).out
    coffer.run("check", "--read-data", prefix=prefix)
    age(coffer, "lease")
    lease.unlink()
    for folder in folders:
        folder.chmod(0o555)
    result = coffer.run("prune", "--yes", "--now", "--max-unused", "1G", prefix=prefix)
    assert "lets nothing be removed" in result.out
    done = prune(coffer, "--now", "--max-unused", "1G", prefix=prefix)
    assert done["cannot_remove"] and done["packs_removed"] == 0 and done["packs_waiting"] > 0
    coffer.run("check", "--read-data", prefix=prefix)
    for folder in folders:
        folder.chmod(0o700)
    assert prune(coffer, "--now", "--max-unused", "1G", prefix=prefix)["packs_waiting"] == 0
    coffer.run("check", "--read-data", prefix=prefix)
    for snapshot in made:
        coffer.run("restore", snapshot, "--to", coffer.work / "out", prefix=prefix)


@pytest.mark.native
@pytest.mark.threads
@pytest.mark.parametrize("shift", [-10 * 365 * 86400, -7200, 7200, 10 * 365 * 86400])
def test_clocks_that_jump_lose_nothing(coffer, shift):
    """Hosts disagree by years: the store's clock counts, and no clock decides what may be removed."""
    if is_sanitized():
        pytest.skip("the shim does not load beside a sanitizer")
    env = {"LD_PRELOAD": CLOCK, "COFFER_TEST_CLOCK": shift}
    made = aged(coffer)
    process, gate = stalled_backup(coffer)
    # What another host is writing.
    theirs = coffer.path / ".tmp" / "0123456789abcdef"
    theirs.write_bytes(b"half a pack")
    assert prune(coffer, env=env)["packs_removed"] == 0
    assert theirs.exists()
    theirs.unlink()
    done = prune(coffer, env=env)
    assert done["packs_removed"] == 0 and done["backups_given_up"] == 0
    noise(coffer, "own", 77)
    made[coffer.backup(coffer.work / "source", env=env)["snapshot"]] = capture(coffer)
    code, err = end(process, gate)
    assert code == DONE, err
    # The store's own clock jumped: what is condemned is from the future, or years old.
    age(coffer, "tomb", shift)
    prune(coffer)
    assert_whole(coffer, made)
    prune(coffer, "--now", env=env)
    assert_whole(coffer, made)


def test_a_key_of_role_write_cannot_prune(coffer):
    made = aged(coffer)
    new = coffer.folder / "write key"
    coffer.run("key", "add", "--new-key-file", new, "--role", "write")
    web = coffer.with_cache(coffer.folder / "web cache")
    web.key = new
    before = set(coffer.objects("packs"))
    for args in ([], ["--yes"], ["--yes", "--now"]):
        web.fails("prune", *args, code=KEY, names="role write")
    web.fails("restore", list(made)[0], "--to", coffer.work / "out", code=KEY, names="role write")
    assert set(coffer.objects("packs")) == before and not (coffer.work / "out").exists()
    # What a host that only writes has stored is kept as others' is.
    noise(coffer, "own", 55)
    made[web.backup(coffer.work / "source")["snapshot"]] = capture(coffer)
    prune(coffer, "--now")
    assert_whole(coffer, made)


@pytest.mark.threads
def test_restores_go_on_while_prune_repacks(coffer, tmp_path):
    for i in range(12):
        noise(coffer, f"file{i}", i, 1 << 20)
    coffer.backup(coffer.work / "source")
    for i in range(0, 12, 2):
        (coffer.work / "source" / f"file{i}").unlink()
    made = {coffer.backup(coffer.work / "source")["snapshot"]: capture(coffer)}
    coffer.run("forget", "--keep-last", "1", "--yes")
    reader = coffer.with_cache(tmp_path / "reader")
    process = coffer.start("prune", "--yes", "--max-unused", "0")
    runs = 0
    while process.poll() is None or runs < 2:
        reader.restore("latest", tmp_path / f"out{runs}", "--verify")
        runs += 1
    _, err = process.communicate()
    assert process.returncode == DONE, err
    for n in range(runs):
        found = {p.name: p.read_bytes() for p in (tmp_path / f"out{n}").rglob("*") if p.is_file()}
        assert found == made[list(made)[0]]
    assert_whole(coffer, made)


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_nothing_and_goes_on(coffer, tmp_path):
    for i in range(6):
        noise(coffer, f"file{i}", i, 1 << 20)
    coffer.backup(coffer.work / "source")
    for i in range(0, 6, 2):
        (coffer.work / "source" / f"file{i}").unlink()
    made = {coffer.backup(coffer.work / "source")["snapshot"]: capture(coffer)}
    coffer.run("forget", "--keep-last", "1", "--yes")
    pristine = coffer.copy(tmp_path / "pristine")
    started = time.monotonic()
    pristine.copy(tmp_path / "probe").run("prune", "--yes", "--now", "--max-unused", "0")
    length = time.monotonic() - started
    for i in range(12):
        copy = pristine.copy(tmp_path / "copy")
        kill_after(copy.start("prune", "--yes", "--now", "--max-unused", "0"), length * i / 10)
        copy.check()
        assert prune(copy, "--now", "--max-unused", "0")["packs_waiting"] == 0
        assert_whole(copy, made)
        assert copy.stored_bytes() < 3.5 * (1 << 20)


class Loop:
    """Writers and a pruner at one repository, each killed at random; what is committed is written down with what it holds."""

    def __init__(self, coffer, seconds):
        self.coffer = coffer
        self.ends = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.expected = {}  # snapshot -> the host whose data it is, and that as of then
        self.problems = []
        self.count = dict.fromkeys(("backups", "killed", "given up", "prunes", "removed", "forgets"), 0)

    def note(self, what, n=1):
        with self.lock:
            self.count[what] += n

    def attempt(self, rng, coffer, *args, env=None):
        """A run that is killed every other time: its exit status and document; None when it was killed."""
        process = coffer.start(*args, env=env)
        killer = threading.Timer(rng.uniform(0, 0.6), process.kill) if rng.random() < 0.4 else None
        if killer:
            killer.start()
        out, err = process.communicate(timeout=120)
        if killer:
            killer.cancel()
        if process.returncode == -signal.SIGKILL:
            self.note("killed")
            return None, None, ""
        is_done = process.returncode in (DONE, PARTIAL)
        return process.returncode, json.loads(out.splitlines()[-1]) if is_done else None, err.decode()

    def write(self, name, seed):
        rng = random.Random(seed)
        coffer = self.coffer.with_cache(self.coffer.folder / f"{name}-cache")
        source = self.coffer.folder / f"{name}-source"
        source.mkdir()
        table = trees.rows(seed, 4000)
        while time.monotonic() < self.ends:
            table = trees.change_rows(table, rng.random(), rng.choice([0, 1, 5, 40]))
            if len(table) < 200_000:
                table = trees.rows(rng.random(), 4000)
            (source / "table").write_bytes(table)
            # The same data comes and goes in both.
            (source / f"noise{rng.randrange(4)}").write_bytes(random.Random(rng.randrange(12)).randbytes(150_000))
            if rng.random() < 0.3:
                (source / f"noise{rng.randrange(4)}").unlink(missing_ok=True)
            want = {p.name: p.read_bytes() for p in source.iterdir()}
            args = [source]
            if rng.random() < 0.1:  # one that takes long, and may be given up
                want = {"slow": want["table"] * 2}
                args = ["stream:slow", "--", "sh", "-c", f"cat {source}/table; sleep {rng.uniform(0.5, 3)}; cat {source}/table"]
            code, document, err = self.attempt(rng, coffer, "backup", "--json", "--host", name, *args)
            if document:
                with self.lock:
                    self.expected[document["snapshot"]] = (name, want)
                self.note("backups")
            elif code == BUSY:
                self.note("given up")
            elif code is not None:
                self.problems.append(f"backup of {name}: {code} {err}")
                return
            if rng.random() < 0.05:
                shutil.rmtree(coffer.cache, ignore_errors=True)

    def prune(self, seed):
        rng = random.Random(seed)
        coffer = self.coffer.with_cache(self.coffer.folder / "pruner-cache")
        while time.monotonic() < self.ends:
            with self.lock:
                before = dict(self.expected)
            code, document, err = self.attempt(rng, coffer, "forget", "--json", "--keep-last", "4", "--yes")
            if code is not None and code not in (DONE, BUSY):
                self.problems.append(f"forget: {code} {err}")
                return
            self.note("forgets", code == DONE)
            self.age_leases(rng)
            code, document, err = self.attempt(rng, coffer, "prune", "--json", "--yes", "--grace", f"{rng.choice([1, 2, 3])}s",
                                               "--max-unused", rng.choice(["0", "5%", "50%"]))
            if code is not None and code not in (DONE, PARTIAL, BUSY):
                self.problems.append(f"prune: {code} {err}")
                return
            self.note("prunes", document is not None)
            if document:
                self.note("removed", document["packs_removed"])

    def age_leases(self, rng):
        """Dead runs seem to have died over an hour ago; now and then one that is at work seems so as well."""
        young = time.time() - (0 if rng.random() < 0.1 else 4)
        for path in (self.coffer.path / "gc" / "lease").rglob("*"):
            try:
                if path.is_file() and path.stat().st_mtime <= young:
                    os.utime(path, (young - 7200, young - 7200))
            except FileNotFoundError:
                pass

    def verify(self):
        """All that is there and was noted restores equal; the newest of each host is there."""
        coffer = self.coffer.with_cache(self.coffer.folder / "verify-cache")
        result = coffer.run("check", "--read-data", code=None, timeout=600)
        assert result.code == DONE, result.out[-3000:]
        there = [s["id"] for s in coffer.snapshots()]
        for name in ("a", "b"):
            ours = [s for s, (host, _) in self.expected.items() if host == name]
            assert ours and ours[-1] in there, name
        n = 0
        for snapshot in there:
            target = self.coffer.folder / "verified"
            shutil.rmtree(target, ignore_errors=True)
            coffer.restore(snapshot, target)
            if snapshot in self.expected:
                assert {p.name: p.read_bytes() for p in target.rglob("*") if p.is_file()} == self.expected[snapshot][1], snapshot
                n += 1
        assert n
        return n

    def run(self, seed):
        threads = [threading.Thread(target=self.write, args=("a", seed)), threading.Thread(target=self.write, args=("b", seed + 1)),
                   threading.Thread(target=self.prune, args=(seed + 2,))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.problems, self.problems


@pytest.mark.slow
def test_two_writers_and_a_pruner_killed_at_random_lose_nothing(coffer):
    n_rounds = max(1, round(SECONDS / 60))
    for n in range(n_rounds):
        loop = Loop(Coffer(coffer.folder / f"round{n}"), SECONDS / n_rounds)
        loop.coffer.init()
        loop.run(seed=1000 * n + 1)
        restored = loop.verify()
        print(f"round {n}: {loop.count}, {restored} snapshots restored")
        # Nobody is at work any more: all the waste goes.
        assert prune(loop.coffer, "--now", "--max-unused", "0", code={DONE, PARTIAL})["packs_waiting"] == 0
        loop.verify()
        assert loop.count["removed"]
        shutil.rmtree(loop.coffer.folder)
