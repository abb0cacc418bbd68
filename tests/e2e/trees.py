"""Making folders with everything a file system can hold, and comparing them."""

import os
import pathlib
import random
import socket
import stat
import subprocess

# 2021-03-04 05:06:07.123456789
BASE_NS = 1614834367123456789


def rows(seed, n, width=120):
    """Table text: n rows, one a line, that compress about as a COPY dump does."""
    rng = random.Random(seed)
    words = [f"{rng.getrandbits(20):05x}" for _ in range(500)]
    out = []
    for i in range(n):
        out.append(f"{i}\t{rng.choice(words)} {rng.choice(words)}\t{rng.getrandbits(64):016x}\t"
                   f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}\t{'x' * (i % (width // 4))}\n")
    return "".join(out).encode()


def change_rows(text, seed, percent):
    """Some of the rows updated, deleted or followed by a new one (60/20/20)."""
    rng = random.Random(seed)
    lines = text.splitlines(keepends=True)
    out = []
    for line in lines:
        if rng.random() * 100 >= percent:
            out.append(line)
            continue
        kind = rng.random()
        if kind < 0.6:
            cells = line.split(b"\t")
            cells[2] = b"%016x" % rng.getrandbits(64)
            out.append(b"\t".join(cells))
        elif kind >= 0.8:
            out.append(line)
            out.append(b"9%d\tnew row\t%016x\t2024-01-01\t\n" % (rng.getrandbits(20), rng.getrandbits(64)))
    return b"".join(out)


def small(folder, seed=1):
    """A few hundred kilobytes of ordinary files."""
    rng = random.Random(seed)
    folder = pathlib.Path(folder)
    for name, size in (("empty", 0), ("one", 1), ("a/text", 3000), ("a/b/noise", 200_000), ("a/b/more", 70_000)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
    (folder / "a/rows").write_bytes(rows(seed, 3000))
    return folder


def many_small(folder, seed=1, noise=False):
    """Folders within folders, each with some small files, empty ones and second names among them."""
    rng = random.Random(seed)
    folder = pathlib.Path(folder)
    inner = [folder, *(folder / f"d{i}" / f"e{j}" for i in range(10) for j in range(5)), folder / "deep/er/est"]
    for place in inner:
        place.mkdir(parents=True, exist_ok=True)
        for k in range(12):
            size = rng.choice([0, 1, 300, 5000, 20000])
            (place / f"f{k}").write_bytes(rng.randbytes(size) if noise else bytes([65 + k]) * size)
        if not noise:
            os.link(place / "f3", place / "second name of f3")
    for place in sorted({*inner, *(p.parent for p in inner[1:])}, reverse=True):
        os.utime(place, ns=(0, 10**18 + rng.randrange(10**15)))
    return folder


def supports_xattr(folder):
    try:
        os.setxattr(folder, "user.coffer.probe", b"1")
        os.removexattr(folder, "user.coffer.probe")
        return True
    except OSError:
        return False


def rich(folder, seed=1):
    """Every kind of entry, odd names, attributes, sparse files, hard links."""
    folder = small(folder, seed)
    rng = random.Random(seed + 1)
    raw = os.fsencode(folder)
    for name in (b"new\nline", b"quote\"'`$x", b"not \xff utf8", b"tab\there", b" lead", b"-dash", b"x" * 255,
                 "grüße".encode(), b"back\\slash", b"esc\x1b[31m"):
        with open(os.path.join(raw, name), "wb") as file:
            file.write(name)
    os.symlink("a/text", folder / "link")
    os.symlink("../nowhere/" + "x" * 200, folder / "dangling")
    os.mkfifo(folder / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.getcwd()
        os.chdir(folder)
        try:
            sock.bind("socket")
        finally:
            os.chdir(here)
    (folder / "hard").mkdir()
    (folder / "hard/one").write_bytes(rng.randbytes(5000))
    os.link(folder / "hard/one", folder / "hard/two")
    os.link(folder / "hard/one", folder / "a/three")
    with open(folder / "sparse", "wb") as file:
        file.seek(8 << 20)
        file.write(b"middle" * 1000)
        file.truncate(20 << 20)
    with open(folder / "hole only", "wb") as file:
        file.truncate(5 << 20)
    (folder / "program").write_bytes(b"#!/bin/sh\n")
    os.chmod(folder / "program", 0o4755)
    (folder / "secret").write_bytes(b"s")
    os.chmod(folder / "secret", 0o600)
    (folder / "sticky").mkdir()
    os.chmod(folder / "sticky", 0o1777)
    (folder / "read only").mkdir()
    (folder / "read only/inside").write_bytes(b"x")
    os.chmod(folder / "read only", 0o555)
    deep = folder / "deep"
    for i in range(60):
        deep = deep / f"level{i}"
    deep.mkdir(parents=True)
    (deep / "bottom").write_bytes(b"bottom")
    (folder / "many").mkdir()
    for i in range(300):
        (folder / f"many/{i:04}").write_bytes(b"%d" % i)
    if os.geteuid() == 0:
        os.chown(folder / "a/text", 1234, 4321)
        os.lchown(folder / "link", 12, 34)
        os.chmod(folder / "program", 0o4755)
    if supports_xattr(folder):
        os.setxattr(folder / "a/text", "user.note", b"some \x00 bytes")
        os.setxattr(folder / "a", "user.folder", b"y" * 200)
        subprocess.run(["setfacl", "-m", "u:1000:r,g:1001:rw", folder / "a/rows"], check=False)
        subprocess.run(["setfacl", "-d", "-m", "u:1000:rx", folder / "a"], check=False)
    for i, path in enumerate(sorted(folder.rglob("*"), key=lambda p: -len(p.parts))):
        os.utime(path, ns=(BASE_NS, BASE_NS + i), follow_symlinks=False)
    os.utime(folder, ns=(BASE_NS, BASE_NS))
    return folder


def describe(path, attributes=True):
    """One entry as a tuple that is equal when the entry is."""
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    what = [kind]
    if kind == stat.S_IFLNK:
        what.append(os.readlink(path))
    elif kind == stat.S_IFREG:
        with open(path, "rb") as file:
            what.append(file.read())
    if attributes:
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False)
                  for name in os.listxattr(path, follow_symlinks=False)}
        what += [stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, sorted(xattrs.items())]
    return tuple(what)


def capture(folder, attributes=True):
    """Every path below folder, with what is there; hard links as groups under the key None."""
    folder = os.fsencode(folder)
    tree, links = {}, {}
    tree[b""] = describe(folder, attributes)
    for parent, dirs, files in os.walk(folder):
        for name in dirs + files:
            path = os.path.join(parent, name)
            key = os.path.relpath(path, folder)
            tree[key] = describe(path, attributes)
            st = os.lstat(path)
            if stat.S_ISREG(st.st_mode) and st.st_nlink > 1:
                links.setdefault((st.st_dev, st.st_ino), set()).add(key)
    tree[None] = sorted(map(sorted, links.values()))
    return tree


def assert_equal(source, target, attributes=True):
    a = source if isinstance(source, dict) else capture(source, attributes)
    b = target if isinstance(target, dict) else capture(target, attributes)
    missing, extra = set(a) - set(b), set(b) - set(a)
    assert not missing and not extra, f"missing {missing}, extra {extra}"
    for key in a:
        if a[key] != b[key]:
            raise AssertionError(f"{key!r} differs: {str(a[key])[-300:]} != {str(b[key])[-300:]}")


def assert_equal_below(source, target):
    """As assert_equal, but for the folder itself: one that existed keeps its attributes."""
    a, b = ({k: v for k, v in (t if isinstance(t, dict) else capture(t)).items() if k != b""} for t in (source, target))
    assert_equal(a, b)


def assert_nothing_wrong(source, target):
    """What a broken restore left in target is right as far as it goes."""
    source = os.fsencode(source)
    for parent, _, files in os.walk(os.fsencode(target)):
        for name in files:
            path = os.path.join(parent, name)
            original = os.path.join(source, os.path.relpath(path, os.fsencode(target)))
            if os.path.isfile(path) and not os.path.islink(path):
                assert os.path.isfile(original), f"{path!r} was never backed up"
                with open(path, "rb") as a, open(original, "rb") as b:
                    assert a.read() == b.read(), f"{path!r} restored wrong"
