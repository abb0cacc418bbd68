"""What the benchmarks share: data, and the programs they compare behind one face."""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]


def arguments(about):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("folder", nargs="?", help="where data and repositories go (default: a new one in /tmp)")
    parser.add_argument("--keep", action="store_true", help="do not delete the folder at the end")
    parser.add_argument("--program", default=str(TOP / "build/cli/coffer"), help="the coffer to measure")
    parser.add_argument("--seed", type=int, default=1)
    return parser


class Folder:
    """The benchmark's scratch folder; the data generator is built into it."""

    def __init__(self, options):
        self.keep = options.keep
        self.path = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="coffer-bench-")).resolve()
        self.made = not self.path.exists() or not any(self.path.iterdir())
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.made:
            sys.exit(f"{self.path} is not empty")
        self.generator = self.path / "gen"
        source = pathlib.Path(__file__).parent / "gen.c"
        subprocess.run(["cc", "-O2", "-std=gnu17", "-o", self.generator, source], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)

    def generate(self, kind, name, amount, seed, day=1):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([self.generator, kind, path, str(amount), str(seed), str(day)], check=True)
        return path


def tree_bytes(path):
    return sum(p.lstat().st_size for p in pathlib.Path(path).rglob("*") if p.is_file())


class Run:
    """One timed run: seconds of wall clock, seconds of processor time, and peak resident bytes."""

    def __init__(self, command, env, stdin=None):
        report = tempfile.NamedTemporaryFile("r", prefix="coffer-bench-time-")
        started = time.monotonic()
        done = subprocess.run(["/usr/bin/time", "-v", "-o", report.name, *map(str, command)], env=env,
                              stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.seconds = time.monotonic() - started
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stderr.decode()[-2000:]}")
        self.out = done.stdout
        text = report.read()
        match = re.search(r"Maximum resident set size \(kbytes\): (\d+)", text)
        self.rss = int(match.group(1)) * 1024 if match else 0
        self.processor = sum(map(float, re.findall(r"(?:User|System) time \(seconds\): ([\d.]+)", text)))
        report.close()


class Tool:
    """A backup program with a repository of its own below a folder."""

    def __init__(self, folder, name):
        name = re.sub(r"[^a-z0-9]+", "-", name.lower())
        self.repository = folder / f"{name}-repository"
        self.key, self.cache = folder / f"{name}-key", folder / f"{name}-cache"
        self.env = {k: v for k, v in os.environ.items() if not re.match("COFFER_|RESTIC_|BORG_", k)}

    def stored(self):
        return tree_bytes(self.repository)

    def remove(self):
        shutil.rmtree(self.repository, ignore_errors=True)


class Coffer(Tool):
    def __init__(self, folder, program, extra=(), name="coffer", role="full"):
        super().__init__(folder, name)
        self.program, self.extra, self.name, self.role = program, list(extra), name, role
        self.env.update(COFFER_REPOSITORY=str(self.repository), COFFER_KEY_FILE=str(self.key),
                        COFFER_CACHE_DIR=str(self.cache))

    def init(self):
        self.env["COFFER_KEY_FILE"] = str(self.key)
        Run([self.program, "init", "--key-file", self.key], self.env)
        if self.role != "full":
            own = self.key.with_name("role-key")
            own.unlink(missing_ok=True)
            Run([self.program, "key", "add", "--role", self.role, "--new-key-file", own], self.env)
            self.env["COFFER_KEY_FILE"] = str(own)

    def backup(self, path, force=False):
        force = ["--ignore-times"] if force else []
        return Run([self.program, "backup", *self.extra, *force, path], self.env)

    def stream(self, path, name):
        with open(path, "rb") as file:
            return Run([self.program, "backup", *self.extra, f"stream:{name}"], self.env, file)

    def restore(self, target, path):
        return Run([self.program, "restore", "latest", "--to", target], self.env)

    def remove(self):
        super().remove()
        shutil.rmtree(self.cache, ignore_errors=True)
        self.key.unlink(missing_ok=True)


class Restic(Tool):
    name = "restic"

    def __init__(self, folder):
        super().__init__(folder, "restic")
        self.env.update(RESTIC_REPOSITORY=str(self.repository), RESTIC_PASSWORD="x",
                        RESTIC_CACHE_DIR=str(self.cache))

    def init(self):
        Run(["restic", "init", "-q", "--repository-version", "2"], self.env)

    def backup(self, path, force=False):
        return Run(["restic", "backup", "-q", *(["--force"] if force else []), path], self.env)

    def stream(self, path, name):
        with open(path, "rb") as file:
            return Run(["restic", "backup", "-q", "--stdin", "--stdin-filename", name], self.env, file)

    def restore(self, target, path):
        return Run(["restic", "restore", "-q", "latest", "--target", target], self.env)

    def remove(self):
        super().remove()
        shutil.rmtree(self.cache, ignore_errors=True)


class Borg(Tool):
    name = "borg"

    def __init__(self, folder):
        super().__init__(folder, "borg")
        self.n = 0
        self.env.update(BORG_REPO=str(self.repository), BORG_PASSPHRASE="x", BORG_BASE_DIR=str(self.cache),
                        BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")

    def init(self):
        Run(["borg", "init", "-e", "repokey-blake2"], self.env)

    def backup(self, path, force=False):
        self.n += 1
        force = ["--files-cache=disabled"] if force else []
        return Run(["borg", "create", "-C", "zstd,1", *force, f"::{self.n}", path], self.env)

    def stream(self, path, name):
        self.n += 1
        with open(path, "rb") as file:
            return Run(["borg", "create", "-C", "zstd,1", "--stdin-name", name, f"::{self.n}", "-"], self.env, file)

    def restore(self, target, path):
        target.mkdir(parents=True, exist_ok=True)
        os.chdir(target)
        return Run(["borg", "extract", f"::{self.n}"], self.env)

    def remove(self):
        super().remove()
        shutil.rmtree(self.cache, ignore_errors=True)


def others(folder):
    """The programs beside coffer that this machine has."""
    found = []
    if shutil.which("restic"):
        found.append(Restic(folder))
    if shutil.which("borg"):
        found.append(Borg(folder))
    return found


def mb(n):
    return n / 1e6


def dump(name, figures):
    """The figures for a program, as the last line."""
    print(json.dumps({"version": 1, "benchmark": name, **figures}))
