"""Running coffer in a test: a repository in a scratch folder, opened by a key file (fast), silent cache."""

import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("config", "keys", "packs", "index", "snapshots")

DONE, FAILED, USAGE, PARTIAL, DAMAGED, KEY, BUSY = range(7)


def build_folder():
    """The build under test: COFFER_TEST_BUILD, or the newest build of the tree."""
    given = os.environ.get("COFFER_TEST_BUILD")
    if given:
        return pathlib.Path(given)
    programs = sorted(TOP.glob("build-*/cli/coffer"), key=lambda p: p.stat().st_mtime)
    return programs[-1].parents[1] if programs else TOP / "build"


BUILD = build_folder()
PROGRAM = BUILD / "cli" / "coffer"


def sources():
    """The schemes of what this build can back up."""
    return json.loads(subprocess.run([PROGRAM, "version", "--json"], capture_output=True, check=True).stdout)["sources"]


def is_sanitized():
    with open(PROGRAM, "rb") as file:
        data = file.read()
    return b"__asan_init" in data or b"__tsan_init" in data


class Result:
    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.stdout, self.err_bytes = args, code, out, err
        self.seconds = seconds

    @property
    def out(self):
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def err(self):
        return self.err_bytes.decode("utf-8", "surrogateescape")

    @property
    def json(self):
        """The last line of output, or all of it, as a JSON document."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError:
            return json.loads(self.stdout.strip().splitlines()[-1])

    @property
    def error_line(self):
        """The one line on stderr; a failing command prints exactly one."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"expected one line on stderr of {self.args}, got: {self.err!r}"
        assert lines[0].startswith("coffer: "), lines[0]
        assert len(lines[0]) < 1000, lines[0]
        return lines[0]

    def __repr__(self):
        return f"<coffer {self.args} -> {self.code}\nout: {self.out[-2000:]}\nerr: {self.err[-2000:]}>"


class Coffer:
    """coffer with one repository. Extra environment and options can differ per call."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.path = self.folder / "repo"
        self.key = self.folder / "key"
        self.cache = self.folder / "cache"
        self.work = self.folder / "work"
        self.program = PROGRAM
        self.variables = {}
        self.work.mkdir(parents=True, exist_ok=True)

    def env(self, extra=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("COFFER_")}
        env.update(
            COFFER_REPOSITORY=str(self.path),
            COFFER_KEY_FILE=str(self.key),
            COFFER_CACHE_DIR=str(self.cache),
            HOME=str(self.work),
            LC_ALL="C.UTF-8",
            TZ="UTC",
        )
        for name, value in {**self.variables, **(extra or {})}.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = str(value)
        return env

    def start(self, *args, env=None, prefix=(), **popen):
        """The running process, its output in pipes."""
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        popen.setdefault("cwd", self.work)
        command = [*prefix, str(self.program), *(os.fsencode(str(a) if isinstance(a, int) else a) for a in args)]
        return subprocess.Popen(command, env=self.env(env), **popen)

    def run(self, *args, code=DONE, input=None, env=None, timeout=60, prefix=(), **popen):
        """Run to the end. code: the exit status expected, a set of them, or None for any."""
        started = time.monotonic()
        if input is not None:
            popen["stdin"] = subprocess.PIPE
        process = self.start(*args, env=env, prefix=prefix, start_new_session=True, **popen)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        result = Result(args, process.returncode, out or b"", err or b"", time.monotonic() - started)
        allowed = code if isinstance(code, (set, frozenset)) else {code}
        assert code is None or result.code in allowed, f"expected {code}: {result!r}"
        return result

    def fails(self, *args, code, names=(), **kw):
        """Run a command that must fail with one line naming each of names."""
        result = self.run(*args, code=code, **kw)
        line = result.error_line
        for name in [names] if isinstance(names, str) else names:
            assert str(name) in line, f"{name!r} not named in: {line}"
        return line

    def init(self, *args, **kw):
        return self.run("init", "--key-file", self.key, *args, **kw)

    def backup(self, *args, **kw):
        """Back up one source; the summary object."""
        return self.run("backup", "--json", *args, **kw).json

    def check(self, read=True, **kw):
        return self.run("check", *(["--read-data"] if read else []), **kw)

    def restore(self, snapshot, target, *args, **kw):
        return self.run("restore", snapshot, "--to", target, *args, **kw)

    def snapshots(self, *args):
        return self.run("snapshots", "--json", *args).json

    def objects(self, kind):
        """The files of one kind of object, sorted."""
        path = self.path / kind
        if path.is_file():
            return [path]
        return sorted(p for p in path.rglob("*") if p.is_file())

    def contents(self):
        """The bytes of every object but those of the audit log, which failures are told, too."""
        return {p: p.read_bytes() for p in self.path.rglob("*")
                if p.is_file() and p.relative_to(self.path).parts[0] != "audit"}

    def stored_bytes(self):
        return sum(p.stat().st_size for kind in KINDS for p in self.objects(kind))

    def as_nobody(self, *owned):
        """A prefix that runs the program as an ordinary user, who gets the given files (needs root)."""
        nobody = 65534
        for top in owned:
            for path in [top, *top.rglob("*")]:
                os.chown(path, nobody, nobody)
        for path in (self.folder, *self.folder.parents):
            if path != path.parent:
                path.chmod(path.stat().st_mode | 0o011)
        # The build may lie where only root can go.
        self.program = pathlib.Path(shutil.copy(PROGRAM, self.folder / "coffer"))
        return ["setpriv", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups"]

    def forget_cache(self):
        shutil.rmtree(self.cache, ignore_errors=True)

    def with_cache(self, cache):
        """The same repository through another cache folder, as from another host."""
        other = Coffer(self.folder)
        other.cache = pathlib.Path(cache)
        return other

    def copy(self, folder):
        """The same repository, key and cache elsewhere, to be damaged."""
        folder = pathlib.Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for part in (self.path, self.cache):
            if part.exists():
                shutil.copytree(part, folder / part.name)
        shutil.copy2(self.key, folder / "key")
        return Coffer(folder)


class Terminal:
    """coffer on a terminal of its own, which /dev/tty and isatty see."""

    def __init__(self, coffer, *args, env=None, size=(24, 80)):
        self.text = b""
        environment = coffer.env(env)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
                os.chdir(coffer.work)
                os.execve(PROGRAM, [str(PROGRAM), *map(os.fsencode, args)], environment)
            finally:
                os._exit(127)

    def read(self, until=None, timeout=60):
        """Output until a text appears, or until the program ends."""
        deadline = time.monotonic() + timeout
        while until is None or until not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"no {until!r} in {self.text!r}"
            ready, _, _ = select.select([self.fd], [], [], left)
            if not ready:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                assert until is None, f"ended without {until!r}: {self.text!r}"
                break
            self.text += data
        return self.text

    def send(self, text):
        os.write(self.fd, text)

    def is_echoing(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def close(self):
        """Exit status; negative for a signal."""
        self.read()
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def flip(path, offset):
    """Change one byte of a file."""
    mode = path.stat().st_mode
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x41]))
    os.chmod(path, mode)


SHIM = BUILD / "tests" / "fault" / "libiofault.so"
needs_shim = pytest.mark.skipif(not SHIM.exists() or is_sanitized(), reason="no fault shim in this build, or a sanitizer")


def fault_env(coffer, fault=None, count=None, bad=None):
    """What makes system calls on the repository fail: see tests/fault/iofault.c."""
    env = {"LD_PRELOAD": SHIM, "IOFAULT_DIR": coffer.path}
    for name, value in (("IOFAULT", fault), ("IOFAULT_COUNT", count), ("IOFAULT_BAD", bad)):
        if value:
            env[name] = value
    return env


def kill_after(process, seconds):
    """kill -9 after some time, unless it ended before; True when it was killed."""
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True
