"""What repair saves of a damaged repository, what it says is lost, and what heals that."""

import os
import random
import re
import shutil

import pytest
import trees
from harness import DAMAGED, DONE, FAILED, PARTIAL, fault_env, flip, kill_after, needs_shim

N_SOURCES = 4


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A repository with a snapshot of each of some sources, two of one. Copy it before changing it."""
    from harness import Coffer
    coffer = Coffer(tmp_path_factory.mktemp("stock"))
    coffer.init()
    rng = random.Random(5)
    coffer.sources, coffer.made = [], {}
    for i in range(N_SOURCES):
        source = coffer.work / f"source{i}"
        for k in range(40):
            path = source / f"d{k % 4}" / f"f{k}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(rng.randrange(1, 150_000)))
        (source / "rows").write_bytes(trees.rows(i, 8000))
        coffer.sources.append(source)
        coffer.made[coffer.backup(source)["snapshot"]] = source
    coffer.made[coffer.backup(coffer.sources[0])["snapshot"]] = coffer.sources[0]
    return coffer


def damaged_copy(stock, folder):
    copy = stock.copy(folder)
    copy.sources, copy.made = stock.sources, dict(stock.made)
    copy.work.mkdir(exist_ok=True)
    return copy


def destroy(path, share, rng):
    """A share of the bytes of a file, in two places."""
    path.chmod(0o600)
    size = path.stat().st_size
    n = max(1, int(size * share / 2))
    with open(path, "r+b") as file:
        for start in (rng.randrange(200, size // 2), rng.randrange(size // 2, size - n)):
            file.seek(start)
            file.write(rng.randbytes(n))


def data_packs(coffer):
    return sorted((p for p in coffer.objects("packs") if p.stat().st_size > 500_000), key=lambda p: p.name)


def lost_of(result):
    """{snapshot's prefix: {paths}} as repair names them."""
    lost = {}
    for item in result["lost"]:
        snapshot, path = re.fullmatch(r"(?:snapshots/)?([0-9a-f]{8})[0-9a-f]*:?/?(.*)", item["object"]).groups()
        lost.setdefault(snapshot, set()).add(path)
    return lost


def missing_after_restore(coffer, snapshot, folder):
    """The files that a restore leaves out. What it restores is right."""
    source = coffer.made[snapshot]
    shutil.rmtree(folder, ignore_errors=True)
    coffer.restore(snapshot, folder, "--keep-going", code={DONE, PARTIAL, DAMAGED})
    trees.assert_nothing_wrong(source, folder)
    files = {str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()}
    return files - {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def is_named(path, lost):
    """Itself, or a folder above it ("" is the root)."""
    return any(path == name or name == "" or path.startswith(name + "/") for name in lost)


def assert_exact(coffer, result, tmp_path):
    lost = lost_of(result)
    for snapshot in coffer.made:
        named = lost.get(snapshot[:8], set())
        missing = missing_after_restore(coffer, snapshot, tmp_path / "out")
        for path in missing:
            assert is_named(path, named), f"{path} is lost and not named"
        source = coffer.made[snapshot]
        for name in named:
            below = {str(p.relative_to(source)) for p in (source / name).rglob("*") if p.is_file()} | {name}
            assert below & missing, f"{name} is named and was restored"


def assert_healed(coffer, tmp_path):
    """A backup of the same data makes older snapshots whole."""
    for source in coffer.sources:
        coffer.backup(source, code={DONE, PARTIAL})
    for snapshot, source in coffer.made.items():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        coffer.restore(snapshot, tmp_path / "out")
        trees.assert_equal(source, tmp_path / "out")
    assert coffer.run("repair", "--json").json["lost"] == []
    coffer.check()
    coffer.forget_cache()
    coffer.check()


@pytest.mark.parametrize("deleted", ["data", "tree"])
def test_all_that_is_recoverable_is_recovered_and_the_rest_is_named(stock, tmp_path, deleted):
    copy = damaged_copy(stock, tmp_path / "copy")
    rng = random.Random(deleted)
    packs = data_packs(copy)
    others = [p for p in copy.objects("packs") if p not in packs]
    gone = packs.pop(0) if deleted == "data" else max(others, key=lambda p: p.stat().st_size)
    broken = rng.sample(packs, 2)
    for path in broken:
        destroy(path, 0.05, rng)
    # Of a pack in no segment nobody knows the name: one that lists other packs goes, so stored before or later.
    stored = gone.stat().st_mtime_ns
    own = min((p for p in copy.objects("index") if p.stat().st_mtime_ns >= stored), key=lambda p: p.stat().st_mtime_ns)
    segment = rng.choice([p for p in copy.objects("index") if p != own])
    gone.unlink()
    segment.unlink()
    truncated = copy.path / "snapshots" / list(copy.made)[-1]
    truncated.chmod(0o600)
    truncated.write_bytes(truncated.read_bytes()[:100])
    del copy.made[truncated.name]

    found = {e["object"].rsplit("/")[-1] for e in copy.run("check", "--read-data", "--json", code=DAMAGED).json["errors"]}
    assert {p.name for p in broken} | {truncated.name} <= found
    said = copy.run("check", code=DAMAGED).out
    assert gone.name in said and "in no index segment" in said and "hold nothing" not in said and "holds nothing" not in said

    before = sorted(p.name for p in copy.path.rglob("*") if p.is_file())
    dry = copy.run("repair", "--json", code=DAMAGED).json
    assert dry["dry_run"] and before == sorted(p.name for p in copy.path.rglob("*") if p.is_file())
    done = copy.run("repair", "--yes", "--json", code=DAMAGED).json
    assert [e["object"] for e in done["lost"]] == [e["object"] for e in dry["lost"]]
    assert {s["object"] for s in done["steps"]} == {s["object"] for s in dry["steps"]}
    for key in ("chunks_saved", "chunks_lost", "packs_quarantined", "segments_superseded", "packs_indexed"):
        assert done[key] == dry[key], key
    assert done["packs_quarantined"] == 2 and done["snapshots_quarantined"] == 1 and done["chunks_saved"] > 0
    assert set(before) <= {p.name for p in copy.path.rglob("*") if p.is_file()}, "something was removed"
    assert_exact(copy, done, tmp_path)

    # A second repair has nothing to do.
    again = copy.run("repair", "--yes", "--json", code=DAMAGED).json
    assert again["steps"] == [] and lost_of(again) == lost_of(done)
    # What is not lost does not depend on what was set aside.
    for path in broken:
        path.write_bytes(b"")
    assert lost_of(copy.run("repair", "--json", code=DAMAGED).json) == lost_of(done)
    copy.run("forget", truncated.name, "--yes")
    assert_healed(copy, tmp_path)


def test_damage_to_the_index_alone_loses_nothing(stock, tmp_path):
    copy = damaged_copy(stock, tmp_path / "copy")
    segments = copy.objects("index")
    segments[0].unlink()
    flip(segments[1], segments[1].stat().st_size // 2)
    assert "cannot be read" in copy.run("repair").out
    done = copy.run("repair", "--yes", "--json").json
    assert done["lost"] == [] and done["segments_superseded"] == 1 and done["packs_indexed"] >= 2
    result = copy.check()
    assert "damaged" not in result.err
    copy.forget_cache()
    for snapshot, source in copy.made.items():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert copy.restore(snapshot, tmp_path / "out").err == ""
        trees.assert_equal(source, tmp_path / "out")


@pytest.mark.parametrize("part", ["header", "table", "cut short", "empty", "longer"])
def test_any_damage_to_a_pack_costs_no_more_than_it_hits(stock, tmp_path, part):
    copy = damaged_copy(stock, tmp_path / "copy")
    pack = data_packs(copy)[0]
    data = pack.read_bytes()
    pack.chmod(0o600)
    if part == "header":
        flip(pack, 80)
    elif part == "table":
        flip(pack, len(data) - 100)
    else:
        pack.write_bytes({"cut short": data[:len(data) // 2], "empty": b"", "longer": data + b"x"}[part])
    lost_nothing = part in ("table", "longer")
    copy.run("check", "--read-data", code=DAMAGED)
    done = copy.run("repair", "--yes", "--json", code=DONE if lost_nothing else DAMAGED).json
    assert (done["chunks_lost"] == 0) == lost_nothing
    assert (done["chunks_saved"] > 0) == (part in ("table", "longer", "cut short"))
    assert_exact(copy, done, tmp_path)
    assert_healed(copy, tmp_path)


def test_a_pack_that_was_brought_back_is_used_again(stock, tmp_path):
    copy = damaged_copy(stock, tmp_path / "copy")
    pack = data_packs(copy)[0]
    good = pack.read_bytes()
    flip(pack, len(good) // 2)
    copy.run("repair", "--read-data", "--yes", code=DAMAGED)
    pack.write_bytes(good)
    assert "good again" in copy.run("repair").out
    assert copy.run("repair", "--yes", "--json").json["packs_released"] == 1
    assert copy.run("repair", "--json").json["steps"] == []
    copy.check()


def test_a_snapshot_that_cannot_be_read_is_set_aside_and_can_be_forgotten(stock, tmp_path):
    copy = damaged_copy(stock, tmp_path / "copy")
    victim = copy.path / "snapshots" / list(copy.made)[0]
    flip(victim, 100)
    copy.run("snapshots", code=PARTIAL)
    copy.fails("restore", "latest", "--to", tmp_path / "none", code=DAMAGED, names=victim.name)
    for _ in range(2):
        said = copy.run("repair", "--yes", code=DAMAGED)
        assert f"coffer forget {victim.name[:8]}" in said.out and "1 snapshot" in said.err
    assert copy.run("snapshots").err == ""
    copy.restore("latest", tmp_path / "out")
    assert victim.name in copy.run("check", code=DAMAGED).out
    copy.fails("prune", "--now", "--yes", code=DAMAGED, names=[victim.name, "forget"])
    assert "1 snapshot is damaged" in copy.run("doctor", code=FAILED).out
    copy.fails("restore", victim.name, "--to", tmp_path / "none", code=DAMAGED, names=victim.name)
    copy.run("forget", victim.name, "--yes")
    assert not victim.exists()
    copy.check()


def test_a_killed_repair_leaves_nothing_worse(stock, tmp_path):
    rng = random.Random(9)
    copy = damaged_copy(stock, tmp_path / "copy")
    for path in rng.sample(data_packs(copy), 3):
        destroy(path, 0.03, rng)
    copy.objects("index")[0].unlink()
    copy.run("check", "--read-data", code=DAMAGED)
    lost = lost_of(copy.run("repair", "--json", code=DAMAGED).json)
    for delay in (0.005, 0.01, 0.02, 0.03, 0.04, 0.06):
        kill_after(copy.start("repair", "--yes"), delay)
        assert lost_of(copy.run("repair", "--json", code=DAMAGED).json) == lost
    copy.run("repair", "--yes", code=DAMAGED)
    assert copy.run("repair", "--json", code=DAMAGED).json["steps"] == []
    assert_healed(copy, tmp_path)


def test_nothing_to_repair(sample, tmp_path):
    copy = sample.copy(tmp_path / "copy")
    n = sum(len(files) for _, _, files in os.walk(copy.path))
    assert "nothing to repair" in copy.run("repair").out
    assert copy.run("repair", "--read-data", "--yes", "--json").json["packs_read"] == len(copy.objects("packs"))
    assert sum(len(files) for _, _, files in os.walk(copy.path)) == n


def test_what_repair_cannot_mend_is_named(sample, tmp_path):
    copy = sample.copy(tmp_path / "copy")
    away = tmp_path / "away"
    for path in (copy.path / "snapshots" / sample.first, copy.objects("audit")[0]):
        path.rename(away)
        name = str(path.relative_to(copy.path))
        assert name in copy.run("check", code=DAMAGED).out
        for args in ([], ["--yes"]):
            result = copy.run("repair", *args, code=DAMAGED)
            assert f"beyond repair: {name}: is missing" in result.out and "1 problem is beyond repair" in result.err
        document = copy.run("repair", "--json", code=DAMAGED).json
        assert [d["object"] for d in document["unmended"]] == [name] and document["n_unmended"] == 1
        away.rename(path)


@needs_shim
@pytest.mark.native
@pytest.mark.parametrize("lost", ["sector", "inode"])
def test_what_the_disk_cannot_read_is_damage_of_one_pack(stock, tmp_path, lost):
    copy = damaged_copy(stock, tmp_path / "copy")
    pack = data_packs(copy)[0]
    place = f"{pack.name}:{pack.stat().st_size // 2}:512" if lost == "sector" else pack.name
    copy.variables.update(fault_env(copy, bad=place))
    result = copy.check(code=DAMAGED)
    named = {line.split(": ")[0] for line in result.out.splitlines() if "packs/" in line.split(": ")[0]}
    assert named == {str(pack.relative_to(copy.path))}, result
    assert "Input/output error" in result.out or lost == "inode"
    repaired = copy.run("repair", "--yes", "--read-data", "--json", code=DAMAGED).json
    assert repaired["packs_quarantined"] == 1
    assert (repaired["chunks_saved"] > 0) == (lost == "sector")
    assert_exact(copy, repaired, tmp_path)
    assert_healed(copy, tmp_path)


@needs_shim
@pytest.mark.native
@pytest.mark.parametrize("command", ["check", "repair"])
def test_a_store_that_is_gone_is_one_error_and_no_damage(stock, tmp_path, command):
    copy = damaged_copy(stock, tmp_path / "copy")
    args = ("check", "--read-data") if command == "check" else ("repair", "--yes", "--read-data")
    for _ in range(2):  # the second time with all that is remembered of the first
        copy.run(*args, env=fault_env(copy, count=tmp_path / "counts"))
    before = copy.contents()
    n_reads = int(re.search(r"^read (\d+)", (tmp_path / "counts").read_text(), re.M)[1])
    for n in range(1, n_reads // 2, max(1, n_reads // 20)):  # the last ones are of the audit log, which check can do without
        result = copy.run(*args, code=FAILED, env=fault_env(copy, f"gone:read:{n}:EIO"))
        assert "Input/output error" in result.error_line and not result.out, result
    assert copy.contents() == before
    copy.check()
