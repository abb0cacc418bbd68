#!/usr/bin/python3
"""Add up what the test runners reported in a folder; the last line is the total.

*.meson.json  meson's testlog.json: one object a line, with the cmocka programs' TAP output
*.xml         pytest's JUnit report
broken        one line for each thing that failed before a runner could count
"""

import json
import pathlib
import re
import sys
import xml.etree.ElementTree

TAP_LINE = re.compile(r"^(ok|not ok) \d+\b(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)")


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.names = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.names += other.names

    def fail(self, name):
        self.failed += 1
        self.names.append(name)


def count_program(test):
    """One program of the meson run: its test functions, or the program itself when it has none."""
    counts = Counts()
    planned = seen = 0
    for line in test.get("stdout", "").splitlines():
        plan = TAP_PLAN.match(line)
        if plan:
            planned += int(plan.group(1))
        match = TAP_LINE.match(line)
        if not match:
            continue
        seen += 1
        if "# SKIP" in match.group(2):
            counts.skipped += 1
        elif match.group(1) == "ok":
            counts.passed += 1
        else:
            counts.fail(f"{test['name']}:{match.group(2).lstrip(' -')}")
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if test["result"] == "SKIP":
        counts.skipped += seen == 0
    elif not planned and good:
        counts.passed += 1
    elif not good and counts.failed == 0:
        # It crashed, timed out or failed outside its test functions.
        counts.fail(f"{test['name']}: {test['result']} after {seen} of {planned} functions")
    elif planned > seen and counts.failed == 0:
        counts.fail(f"{test['name']}: reported {seen} of {planned} functions")
    return counts


def count_meson(path):
    counts = Counts()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.strip():
                counts.add(count_program(json.loads(line)))
    return counts


def count_pytest(path):
    counts = Counts()
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            counts.fail(name)
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def main(folder):
    total = Counts()
    rows = [(p.name[: -len(".meson.json")], count_meson(p)) for p in sorted(folder.glob("*.meson.json"))]
    rows += [(p.stem, count_pytest(p)) for p in sorted(folder.glob("*.xml"))]
    broken = Counts()
    if (folder / "broken").exists():
        for line in (folder / "broken").read_text(encoding="utf-8").splitlines():
            broken.fail(line)
        rows.append(("broken", broken))
    for name, counts in rows:
        print(f"{name:12} {counts.passed:6} passed {counts.failed:4} failed {counts.skipped:4} skipped")
        total.add(counts)
    for name in total.names:
        print(f"FAILED {name}")
    ran = total.passed + total.failed
    if ran == 0:
        print("no test ran")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or ran == 0 else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: summary.py FOLDER")
    sys.exit(main(pathlib.Path(sys.argv[1])))
