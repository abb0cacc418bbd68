"""coffer doctor: what it finds, what it says to do, and that it leaves nothing behind."""

import os
import shutil

import pytest
from harness import BUILD, DONE, FAILED, Terminal, flip

CLOCK = BUILD / "tests" / "fault" / "libclockshift.so"
DAY = 86400


def doctor(coffer, code=DONE, **kw):
    result = coffer.run("doctor", "--json", code=code, **kw).json
    counts = [sum(c["result"] == r for c in result["checks"]) for r in ("ok", "warn", "fail")]
    assert counts == [result["ok"], result["warnings"], result["failures"]]
    assert (result["failures"] > 0) == (code == FAILED)
    return result["checks"]


def results(checks, name):
    return [c["result"] for c in checks if c["name"] == name]


def text_of(checks, name, result=None):
    return " ".join(c["text"] for c in checks if c["name"] == name and result in (None, c["result"]))


def second_key(coffer):
    coffer.run("key", "add", "--new-key-file", coffer.folder / "second")


def test_a_healthy_repository_has_no_failure_and_is_left_as_it_was(coffer):
    coffer.backup("stream:x", input=b"x")
    coffer.check()
    second_key(coffer)
    before = {p: p.read_bytes() for p in coffer.path.rglob("*") if p.is_file()}
    folders = {p for p in coffer.path.rglob("*") if p.is_dir()}
    checks = doctor(coffer)
    for name in ("program", "cache", "clock", "secret", "repository", "create", "listing", "delete", "index", "keys",
                 "backups",
                 "audit", "check"):
        assert results(checks, name) == ["ok"], (name, text_of(checks, name))
    assert "zstd" in text_of(checks, "program") and str(coffer.key) in text_of(checks, "secret")
    assert before == {p: p.read_bytes() for p in coffer.path.rglob("*") if p.is_file()}
    assert folders == {p for p in coffer.path.rglob("*") if p.is_dir()}
    assert {"processor", "space", "fuse"} <= {c["name"] for c in checks}


def test_without_a_repository_it_looks_at_the_rest(empty):
    checks = doctor(empty, env={"COFFER_REPOSITORY": None})
    assert results(checks, "program") == ["ok"]
    assert results(checks, "repository") == ["warn"] and "COFFER_REPOSITORY" in text_of(checks, "repository")
    assert "create" not in {c["name"] for c in checks}
    assert results(doctor(empty, code=FAILED), "repository") == ["fail"]


def test_a_wrong_or_open_key_fails_and_the_store_is_tried_all_the_same(coffer):
    coffer.key.chmod(0o644)
    checks = doctor(coffer, code=FAILED)
    assert "fail" in results(checks, "secret") and "chmod 600" in text_of(checks, "secret", "fail")
    assert results(checks, "create") == ["ok"]
    coffer.key.chmod(0o600)
    other = coffer.folder / "other"
    other.write_bytes(os.urandom(64))
    other.chmod(0o600)
    assert results(doctor(coffer, code=FAILED, env={"COFFER_KEY_FILE": other}), "secret") == ["ok", "fail"]


def test_one_key_alone_and_slots_that_cannot_be_used_are_told(coffer):
    assert "key add" in text_of(doctor(coffer), "keys", "warn")
    second_key(coffer)
    assert results(doctor(coffer), "keys") == ["ok"]
    slot = coffer.objects("keys")[0]
    (coffer.path / "keys" / ("0" * 64)).write_bytes(slot.read_bytes()[:100])
    assert "cannot be used" in text_of(doctor(coffer, code=FAILED), "keys", "fail")


def test_checks_are_remembered(coffer):
    coffer.backup("stream:x", input=os.urandom(5000))
    assert "never checked" in text_of(doctor(coffer), "check", "warn")
    coffer.check(read=False)
    assert "never read" in text_of(doctor(coffer), "check", "warn")
    coffer.check()
    assert results(doctor(coffer), "check") == ["ok"]
    flip(coffer.objects("packs")[0], 200)
    coffer.run("check", "--read-data", code=4)
    assert "found damage" in text_of(doctor(coffer, code=FAILED), "check", "fail")


@pytest.mark.native
@pytest.mark.skipif(not CLOCK.exists(), reason="no clock shim in this build")
def test_late_backups_checks_and_clocks_are_told(coffer):
    def at(days):
        return {"LD_PRELOAD": CLOCK, "COFFER_TEST_CLOCK": days * DAY}

    for day in range(-3, 1):
        coffer.backup("stream:daily", input=b"x", env=at(day))
    coffer.check()
    assert results(doctor(coffer), "backups") == ["ok"]
    later = doctor(coffer, env=at(5))
    assert results(later, "backups") == ["warn"] and "stream:daily" in text_of(later, "backups")
    assert results(later, "clock") == ["ok", "warn"], "the store's clock goes another way"
    assert "36 days ago" in text_of(doctor(coffer, env=at(36)), "check", "warn")
    earlier = doctor(coffer, code=FAILED, env=at(-2))
    assert "in the future" in text_of(earlier, "clock", "fail")
    assert "before this program" in text_of(doctor(coffer, code=FAILED, env=at(-3650)), "clock", "fail")


def test_a_damaged_snapshot_and_record_fail(coffer):
    coffer.backup("stream:x", input=b"x")
    coffer.backup("stream:x", input=b"y")
    flip(coffer.objects("snapshots")[0], 100)
    flip(coffer.objects("audit")[0], 100)
    checks = doctor(coffer, code=FAILED)
    assert "coffer check" in text_of(checks, "backups", "fail") and "audit --verify" in text_of(checks, "audit", "fail")


@pytest.mark.root
def test_a_store_that_cannot_be_written_is_told(coffer):
    coffer.cache.mkdir(exist_ok=True)
    prefix = coffer.as_nobody(coffer.key, coffer.work, coffer.cache)
    for path in (coffer.path, *coffer.path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    checks = doctor(coffer, code=FAILED, prefix=prefix)
    assert "nothing can be stored" in text_of(checks, "create", "fail")


def test_lines_are_for_people_and_fit_the_terminal(coffer):
    second_key(coffer)
    text = coffer.run("doctor").out
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in text.splitlines())
    quiet = coffer.run("doctor", "-q").out
    assert quiet and not any(line.startswith("ok") for line in quiet.splitlines())
    terminal = Terminal(coffer, "doctor")
    terminal.close()
    lines = terminal.text.decode().splitlines()
    assert len(lines) > 12 and all(len(line) <= 80 or len(line.split()[-1]) > 50 for line in lines)
    result = coffer.run("doctor", code=FAILED, env={"COFFER_REPOSITORY": "/nowhere"})
    assert "1 check failed" in result.error_line


def test_the_cache_is_looked_at(coffer):
    checks = doctor(coffer, env={"COFFER_CACHE_DIR": "/proc/no"}, code=FAILED)
    assert results(checks, "cache") == ["warn"] and "--cache-dir" in text_of(checks, "cache")


def test_pg_dump_is_judged_as_the_driver_does(coffer):
    checks = doctor(coffer)
    if not shutil.which("pg_dump") or not results(checks, "postgres"):
        pytest.skip("no pg_dump, or no driver")
    assert "pg_dump" in text_of(checks, "postgres")
