"""The audit log: what it says of each command, and what is found when it was tampered with."""

import getpass
import os
import shutil
import socket
import time

import pytest
from harness import DAMAGED, DONE, FAILED, PARTIAL, USAGE, flip


def records(coffer, *args, **kw):
    return coffer.run("audit", "--json", *args, **kw).json["records"]


def last(coffer):
    (record,) = records(coffer, "--last", "1")
    return record


def about(record, key):
    return [pair["value"] for pair in record["about"] if pair["key"] == key]


def file_of(coffer, record):
    (path,) = coffer.path.glob(f"audit/*/{record['id']}")
    return path


def verify(coffer, code=DONE, **kw):
    return coffer.run("audit", "--verify", "--json", code=code, **kw).json


def backup(coffer, name="x", **kw):
    return coffer.backup(f"stream:{name}", input=name.encode(), **kw)["snapshot"]


def test_each_command_that_changes_something_leaves_a_record(coffer):
    first = backup(coffer)
    tagged = coffer.run("tag", "latest", "--add", "keep", "--json").json["snapshots"][0]["snapshot"]
    held = coffer.run("hold", "add", "latest", "--reason", "law", "--json").json["snapshots"][0]["snapshot"]
    second = backup(coffer)
    coffer.run("forget", second, "--yes")
    key = coffer.run("key", "add", "--role", "write", "--new-key-file", coffer.folder / "w", "--json").json["id"]
    coffer.run("key", "rotate")
    coffer.run("key", "remove", key, "--yes")
    coffer.run("key", "passwd", "--new-key-file", coffer.folder / "new")
    coffer.key = coffer.folder / "new"
    coffer.check()
    log = records(coffer)
    assert [r["command"] for r in log] == ["init", "backup", "tag", "hold add", "backup", "forget", "key add",
                                           "key rotate", "key remove", "key passwd", "check"]
    assert [r["number"] for r in log] == list(range(1, 12))
    for record in log:
        assert record["status"] == 0 and record["error"] is None and record["program"].startswith("coffer ")
        assert record["host"] == socket.gethostname() and record["user"] == getpass.getuser()
        assert record["figures"]["duration_ns"] >= 0
    assert about(log[1], "source") == ["stream:x"] and about(log[1], "snapshot") == [first]
    assert log[1]["figures"]["bytes_total"] == 1 and log[1]["figures"]["bytes_stored"] > 100
    assert about(log[2], "replaced") == [first] and about(log[2], "snapshot") == [tagged] and about(log[2], "add") == ["keep"]
    assert about(log[3], "replaced") == [tagged] and about(log[3], "snapshot") == [held] and about(log[3], "reason") == ["law"]
    assert about(log[5], "forgotten") == [second] and log[5]["figures"]["snapshots_forgotten"] == 1
    assert about(log[6], "key") == [key] == about(log[8], "key") and about(log[6], "role") == ["write"]
    assert log[7]["figures"]["epochs"] == 2
    assert about(log[9], "key") == [log[10]["key"]] and log[9]["key"] != log[10]["key"], "which slot opened it"
    assert about(log[10], "level") == ["data"] and log[10]["figures"]["problems"] == 0
    verified = verify(coffer)
    assert verified["verified"] and verified["errors"] == [] and verified["unrecorded"] == []


def test_what_changes_nothing_leaves_none(coffer):
    snapshot = backup(coffer)
    before = records(coffer)
    for args in (["snapshots"], ["ls", "latest"], ["stats"], ["key", "list"], ["hold", "list"],
                 ["backup", "-n", coffer.work], ["forget", "--keep-last", "1"], ["forget", "--keep-last", "1", "--yes"],
                 ["tag", snapshot, "--remove", "none"], ["hold", "remove", snapshot], ["audit", "--verify"]):
        coffer.run(*args)
    assert records(coffer) == before


def test_failures_are_recorded_without_passwords(coffer):
    backup(coffer)
    coffer.run("backup", "/nowhere", code=FAILED)
    record = last(coffer)
    assert record["status"] == FAILED and "/nowhere" in record["error"] and about(record, "source") == ["/nowhere"]
    coffer.run("tag", "ffffffff", "--add", "x", code=FAILED)
    assert last(coffer)["command"] == "tag" and "ffffffff" in last(coffer)["error"]
    coffer.run("backup", "postgres://me:secret@host/db", code={FAILED, USAGE})
    out = coffer.run("audit", "--json").out
    assert "secret" not in out and "me:***@host" in out
    text = coffer.run("audit").out.splitlines()
    assert "failed" in text[3] and text[3].count("/nowhere") == 1
    broken = coffer.copy(coffer.folder / "broken")
    broken.backup("stream:y", input=os.urandom(5000))
    flip(max(broken.objects("packs"), key=lambda p: p.stat().st_mtime_ns), 200)
    broken.check(code=DAMAGED)
    assert last(broken)["command"] == "check" and last(broken)["status"] == DAMAGED
    assert last(broken)["figures"]["problems"] > 0 and "problem" in last(broken)["error"]


def test_a_warning_is_recorded_as_such(coffer):
    (coffer.work / "f").write_text("x")
    (coffer.work / "link").symlink_to("f")
    os.mkfifo(coffer.work / "fifo")
    result = coffer.run("backup", coffer.work / "f", coffer.work / "gone", code=FAILED)
    assert result
    assert [r["status"] for r in records(coffer)] == [0, 0, FAILED], "each source has its own"


def test_a_key_that_may_only_write_appends_and_reads_it(coffer):
    coffer.run("key", "add", "--role", "write", "--new-key-file", coffer.folder / "w")
    host = {"COFFER_KEY_FILE": coffer.folder / "w"}
    snapshot = backup(coffer, env=host)
    assert about(records(coffer, env=host)[-1], "snapshot") == [snapshot]
    assert verify(coffer, env=host)["errors"] == []


def test_removed_and_damaged_records_are_found(coffer):
    for i in range(3):
        backup(coffer, f"x{i}")
    log = records(coffer)
    for record in log:
        copy = coffer.copy(coffer.folder / "copy")
        flip(file_of(copy, record), 80)
        for result in (verify(copy, code=DAMAGED), copy.run("check", "--json", code=DAMAGED).json):
            (error,) = result["errors"]
            assert record["id"] in error["object"] and "damaged" in error["problem"]
        warned = copy.run("audit", code=PARTIAL)
        assert record["id"] in warned.err and len(warned.out.splitlines()) == len(log) + 1, "but for it, with the check"
        backup(copy)
    for record in log[:-1]:
        copy = coffer.copy(coffer.folder / "copy")
        file_of(copy, record).unlink()
        for result in (verify(copy, code=DAMAGED), copy.run("check", "--json", code=DAMAGED).json):
            (error,) = result["errors"]
            assert record["id"] in error["object"] and "missing" in error["problem"]
        assert record["id"] in copy.run("audit", "--verify", code=DAMAGED).out
        backup(copy)
        verify(copy, code=DAMAGED)


def test_a_log_that_was_cut_off_is_found(coffer):
    backup(coffer)
    coffer.run("tag", "latest", "--add", "x")
    backup(coffer)
    log = records(coffer)
    copy = coffer.copy(coffer.folder / "copy")
    file_of(copy, log[-1]).unlink()
    assert verify(copy)["unrecorded"] == about(log[-1], "snapshot"), "a snapshot whose record is gone"
    assert "no record" in copy.run("audit", "--verify").out
    file_of(copy, log[-2]).unlink()
    assert "saw it" in copy.check(read=False, code=DAMAGED).out
    shutil.rmtree(copy.path / "audit")
    errors = verify(copy, code=DAMAGED)["errors"]
    assert [log[i]["id"] for i in (0, 2)] == sorted((e["object"].split("/")[2] for e in errors), key=[r["id"] for r in log].index)


def test_a_record_that_cannot_be_stored_is_a_warning(coffer):
    backup(coffer)
    shutil.rmtree(coffer.path / "audit")
    (coffer.path / "audit").write_text("in the way")
    result = coffer.run("backup", "stream:y", input=b"y", code=PARTIAL)
    assert "audit" in result.err and "snapshot" in result.out
    assert coffer.run("dump", "latest:y").stdout == b"y"
    assert "audit" in coffer.run("tag", "latest", "--add", "x", code=PARTIAL).err
    coffer.fails("backup", "/nowhere", code=FAILED)


@pytest.mark.root
def test_a_store_that_can_only_be_read_is_checked(coffer):
    backup(coffer)
    prefix = coffer.as_nobody(coffer.key, coffer.work, coffer.cache)
    before = len(coffer.objects("audit"))
    for path in (coffer.path, *coffer.path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert coffer.run("check", prefix=prefix, env={"COFFER_CACHE_DIR": coffer.cache}).err == ""
    assert len(coffer.objects("audit")) == before


def test_writers_at_once_make_branches_that_are_joined(coffer):
    for _ in range(3):
        running = [coffer.start("backup", f"stream:{i}", "--", "sleep", "0.2") for i in range(4)]
        for process in running:
            process.communicate()
            assert process.returncode == 0
    backup(coffer)
    log = records(coffer)
    assert len(log) == 14
    named = {id for r in log for id in r["previous"]}
    assert named == {r["id"] for r in log if r["number"] < log[-1]["number"]}
    assert verify(coffer)["errors"] == []
    coffer.check()


def test_since_and_last_choose_records(coffer):
    backup(coffer)
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    backup(coffer)
    assert len(records(coffer, "--since", moment)) == 1
    assert len(records(coffer, "--since", moment.replace(" ", "T"))) == 1
    assert len(records(coffer, "--since", "1h")) == 3
    assert len(records(coffer, "--since", "2000-01-01", "--last", "2")) == 2
    assert records(coffer, "--since", "2999-12-31") == []
    assert coffer.run("audit", "--since", "2999-12-31 10:00").out == "no records\n"
    for bad in ("7", "yesterday", "2026-02-30", "2026-01-01 25:00", "1d "):
        coffer.fails("audit", "--since", bad, code=USAGE, names=[bad, "2026-11-21"])


@pytest.mark.native
def test_few_records_are_opened_however_many_there_are(coffer):
    backup(coffer)
    for _ in range(70):
        coffer.run("tag", "ffffffff", "--add", "x", code=FAILED)
    trace = coffer.folder / "trace"
    if not shutil.which("strace"):
        pytest.skip("no strace")
    coffer.run("tag", "latest", "--add", "x", prefix=["strace", "-f", "-o", trace, "-e", "trace=openat"])
    opened = {word for line in trace.read_text().splitlines() for word in line.split('"')[1::2] if len(word) == 64}
    assert 2 < len(opened & {r["id"] for r in records(coffer)}) <= 64
