"""Key slots from the command line: who may do what with them, secret managers, rotation, and what a role write cannot read."""

import hmac
import json
import os
import shutil
import sys
import time

import pytest
from harness import BUSY, DAMAGED, DONE, FAILED, KEY, PARTIAL, TOP, USAGE, Coffer, Terminal, flip
import trees

sys.path.insert(0, str(TOP / "tests" / "compat"))
import read_repo  # noqa: E402

GOLDEN = TOP / "tests" / "compat" / "golden-1"

MANAGER = """#!/bin/sh
# A secret manager: keeps its secret beside itself.
case $1 in
wrap) exec openssl enc -aes-256-ctr -pbkdf2 -pass file:"$0.secret" ;;
unwrap) exec openssl enc -d -aes-256-ctr -pbkdf2 -pass file:"$0.secret" ;;
*) exit 64 ;;
esac
"""


@pytest.fixture
def coffer(tmp_path):
    c = Coffer(tmp_path)
    c.init()
    return c


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    trees.small(tmp_path / "source")
    return tmp_path / "source"


def as_key(coffer, key, cache="other-cache"):
    """The same repository opened with another key file, as on another host."""
    other = Coffer(coffer.folder)
    other.key = key
    other.cache = coffer.folder / cache
    return other


def add(coffer, name, *args):
    key = coffer.folder / name
    coffer.run("key", "add", "--new-key-file", key, *args)
    return key


def keys(coffer):
    return coffer.run("key", "list", "--json").json["keys"]


def id_of(coffer, comment):
    return next(k["id"] for k in keys(coffer) if k["comment"] == comment)


def manager(folder, text=MANAGER):
    path = folder / "manager"
    path.write_text(text)
    path.chmod(0o755)
    (folder / "manager.secret").write_bytes(os.urandom(24).hex().encode())
    return path


def by_command(coffer, command):
    other = Coffer(coffer.folder)
    other.variables = {"COFFER_KEY_FILE": None, "COFFER_KEY_COMMAND": str(command)}
    return other


def test_list_says_who_what_and_which(coffer):
    add(coffer, "w", "--role", "write", "--comment", "web1\x1b")
    found = keys(coffer)
    assert [(k["kind"], k["role"], k["in_use"], k["state"], k["comment"]) for k in found] == [
        ("key-file", "full", True, "ok", ""), ("key-file", "write", False, "ok", "web1\x1b")]
    assert all(k["host"] and k["user"] and k["created"] for k in found)
    text = coffer.run("key", "list").out
    assert "in use" in text and "\x1b" not in text and "web1\\x1b" in text
    # Nothing of it is in the clear.
    for path in coffer.objects("keys"):
        assert found[0]["host"] not in path.read_text() and "web1" not in path.read_text()


def test_every_kind_of_secret_opens(coffer, source, tmp_path):
    snapshot = coffer.backup(source)["snapshot"]
    (tmp_path / "pw").write_text("correct horse\n")
    (tmp_path / "pw").chmod(0o600)
    coffer.run("key", "add", "--new-password-file", tmp_path / "pw")
    coffer.run("key", "add", "--new-password-command", "echo battery staple")
    command = manager(tmp_path)
    coffer.run("key", "add", "--new-key-command", command, "--comment", "manager")
    ways = [{"COFFER_PASSWORD_FILE": tmp_path / "pw"}, {"COFFER_PASSWORD": "battery staple"}, {"COFFER_KEY_COMMAND": command}]
    for i, way in enumerate(ways):
        env = {"COFFER_KEY_FILE": None, **way}
        coffer.restore(snapshot, tmp_path / f"out{i}", env=env)
        trees.assert_equal(source, tmp_path / f"out{i}")
    assert sorted(k["kind"] for k in keys(coffer)) == ["command", "key-file", "passphrase", "passphrase"]


def test_init_with_a_secret_manager(tmp_path, source):
    command = manager(tmp_path)
    c = by_command(Coffer(tmp_path), command)
    c.run("init")
    c.backup(source)
    c.check()
    assert b"manager" not in b"".join(p.read_bytes() for p in c.objects("keys"))


def test_a_write_key_adds_and_reads_nothing(coffer, source, tmp_path):
    mine = coffer.backup(source)
    web = as_key(coffer, add(coffer, "w", "--role", "write"))
    (source / "more").write_text("web\n" * 50000)
    theirs = web.backup(source, "--host", "web")
    assert theirs["snapshot"] and mine["snapshot"] != theirs["snapshot"]
    coffer.restore(theirs["snapshot"], tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")
    (tmp_path / "mnt").mkdir()
    for args in (["ls", "latest"], ["restore", "latest", "--to", tmp_path / "no"], ["dump", "latest:/more"], ["check"],
                 ["check", "--read-data"], ["find", "x"], ["diff", "latest", theirs["snapshot"]], ["verify", "latest"],
                 ["mount", "-f", tmp_path / "mnt"], ["backup", source, "--parent", mine["snapshot"]], ["forget", mine["snapshot"], "--yes"], ["hold", "add", "latest"]):
        web.fails(*args, code=KEY, names="role write")
    for args in (["tag", "latest", "--add", "x"], ["hold", "add", "latest"], ["hold", "remove", "latest"]):
        web.fails(*args, code=KEY, names="role write")
    for args in (["add", "--new-key-file", tmp_path / "new"], ["passwd", "--new-key-file", tmp_path / "new"], ["rotate"],
                 ["remove", keys(coffer)[0]["id"], "--yes"]):
        web.fails("key", *args, code=KEY, names="role write")
    assert not (tmp_path / "new").exists() and not (tmp_path / "no").exists()
    assert [s["id"] for s in web.snapshots()] == [mine["snapshot"], theirs["snapshot"]]
    web.run("key", "list")
    coffer.check()


def test_an_interrupted_write_backup_is_gone_on_with(coffer, source):
    """What it stored is taken up; without the cache nothing that needs a pack opened stands in the way."""
    web = as_key(coffer, add(coffer, "w", "--role", "write"))
    coffer.backup(source)
    (source / "big").write_bytes(os.urandom(40 << 20))
    before = len(coffer.objects("packs"))
    process = web.start("backup", source)
    while process.poll() is None and len(coffer.objects("packs")) == before:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert web.backup(source)["bytes_stored"] < 20 << 20
    web.forget_cache()
    web.backup(source)
    coffer.check()


def rows(day):
    """A table of which one row in a hundred changes each day."""
    return "".join(f"{i}\t{i * 2654435761 % 2**32:08x}{i * 40503 % 2**16:04x}\t{day if i % 100 == day else 0}\n" for i in range(80_000))


def test_a_write_host_stores_differences(coffer, tmp_path):
    """By the keys of its own packs, about what a full key stores; of all else it reads nothing."""
    web = as_key(coffer, add(coffer, "w", "--role", "write"))
    other = Coffer(tmp_path / "other")
    other.init()
    table = coffer.work / "table"
    table.mkdir()
    texts, saved, stored = [rows(day) for day in range(6)], [], []

    def back_up(day, *args):
        (table / "rows").write_text(texts[day])
        saved.append(web.backup(table, *args))
        return saved[-1]

    for day in range(3):
        back_up(day)
        stored.append(other.backup(table)["bytes_stored"])
    first = saved[0]["bytes_stored"]
    for mine, full in zip(saved[1:], stored[1:]):
        assert mine["chunks_delta"] > 0 and mine["bytes_stored"] < min(3 * full, first / 10)
    again = web.backup(table)
    assert again["bytes_read"] == 0 and again["files_unchanged"] == 1
    for args in (["ls", "latest"], ["dump", "latest:/rows"], ["restore", "latest", "--to", tmp_path / "no"]):
        web.fails(*args, code=KEY, names="role write")
    [folder] = web.cache.glob("*.pack-keys")
    assert len(list(folder.iterdir())) == len(coffer.objects("packs"))
    shutil.rmtree(folder)
    lost = back_up(3)
    assert lost["chunks_delta"] == 0 and lost["bytes_stored"] > first / 2
    found = back_up(4)
    assert found["chunks_delta"] > 0 and found["bytes_stored"] < first / 10
    web.run("backup", table, "-n", "--keep-pack-keys", "none")
    assert folder.exists()
    none = back_up(5, "--keep-pack-keys", "none")
    assert none["chunks_delta"] == 0 and not folder.exists()
    for snapshot, text in zip(saved, texts):
        assert coffer.run("dump", f"{snapshot['snapshot']}:/rows").out == text
    coffer.check()


def test_the_pack_keys_of_a_write_host_open_its_own_packs_with_its_keyring(coffer, source):
    """What a thief of that host has, by a reader that shares no code."""
    key = add(coffer, "w", "--role", "write")
    web = as_key(coffer, key)
    coffer.backup(source)
    theirs = {p.name for p in coffer.objects("packs")}
    (source / "two").write_bytes(os.urandom(1000))
    web.backup(source)
    kept = list(web.cache.glob("*.pack-keys/*"))
    assert kept and {p.name for p in kept} == {p.name for p in coffer.objects("packs")} - theirs
    full = read_repo.Repository(coffer.path, coffer.key.read_bytes())
    [ring] = [read_repo.parse_keyring(ring) for p in coffer.objects("keys")
              if (ring := read_repo.open_slot(p.read_bytes(), "key-file", key.read_bytes()))]
    seal_key = hmac.digest(ring.metadata_key, b"coffer pack keys\0", "sha256")
    for path in kept:
        header = (coffer.path / "packs" / path.name[:2] / path.name).read_bytes()[:140]
        [(_, secret)] = full.ring.epochs.values()
        right = read_repo.nacl.public.SealedBox(read_repo.nacl.public.PrivateKey(secret)).decrypt(header[60:140])
        data = path.read_bytes()
        opened = read_repo.nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            data[24:], bytes.fromhex(path.name), data[:24], seal_key)
        assert opened == right and right not in data


def test_nothing_of_a_write_host_opens_a_pack(coffer, source):
    """With all that its key file opens, through a reader that shares no code and asks for no role: the keys of packs in its cache
    are another matter."""
    coffer.backup(source)
    key = add(coffer, "w", "--role", "write")
    (source / "two").write_bytes(os.urandom(1000))
    as_key(coffer, key).backup(source, "--host", "web")
    coffer.run("key", "rotate")
    (source / "three").write_bytes(os.urandom(1000))
    as_key(coffer, key).backup(source, "--host", "web")
    full = read_repo.Repository(coffer.path, coffer.key.read_bytes())
    assert len(full.ring.epochs) == 2
    with pytest.raises(read_repo.nacl.exceptions.CryptoError):
        read_repo.Repository(coffer.path, key.read_bytes())
    rings = [ring for p in coffer.objects("keys") if (ring := read_repo.open_slot(p.read_bytes(), "key-file", key.read_bytes()))]
    [blind] = map(read_repo.parse_keyring, rings)
    assert blind.role == 2 and set(blind.epochs) == set(full.ring.epochs)
    secrets = [blind.id_key, blind.chunker_key, blind.metadata_key, key.read_bytes()[:32],
               *[part for pair in blind.epochs.values() for part in pair]]
    packs = coffer.objects("packs")
    assert len(packs) == 6
    for path in packs:
        data = path.read_bytes()
        for secret in secrets:
            guess = read_repo.nacl.public.PrivateKey(secret)
            with pytest.raises(read_repo.nacl.exceptions.CryptoError):
                read_repo.nacl.public.SealedBox(guess).decrypt(data[60:140])
        assert full._pack(path.name)


def test_remove_is_a_dry_run_and_leaves_the_last(coffer, source):
    coffer.backup(source)
    only = keys(coffer)[0]["id"]
    coffer.fails("key", "remove", only, "--yes", code=BUSY, names=["last", only[:8]])
    write = add(coffer, "w", "--role", "write", "--comment", "w")
    coffer.fails("key", "remove", only, "--yes", code=BUSY, names="last")
    before = coffer.objects("keys")
    assert "would have removed" in coffer.run("key", "remove", id_of(coffer, "w")[:6]).out
    assert coffer.objects("keys") == before
    spare = add(coffer, "spare", "--comment", "spare")
    coffer.fails("key", "remove", only, code=BUSY, names="in use")
    coffer.run("key", "remove", id_of(coffer, "w"), "--yes")
    as_key(coffer, write).fails("backup", source, code=KEY, names="wrong key file")
    coffer.run("key", "remove", only, "--yes")
    coffer.fails("ls", "latest", code=KEY)
    as_key(coffer, spare).check()
    coffer.key = spare
    coffer.fails("key", "remove", "ffff", "--yes", code=FAILED, names="no key slot ffff")
    coffer.fails("key", "remove", "f", "--yes", code=USAGE)
    coffer.fails("key", "remove", code=USAGE, names="id")
    coffer.fails("key", "list", "x", code=USAGE, names="x")
    coffer.fails("key", "lists", code=USAGE, names="lists")


def test_passwd_takes_the_place_of_the_one_in_use(coffer, source, tmp_path):
    coffer.backup(source)
    old = keys(coffer)[0]["id"]
    result = coffer.run("key", "passwd", "--new-key-file", tmp_path / "new", "--json").json
    assert result["done"] and result["key_file_made"] == str(tmp_path / "new") and result["id"] != old
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    coffer.fails("snapshots", code=KEY)
    coffer.key = tmp_path / "new"
    coffer.check()
    assert [k["id"] for k in keys(coffer)] == [result["id"]]
    coffer.run("key", "passwd", "--new-key-file", tmp_path / "newer", "--comment", "mine")
    coffer.key = tmp_path / "newer"
    coffer.run("key", "passwd", "--new-key-file", tmp_path / "newest")
    coffer.key = tmp_path / "newest"
    assert [k["comment"] for k in keys(coffer)] == ["mine"]
    coffer.fails("key", "passwd", "--role", "write", code=USAGE, names="--role")


def test_passwd_asks_for_the_old_and_twice_for_the_new(tmp_path):
    c = Coffer(tmp_path)
    c.variables = {"COFFER_KEY_FILE": None}
    c.run("init", env={"COFFER_PASSWORD": "old"})
    terminal = Terminal(c, "key", "passwd")
    terminal.read(b"password of the repository: ")
    terminal.send(b"old\n")
    terminal.read(b"new password: ")
    assert not terminal.is_echoing()
    terminal.send(b"new\n")
    terminal.read(b"again: ")
    terminal.send(b"new\n")
    assert terminal.close() == DONE
    c.fails("snapshots", code=KEY, names="wrong password", env={"COFFER_PASSWORD": "old"})
    c.run("snapshots", env={"COFFER_PASSWORD": "new"})
    c.fails("key", "add", code=KEY, names="--new-password-file", env={"COFFER_PASSWORD": "new"})


def test_rotation_shuts_removed_keys_out(coffer, source, tmp_path):
    leaver = add(coffer, "leaver", "--comment", "leaver")
    write = add(coffer, "w", "--role", "write")
    first = coffer.backup(source)["snapshot"]
    kept = coffer.copy(tmp_path / "kept")
    coffer.run("key", "remove", id_of(coffer, "leaver"), "--yes")
    assert coffer.run("key", "rotate", "--json").json["keys"] == 2
    (source / "secret").write_text("new\n" * 10000)
    second = as_key(coffer, write).backup(source)["snapshot"]
    coffer.restore(second, tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")
    as_key(coffer, leaver).fails("ls", first, code=KEY)
    # The slot from a copy of the store reads what was, and not what is new.
    for path in kept.objects("keys"):
        shutil.copy2(path, coffer.path / "keys" / path.name)
    back = as_key(coffer, leaver)
    back.run("ls", first)
    back.fails("ls", second, code=KEY, names="epoch")
    assert next(k for k in keys(back) if k["in_use"])["state"] == "removed"
    back.fails("key", "rotate", code=KEY, names="another key")
    coffer.run("ls", second)
    # It is known to be removed: no later rotation lets it in, and everybody is told.
    gone = id_of(coffer, "leaver")[:8]
    assert f"key slot {gone} was removed" in coffer.run("check", code=DAMAGED).out
    assert "1 key slot was removed and is back" in coffer.run("doctor", code=None).out
    rotated = coffer.run("key", "rotate", "--json", code=PARTIAL)
    assert rotated.json["keys"] == 2 and f"{gone} (leaver) was removed and is back" in rotated.err
    (source / "secret").write_text("newer\n" * 10000)
    third = as_key(coffer, write).backup(source)["snapshot"]
    back.fails("dump", f"{third}:secret", code=KEY, names="epoch")
    coffer.run("key", "remove", gone, "--yes")
    coffer.check()


def test_rotation_beside_backups(coffer, source):
    writers = [as_key(coffer, add(coffer, f"w{i}", "--role", "write"), f"cache{i}") for i in range(2)]
    (source / "big").write_bytes(os.urandom(30_000_000))
    running = [w.start("backup", source, "--host", f"h{i}") for i, w in enumerate(writers)]
    for _ in range(3):
        coffer.run("key", "rotate")
    for process in running:
        process.communicate()
        assert process.returncode == DONE
    for w in writers:
        w.backup(source)
    coffer.check()
    assert len(coffer.objects("keys")) == 3


def test_a_repository_of_the_first_version_gets_new_slots(tmp_path, source):
    """Its own slot cannot be given an epoch: who has its secret renews it, others are left behind if told to."""
    golden = GOLDEN / "aes-vg16"
    c = Coffer(tmp_path)
    shutil.copytree(golden / "repo", c.path, dirs_exist_ok=True)
    shutil.copy(golden / "key", c.key)
    c.key.chmod(0o600)
    assert [(k["record"], k["in_use"]) for k in keys(c)] == [(1, True)]
    old = c.objects("keys")
    spare = add(c, "spare", "--comment", "spare")
    as_key(c, spare).fails("key", "rotate", code=BUSY, names=["--yes", old[0].name[:8]])
    c.run("key", "rotate")
    assert all(k["record"] == 2 and k["state"] == "ok" for k in keys(c)) and not old[0].exists()
    c.backup(source)
    as_key(c, spare).check()


def test_a_left_behind_slot_says_so(tmp_path, source):
    golden = GOLDEN / "aes-vg16"
    c = Coffer(tmp_path)
    shutil.copytree(golden / "repo", c.path, dirs_exist_ok=True)
    shutil.copy(golden / "key", c.key)
    c.key.chmod(0o600)
    spare = as_key(c, add(c, "spare"))
    spare.run("key", "rotate", "--yes")
    snapshot = spare.backup(source)["snapshot"]
    c.fails("ls", snapshot, code=KEY, names="epoch")
    assert [k["state"] for k in keys(spare)] == ["behind", "ok"]


@pytest.mark.parametrize("text,says", [
    ("#!/bin/sh\nexit 3\n", "exited with status 3"),
    ("#!/bin/sh\ncat >/dev/null\n", "printed no"),
    ("#!/bin/sh\ncase $1 in wrap) cat ;; unwrap) echo rubbish ;; esac\n", "printed no key"),
    ("#!/bin/sh\ncase $1 in wrap) cat ;; unwrap) printf '%064d' 7 ;; esac\n", "wrong key command"),
    ("#!/bin/sh\nhead -c 100000 /dev/zero\n", "more than 65536 bytes"),
])
def test_a_bad_secret_manager_leaves_no_slot(coffer, tmp_path, text, says):
    command = manager(tmp_path, text)
    says = "printed nothing" if says == "printed no" else says
    coffer.fails("key", "add", "--new-key-command", command, code=KEY, names=says)
    assert len(coffer.objects("keys")) == 1


def test_a_secret_manager_that_forgot(coffer, tmp_path):
    command = manager(tmp_path)
    coffer.run("key", "add", "--new-key-command", command)
    (tmp_path / "manager.secret").write_text("another")
    by_command(coffer, command).fails("snapshots", code=KEY, names="key command")
    result = by_command(coffer, tmp_path / "missing").run("snapshots", code=KEY)
    assert result.err.splitlines()[-1].endswith("exited with status 127")


def test_bad_key_files(coffer, tmp_path):
    other = Coffer(tmp_path / "other")
    other.init()
    as_key(coffer, other.key).fails("snapshots", code=KEY, names="wrong key file")
    short = tmp_path / "short"
    short.write_bytes(coffer.key.read_bytes()[:20])
    short.chmod(0o600)
    as_key(coffer, short).fails("snapshots", code=KEY, names=["short", "32"])
    coffer.fails("key", "add", "--new-key-file", short, code=KEY, names="short")
    short.write_bytes(coffer.key.read_bytes()[:40])
    as_key(coffer, short).fails("snapshots", code=KEY, names="wrong key file")
    coffer.fails("key", "add", "--new-key-file", tmp_path / "a", "--new-password-file", tmp_path / "b", code=USAGE,
                 names="exclude")
    coffer.fails("snapshots", "--key-command", "", code=USAGE)
    assert len(coffer.objects("keys")) == 1


def test_every_byte_of_a_slot_counts(coffer):
    """One changed byte anywhere, and the slot is damage that names itself, or opens nothing; with a good one beside it the
    repository opens."""
    [path] = coffer.objects("keys")
    good = path.read_bytes()
    for offset in range(0, len(good), 97):
        flip(path, offset)
        coffer.fails("snapshots", code=DAMAGED, names=path.name)
        os.chmod(path, 0o600)
        path.write_bytes(good)
    spare = add(coffer, "spare")
    flip(path, 300)
    as_key(coffer, spare).run("snapshots")
    assert [k["state"] for k in keys(as_key(coffer, spare))].count("damaged") == 1
    result = as_key(coffer, spare).run("check", code=DAMAGED)
    assert path.name in result.out
    # A good key file is not to be thrown away.
    coffer.fails("snapshots", code=KEY, names=["wrong key file, unless", path.name])
    path.write_bytes(good)
    slots = keys(coffer)
    assert sorted(name for k in slots for name in k["objects"]) == sorted(f"keys/{p.name}" for p in coffer.objects("keys"))
    own = next(k["id"] for k in slots if k["in_use"])
    path.write_bytes(good.replace(b'"created":1', b'"created":2'))
    assert f"it was key slot {own[:8]}" in as_key(coffer, spare).run("check", code=DAMAGED).out


def test_a_changed_slot_under_its_right_name(coffer):
    """What somebody who can write to the store makes of a slot: every field is covered, by the secret or by the signature."""
    import hashlib
    spare = as_key(coffer, add(coffer, "spare"))
    for path in coffer.objects("keys"):
        slot = json.loads(path.read_bytes())
        for field in ("role", "created", "epochs", "public", "about", "keyring", "id"):
            changed = dict(slot)
            if field == "role":
                changed[field] = "write"
            elif field == "created":
                changed[field] += 1
            elif field == "epochs":
                changed[field] = [1, 2]
            elif field == "about":
                changed[field] = dict(slot[field], nonce="00" * 24)
            else:
                changed[field] = slot[field][:-2] + ("00" if slot[field][-2:] != "00" else "01")
            data = read_repo.canonical(changed)
            (coffer.path / "keys" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    assert [k["state"] for k in keys(coffer)].count("ok") == 2
    before = {p.name for p in coffer.objects("keys")}
    assert coffer.run("key", "rotate", "--yes", "--json").json["keys"] == 2
    assert len({p.name for p in coffer.objects("keys")} - before) == 2
    spare.run("snapshots")
