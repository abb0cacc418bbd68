"""ls, find, diff, dump, snapshots, stats, tag, and the JSON that programs read."""

import os
import re
import shutil
import subprocess

import pytest
import trees
from harness import DAMAGED, DONE, FAILED, USAGE

HEX = re.compile(r"^[0-9a-f]{64}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")


def test_backup_json_has_every_figure(coffer):
    made = coffer.backup("stream:again", input=b"x" * 1000)
    kinds = dict(version=int, snapshot=str, source=str, bytes_read=int, bytes_stored=int, chunks_new=int,
                 chunks_delta=int, chunks_known=int, files=int, dirs=int, others=int, files_unchanged=int,
                 seconds=(int, float), warnings=int)
    for name, kind in kinds.items():
        assert isinstance(made[name], kind), (name, made)
    assert made["version"] == 1 and HEX.match(made["snapshot"])
    assert made["parent"] is None or HEX.match(made["parent"]) or made["parent"] == ""
    assert made["files"] == 1 and made["bytes_read"] == 1000


def test_snapshots_json_describes_each(sample):
    listed = sample.snapshots("--source", f"files:{sample.source}")
    assert [s["id"] for s in listed] == [sample.first, sample.second]
    for snapshot in listed:
        assert snapshot["version"] == 1
        assert TIME.match(snapshot["time"]), snapshot["time"]
        assert snapshot["driver"] == "files" and snapshot["host"] and snapshot["user"] and snapshot["program"]
        assert snapshot["tags"] == [] and isinstance(snapshot["facts"], dict | list)
        assert snapshot["bytes_read"] > 0 and snapshot["files"] > 0
    assert listed[1]["parent"] == sample.first


def test_the_source_filter_takes_what_the_user_typed(sample):
    typed = sample.snapshots("--source", str(sample.source))
    assert [s["id"] for s in typed] == [sample.first, sample.second]
    assert sample.snapshots("--source", "files:/nowhere") == []


def test_snapshots_prints_a_line_for_each(sample):
    text = sample.run("snapshots").out
    for snapshot in (sample.first, sample.second, sample.stream):
        assert snapshot[:8] in text


def test_long_names_do_not_wreck_the_text(coffer):
    source, tag = "stream:" + "s" * 200, "t" * 300
    text = coffer.run("backup", source, "--tag", tag, input=b"x").out + coffer.run("snapshots").out
    assert max(map(len, text.splitlines())) < 260 and "sss..." in text and "ttt..." in text
    snapshot, = coffer.snapshots()
    assert snapshot["source"] == source and snapshot["tags"] == [tag]


def test_a_source_that_is_no_utf8_has_one_name(coffer):
    made = coffer.backup(b"stream:\xff", input=b"x")
    assert made["source"] == "stream:%FF"
    again = coffer.backup(b"stream:\xff", input=b"y")
    assert again["parent"] == made["snapshot"]
    assert "stream:%FF" in coffer.run("backup", b"stream:\xff", input=b"z").out
    assert len(coffer.snapshots("--source", b"stream:\xff")) == len(coffer.snapshots()) == 3


def test_ids_may_be_shortened(sample):
    assert sample.run("dump", f"{sample.second[:8]}:a/new").stdout == b"new"
    sample.fails("dump", "0000000000:a/new", code=FAILED, names="0000000000")


def test_latest_is_narrowed_by_filters(sample):
    assert sample.run("dump", "latest:a/new", "--source", f"files:{sample.source}").stdout == b"new"
    assert sample.run("dump", "latest:rows", "--source", "stream:rows").stdout == sample.rows
    sample.fails("dump", "latest:x", "--host", "no-such-host", code=FAILED)


def test_ls_shows_a_folder_or_all_below_it(sample):
    assert sample.run("ls", sample.second).out.split() == ["a", "empty", "one"]
    below = sample.run("ls", "--recursive", sample.second).out
    assert "a/b/noise" in below
    assert "noise" in sample.run("ls", f"{sample.second}:a/b", "-l").out
    assert "200000" in sample.run("ls", f"{sample.second}:/a/b", "-l", "--json").out
    sample.fails("ls", f"{sample.second}:nowhere", code=FAILED, names="nowhere")


def test_ls_json_keeps_odd_names(coffer):
    source = coffer.work / "source"
    source.mkdir()
    with open(bytes(source) + b"/not \xff utf8", "wb"):
        pass
    coffer.backup(source)
    entry, = coffer.run("ls", "latest", "--json").json
    assert bytes.fromhex(entry["name_raw"]) == b"not \xff utf8"


def test_names_cannot_control_the_terminal(coffer):
    source = coffer.work / "source"
    source.mkdir()
    with open(bytes(source) + b"/evil\x1b[31m\nname", "wb"):
        pass
    coffer.backup(source)
    text = coffer.run("ls", "-l", "latest").stdout
    assert b"\x1b" not in text and text.count(b"\n") == 1


def test_find_looks_in_every_snapshot(sample):
    text = sample.run("find", "ne?").out
    assert "a/new" in text and sample.second[:8] in text and sample.first[:8] not in text
    both = sample.run("find", "--json", "noise").json
    assert len(both) == 2
    assert sample.run("find", "a/b/*", sample.first).out.count("\n") >= 2
    assert sample.run("find", "no-such-name", code=None).out.strip() == ""


def test_diff_tells_what_changed(sample):
    lines = sample.run("diff", sample.first, sample.second).out.splitlines()
    assert any(line.startswith("+") and line.endswith("a/new") for line in lines), lines
    assert any(line.startswith("M") and line.endswith("a/rows") for line in lines), lines
    assert not any("noise" in line for line in lines)
    back = sample.run("diff", sample.second, sample.first).out
    assert re.search(r"^-\s+/?a/new$", back, re.M)
    assert isinstance(sample.run("diff", "--json", sample.first, sample.second).json, dict | list)


def test_diff_sees_types_and_attributes(coffer):
    source = coffer.work / "source"
    source.mkdir()
    (source / "mode").write_bytes(b"x")
    (source / "type").write_bytes(b"x")
    first = coffer.backup(source)["snapshot"]
    (source / "mode").chmod(0o600)
    (source / "type").unlink()
    (source / "type").symlink_to("mode")
    second = coffer.backup(source)["snapshot"]
    text = coffer.run("diff", first, second).out
    assert re.search(r"^U\s+/?mode$", text, re.M) and re.search(r"^T\s+/?type$", text, re.M), text


def test_dump_of_a_folder_is_refused(sample):
    sample.fails("dump", f"{sample.first}:a", code={FAILED, USAGE}, names="a")


def test_stats_add_up(sample):
    stats = sample.run("stats", "--json").json
    assert stats["version"] == 1 and stats["snapshots"] >= 3
    assert stats["stored_bytes"] == sum(p.stat().st_size for p in sample.path.rglob("*") if p.is_file())
    assert sample.run("stats").out


def test_check_json_reports_figures(sample):
    report = sample.check("--json").json if False else sample.run("check", "--read-data", "--json").json
    assert report["version"] == 1 and report["errors"] == []
    assert report["packs_read"] == report["packs"] > 0
    half = sample.run("check", "--read-data=50%", "--json").json
    assert half["packs_read"] <= half["packs"]


def test_tags_are_added_removed_and_set(coffer):
    coffer.backup("stream:x", "--tag", "b", "--tag", "a", input=b"x")

    def tags():
        listed = coffer.snapshots()
        assert len(listed) == 1
        return listed[0]["tags"]

    assert tags() == ["a", "b"]
    coffer.run("tag", "latest", "--add", "c")
    assert tags() == ["a", "b", "c"]
    coffer.run("tag", "latest", "--remove", "a")
    assert tags() == ["b", "c"]
    coffer.run("tag", "latest", "--set", "only")
    assert tags() == ["only"]
    assert coffer.snapshots("--tag", "only") and not coffer.snapshots("--tag", "b")
    assert coffer.run("dump", "latest:x", "--tag", "only").stdout == b"x"
    coffer.check()


def test_a_host_is_its_own_history(coffer):
    one = coffer.backup("stream:x", "--host", "one", input=b"x" * 5000)
    two = coffer.backup("stream:x", "--host", "two", input=b"x" * 5000)
    assert not two["parent"] and one["snapshot"] != two["snapshot"]
    again = coffer.backup("stream:x", "--host", "one", input=b"x" * 5000)
    assert again["parent"] == one["snapshot"]


def test_a_parent_can_be_chosen(coffer):
    one = coffer.backup("stream:x", input=b"1")
    coffer.backup("stream:x", input=b"2")
    assert coffer.backup("stream:x", "--parent", one["snapshot"][:10], input=b"3")["parent"] == one["snapshot"]
    assert not coffer.backup("stream:x", "--parent", "none", input=b"4")["parent"]


@pytest.mark.parametrize("args", [["init"], ["version"], ["restore", "latest", "--to", "out"]])
def test_other_commands_speak_json_too(empty, args):
    made = empty.init("--json").json
    assert made["version"] == 1
    if args[0] == "init":
        return
    empty.backup("stream:x", input=b"x")
    assert empty.run(*args, "--json").json["version"] == 1


def test_nothing_but_results_on_stdout_and_silence_without_terminal(coffer):
    source = trees.small(coffer.work / "source")
    assert coffer.run("backup", "-q", source, code=DONE).out == ""
    assert coffer.run("backup", source).err == ""


def test_verify_does_not_read_holes_back(coffer, tmp_path):
    source = coffer.work / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        file.write(b"head" * 5000)
        file.seek(1 << 39)
        file.write(b"middle" * 5000)
        file.truncate(1 << 40)
    coffer.backup(source)
    out = tmp_path / "out"
    assert coffer.restore("latest", out, "--verify", timeout=30).seconds < 30
    assert (out / "sparse").stat().st_size == 1 << 40


# Writes one byte into the restored file "sparse" when it is opened to be read back.
SPOILER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int openat64(int dir, const char *name, int flags, ...)
{
	va_list rest;
	int mode;
	int (*next)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat64");

	va_start(rest, flags);
	mode = va_arg(rest, int);
	va_end(rest);
	if (!strcmp(name, "sparse") && (flags & O_NONBLOCK)) {
		int fd = next(dir, name, O_WRONLY);

		if (pwrite(fd, getenv("SPOIL_WITH"), 1, atol(getenv("SPOIL_AT"))) != 1)
			abort();
		close(fd);
	}
	return next(dir, name, flags, mode);
}
"""


@pytest.mark.native
def test_verify_sees_data_in_holes(coffer, tmp_path):
    (tmp_path / "spoiler.c").write_text(SPOILER)
    spoiler = tmp_path / "spoiler.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", spoiler, tmp_path / "spoiler.c", "-ldl"], check=True)
    source = coffer.work / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
    coffer.backup(source)
    for i, (at, byte, code) in enumerate([(0, "x", DAMAGED), (500_000_000, "x", DAMAGED), (1 << 30, "x", DAMAGED),
                                          (500_000_000, "", DONE)]):
        env = {"LD_PRELOAD": spoiler, "SPOIL_AT": at, "SPOIL_WITH": byte}
        result = coffer.restore("latest", tmp_path / f"out{i}", "--verify", code=code, env=env)
        assert code == DONE or "sparse" in result.err


@pytest.mark.parametrize("repository", ["{}", "file:{}", "../repo"])
def test_a_backup_leaves_out_its_own_folders(coffer, repository):
    env = {"COFFER_REPOSITORY": repository.format(coffer.path)}
    coffer.run("backup", coffer.folder, env=env)
    listed = coffer.run("ls", "--recursive", "latest").out.split()
    assert {"key", "work", "repo", "cache"} <= set(listed)
    assert not any(path.startswith(("repo/", "cache/")) for path in listed)


def test_a_source_may_be_named_as_it_was_typed_even_when_it_is_gone(coffer):
    folder = coffer.work / "photos"
    folder.mkdir()
    (folder / "one").write_bytes(b"1")
    made = coffer.backup("photos")
    shutil.rmtree(folder)
    for typed in ("photos", "./photos/", "files:photos", f"files:{folder}", made["source"]):
        assert [s["id"] for s in coffer.snapshots("--source", typed)] == [made["snapshot"]], typed
    line = coffer.fails("restore", "latest", "--source", "photo", "--to", coffer.work / "out", code=FAILED, names="photo")
    assert line.endswith(f"did you mean files:{folder}?")
    assert f"did you mean files:{folder}?" in coffer.run("snapshots", "--source", "photo").out
    assert f"did you mean files:{folder}?" in coffer.run("forget", "--source", "photo", "--keep-last", "1").out
    assert coffer.snapshots("--source", "photo") == []


@pytest.mark.native
def test_folders_nested_deeper_than_a_stack_holds(coffer):
    top = coffer.work / "top"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    try:
        for _ in range(3000):
            os.mkdir("d", dir_fd=fd)
            fd, outer = os.open("d", os.O_RDONLY, dir_fd=fd), fd
            os.close(outer)
    finally:
        os.close(fd)
    try:
        coffer.backup(top)
        small_stack = ["sh", "-c", 'ulimit -s 160; exec "$@"', "sh"]
        assert coffer.run("find", "nothing", prefix=small_stack).out == ""
        assert coffer.run("ls", "--recursive", "latest", prefix=small_stack).out.count("\n") == 3000
        coffer.run("verify", "latest", prefix=small_stack)
    finally:
        subprocess.run(["rm", "-rf", top], check=True)
