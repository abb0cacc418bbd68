"""Help, usage errors and generated documents."""

import re
import shutil
import subprocess

import pytest
from harness import DONE, FAILED, USAGE

COMMANDS = "init backup snapshots ls find diff restore dump check verify stats tag hold forget version help".split()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(empty, command):
    text = empty.run(command, "--help").out
    assert text.strip()
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80


def test_top_level_help_lists_every_command(empty):
    for args in (["--help"], ["help"], ["-h"]):
        text = empty.run(*args).out
        assert len(text.splitlines()) <= 24 and max(map(len, text.splitlines())) <= 80
        for command in COMMANDS:
            assert re.search(rf"\b{command}\b", text), command


@pytest.mark.parametrize("args, names", [
    (["bakcup", "/etc"], ["bakcup", "backup"]),
    (["backup", "--tga", "x", "/etc"], ["--tga", "--tag"]),
    (["frobnicate"], ["frobnicate"]),
    (["backup"], []),
    (["restore", "latest"], ["--to"]),
    (["restore", "latest", "--to"], ["--to"]),
    (["init", "--cipher", "rot13"], ["rot13"]),
    (["init", "--chunker", "rabin"], ["rabin"]),
    (["backup", "--threads", "many", "/etc"], ["many"]),
    (["backup", "--compression", "zstd:99", "/etc"], ["99"]),
    (["backup", "--keep-pack-keys", "0s", "/etc"], ["0s", "none"]),
    (["backup", "--compression", "lzma", "/etc"], ["lzma"]),
    (["backup", "--frame", "huge", "/etc"], ["huge"]),
    (["check", "--read-data=200%"], ["200"]),
    (["check", "--read-data=x"], ["x"]),
    (["dump", "latest"], []),
    (["tag", "latest"], []),
    (["diff", "latest"], []),
    (["find", "["], ["'['"]),
    (["find", "a/[b/c]"], ["a/[b/c]"]),
    (["backup", "--exclude", "*.[ch", "/etc"], ["*.[ch"]),
    (["backup", "nonsense:thing"], ["nonsense"]),
    (["backup", "stream:"], ["stream:"]),
    (["backup", "stream:a/b"], ["a/b"]),
    (["snapshots", "extra"], ["extra"]),
])
def test_an_argument_that_makes_no_sense_is_status_2(coffer, args, names):
    coffer.fails(*args, code=USAGE, names=names)
    assert coffer.snapshots() == []


def test_options_stand_anywhere(coffer):
    coffer.backup("stream:x", input=b"x")
    for args in (["--json", "snapshots"], ["snapshots", "--json"], ["-r", str(coffer.path), "--json", "snapshots"],
                 [f"--repository={coffer.path}", "snapshots", "--json"]):
        assert len(coffer.run(*args).json) == 1


def test_version_names_the_program(empty):
    assert empty.run("--version").out.startswith("coffer ")
    assert empty.run("version").out.startswith("coffer ")


def test_the_man_page_is_clean(empty):
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc")
    for args in (["help", "--man"], ["help", "--man", "backup"]):
        page = empty.run(*args).stdout
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page, capture_output=True)
        assert lint.returncode == 0, lint.stdout + lint.stderr


def test_bash_completion_parses(empty):
    script = empty.run("help", "--completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, capture_output=True).returncode == 0
    for shell in ("zsh", "fish"):
        assert b"coffer" in empty.run("help", "--completion", shell, code=DONE).stdout


@pytest.mark.parametrize("args", [["version"], ["snapshots"], ["snapshots", "--json"], ["check", "--json"],
                                  ["ls", "--recursive", "latest"], ["help", "--man"], ["backup", "stream:y"],
                                  ["backup", "--json", "stream:y"]])
def test_a_full_disk_behind_stdout_is_named(sample, tmp_path, args):
    coffer = sample.copy(tmp_path / "copy")
    with open("/dev/full", "wb") as full:
        coffer.fails(*args, code=FAILED, names=["standard output", "No space left on device"], stdout=full)
    made = len(coffer.snapshots("--source", "stream:y"))
    assert made == (args[0] == "backup")
