"""Every kind of bad input: one line that names it, the documented status, the repository as good as before."""

import json
import os
import re

import pytest
import trees
from harness import BUSY, DAMAGED, DONE, FAILED, KEY, PARTIAL, USAGE, Coffer

PASSWORD = {"COFFER_KEY_FILE": None}


@pytest.fixture
def copy(sample, tmp_path):
    """The sample repository, to be spoiled."""
    copy = sample.copy(tmp_path / "copy")
    copy.source, copy.before = sample.source, sample.before
    return copy


def test_a_named_pipe_is_no_key_file(copy):
    pipe = copy.work / "pipe"
    os.mkfifo(pipe)
    copy.fails("snapshots", code=KEY, names=str(pipe), env={"COFFER_KEY_FILE": pipe})


def test_what_would_be_misread_later_is_refused(copy):
    before = copy.contents()
    copy.fails("tag", "latest", "--add", "a,b", code=USAGE, names="a,b")
    copy.fails("backup", copy.source, "--tag", "a,b", code=USAGE, names="a,b")
    copy.fails("forget", "--keep-last", "1", "--yes", "--dry-run", code=USAGE)
    copy.fails("key", "add", "--new-key-file", copy.key, code=BUSY, names="already")
    copy.run("forget", "--keep-last", "1", "--dry-run")
    after = copy.contents()
    assert all(after[name] == before[name] for name in before)
    assert all("audit" in str(name) for name in after if name not in before)
    assert "no snapshot fits" in copy.run("forget", "--keep-last", "1", "--host", "typo", "--yes", code=PARTIAL).err


def test_a_wrong_key_file_is_status_5(copy):
    before = copy.contents()
    other = copy.work / "other"
    other.write_bytes(os.urandom(64))
    other.chmod(0o600)
    for args in (["snapshots"], ["backup", copy.source], ["check"], ["restore", "latest", "--to", "out"]):
        copy.fails(*args, code=KEY, env={"COFFER_KEY_FILE": other})
    assert copy.contents() == before


@pytest.mark.native
def test_a_wrong_password_is_status_5(empty):
    empty.run("init", env={**PASSWORD, "COFFER_PASSWORD": "right"})
    before = empty.contents()
    empty.fails("snapshots", code=KEY, env={**PASSWORD, "COFFER_PASSWORD": "wrong"})
    empty.fails("snapshots", code=KEY, env={**PASSWORD, "COFFER_PASSWORD": ""})
    assert empty.contents() == before
    empty.run("snapshots", env={**PASSWORD, "COFFER_PASSWORD": "right"})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_password_file_others_can_read_is_refused(copy, mode):
    file = copy.work / "password"
    file.write_text("secret\n")
    file.chmod(mode)
    line = copy.fails("snapshots", code=KEY, names=["password", "chmod"],
                      env={**PASSWORD, "COFFER_PASSWORD_FILE": file})
    assert "secret" not in line


def test_a_key_file_others_can_read_is_refused(copy):
    copy.key.chmod(0o644)
    copy.fails("snapshots", code=KEY, names=[str(copy.key), "chmod"])


@pytest.mark.parametrize("content", [b"", b"\n", b"short"])
def test_an_empty_password_or_short_key_file_is_refused(copy, content):
    file = copy.work / "secret"
    file.write_bytes(content)
    file.chmod(0o600)
    copy.fails("snapshots", code={KEY, 2}, names="secret", env={"COFFER_KEY_FILE": file})
    if content != b"short":
        copy.fails("snapshots", code={KEY, 2}, names="secret", env={**PASSWORD, "COFFER_PASSWORD_FILE": file})


def test_a_missing_password_file_and_a_failing_command_are_named(copy):
    copy.fails("snapshots", code={KEY, FAILED}, names="gone", env={**PASSWORD, "COFFER_PASSWORD_FILE": "gone"})
    copy.fails("snapshots", code={KEY, FAILED}, env={**PASSWORD, "COFFER_PASSWORD_COMMAND": "exit 3"})


@pytest.mark.parametrize("args", [["snapshots"], ["backup", "stream:x"], ["check"], ["stats"], ["ls", "latest"],
                                  ["restore", "latest", "--to", "out"]])
def test_no_repository_is_status_1(empty, args):
    empty.key.write_bytes(os.urandom(64))
    empty.key.chmod(0o600)
    line = empty.fails(*args, code=FAILED, names=str(empty.path))
    assert "init" in line
    assert not empty.path.exists()
    empty.path.mkdir()
    empty.fails(*args, code=FAILED, names=str(empty.path))
    assert not any(empty.path.iterdir())


def test_a_folder_of_other_things_is_no_damaged_repository(coffer, tmp_path):
    other = tmp_path / "other"
    (other / "photos").mkdir(parents=True)
    (other / "photos/one.jpg").write_bytes(b"x")
    line = coffer.fails("-r", other, "snapshots", code=FAILED, names=[str(other), "other things"])
    assert "init" not in line
    (coffer.path / "config").unlink()
    coffer.fails("snapshots", code=DAMAGED, names=["config", str(coffer.path)])


def test_no_repository_named_at_all_is_said(empty):
    line = empty.fails("snapshots", code={FAILED, 2}, env={"COFFER_REPOSITORY": None})
    assert "COFFER_REPOSITORY" in line


def test_init_refuses_a_repository_and_a_folder_in_use(coffer, tmp_path):
    before = coffer.contents()
    line = coffer.run("init", code=FAILED).error_line
    assert str(coffer.path) in line
    assert coffer.contents() == before
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("x")
    coffer.fails("-r", full, "init", code=FAILED, names=str(full))
    assert os.listdir(full) == ["letter.txt"]


def test_a_newer_format_says_to_upgrade(copy):
    config = copy.path / "config"
    text = config.read_text()
    assert json.loads(text)["body"]["version"] == 1
    config.chmod(0o600)
    config.write_text(re.sub(r'("version"\s*:\s*)1', r"\g<1>9", text))
    for args in (["snapshots"], ["backup", copy.source]):
        line = copy.fails(*args, code=FAILED)
        assert "newer" in line or "upgrade" in line or "update" in line, line


@pytest.mark.parametrize("spoil", ["empty", "garbage", "half"])
@pytest.mark.parametrize("kind", ["config", "keys", "snapshots", "index", "packs"])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_spoilt_object_is_named(copy, kind, spoil, cache):
    for path in copy.objects(kind):
        data = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes({"empty": b"", "garbage": os.urandom(len(data)), "half": data[: len(data) // 2]}[spoil])
    if cache == "cold":
        copy.forget_cache()
    before = copy.contents()
    result = copy.run("check", "--read-data", code={DAMAGED, KEY} if kind == "keys" else DAMAGED)
    name = copy.objects(kind)[0].relative_to(copy.path)
    text = result.out + result.err
    assert str(name) in text or name.name[:8] in text, text
    assert copy.contents() == before


@pytest.mark.parametrize("kind", ["config", "keys"])
@pytest.mark.parametrize("spoil", [b"", b"garbage", None])
def test_check_json_reports_what_keeps_the_repository_shut(copy, kind, spoil):
    path, = copy.objects(kind)
    path.chmod(0o600)
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil)
    result = copy.run("check", "--json", code=DAMAGED)
    report = result.json
    assert result.error_line and report["version"] == 1 and report["n_errors"] == 1
    error, = report["errors"]
    name = kind if kind == "config" or spoil is None else f"keys/{path.name}"
    assert error["object"] == name and error["problem"], report
    assert copy.run("check", code=DAMAGED).out == ""


@pytest.mark.parametrize("kind, code", [("config", FAILED), ("keys", None), ("packs", DAMAGED), ("snapshots", DONE)])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_missing_object_is_noticed(copy, kind, code, cache):
    for path in copy.objects(kind):
        path.unlink()
    if cache == "cold":
        copy.forget_cache()
    result = copy.run("check", code=None)
    if code is None:
        assert result.code in (FAILED, DAMAGED, KEY), result
    elif kind != "snapshots":
        assert result.code in (code, DAMAGED), result
        assert result.err or result.out


def test_an_unknown_snapshot_or_path_is_named(sample, tmp_path):
    sample.fails("restore", "12345678", "--to", tmp_path / "x", code=FAILED, names="12345678")
    sample.fails("restore", f"{sample.first}:a/gone", "--to", tmp_path / "x", code=FAILED, names="a/gone")
    sample.fails("dump", f"{sample.first}:a/gone", code=FAILED, names="a/gone")


def test_a_missing_source_is_named(coffer):
    coffer.fails("backup", coffer.work / "gone", code=FAILED, names="gone")
    coffer.fails("backup", f"tar:{coffer.work}/gone.tar", code=FAILED, names="gone.tar")
    assert coffer.snapshots() == []


def test_a_restore_target_that_is_a_file_is_named(sample, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    sample.fails("restore", sample.first, "--to", tmp_path / "file", code=FAILED, names="file")
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.root
def test_a_restore_target_that_cannot_be_made_is_named(copy, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    prefix = copy.as_nobody(copy.folder)
    for target in (closed / "new", closed / "new/er"):
        copy.fails("restore", "latest", "--to", target, code=FAILED,
                   names=["create the folder", "closed/new", "Permission denied"], prefix=prefix)


@pytest.mark.parametrize("how", ["deleted", "truncated", "garbage", "empty", "folder", "header"])
def test_a_spoilt_cache_is_only_a_cache(copy, tmp_path, how):
    copy.run("snapshots")
    files = [p for p in copy.cache.rglob("*") if p.is_file()]
    if how == "deleted":
        copy.forget_cache()
        files = []
    for file in files:
        data = file.read_bytes()
        file.chmod(0o600)
        if how == "folder":
            file.unlink()
            file.mkdir()
        elif how == "header":
            file.write_bytes(data[:100] + os.urandom(max(0, len(data) - 100)))
        else:
            file.write_bytes({"truncated": data[: len(data) // 2], "garbage": os.urandom(len(data)), "empty": b""}[how])
    if how != "folder":
        copy.check()
        copy.restore(copy.snapshots()[0]["id"], tmp_path / "out")
        trees.assert_equal(copy.before, tmp_path / "out")
        again = copy.backup("stream:rows", input=trees.rows(7, 4000))
        assert again["chunks_new"] == 0, again
    else:
        result = copy.run("check", code=None)
        assert result.code in (DONE, FAILED)


@pytest.mark.root
def test_a_read_only_repository_can_be_read(copy, tmp_path):
    for path in copy.path.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    copy.path.chmod(0o555)
    cache = tmp_path / "nobody"
    out = tmp_path / "out"
    cache.mkdir()
    out.mkdir()
    prefix = copy.as_nobody(copy.key, cache, out)
    env = {"COFFER_CACHE_DIR": cache}
    copy.run("check", "--read-data", prefix=prefix, env=env)
    copy.run("restore", "latest", "--to", out, prefix=prefix, env=env)
    copy.fails("backup", "stream:x", code=FAILED, prefix=prefix, env=env)


def test_a_repository_that_is_a_file_is_named(empty):
    empty.path.write_bytes(b"x")
    empty.fails("init", "--key-file", empty.key, code=FAILED, names=str(empty.path))


def test_bad_input_helper_sees_changes(copy):
    """Guards the guard: contents() is what the other tests rely on."""
    before = copy.contents()
    assert isinstance(copy, Coffer) and len(before) >= 5
    copy.objects("config")[0].chmod(0o600)
    copy.objects("config")[0].write_bytes(b"")
    assert copy.contents() != before
