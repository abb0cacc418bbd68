#!/usr/bin/python3
"""Fail, then kill, the local backend at every system call that changes its folder.

Usage: test_local_faults.py WORKLOAD SHIM. After each fault every listed object must be whole, and a second
run without faults must finish the work.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

NAMES = {"config", "packs/00/a", "packs/00/b", "index/i", "snapshots/s"}
KINDS = ("write", "fsync", "rename", "open")
ERRORS = {"ENOSPC": 20, "EIO": 11, "EACCES": 23}
WORKLOAD, SHIM = (str(pathlib.Path(arg).resolve()) for arg in sys.argv[1:])


def run(mode, folder, **env):
    return subprocess.run([WORKLOAD, mode, folder], env=dict(os.environ, **env), capture_output=True, text=True)


def listed(folder):
    result = run("check", folder)
    assert result.returncode == 0, ("an object is not whole", result)
    return set(result.stdout.split())


def faulty(folder, **env):
    return run("put", folder, LD_PRELOAD=SHIM, IOFAULT_DIR=str(folder), **env)


def fresh(base):
    folder = base / "store"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def leftovers(folder):
    return list((folder / ".tmp").iterdir()) if (folder / ".tmp").exists() else []


def count_calls(base):
    counts = base / "counts"
    assert faulty(fresh(base), IOFAULT_COUNT=str(counts)).returncode == 0
    return {kind: int(n) for kind, n in (line.split() for line in counts.read_text().splitlines())}


def check_error(base, kind, n, code):
    folder = fresh(base)
    result = faulty(folder, IOFAULT=f"{kind}:{n}:{code}")
    assert result.returncode == ERRORS[code], (kind, n, code, result)
    assert len(result.stderr.splitlines()) == 1 and str(folder) in result.stderr, result
    assert not leftovers(folder), (kind, n, code)
    finish(folder)


def check_kill(base, kind, n):
    folder = fresh(base)
    result = faulty(folder, IOFAULT=f"kill:{kind}:{n}")
    assert result.returncode == -9, (kind, n, result)
    finish(folder)


def finish(folder):
    assert listed(folder) <= NAMES
    assert run("put", folder).returncode == 0
    assert listed(folder) == NAMES


def check_no_flag_renames(base):
    """Where rename cannot refuse to replace, a link does; where neither can, the put fails."""
    folder = fresh(base)
    assert faulty(folder, IOFAULT="rename:1:EINVAL").returncode == 0
    assert not leftovers(folder)
    assert listed(folder) == NAMES


def main():
    with tempfile.TemporaryDirectory() as name:
        base = pathlib.Path(name)
        calls = count_calls(base)
        runs = 0
        for kind in KINDS:
            assert calls[kind] >= len(NAMES), (kind, calls)
            for n in range(1, calls[kind] + 1):
                for code in ERRORS:
                    check_error(base, kind, n, code)
                check_kill(base, kind, n)
                runs += 1 + len(ERRORS)
        check_no_flag_renames(base)
    print(f"{runs} faults", calls)


main()
