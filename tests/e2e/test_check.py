"""What check reads, remembers, and finds missing."""

import shutil

import trees
from harness import DAMAGED, DONE, USAGE, flip


def test_parts_of_the_data_get_around_to_all_of_it(sample, tmp_path):
    copy = sample.copy(tmp_path / "copy")
    n = len(copy.objects("packs"))
    for limit in ("--read-data=1K", "--read-data=20%", "--max-duration=1s"):
        shutil.rmtree(copy.cache)
        for _ in range(n):
            found = copy.run("check", limit, "--json").json
            assert found["packs_read"] >= 1
        verified = found["verified"]
        assert verified["bytes"] == verified["bytes_good"] == sum(p.stat().st_size for p in copy.objects("packs"))
        assert verified["within"][0] == {"days": 1, "bytes": verified["bytes"]}
        assert "all data was read and found good within the last day" in copy.run("check").out


def test_before_anything_was_read_nothing_is_said_of_it(sample, tmp_path):
    copy = sample.copy(tmp_path / "copy")
    shutil.rmtree(copy.cache)
    assert "was read" not in copy.run("check").out
    assert copy.run("check", "--json").json["verified"]["oldest"] is None
    copy.run("check", "--read-data=1K")
    assert "the rest not yet by this host" in copy.run("check").out


def test_limits_that_make_no_sense_are_refused(sample):
    for option in ("--max-duration=soon", "--max-duration=30", "--read-data=101", "--read-data=0G"):
        sample.fails("check", option, code=USAGE, names=option.split("=")[1])


def test_a_damaged_pack_is_named_until_it_is_read_and_good(sample, tmp_path):
    copy = sample.copy(tmp_path / "copy")
    pack = max(copy.objects("packs"), key=lambda p: p.stat().st_size)
    flip(pack, 150)
    copy.check(code=DAMAGED)
    found = copy.run("check", code=DAMAGED).out
    assert pack.name in found and "--read-data reads it again" in found
    flip(pack, 150)
    copy.run("check", "--read-data=1K", code=DONE)
    copy.run("check", code=DONE)


def test_what_is_remembered_may_be_lost_or_damaged(sample, tmp_path):
    copy = sample.copy(tmp_path / "copy")
    copy.check()
    (file,) = copy.cache.glob("*.verified")
    assert file.stat().st_mode & 0o777 == 0o600
    for data in (b"", b"garbage" * 2000):
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        file.write_bytes(data)
        assert copy.run("check", "--json").json["verified"]["bytes_good"] == 0
        copy.check()
        assert copy.run("check", "--json").json["verified"]["bytes_good"] > 0


def test_a_snapshot_removed_behind_its_back_is_missed(sample, tmp_path):
    """By a later snapshot; the newest by who saw it."""
    for i, victim in enumerate((sample.first, sample.stream)):
        copy = sample.copy(tmp_path / f"copy{i}")
        copy.run("check")
        (copy.path / "snapshots" / victim).unlink()
        found = copy.run("check", "--json", code=DAMAGED).json
        assert [e["object"] for e in found["errors"]] == [f"snapshots/{victim}"]


def test_a_repository_set_back_to_an_older_copy_is_found(coffer, tmp_path):
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    older = tmp_path / "older"
    shutil.copytree(coffer.path, older)
    newest = coffer.backup(source)["snapshot"]
    coffer.run("forget", "--keep-last", "1", "--yes")
    coffer.run("check")
    shutil.rmtree(coffer.path)
    older.rename(coffer.path)
    found = {e["object"] for e in coffer.run("check", "--json", code=DAMAGED).json["errors"]}
    assert f"snapshots/{newest}" in found
    assert sum(name.startswith("gc/forget/") for name in found) == 2


def test_one_snapshot_put_back_from_an_older_copy_is_found(coffer, tmp_path):
    source = trees.small(coffer.work / "source")
    first = coffer.backup(source)["snapshot"]
    kept = (coffer.path / "snapshots" / first).read_bytes()
    coffer.backup(source)
    coffer.run("forget", first, "--yes")
    (coffer.path / "snapshots" / first).write_bytes(kept)
    found = coffer.run("check", "--json", code=DAMAGED).json["errors"]
    assert [e["object"] for e in found] == [f"snapshots/{first}"]
    assert "put back" in found[0]["problem"]
