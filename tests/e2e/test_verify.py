"""coffer verify on snapshots of files and SQLite, and options that are for database servers only."""

import fcntl
import os
import sqlite3

import pytest
from harness import DAMAGED, DONE, FAILED, USAGE, flip

LEVELS = ("quick", "standard", "comprehensive")


@pytest.fixture
def saved(coffer):
    """A folder and a database, one snapshot each."""
    folder = coffer.work / "data"
    folder.mkdir()
    for i in range(40):
        (folder / f"f{i}").write_bytes(bytes(range(256)) * (i * 37))
    (folder / "random").write_bytes(os.urandom(300000))
    database = sqlite3.connect(coffer.work / "app.db")
    database.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, parent REFERENCES t)")
    database.executemany("INSERT INTO t VALUES (?, ?, NULL)", ((i, os.urandom(50).hex()) for i in range(5000)))
    database.execute("CREATE INDEX i ON t (b, a)")
    database.commit()
    database.close()
    coffer.run("backup", folder, f"sqlite:{coffer.work / 'app.db'}")
    return coffer


def sources(coffer):
    return str(coffer.work / "data"), f"sqlite:{coffer.work / 'app.db'}"


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_sound_passes_at_every_level(saved, level):
    for source in sources(saved):
        result = saved.run("verify", "latest", "--source", source, "--level", level, "--json").json
        assert result["version"] == 1
        assert result["passed"] and result["complete"] and result["level"] == level
        assert result["n_checks"] == len(result["checks"]) > 0
        assert result["n_failed"] == 0 and all(check["passed"] for check in result["checks"])
        text = saved.run("verify", "latest", "--source", source, "--level", level).out
        assert text.count("ok  ") == result["n_checks"] and "FAILED" not in text
        assert saved.run("verify", "latest", "--source", source, "--level", level, "-q").out == ""


def names(result):
    return {check["name"] for check in result["checks"]}


def test_levels_of_sqlite_are_sqlites_own(saved):
    expected = {"quick": set(), "standard": {"quick_check"}, "comprehensive": {"integrity_check", "foreign_key_check"}}
    for level, pragmas in expected.items():
        result = saved.run("verify", "latest", "--source", sources(saved)[1], "--level", level, "--json").json
        assert names(result) == {"stored", "header"} | pragmas


def test_a_broken_index_and_a_dangling_reference_fail(saved):
    path = saved.work / "app.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA writable_schema=ON")
    # The index is then one of other columns than its entries were made of.
    database.execute("UPDATE sqlite_master SET sql='CREATE INDEX i ON t (a, b)' WHERE name='i'")
    database.execute("INSERT INTO t VALUES (9000, 'y', 77777)")
    database.commit()
    database.close()
    saved.run("backup", f"sqlite:{path}")
    source = sources(saved)[1]
    saved.run("verify", "latest", "--source", source, "--level", "standard")
    result = saved.run("verify", "latest", "--source", source, "--level", "comprehensive", "--json", code=DAMAGED)
    failed = {check["name"] for check in result.json["checks"] if not check["passed"]}
    assert failed == {"integrity_check", "foreign_key_check"}
    assert not result.json["passed"] and result.json["complete"]
    assert "failed" in result.error_line
    text = saved.run("verify", "latest", "--source", source, "--level", "comprehensive", "-q", code=DAMAGED).out
    assert "FAILED  foreign_key_check app.db: row 9000 of t refers to nothing in t" in text
    assert "ok " not in text


def test_a_database_that_breaks_a_page_fails_quick_check(saved):
    path = saved.work / "app.db"
    with open(path, "r+b") as file:
        file.seek(4096 * 20 + 8)
        file.write(b"\xff" * 200)
    saved.run("backup", f"sqlite:{path}", code=None)
    snapshot = saved.snapshots("--source", sources(saved)[1])
    if len(snapshot["snapshots"] if isinstance(snapshot, dict) else snapshot) > 1:
        saved.run("verify", "latest", "--source", sources(saved)[1], code=DAMAGED)


def test_nothing_is_left_in_the_temporary_folder(saved, tmp_path):
    temp = tmp_path / "temp"
    temp.mkdir()
    saved.run("verify", "latest", "--source", sources(saved)[1], env={"TMPDIR": temp})
    assert list(temp.iterdir()) == []
    line = saved.fails("verify", "latest", "--source", sources(saved)[1], code=FAILED,
                       env={"TMPDIR": tmp_path / "none"})
    assert str(tmp_path / "none") in line


def test_what_a_killed_verification_left_goes_and_nothing_else(saved, tmp_path):
    temp = tmp_path / "temp"
    temp.mkdir()

    def make(name, mode=0o700, owner=True):
        folder = temp / name
        (folder / "work").mkdir(parents=True)
        (folder / "work/database").write_bytes(b"left")
        if owner:
            (folder / "owner").touch(0o600)
        folder.chmod(mode)
        return folder
    left = make("coffer-verify-0123456789ab")
    (left / "work/elsewhere").symlink_to(tmp_path)
    (temp / "coffer-verify-aaaaaaaaaaaa").mkdir()
    used = make("coffer-verify-bbbbbbbbbbbb")
    kept = {used, make("coffer-verify-0123456789AB"), make("coffer-verify-mine"), make("coffer-verify-cccccccccccc", owner=False),
            make("coffer-verify-dddddddddddd", mode=0o770)}
    (temp / "coffer-verify-eeeeeeeeeeee").symlink_to(used)
    with open(used / "owner", "r+b") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        checks = saved.run("verify", "latest", "--source", sources(saved)[1], "--json", env={"TMPDIR": temp}).json["checks"]
    assert [check["object"] for check in checks if check["name"] == "leftover"] == [str(left)]
    assert set(temp.iterdir()) == kept | {temp / "coffer-verify-eeeeeeeeeeee"}
    assert all((folder / "work/database").exists() for folder in kept)


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_pack_fails_and_names_what_needs_it(saved, level):
    # The largest are those of data, one for each source.
    for pack in sorted(saved.objects("packs"), key=lambda p: p.stat().st_size)[-2:]:
        pack.unlink()
    for source in sources(saved):
        result = saved.run("verify", "latest", "--source", source, "--level", level, "--json", code=DAMAGED).json
        assert result["n_failed"] > 0 and not result["passed"]
        assert any("missing" in check["detail"] for check in result["checks"] if not check["passed"])


def test_damaged_bytes_fail_where_they_are_read(saved):
    for pack in saved.objects("packs"):
        flip(pack, pack.stat().st_size // 3)
    source = sources(saved)[0]
    result = saved.run("verify", "latest", "--source", source, "--json", code=DAMAGED)
    assert not result.json["passed"]
    saved.run("verify", "latest", "--source", sources(saved)[1], code=DAMAGED)


def test_a_folder_is_no_server(saved):
    files, database = sources(saved)
    saved.fails("verify", "latest", "--source", files, "-j", "2", code=USAGE, names=["--jobs", files])
    saved.fails("verify", "latest", "--source", database, "--against", "/tmp", code=USAGE, names="--against")
    saved.fails("verify", "latest:data", code=USAGE, names="path")
    saved.fails("verify", "latest", "--level", "best", code=USAGE, names="best")
    for option in (["-t", "x"], ["--schema=x"], ["--exclude-table=x"], ["--exclude-table-data=x"], ["--all-databases"],
                   ["-j2"], ["--lock-wait=1"], ["--require-transactional"], ["--allow-old-client"]):
        saved.fails("backup", files, *option, code=USAGE, names=[files, "database servers"])
    for option in (["-t", "x"], ["--rename", "a=b"], ["--create"], ["--clean"], ["--schema-only"], ["--data-only"],
                   ["--no-privileges"], ["-j2"]):
        saved.fails("restore", "latest", "--to", saved.work / "out", *option, code=USAGE, names="--to URL")
    assert not (saved.work / "out").exists()


def test_a_folder_with_a_servers_name_needs_a_dot(saved):
    line = saved.fails("restore", "latest", "--source", "data", "--to", "sqlite:x", code=USAGE, names="./sqlite:x")
    assert "no database server" in line
    saved.fails("restore", "latest", "--source", "data", "--to", "oracle://h/d", code=USAGE, names="./oracle://h/d")
    saved.run("restore", "latest", "--source", "data", "--to", "./sqlite:x")
    saved.run("restore", "latest", "--source", "data", "--to", "a:b")
    assert (saved.work / "sqlite:x/f1").exists() and (saved.work / "a:b/f1").exists()


@pytest.mark.parametrize("args", [
    ["backup", "postgress://me:secret@host/db"],
    ["restore", "latest", "--to", "postgress://me:se/cr@secret@host/db"],
    ["restore", "latest", "sqlite://me:secret@host"],
    ["verify", "latest", "--against", "oracle://me:secret@host"],
    ["postgres://me:secret@host/db"],
])
def test_a_password_is_never_repeated(saved, args):
    result = saved.run(*args, code=USAGE)
    assert "secret" not in result.err + result.out
    assert "***" in result.error_line


def test_the_help_for_databases(saved):
    text = saved.run("help", "databases").out
    for option in ("--table", "--rename", "--against", "--lock-wait"):
        assert option in text
    assert saved.run("help", "--man", "restore", code=DONE).out.count("For databases:") == 1
