"""Damage anywhere in a repository is found, named, and never restored as if it were right."""

import os
import random

import pytest
import trees
from harness import DAMAGED, DONE, FAILED, KEY, PARTIAL, flip

PLACES = ["first", "second", "quarter", "middle", "near the end", "last", "random 1", "random 2", "random 3"]


def offset(size, place):
    rng = random.Random(place)
    return {"first": 0, "second": 1, "quarter": size // 4, "middle": size // 2, "near the end": size - 20,
            "last": size - 1}.get(place, rng.randrange(size))


def damaged(sample, folder, kind, which=None):
    copy = sample.copy(folder)
    copy.source = sample.source
    return copy, (copy.objects(kind) if which is None else [copy.objects(kind)[which]])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["packs", "index", "snapshots", "config", "keys"])
def test_one_flipped_byte_is_found_and_named(sample, tmp_path, kind, place):
    names = [p.relative_to(sample.path) for p in sample.objects(kind)]
    for i, name in enumerate(names):
        copy, (path,) = damaged(sample, tmp_path / "copy", kind, i)
        flip(path, offset(path.stat().st_size, place))
        # A config of another version cannot be told from a damaged one, nor a damaged key slot from
        # one that belongs to another key.
        allowed = {"config": {DAMAGED, FAILED}, "keys": {DAMAGED, KEY, FAILED}}.get(kind, {DAMAGED})
        result = copy.run("check", "--read-data", code=allowed)
        text = result.out + result.err
        if result.code == DAMAGED:
            assert str(name) in text or name.name[:8] in text, f"{name} not named: {text}"
        else:
            assert result.error_line


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["packs", "index", "snapshots"])
def test_restore_from_a_damaged_repository_writes_nothing_wrong(sample, tmp_path, kind, place):
    for i in range(len(sample.objects(kind))):
        copy, (path,) = damaged(sample, tmp_path / "copy", kind, i)
        flip(path, offset(path.stat().st_size, place))
        if i % 2:
            copy.forget_cache()
        for extra in ([], ["--keep-going"]):
            target = tmp_path / f"out{i}{len(extra)}"
            # A damaged index segment is a warning: the packs' own tables serve instead.
            result = copy.restore(sample.second, target, *extra, code={DONE, PARTIAL, DAMAGED, FAILED})
            if result.code in (DONE, PARTIAL):
                trees.assert_equal(sample.source, target)
            elif target.exists():
                trees.assert_nothing_wrong(sample.source, target)
            if result.code == FAILED:
                assert kind == "snapshots", result
            if result.code in (DAMAGED, FAILED) and kind == "packs" and not extra:
                assert result.error_line
        code = copy.run("dump", f"{sample.stream}:rows", code={DONE, PARTIAL, DAMAGED, FAILED})
        if code.code in (DONE, PARTIAL):
            assert code.stdout == sample.rows
        else:
            assert sample.rows.startswith(code.stdout)


def test_damage_costs_only_the_small_files_it_hits(coffer, tmp_path):
    """Small files are restored by the batch; one that is damaged does not take its batch along."""
    source = trees.many_small(coffer.work / "source", noise=True)
    coffer.backup(source)
    whole = trees.capture(source)
    data = max(coffer.objects("packs"), key=lambda p: p.stat().st_size)
    flip(data, data.stat().st_size // 2)
    result = coffer.restore("latest", tmp_path / "out", "--keep-going", code=DAMAGED)
    trees.assert_nothing_wrong(source, tmp_path / "out")
    restored = trees.capture(tmp_path / "out")
    lost = {name for name in whole if name and name not in restored}
    assert 0 < len(lost) < len(whole) / 4
    for name in lost:
        assert os.fsdecode(name) in result.err, f"{name} is not named"
    # The folders end after their files, whatever became of these.
    for name in set(restored) - {None}:
        assert restored[name] == whole[name]


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
@pytest.mark.parametrize("kind", ["packs", "index", "snapshots"])
def test_a_shortened_or_lengthened_object_is_found(sample, tmp_path, kind, keep):
    for i in range(len(sample.objects(kind))):
        copy, (path,) = damaged(sample, tmp_path / "copy", kind, i)
        data = path.read_bytes()
        path.chmod(0o600)
        cut = int(len(data) * keep) if isinstance(keep, float) else keep
        path.write_bytes(data + b"\0" if keep == 1 else data[:cut])
        result = copy.check(code=DAMAGED)
        assert path.name[:8] in result.out + result.err


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_deleted_pack_is_named_by_check_and_restore(sample, tmp_path, cache):
    for i in range(len(sample.objects("packs"))):
        copy, (path,) = damaged(sample, tmp_path / "copy", "packs", i)
        path.unlink()
        if cache == "cold":
            copy.forget_cache()
        result = copy.run("check", code=DAMAGED)
        assert path.name[:8] in result.out + result.err
        for j, snapshot in enumerate((sample.first, sample.second)):
            target = tmp_path / f"out{i}-{j}"
            done = copy.restore(snapshot, target, "--keep-going", code={DONE, DAMAGED})
            if done.code == DONE:
                trees.assert_equal(sample.before if j == 0 else trees.capture(sample.source), target)
            elif j == 1 and target.exists():
                trees.assert_nothing_wrong(sample.source, target)


def test_deleted_index_segments_are_found_or_rebuilt(sample, tmp_path):
    for cold in (False, True):
        copy, paths = damaged(sample, tmp_path / f"copy{cold}", "index")
        for path in paths:
            path.unlink()
        if cold:
            copy.forget_cache()
        result = copy.restore(sample.second, tmp_path / f"out{cold}", code={DONE, PARTIAL, DAMAGED})
        if result.code in (DONE, PARTIAL):
            trees.assert_equal(sample.source, tmp_path / f"out{cold}")


def test_two_packs_exchanged_are_found(sample, tmp_path):
    copy, paths = damaged(sample, tmp_path / "copy", "packs")
    a, b = paths[0], paths[1]
    data_a, data_b = a.read_bytes(), b.read_bytes()
    for path, data in ((a, data_b), (b, data_a)):
        path.chmod(0o600)
        path.write_bytes(data)
    result = copy.check(code=DAMAGED)
    assert a.name[:8] in result.out + result.err and b.name[:8] in result.out + result.err


def test_objects_of_another_repository_are_not_taken_for_own(sample, empty, tmp_path):
    empty.init()
    empty.backup("stream:foreign", input=os.urandom(50_000))
    for kind in ("snapshots", "index", "packs"):
        copy, _ = damaged(sample, tmp_path / f"copy-{kind}", kind)
        for path in empty.objects(kind):
            target = copy.path / path.relative_to(empty.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        result = copy.check(code={DONE, DAMAGED})
        if kind != "packs":
            assert result.code == DAMAGED, kind


def test_a_backup_after_damage_does_not_build_on_it(sample, tmp_path):
    """New data is stored whole or the backup fails; it never refers to a chunk that is gone."""
    copy, paths = damaged(sample, tmp_path / "copy", "packs")
    for path in paths:
        path.unlink()
    copy.forget_cache()
    result = copy.run("backup", "--parent", "none", "--json", "stream:fresh", input=os.urandom(100_000),
                      code={DONE, DAMAGED})
    if result.code == DONE:
        assert copy.run("dump", f"{result.json['snapshot']}:fresh").stdout


def test_one_damaged_snapshot_leaves_the_others_usable(sample, tmp_path):
    """Backups go on and others restore; only what might be the damaged one is refused."""
    copy, (path,) = damaged(sample, tmp_path / "copy", "snapshots", 0)
    flip(path, path.stat().st_size // 2)
    left = [s["id"] for s in copy.run("snapshots", "--json", code=PARTIAL).json]
    assert path.name not in left and left
    for snapshot in left:
        copy.restore(snapshot, tmp_path / snapshot)
    copy.fails("restore", path.name[:12], "--to", tmp_path / "none", code=DAMAGED, names=path.name)
    copy.fails("restore", "latest", "--to", tmp_path / "none", code=DAMAGED, names=path.name)
    assert not (tmp_path / "none").exists()
    made = copy.run("backup", "--json", "stream:new", "--", "echo", "new", code=PARTIAL).json
    assert copy.run("dump", made["snapshot"] + ":new").stdout == b"new\n"


def test_a_damaged_key_epoch_in_a_pack_is_damage_and_the_check_goes_on(sample, tmp_path):
    for i in range(len(sample.objects("packs"))):
        copy, (path,) = damaged(sample, tmp_path / "copy", "packs", i)
        flip(path, 56)
        result = copy.run("check", "--read-data", "--json", code=DAMAGED).json
        assert any(path.name in error["object"] + error["problem"] for error in result["errors"])
        assert result["packs_read"] == len(sample.objects("packs"))
