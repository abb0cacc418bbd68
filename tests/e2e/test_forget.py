"""Retention: what rules and names let go, what holds keep, and what the check says of it."""

import datetime
import shutil
import time

import pytest
import trees
from harness import BUILD, BUSY, DAMAGED, DONE, FAILED, USAGE, flip, kill_after

CLOCK = BUILD / "tests" / "fault" / "libclockshift.so"
DAY = 86400


def make(coffer, n, *args):
    """n snapshots of one small file, and what each holds, oldest first."""
    made = {}
    for i in range(n):
        (coffer.work / "file").write_text(f"version {i}")
        made[coffer.backup(coffer.work / "file", *args)["snapshot"]] = f"version {i}"
    return made


def ids(coffer):
    return [s["id"] for s in coffer.snapshots()]


def hold(coffer, snapshot, *args):
    return coffer.run("hold", "add", snapshot, "--json", *args).json["snapshots"][0]["snapshot"]


def at_day(day):
    """The environment of a program whose clock shows noon of a day counted from 1 January 2028, UTC."""
    start = datetime.datetime(2028, 1, 1, 12, tzinfo=datetime.timezone.utc).timestamp()
    return {"LD_PRELOAD": CLOCK, "COFFER_TEST_CLOCK": int(start + day * DAY - time.time())}


def test_nothing_goes_without_yes(coffer):
    made = list(make(coffer, 4))
    before = coffer.contents()
    text = coffer.run("forget", "--keep-last", "2").out
    assert text.count("forget\n") == 2 and "--yes" in text
    plan = coffer.run("forget", "--keep-last", "2", "--json").json
    assert plan["dry_run"] and plan["forgotten"] == made[:2] and plan["n_kept"] == 2
    assert coffer.contents() == before
    done = coffer.run("forget", "--keep-last", "2", "--json", "--yes").json
    assert not done["dry_run"] and done["forgotten"] == made[:2]
    assert ids(coffer) == made[2:]
    coffer.check()
    assert "nothing to forget" in coffer.run("forget", "--keep-last", "2", "--yes").out


def test_what_is_kept_restores_and_the_next_backup_goes_on(coffer, tmp_path):
    made = make(coffer, 5)
    coffer.run("forget", "--keep-last", "2", "--yes")
    for snapshot in ids(coffer):
        coffer.restore(snapshot, tmp_path / snapshot)
        (file,) = (tmp_path / snapshot).rglob("file")
        assert file.read_text() == made[snapshot]
    make(coffer, 1)
    coffer.check()


def test_the_table_says_which_rule_keeps_what(coffer):
    old = make(coffer, 1, "--tag", "release")
    make(coffer, 2)
    (group,) = coffer.run("forget", "--keep-last", "1", "--keep-tag", "release", "--gfs", "m=2", "--json").json["groups"]
    assert [s["reasons"] for s in group["snapshots"]] == [["oldest-monthly", "tag"], [], ["last", "monthly"]]
    assert group["snapshots"][0]["id"] in old
    text = coffer.run("forget", "--keep-last", "1", "--keep-tag", "release", "--gfs", "m=2").out
    rows = [line for line in text.splitlines() if " keep" in line]
    assert len(rows) == 2
    assert rows[0].endswith("oldest monthly, tag release") and rows[1].endswith("last, monthly")


@pytest.mark.parametrize("args, names", [
    ([], ["--keep-daily", "snapshots to forget"]),
    (["--yes"], ["--keep-daily"]),
    (["--keep-last", "0"], ["--keep-last", "'0'"]),
    (["--keep-daily", "-3"], ["-3"]),
    (["--keep-daily", "often"], ["often"]),
    (["--keep-last", "7d"], ["--keep-within 7d"]),
    (["--keep-within", "7"], ["'7'"]),
    (["--keep-within", "0d"], ["'0d'"]),
    (["--keep-daily", "7", "--keep-daily", "9"], ["--keep-daily", "twice"]),
    (["--keep-daily", "7", "--gfs", "d=9"], ["daily", "twice"]),
    (["--gfs", "d=7,d=9"], ["daily", "twice"]),
    (["--gfs", "d=7,x=1"], ["x=1"]),
    (["--gfs", "d"], ["'d'"]),
    (["--keep-last", "1", "--group-by", "user"], ["user"]),
    (["--keep-tag", ""], ["--keep-tag"]),
    (["latest", "--keep-last", "1"], ["exclude"]),
])
def test_rules_that_make_no_sense_are_usage_errors(coffer, args, names):
    coffer.fails("forget", *args, code=USAGE, names=names)


def test_rules_that_empty_a_group_are_refused(coffer):
    make(coffer, 2)
    make(coffer, 2, "--host", "other", "--tag", "x")
    before = coffer.contents()
    for extra in ([], ["--yes"]):
        coffer.fails("forget", "--keep-tag", "x", *extra, code=BUSY, names=["file", "--keep-last 1"])
    # A hold does not make a rule that matches nothing right.
    hold(coffer, "latest", "--host", "other")
    before = coffer.contents()
    coffer.fails("forget", "--keep-tag", "nothing", "--yes", "--host", "other", code=BUSY, names="other")
    assert coffer.contents() == before


def test_groups_are_of_host_and_source_unless_said(coffer):
    for host in ("a", "b"):
        for tag in ("x", "y"):
            make(coffer, 2, "--host", host, "--tag", tag)
    plan = lambda *args: coffer.run("forget", "--keep-last", "1", "--json", *args).json
    assert [(g["host"], g["n_kept"], g["n_forgotten"]) for g in plan()["groups"]] == [("a", 1, 3), ("b", 1, 3)]
    assert [(g["host"], g["n_kept"]) for g in plan("--group-by", "none")["groups"]] == [(None, 1)]
    assert [g["tags"] for g in plan("--group-by", "tags")["groups"]] == [["x"], ["y"]]
    assert len(plan("--group-by", "tags,host")["groups"]) == 4
    assert [(g["host"], g["n_kept"], g["n_forgotten"]) for g in plan("--host", "b", "--tag", "x")["groups"]] == [("b", 1, 1)]
    assert plan("--source", coffer.work / "file")["n_kept"] == 2
    assert plan("--source", "nothing")["groups"] == []


def test_a_held_snapshot_is_forgotten_by_nothing(coffer):
    made = list(make(coffer, 3))
    held = hold(coffer, made[0], "--reason", "audit 2026")
    assert ids(coffer) == [held, *made[1:]]
    assert coffer.snapshots()[0]["hold"]["reason"] == "audit 2026" and coffer.snapshots()[1]["hold"] is None
    assert "audit 2026" in coffer.run("snapshots").out and "audit 2026" in coffer.run("hold", "list").out
    assert [s["id"] for s in coffer.run("hold", "list", "--json").json["snapshots"]] == [held]
    for extra in ([], ["--yes"]):
        coffer.fails("forget", held, made[1], *extra, code=BUSY, names=[held[:8], "audit 2026", "hold remove"])
    coffer.fails("forget", made[0], "--yes", code=FAILED, names=made[0])
    coffer.run("forget", "--keep-last", "1", "--yes")
    assert ids(coffer) == [held, made[2]]
    # A hold outlives tags.
    tagged = coffer.run("tag", held, "--add", "x", "--json").json["snapshots"][0]["snapshot"]
    coffer.fails("ls", held, code=FAILED, names=["any more", tagged[:8]])
    coffer.fails("forget", tagged, "--yes", code=BUSY)
    free = coffer.run("hold", "remove", tagged, "--json").json["snapshots"][0]["snapshot"]
    coffer.run("forget", free, "--yes")
    assert ids(coffer) == [made[2]]
    assert len(coffer.objects("snapshots")) == 1
    coffer.check()


@pytest.mark.parametrize("args, names", [
    ([], []),
    (["keep", "latest"], ["keep"]),
    (["add"], ["needs a snapshot"]),
    (["remove"], ["needs a snapshot"]),
    (["list", "latest"], ["no snapshots"]),
    (["remove", "latest", "--reason", "x"], ["--reason"]),
])
def test_holds_that_make_no_sense_are_usage_errors(coffer, args, names):
    coffer.fails("hold", *args, code=USAGE, names=names)


def test_holding_twice_changes_nothing(coffer):
    make(coffer, 1)
    held = hold(coffer, "latest", "--reason", "why")
    assert hold(coffer, "latest") == held
    assert hold(coffer, "latest", "--reason", "why") == held
    assert hold(coffer, "latest", "--reason", "other") != held
    coffer.run("hold", "remove", "latest")
    assert "not held already" in coffer.run("hold", "remove", "latest").out
    assert "no snapshot is held" in coffer.run("hold", "list").out


def test_the_last_of_a_group_goes_by_name_and_says_so(coffer):
    make(coffer, 1)
    before = coffer.contents()
    assert "the last snapshot goes of" in coffer.run("forget", "latest").out
    assert coffer.contents() == before
    assert "the last snapshot goes of" in coffer.run("forget", "latest", "--yes").out
    assert ids(coffer) == []
    coffer.check()
    assert coffer.run("forget", "--keep-last", "1", "--yes").out == "nothing to forget, 0 snapshots kept\n"


def test_forgetting_a_retagged_snapshot_brings_no_older_one_back(coffer):
    (first,) = make(coffer, 1)
    for tag in "abc":
        coffer.run("tag", "latest", "--add", tag)
    make(coffer, 1)
    assert len(coffer.objects("snapshots")) == 5
    coffer.run("forget", "--keep-last", "1", "--yes")
    assert len(ids(coffer)) == 1 and len(coffer.objects("snapshots")) == 1
    coffer.check()
    coffer.fails("forget", first, code=FAILED, names=first)


def test_check_finds_what_was_put_back_or_taken_away(coffer):
    made = list(make(coffer, 4))
    forgotten = coffer.path / "snapshots" / made[0]
    saved = forgotten.read_bytes()
    coffer.run("forget", made[0], "--yes")
    coffer.check()
    forgotten.write_bytes(saved)
    assert made[0] in coffer.run("check", code=DAMAGED).out
    coffer.run("forget", made[0], "--yes")
    coffer.check()
    # The witnesses of the second go, the record stands in for them; then it is taken away.
    coffer.run("forget", made[2], made[3], "--yes")
    coffer.check()
    (coffer.path / "snapshots" / made[1]).unlink()
    assert made[1] in coffer.run("check", code=DAMAGED).out


def test_a_damaged_snapshot_goes_first_and_alone(coffer):
    made = list(make(coffer, 3))
    flip(coffer.path / "snapshots" / made[1], 100)
    before = coffer.contents()
    for args in (["--keep-last", "1"], [made[0]], [made[0], made[1]]):
        for extra in ([], ["--yes"]):
            coffer.fails("forget", *args, *extra, code=DAMAGED, names=[made[1], "forget it first"])
    assert coffer.contents() == before
    assert "cannot be read" in coffer.run("forget", made[1]).out
    coffer.run("forget", made[1], "--yes")
    coffer.check()
    coffer.run("forget", "--keep-last", "1", "--yes")
    assert ids(coffer) == [made[2]]


def test_a_damaged_record_is_named(coffer):
    make(coffer, 2)
    coffer.run("forget", "--keep-last", "1", "--yes")
    record = coffer.objects("gc")[0]
    flip(record, 80)
    assert record.name in coffer.run("check", code=DAMAGED).out
    make(coffer, 2)
    coffer.run("forget", "--keep-last", "1", "--yes")


@pytest.mark.root
@pytest.mark.native
def test_a_store_that_refuses_deletes_loses_nothing(coffer):
    make(coffer, 3)
    prefix = coffer.as_nobody(coffer.folder)
    folder = coffer.path / "snapshots"
    folder.chmod(0o555)
    line = coffer.fails("forget", "--keep-last", "1", "--yes", code=FAILED, names="may delete", prefix=prefix)
    assert "0 forgotten" in line
    folder.chmod(0o700)
    assert len(ids(coffer)) == 3
    coffer.run("check", prefix=prefix)
    coffer.run("forget", "--keep-last", "1", "--yes", prefix=prefix)
    assert len(ids(coffer)) == 1


@pytest.mark.native
def test_two_years_of_days_leave_what_the_rules_say(coffer):
    """Backups over two years; after each forget a dry run finds nothing more to do."""
    rules = ["--gfs", "d=7,w=4,m=12,y=10"]
    (coffer.work / "file").write_text("x")
    for day in range(0, 700, 25):
        for step in (0, 1, 3):
            coffer.backup(coffer.work / "file", env=at_day(day + step))
        coffer.run("forget", *rules, "--yes", "-q", env=at_day(day + 4))
        assert coffer.run("forget", *rules, "--json", env=at_day(day + 4)).json["forgotten"] == []
    times = [s["time"][:10] for s in coffer.snapshots()]
    # The newest of each of 12 months, and of each year; of the last week each day.
    assert times[-3:] == ["2029-11-06", "2029-11-07", "2029-11-09"]
    assert len({t[:7] for t in times}) >= 12 and "2028-12" in {t[:7] for t in times}
    assert len(times) < 30
    coffer.check()


@pytest.mark.native
def test_snapshots_of_the_future_are_flagged_and_kept(coffer):
    (coffer.work / "file").write_text("x")
    for day in (0, 1, 2, 900, 901):
        coffer.backup(coffer.work / "file", env=at_day(day))
    text = coffer.run("forget", "--keep-last", "2", "--yes", env=at_day(3)).out
    assert text.count("dated in the future") == 3 and "clocks" in text
    assert [s["time"][:10] for s in coffer.snapshots()] == ["2028-01-02", "2028-01-03", "2030-06-19", "2030-06-20"]
    # A clock that fell back takes everything for the future.
    plan = coffer.run("forget", "--keep-last", "1", "--json", env=at_day(-4000)).json
    assert plan["n_future"] == 4 and plan["forgotten"] == []


@pytest.mark.native
def test_days_are_those_of_the_time_zone(coffer):
    (coffer.work / "file").write_text("x")
    noon = at_day(0)
    for hours in (9, 11.5, 13):  # 21:00, 23:30 and 01:00 UTC
        env = {**noon, "COFFER_TEST_CLOCK": noon["COFFER_TEST_CLOCK"] + int(hours * 3600)}
        coffer.backup(coffer.work / "file", env=env)
    kept = {}
    for zone in ("UTC", "CET-1"):
        plan = coffer.run("forget", "--keep-daily", "unlimited", "--json", env={**at_day(5), "TZ": zone}).json
        kept[plan["time_zone"]] = [s["reasons"] for s in plan["groups"][0]["snapshots"]]
    assert kept == {"UTC": [["oldest-daily"], ["daily"], ["daily"]], "CET": [["daily"], [], ["daily"]]}


@pytest.mark.native
def test_kill_at_any_moment_leaves_whole_snapshots(coffer, tmp_path):
    make(coffer, 30)
    pristine = coffer.copy(tmp_path / "pristine")
    for i in range(12):
        copy = pristine.copy(tmp_path / "copy")
        copy.work.mkdir(exist_ok=True)
        kill_after(copy.start("forget", "--keep-last", "3", "--yes"), 0.004 * i)
        assert 3 <= len(ids(copy)) <= 30
        copy.run("check")
        copy.run("forget", "--keep-last", "3", "--yes")
        assert len(ids(copy)) == 3
        copy.run("check")


@pytest.mark.threads
def test_a_backup_whose_parent_is_forgotten_meanwhile_commits(coffer, tmp_path):
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    gate = coffer.work / "gate"
    process = coffer.start("backup", "stream:other", "--", "sh", "-c",
                           f"while [ ! -e {gate} ]; do sleep 0.05; done; echo done")
    second = coffer.start("backup", source)
    coffer.run("forget", "latest", "--source", source, "--yes", code={DONE, BUSY, FAILED})
    gate.touch()
    for p in (process, second):
        _, err = p.communicate(timeout=60)
        assert p.returncode == DONE, err
    coffer.backup(source)
    coffer.restore("latest", tmp_path / "out", "--source", source)
    trees.assert_equal(source, tmp_path / "out")
    coffer.check()


def test_without_records_what_was_forgotten_counts_as_taken_away(coffer):
    make(coffer, 3)
    coffer.run("forget", "--keep-last", "1", "--yes")
    assert len(coffer.objects("gc")) == 2
    shutil.rmtree(coffer.path / "gc")
    # Without its records what was forgotten counts as taken away.
    assert "is missing" in coffer.run("check", code=DAMAGED).out
