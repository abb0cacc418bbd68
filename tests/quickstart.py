#!/usr/bin/python3
"""The work of ./quickstart: three days of a database and a folder, backed up, restored, compared."""

import datetime
import hashlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time

DAYS = 3
N_ROWS = 1_900_000
LIMIT_PERCENT = 3.0
FOLDER_LIMIT = 100 << 20
FOLDER_SOURCES = ("/usr/include", "/usr/share/doc", "/usr/share/perl", "/usr/lib/python3", "/usr/lib/python3.11")
WORDS = ("amber basalt cedar delta ember fjord garnet harbor indigo juniper kelp lagoon maple nectar opal prairie "
         "quartz river saffron tundra umber violet willow xenon yarrow zephyr").split()
STATUSES = ("new", "paid", "packed", "shipped", "returned")


def make_rows(rng):
    start = datetime.datetime(2023, 1, 1)
    days = [(start + datetime.timedelta(hours=i)).isoformat(" ") for i in range(17_000)]
    names = [f"{rng.choice(WORDS).title()} {rng.choice(WORDS).title()}" for _ in range(20_000)]
    streets = [f"{rng.choice(WORDS).title()} Street {rng.randint(1, 200)}" for _ in range(5_000)]
    for i in range(N_ROWS):
        bits = rng.getrandbits(96)
        yield (i, bits % 200_003, days[i * 17_000 // N_ROWS], STATUSES[bits % 5], (bits >> 8) % 100_000 / 100,
               names[(bits >> 16) % 20_000], streets[(bits >> 32) % 5_000],
               f"{WORDS[(bits >> 48) % 26]} {WORDS[(bits >> 56) % 26]} {bits >> 32:016x}")


def make_database(path, rng):
    db = sqlite3.connect(path)
    db.execute("pragma journal_mode=off")
    db.execute("pragma synchronous=off")
    db.execute("create table orders(id integer primary key, customer int, created text, status text, amount real, "
               "name text, street text, note text)")
    db.executemany("insert into orders values(?,?,?,?,?,?,?,?)", make_rows(rng))
    db.execute("create index orders_customer on orders(customer)")
    db.commit()
    db.close()


def change_database(path, rng):
    """One per cent of the rows, picked at random."""
    db = sqlite3.connect(path)
    changes = [(rng.choice(STATUSES), rng.randrange(100_000) / 100, i)
               for i in sorted(rng.sample(range(N_ROWS), N_ROWS // 100))]
    db.executemany("update orders set status = ?, amount = ? where id = ?", changes)
    db.commit()
    db.close()


def make_folder(folder):
    """Real files of this machine, up to a limit."""
    total = 0
    for source in map(pathlib.Path, FOLDER_SOURCES):
        for parent, dirs, files in os.walk(source):
            dirs.sort()
            for name in sorted(files):
                path = pathlib.Path(parent) / name
                if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                    continue
                size = path.stat().st_size
                if total + size > FOLDER_LIMIT:
                    continue
                target = folder / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
                total += size


def change_folder(folder, rng, day):
    """A few files appended to, some touched, one removed, one added."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for path in rng.sample(files, max(1, len(files) // 100)):
        os.chmod(path, 0o644)
        with open(path, "ab") as file:
            file.write(b"changed on day %d\n" % day)
    for path in rng.sample(files, max(1, len(files) // 50)):
        os.utime(path)
    rng.choice(files).unlink()
    (folder / f"note of day {day}").write_text("a new file\n")


def describe(root):
    """Path -> type, mode, time and hash of everything below root."""
    found = {}
    for path in [root, *root.rglob("*")]:
        st = path.lstat()
        digest = None
        if stat.S_ISREG(st.st_mode):
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[str(path.relative_to(root))] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_mtime_ns, digest)
    return found


def size_of(path):
    if path.is_file():
        return path.stat().st_size
    return sum(p.lstat().st_size for p in path.rglob("*") if p.is_file())


def mib(n):
    return f"{n / (1 << 20):9.2f} MiB"


class Shown:
    """coffer with the repository of this run."""

    def __init__(self, program, data):
        self.program = str(program)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("COFFER_")}
        self.env.update(COFFER_REPOSITORY=str(data / "repository"), COFFER_KEY_FILE=str(data / "key"),
                        COFFER_CACHE_DIR=str(data / "cache"))

    def __call__(self, *args):
        done = subprocess.run([self.program, *map(str, args)], env=self.env, stdout=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"quickstart: coffer {args[0]} ended with status {done.returncode}")
        return done.stdout


def backup_days(coffer, database, folder, rng):
    """Three days; (day, name, snapshot, path, figures, what it was)."""
    made, first = [], {}
    print(f"\n{'day':<4} {'source':<9} {'size':>13} {'stored':>13} {'of first':>9} {'time':>7}")
    for day in range(1, DAYS + 1):
        if day > 1:
            change_database(database, rng)
            change_folder(folder, rng, day)
        for name, source, path in (("database", f"sqlite:{database}", database), ("folder", folder, folder)):
            started = time.monotonic()
            figures = json.loads(coffer("backup", "--json", source).splitlines()[-1])
            seconds = time.monotonic() - started
            first.setdefault(name, figures["bytes_stored"])
            share = 100 * figures["bytes_stored"] / first[name]
            print(f"{day:<4} {name:<9} {mib(size_of(path))} {mib(figures['bytes_stored'])} {share:7.2f} % "
                  f"{seconds:5.1f} s", flush=True)
            was = describe(path) if path.is_dir() else describe(path)["."]
            made.append((day, name, figures["snapshot"], share, was))
    return made


def restore_days(coffer, made, data, database):
    """How many restores differed from what was backed up."""
    wrong = 0
    for day, name, snapshot, _, was in made:
        target = data / "restored"
        shutil.rmtree(target, ignore_errors=True)
        started = time.monotonic()
        coffer("restore", snapshot, "--to", target, "-q")
        seconds = time.monotonic() - started
        now = describe(target) if name == "folder" else describe(target / database.name)["."]
        same = now == was
        wrong += not same
        print(f"restored day {day} {name:<9} in {seconds:4.1f} s: {'equal' if same else 'DIFFERENT'}", flush=True)
    shutil.rmtree(data / "restored", ignore_errors=True)
    return wrong


def main(program, data):
    started = time.monotonic()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    rng = random.Random(20240229)
    database, folder = data / "shop.db", data / "files"
    print("Making a database and a folder in", data, flush=True)
    make_database(database, rng)
    make_folder(folder)
    coffer = Shown(program, data)
    coffer("init", "--key-file", data / "key")
    made = backup_days(coffer, database, folder, rng)
    print()
    wrong = restore_days(coffer, made, data, database)
    coffer("check", "--read-data")
    print(f"checked every byte of the repository; {time.monotonic() - started:.0f} s in all")
    dear = [f"day {day} of the {name} added {share:.1f} % of the first"
            for day, name, _, share, _ in made if day > 1 and share > LIMIT_PERCENT]
    for line in dear:
        print("quickstart:", line, file=sys.stderr)
    if wrong or dear:
        return 1
    print(f"""
All {len(made)} snapshots came back byte for byte. To go on:

    export COFFER_REPOSITORY={data}/repository COFFER_KEY_FILE={data}/key COFFER_CACHE_DIR={data}/cache
    {program} snapshots
    {program} ls latest --source {folder}
    {program} diff {made[3][2][:8]} {made[5][2][:8]}
    {program} restore latest --source sqlite:{database} --to {data}/again

The guide is in docs/guide; `rm -r {data}` removes all of this.""")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: quickstart.py PROGRAM FOLDER")
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()))
