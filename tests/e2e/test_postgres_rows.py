"""Rows that do not go back into PostgreSQL the way they came: into other partitions, beside triggers, in another order of columns."""

import pytest

# Partitions whose rows depend on numbers that another database gives otherwise, beside others that do not.
MOODS = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'wild', 'calm', 'dull');
CREATE TABLE people (m mood NOT NULL, id int, name text) PARTITION BY HASH (m);
CREATE TABLE "People 0" PARTITION OF people FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE people_1 (id int, name text, m mood NOT NULL);
ALTER TABLE people ATTACH PARTITION people_1 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE people_2 PARTITION OF people FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO people SELECT m, g, E'name\\t' || g FROM unnest(enum_range(NULL::mood)) AS m, generate_series(1, 500) AS g;
CREATE TABLE events (at int, m mood[], note text DEFAULT 'x', twice int GENERATED ALWAYS AS (at * 2) STORED) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM (10) TO (100) PARTITION BY HASH (m);
CREATE TABLE events_new_0 PARTITION OF events_new FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_new_1 PARTITION OF events_new FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO events SELECT g, ARRAY[m], 'note' FROM unnest(enum_range(NULL::mood)) AS m, generate_series(0, 99) AS g;
CREATE TABLE plain (id int, name text) PARTITION BY HASH (id, name);
CREATE TABLE plain_0 PARTITION OF plain FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE plain_1 PARTITION OF plain FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO plain SELECT g, 'name ' || g FROM generate_series(1, 500) AS g;
"""


def url(database):
    return f"postgres:///{database}"


@pytest.fixture
def pg(postgres, coffer):
    """coffer that finds the server by its environment."""
    coffer.variables = postgres.variables
    coffer.server = postgres
    return coffer


@pytest.fixture
def moods(pg):
    pg.source = pg.server.make(MOODS)
    pg.run("backup", url(pg.source))
    return pg


def assert_same_rows(server, one, other, *tables):
    for table in tables:
        query = f"SELECT * FROM {table} AS t ORDER BY t::text"
        assert server.rows(query, one) == server.rows(query, other), table


# Partitions.

@pytest.mark.parametrize("options", [(), ("--jobs", "1"), ("--table", "people", "--table", "events*", "--table", "plain*"),
                                     ("--table", "people*", "--table", "events*", "--table", "plain*", "--jobs", "4")])
def test_rows_find_their_partition_in_another_database(moods, options):
    server, target = moods.server, moods.server.make()
    done = moods.restore("latest", url(target), *options, "--json").json
    assert done["rows"] == 3000 + 600 + 500
    assert_same_rows(server, moods.source, target, "people", "events", "plain", "events_old")
    # All of them are where the server looks for them.
    for mood in ("sad", "wild"):
        assert server.value(f"SELECT count(*) FROM people WHERE m = '{mood}'", target) == 500
    assert server.dump(target, "-s") == server.dump(moods.source, "-s")
    server.assert_idle()


def test_rows_alone_find_their_partition(moods):
    server, target = moods.server, moods.server.make()
    moods.restore("latest", url(target), "--schema-only")
    moods.restore("latest", url(target), "--data-only", "--jobs", "3")
    assert_same_rows(server, moods.source, target, "people", "events", "plain")


@pytest.mark.parametrize("options", [("--rename", "public.people=public.folk"), ("--rename", "public=elsewhere")])
def test_rows_find_their_partition_under_other_names(moods, options):
    server, target = moods.server, moods.server.make()
    moods.restore("latest", url(target), *options)
    name = "folk" if "public.people=public.folk" in options else "elsewhere.people"
    query = "SELECT m::text, id, name FROM {} ORDER BY 1, 2"
    assert server.rows(query.format(name), target) == server.rows(query.format("people"), moods.source)


def test_a_partition_comes_back_alone_as_a_table(moods):
    server, target = moods.server, moods.server.make()
    moods.restore("latest", url(target), "--table", "people_2")
    assert_same_rows(server, moods.source, target, "people_2")


def test_the_script_of_such_a_partition_names_the_root(moods):
    server, target = moods.server, moods.server.make()
    script = moods.run("dump", "latest:" + moods.source + "/tables/public.people_1.sql").stdout
    assert b'\n-- load via partition root "public"."people"\nCOPY "public"."people_1" (' in script or \
        b'\n-- load via partition root public.people\nCOPY public.people_1 (' in script, script
    server.psql(target, input=script)
    assert_same_rows(server, moods.source, target, "people_1")
    script = moods.run("dump", "latest:" + moods.source + "/tables/public.plain_0.sql").stdout
    assert b"partition root" not in script


@pytest.mark.parametrize("level", ["quick", "standard", "comprehensive"])
def test_rows_in_another_partition_pass_verification(moods, level):
    result = moods.run("verify", "latest", "--level", level, "--against", "postgres:", "--json", timeout=120).json
    checks = {(check["name"], check["object"]) for check in result["checks"]}
    if level == "standard":
        assert ("row_count", "public.people") in checks and ("row_count", "public.plain_0") in checks
    if level == "comprehensive":
        assert ("checksum", "public.people") in checks and ("checksum", "public.plain_0") in checks


def test_a_row_that_differs_in_such_a_partition_fails_verification(pg):
    name = pg.server.make("CREATE EXTENSION coffer_test;" + MOODS + "CREATE TABLE z (i int); CREATE INDEX zz ON z (i);")
    pg.run("backup", url(name))
    for level, statement in (("standard", "DELETE FROM public.people WHERE id = 5"),
                             ("comprehensive", "UPDATE public.people SET name = 'x' WHERE id = 5")):
        options = "-c coffer_test.tamper=" + statement.replace(" ", "\\ ")
        result = pg.run("verify", "latest", "--level", level, "--against", "postgres:", "--json", code=4,
                        env={"PGOPTIONS": options}, timeout=120).json
        assert {check["object"] for check in result["checks"] if not check["passed"]} == {"public.people"}
