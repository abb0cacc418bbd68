"""Repositories of released formats stay readable, and docs/format.md is enough to read one."""

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import sys

import harness
import pytest
import trees

COMPAT = harness.TOP / "tests/compat"
sys.path.insert(0, str(COMPAT))

import read_repo  # noqa: E402


def load_script(name):
    """A script without the ending that import looks for."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(COMPAT / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


make_golden = load_script("make-golden")
EXPECTED = {path: json.loads((path / "expected.json").read_text()) for path in sorted(COMPAT.glob("golden-*"))}
NAMES = [(path, name) for path, expected in EXPECTED.items() for name in expected]
IS_ROOT = os.geteuid() == 0


@pytest.fixture(params=NAMES, ids=lambda param: f"{param[0].name}-{param[1]}")
def golden(request, tmp_path):
    """A golden repository, copied, as coffer and as the independent reader see it."""
    path, name = request.param
    coffer = harness.Coffer(tmp_path)
    shutil.copytree(path / name / "repo", coffer.path)
    coffer.expected = EXPECTED[path][name]
    if coffer.expected["password"]:
        coffer.secret = make_golden.PASSWORD.encode()
        coffer.options = dict(env=dict(COFFER_PASSWORD=make_golden.PASSWORD, COFFER_KEY_FILE=None))
    else:
        shutil.copy(path / name / "key", coffer.key)
        coffer.key.chmod(0o600)
        coffer.secret = coffer.key.read_bytes()
        coffer.options = {}
    return coffer


def open_independently(coffer, **options):
    return read_repo.Repository(coffer.path, coffer.secret, password=coffer.expected["password"], **options)


def restore(coffer, snapshot):
    """The restored folder. Only root can make devices and give files away; then the rest must be there all the same."""
    target = coffer.work / snapshot
    codes = {harness.DONE} if IS_ROOT else {harness.DONE, harness.PARTIAL}
    coffer.run("restore", snapshot, "--to", target, *([] if IS_ROOT else ["--no-owner"]), code=codes, **coffer.options)
    return target


def comparable(entry):
    """What must be equal of an entry. Only root can give files away, and without their owner they are not setuid."""
    if IS_ROOT:
        return entry
    kept = {key: value for key, value in entry.items() if key not in ("uid", "gid", "xattrs")}
    if "mode" in kept:
        kept["mode"] &= 0o777
    return kept


def assert_restored(expected, target):
    found = make_golden.capture(target)
    entries = dict(expected["entries"])
    if not IS_ROOT:
        entries = {path: entry for path, entry in entries.items() if not entry["type"].endswith("dev")}
    assert set(found["entries"]) == set(entries)
    assert found["links"] == expected["links"]
    for path, entry in entries.items():
        wanted, have = comparable(entry), comparable(found["entries"][path])
        assert {key: have.get(key) for key in wanted} == wanted, path


def test_every_snapshot_restores(golden):
    listed = [s["id"] for s in golden.run("snapshots", "--json", **golden.options).json]
    assert sorted(listed) == sorted(golden.expected["snapshots"])
    for snapshot, expected in golden.expected["snapshots"].items():
        target = restore(golden, snapshot)
        assert_restored(expected, target)
        shutil.rmtree(target)


def test_check_finds_nothing(golden):
    golden.run("check", "--read-data", **golden.options)


def test_backups_go_on(golden):
    """The next backup finds its parent and what the old version stored, and the old snapshots stay as they were."""
    before = golden.run("snapshots", "--json", **golden.options).json
    rows = next(s for s in before if s["source"].endswith("rows.sql"))
    text = golden.run("dump", f"{rows['id']}:rows.sql", **golden.options).stdout
    changed = trees.change_rows(text, 9, 0.5)
    summary = golden.run("backup", "--json", "--host", "golden", "stream:rows.sql", input=changed, **golden.options).json
    (new,) = [s for s in golden.run("snapshots", "--json", **golden.options).json if s["id"] == summary["snapshot"]]
    assert new["parent"] is not None
    assert new["bytes_stored"] < len(changed) / 5
    assert golden.run("dump", f"{new['id']}:rows.sql", **golden.options).stdout == changed
    golden.run("check", "--read-data", **golden.options)
    for snapshot, expected in golden.expected["snapshots"].items():
        if expected["kind"] == "tree":
            assert_restored(expected, restore(golden, snapshot))


def read_entry(repository, entry):
    """As make-golden describes it."""
    kind = ("file", "dir", "symlink", "fifo", "socket", "chardev", "blockdev")[entry.type - 1]
    out = dict(type=kind, mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime_ns=entry.mtime)
    if entry.type == read_repo.FILE:
        digest = hashlib.sha256()
        for plain, length in repository.pieces(entry.content):
            digest.update(bytes(length) if plain is None else plain)
        out.update(size=entry.content.size, sha256=digest.hexdigest())
    elif entry.type == read_repo.SYMLINK:
        out["target"] = os.fsdecode(entry.target)
    elif entry.type in (read_repo.CHARDEV, read_repo.BLOCKDEV):
        out["device"] = list(entry.rdev)
    if entry.xattrs:
        out["xattrs"] = {os.fsdecode(name): value.hex() for name, value in entry.xattrs}
    return out


@pytest.mark.parametrize("from_packs", (False, True), ids=("segments", "packs"))
def test_the_documented_format_reads_every_snapshot(golden, from_packs):
    repository = open_independently(golden, from_packs=from_packs)
    snapshots = repository.snapshots()
    assert set(snapshots) == set(golden.expected["snapshots"])
    for snapshot, document in snapshots.items():
        expected = golden.expected["snapshots"][snapshot]
        found, links = {}, {}
        for path, entry in repository.walk(document):
            key = make_golden.urllib.parse.quote_from_bytes(path)
            if path:
                found[key] = read_entry(repository, entry)
            if entry.type == read_repo.FILE and entry.nlink > 1:
                links.setdefault((entry.dev, entry.ino), []).append(key)
        assert set(found) == set(expected["entries"])
        assert sorted(map(sorted, links.values())) == expected["links"]
        for path, wanted in expected["entries"].items():
            assert {key: found[path].get(key) for key in wanted} == wanted, path


def test_the_documented_chunkers_cut_where_coffer_did(golden):
    repository = open_independently(golden)
    chunker = read_repo.Chunker(repository)
    pages = read_repo.Chunker(repository, kind="fixed", sizes=(128 << 10,) * 3)
    n_sketches = 0
    for document in repository.snapshots().values():
        for _, entry in repository.walk(document):
            extents = list(repository.extents(entry.content)) if entry.type == read_repo.FILE else []
            if not extents or entry.content.size > 1 << 20 or any(i == read_repo.NO_ID for i, _ in extents):
                continue
            cutter = pages if document["driver"] == "sqlite" else chunker
            assert cutter.lengths(repository.read(entry.content)) == [length for _, length in extents], entry.name
    for chunk_id, place in repository.places.items():
        if place.sketch and n_sketches < 20:
            assert chunker.sketch(repository.chunk(chunk_id)) == place.sketch
            n_sketches += any(place.sketch)
    assert n_sketches > 0


def test_the_documented_format_reads_what_this_version_writes(coffer):
    """The reader is right about today's program too, not only about the one that made the golden repositories."""
    source = trees.small(coffer.work / "source")
    coffer.backup(source)
    (source / "a/rows").write_bytes(trees.change_rows((source / "a/rows").read_bytes(), 3, 1))
    coffer.backup(source)
    repository = read_repo.Repository(coffer.path, coffer.key.read_bytes())
    assert any(place.bases for place in repository.places.values())
    for snapshot, document in repository.snapshots().items():
        coffer.restore(snapshot, coffer.work / "coffer")
        read_repo.extract(repository, document, coffer.work / "reader")
        trees.assert_equal(coffer.work / "coffer", coffer.work / "reader", attributes=False)
        shutil.rmtree(coffer.work / "coffer")
        shutil.rmtree(coffer.work / "reader")


def test_the_documented_format_reads_records_of_forgetting(coffer):
    """What is done for a retagged snapshot names both of its objects, the older one first."""
    (coffer.work / "file").write_text("x")
    witness = coffer.backup(coffer.work / "file")["snapshot"]
    first = coffer.backup(coffer.work / "file")["snapshot"]
    second = coffer.run("tag", first, "--add", "x", "--json").json["snapshots"][0]["snapshot"]
    held = coffer.run("hold", "add", witness, "--reason", "why", "--json").json["snapshots"][0]["snapshot"]
    coffer.run("forget", second, "--yes")
    repository = read_repo.Repository(coffer.path, coffer.key.read_bytes())
    begun, done = repository.forgotten()
    assert (begun["done"], done["done"]) == (False, True)
    for record in begun, done:
        assert [s["id"] for s in record["snapshots"]] == [first, second]
        assert {s["source"] for s in record["snapshots"]} == {f"files:{coffer.work}/file"}
        assert record["history"] == [witness]
    ((name, document),) = repository.snapshots().items()
    assert name == held and document["hold"]["reason"] == "why" and document["replaces"] == witness


def test_the_reader_runs_by_itself(coffer):
    coffer.backup("stream:name", input=b"bytes")
    script = [sys.executable, COMPAT / "read_repo.py", coffer.path, coffer.key]
    listed = harness.subprocess.run([*script, "list"], check=True, capture_output=True, text=True).stdout
    folder = pathlib.Path(coffer.work / "out")
    harness.subprocess.run([*script, "extract", listed.split()[0], folder], check=True)
    assert (folder / "name").read_bytes() == b"bytes"
