"""--compression: what each method stores comes back, from one repository, and what is no method is refused."""

import sys

import harness
import pytest
import trees

sys.path.insert(0, str(harness.TOP / "tests/compat"))

import read_repo  # noqa: E402

CODECS = {"zstd": 1, "zstd:19": 1, "lz4": 3, "gzip": 4, "gzip:9": 4, "bzip2": 5, "xz": 6, "none": 0}


def codecs_of(coffer):
    """Of data chunks that are no deltas."""
    places = read_repo.Repository(coffer.path, coffer.key.read_bytes()).places.values()
    return {place.blob.codec for place in places if place.type == read_repo.DATA_PACK and not place.bases}


@pytest.mark.parametrize("method", CODECS)
def test_every_method_restores_what_was_saved(coffer, method):
    source = trees.small(coffer.work / "source")
    (source / "table").write_bytes(trees.rows(1, 30_000))
    first = coffer.backup(source, "--compression", method)
    assert CODECS[method] in codecs_of(coffer) <= {0, CODECS[method]}
    coffer.restore(first["snapshot"], coffer.work / "first")
    trees.assert_equal(source, coffer.work / "first")
    (source / "table").write_bytes(trees.change_rows((source / "table").read_bytes(), 2, 0.5))
    second = coffer.backup(source, "--compression", method)
    # A changed row costs little with every method, none included.
    assert second["chunks_delta"] > 0
    assert second["bytes_stored"] < first["bytes_stored"] / 2
    coffer.restore(second["snapshot"], coffer.work / "second")
    trees.assert_equal(source, coffer.work / "second")
    coffer.run("check", "--read-data")


def test_methods_may_change_between_backups(coffer):
    rows = trees.rows(1, 20_000)
    saved = {}
    for i, method in enumerate(CODECS):
        rows = trees.rows(i, 3000) + trees.change_rows(rows, i, 0.5)
        saved[coffer.backup("stream:t", "--compression", method, input=rows)["snapshot"]] = rows
    for snapshot, rows in saved.items():
        assert coffer.run("dump", f"{snapshot}:t").stdout == rows
    coffer.run("check", "--read-data")


def test_sizes_are_in_the_order_one_expects(coffer):
    sizes = {}
    for seed, method in enumerate(("none", "lz4", "gzip", "xz")):
        summary = coffer.backup(f"stream:{method}", "--compression", method, input=trees.rows(seed, 30_000))
        sizes[method] = summary["bytes_stored"]
    assert sizes["none"] > sizes["lz4"] > sizes["gzip"] > sizes["xz"]


@pytest.mark.parametrize("method", ("lzma", "zstd:0", "zstd:20", "zstd:", "gzip:10", "xz:6", "lz4:1", "none:1", "ZSTD", ""))
def test_what_is_no_method_is_refused_with_a_list(coffer, method):
    names = ("zstd:1 to zstd:19", "lz4", "gzip:1 to gzip:9", "bzip2", "xz", "none")
    coffer.fails("backup", "stream:x", "--compression", method, input=b"x", code=harness.USAGE, names=names)
