"""What the command line makes of database servers: options, plans, documents, passwords. The drivers have tests of their own."""

import json

import pytest
from harness import FAILED, USAGE

SCRIPT = {
    "postgres": "CREATE TABLE {0}a (i integer PRIMARY KEY); INSERT INTO {0}a SELECT generate_series(1, 300);"
                "CREATE TABLE {0}b (i integer); INSERT INTO {0}b VALUES (1);",
    "mysql": "CREATE TABLE {0}a (i integer PRIMARY KEY); INSERT INTO {0}a SELECT seq FROM seq_1_to_300;"
             "CREATE TABLE {0}b (i integer); INSERT INTO {0}b VALUES (1);",
}


class Source:
    """A database with two tables, and one snapshot of it."""

    def __init__(self, kind, server, coffer):
        self.kind, self.server, self.coffer = kind, server, coffer
        self.name = server.make(SCRIPT[kind].format(""))
        self.env = {key: value for key, value in server.variables.items() if key.startswith(("PG", "MYSQL", "MARIADB"))}
        self.id = self.run("backup", self.url, "--json").json["snapshot"]

    @property
    def url(self):
        return f"{self.kind}:///{self.name}"

    def schema(self):
        return "public" if self.kind == "postgres" else self.name

    def run(self, *args, **kw):
        return self.coffer.run(*args, env=self.env, **kw)

    def fails(self, *args, **kw):
        return self.coffer.fails(*args, env=self.env, **kw)


@pytest.fixture(params=["postgres", "mysql"])
def source(request, coffer):
    server = request.getfixturevalue({"postgres": "postgres", "mysql": "mariadb"}[request.param])
    return Source(request.param, server, coffer)


def test_a_plan_is_printed_and_nothing_done(source):
    rename = f"{source.schema()}.a={source.schema()}.c"
    args = ["restore", source.id, "--to", source.url, "-t", "a", "--rename", rename]
    lines = source.run(*args, "--dry-run").out.splitlines()
    assert lines[-1].startswith("would restore 1 table, 300 rows") and len(lines) > 2
    assert lines[-1].endswith(f"in {len(lines) - 1} steps")
    assert any("c" in line.split()[-1] or ".c" in line for line in lines[:-1])
    *steps, result = map(json.loads, source.run(*args, "--dry-run", "--json").out.splitlines())
    assert result["dry_run"] and result["steps"] == len(lines) - 1 and result["version"] == 1
    steps = [step for step in steps if step["event"] == "step"]
    assert len(steps) == result["steps"]
    assert all(step.keys() == {"version", "event", "action", "object", "bytes"} for step in steps)
    # Were it there, it would be in the way.
    done = json.loads(source.run(*args, "--json").out.splitlines()[-1])
    assert (done["tables"], done["rows"], done["dry_run"]) == (1, 300, False)
    assert done["bytes"] > 0 and done["to"] == source.url and done["snapshot"] == source.id
    source.fails(*args, code=FAILED, names="c")


def test_options_that_make_no_sense_are_refused(source):
    to = ["restore", source.id, "--to", source.url]
    for option in ("--overwrite", "--verify", "--sync"):
        source.fails(*to, option, code=USAGE, names=option)
    for pair in (["--schema-only", "--data-only"], ["--data-only", "--clean"], ["--data-only", "--create"]):
        source.fails(*to, *pair, code=USAGE, names=pair)
    source.fails("restore", f"{source.id}:x", "--to", source.url, code=FAILED, names="x")
    source.fails(*to, "--rename", "a", code=USAGE, names=["--rename", "'a'"])
    source.fails(*to, "-t", 'un"closed', code=USAGE, names=["--table", "quote"])
    source.fails(*to, "-t", "none_*", "--clean", code=FAILED, names=["--table", "none_*"])
    source.fails("backup", source.url, "-t", "none_*", code=FAILED, names=["--table", "none_*"])
    source.fails("verify", source.id, "--against", "/tmp", code=USAGE, names="--against")
    assert source.coffer.run("snapshots", "-q").out.count(source.id[:8]) == 1
    assert len(source.coffer.objects("snapshots")) == 1


def test_a_snapshot_of_something_else_does_not_fit(source):
    (source.coffer.work / "file").write_text("x")
    other = source.coffer.backup("file")["snapshot"]
    line = source.fails("restore", other, "--to", source.url, code=USAGE, names=other[:8])
    assert "files:" in line and f"{source.kind}:" in line
    line = source.fails("verify", other, "--against", source.url, code=USAGE, names="--against")
    assert "files:" in line


def test_a_password_in_a_url_is_refused_and_not_repeated(source):
    url = f"{source.kind}://someone:secret@127.0.0.1:1/{source.name}"
    for args in (["backup", url], ["restore", source.id, "--to", url], ["restore", source.id, "--to", url, "--json"]):
        result = source.run(*args, code=USAGE)
        assert "secret" not in result.out + result.err
        assert "password" in result.error_line


def test_one_database_of_several_goes_back_under_another_name(source):
    source.server.make(SCRIPT[source.kind].format(""))
    snapshot = source.run("backup", f"{source.kind}:///", "--all-databases", "--json").json["snapshot"]
    name = source.server.new_name()
    result = source.run("restore", f"{snapshot}:/{source.name}", "--to", f"{source.kind}:///{name}", "--create", "--json")
    result = json.loads(result.out.splitlines()[-1])
    assert (result["tables"], result["rows"], result["path"]) == (2, 301, source.name)
    source.run("verify", snapshot, "--against", f"{source.kind}:///")


def test_a_snapshot_restores_into_a_folder_too(source):
    source.run("restore", source.id, "--to", "out", "--verify")
    assert (source.coffer.work / "out" / "server.json").exists()
    assert (source.coffer.work / "out" / source.name / "database.json").exists()


@pytest.mark.parametrize("level", ["quick", "standard", "comprehensive"])
def test_every_level_proves_a_selection_and_the_whole(source, level):
    server = f"{source.kind}:///"
    source.run("backup", source.url, "--exclude-table-data", "a", "--tag", "part")
    source.run("backup", source.url, "--tag", "all")
    before = source.server.databases() if source.kind == "mysql" else source.server.rows("SELECT datname FROM pg_database")
    for tag in ("part", "all"):
        result = source.run("verify", "latest", "--tag", tag, "--level", level, "--against", server, "--json").json
        failed = [check for check in result["checks"] if not check["passed"]]
        assert result["passed"] and failed == [] and result["against"] == server
        text = source.run("verify", "latest", "--tag", tag, "--level", level, "--against", server).out
        assert text.count("ok  ") == result["n_checks"] > 2
    after = source.server.databases() if source.kind == "mysql" else source.server.rows("SELECT datname FROM pg_database")
    assert after == before
