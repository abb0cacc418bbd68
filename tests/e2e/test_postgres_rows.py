"""Rows that do not go back into PostgreSQL the way they came: into other partitions, beside triggers, in another order of columns."""

import pytest
import servers
from harness import FAILED, PARTIAL

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


def test_partitions_are_found_by_names_of_another_encoding(pg):
    """In which they stand in another order."""
    name = pg.server.make(None, "-E", "EUC_JP", "-T", "template0", "--lc-collate=C", "--lc-ctype=C")
    names = "亜一唖丁娃七阿万"
    pg.server.sql("SET client_encoding = 'UTF8'; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'wild', 'calm', 'dull');"
                  'CREATE TABLE "人" (m mood, id int) PARTITION BY HASH (m);' +
                  "".join(f'CREATE TABLE "{n}" PARTITION OF "人" FOR VALUES WITH (MODULUS {len(names)}, REMAINDER {i});'
                          for i, n in enumerate(names)) +
                  'INSERT INTO "人" SELECT m, g FROM unnest(enum_range(NULL::mood)) AS m, generate_series(1, 50) AS g;', name)
    pg.run("backup", url(name))
    checks = pg.run("verify", "latest", "--against", "postgres:", "--level", "comprehensive", "--json").json["checks"]
    assert ("checksum", "public.人") in {(check["name"], check["object"]) for check in checks}


# Rows alone, beside triggers and keys.

TRIGGERS = """
CREATE TABLE noise (t text);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.noise VALUES (tg_table_name || ' ' || tg_name);
	IF tg_level = 'ROW' AND tg_when = 'BEFORE' THEN new.note := upper(new.note); END IF;
	RETURN new;
END $$;
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child (id int PRIMARY KEY DEFERRABLE, parent int CONSTRAINT to_parent REFERENCES parent, "a b" int, note text);
CREATE TABLE moods (m mood, note text) PARTITION BY HASH (m);
CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parent SELECT g, 'p' FROM generate_series(1, 10) AS g;
INSERT INTO child SELECT g, g % 10 + 1, 1, 'c' FROM generate_series(1, 100) AS g;
INSERT INTO moods SELECT m, 'm' FROM unnest(enum_range(NULL::mood)) AS m, generate_series(1, 100);
"""
for _table in ("parent", "child", "moods"):
    for _name, _mode in (("always", "ALWAYS"), ("replica", "REPLICA"), ("origin", ""), ("off", None)):
        TRIGGERS += f"CREATE TRIGGER t_{_name} BEFORE INSERT ON {_table} FOR EACH ROW EXECUTE FUNCTION shout();"
        TRIGGERS += f"CREATE TRIGGER s_{_name} AFTER INSERT ON {_table} FOR EACH STATEMENT EXECUTE FUNCTION shout();"
        for _trigger in ("t_" + _name, "s_" + _name):
            TRIGGERS += f"ALTER TABLE {_table} {'DISABLE' if _mode is None else 'ENABLE ' + _mode} TRIGGER {_trigger};"
TRIGGERS += "ALTER TABLE moods_1 ENABLE REPLICA TRIGGER t_always; TRUNCATE noise;"
# It does not hold for old rows.
TRIGGERS += """ALTER TABLE child ADD CONSTRAINT lately CHECK (note <> 'c') NOT VALID;
COMMENT ON CONSTRAINT lately ON child IS 'it''s new';"""


@pytest.fixture
def triggers(pg):
    """A backup, and a target with everything but the rows."""
    pg.source = pg.server.make(MOODS.split(";")[0] + ";" + TRIGGERS)
    pg.run("backup", url(pg.source), "--exclude-table-data", "noise")
    pg.target = pg.server.make()
    pg.restore("latest", url(pg.target), "--schema-only")
    return pg


CHECKS = "SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE contype = 'c'"
STATES = "SELECT tgrelid::regclass::text, CASE WHEN tgisinternal THEN tgfoid::regproc::text ELSE tgname END, tgenabled FROM pg_trigger ORDER BY 1, 2, 3"


@pytest.mark.parametrize("options", [(), ("--jobs", "1"), ("--jobs", "4")])
def test_rows_alone_set_off_no_trigger(triggers, options):
    server, states = triggers.server, triggers.server.rows(STATES, triggers.source)
    triggers.restore("latest", url(triggers.target), "--data-only", *options)
    assert server.rows("SELECT * FROM noise", triggers.target) == []
    assert_same_rows(server, triggers.source, triggers.target, "parent", "child", "moods")
    assert server.rows(STATES, triggers.target) == states
    assert server.rows(CHECKS, triggers.target) == server.rows(CHECKS, triggers.source)
    server.assert_idle()


@pytest.mark.parametrize("table", ["parent", "child", "moods"])
def test_rows_of_one_table_set_off_no_trigger(triggers, table):
    server, states = triggers.server, triggers.server.rows(STATES, triggers.source)
    triggers.restore("latest", url(triggers.target), "--data-only", "--table", table, code={0, PARTIAL})
    assert server.rows("SELECT * FROM noise", triggers.target) == []
    assert_same_rows(server, triggers.source, triggers.target, table)
    assert server.rows(STATES, triggers.target) == states


@pytest.mark.parametrize("kill", [False, True])
def test_triggers_are_as_they_were_after_a_failure(triggers, kill):
    server, target = triggers.server, triggers.target
    states = server.rows(STATES, target)
    if kill:
        with server.connect(target) as other, other.cursor() as cursor:
            # The rows are in, but for one that waits for another's.
            other.autocommit = False
            cursor.execute("INSERT INTO child VALUES (100, NULL, 1, 'c')")
            process = triggers.start("restore", "latest", "--to", url(target), "--data-only")
            servers.wait_for(lambda: server.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), 10, "waiting")
            process.kill()
            process.communicate()
            other.rollback()
        server.assert_idle(seconds=5)
    else:
        server.sql("ALTER TABLE child ADD CHECK (id <> 100)", target)
        states = server.rows(STATES, target)
        triggers.fails("restore", "latest", "--to", url(target), "--data-only", code=FAILED, names="child")
        server.assert_idle()
    assert server.rows(STATES, target) == states
    assert server.value("SELECT count(*) FROM child WHERE id < 100", target) == 0


def test_rows_that_refer_to_nothing_are_told(triggers):
    server, target = triggers.server, triggers.target
    result = triggers.restore("latest", url(target), "--data-only", "--table", "child", code=PARTIAL)
    assert "to_parent" in result.error_line and "public.child" in result.error_line and "100 rows" in result.error_line
    assert server.value("SELECT count(*) FROM child", target) == 100
    server.assert_idle()


def test_keys_of_every_kind_are_checked(pg):
    """Two columns, MATCH FULL, other collations, partitions on both sides, and those that are not meant to hold."""
    name = pg.server.make("""
        CREATE TABLE p (a int, b text COLLATE "C", PRIMARY KEY (a, b)) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (100);
        CREATE TABLE simple (a bigint, b varchar, CONSTRAINT simple_key FOREIGN KEY (a, b) REFERENCES p);
        CREATE TABLE strict (a int, b text, CONSTRAINT full_key FOREIGN KEY (a, b) REFERENCES p MATCH FULL);
        CREATE TABLE parted (a int, b text, CONSTRAINT part_key FOREIGN KEY (a, b) REFERENCES p) PARTITION BY LIST (b);
        CREATE TABLE parted_x PARTITION OF parted FOR VALUES IN ('x');
        CREATE TABLE loose (a int, b text); INSERT INTO loose VALUES (77, 'none');
        ALTER TABLE loose ADD CONSTRAINT loose_key FOREIGN KEY (a, b) REFERENCES p NOT VALID;
        CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree);
        INSERT INTO p SELECT g, 'x' FROM generate_series(1, 50) AS g;
        INSERT INTO simple VALUES (1, 'x'), (20, 'x'), (1, NULL), (NULL, NULL); INSERT INTO strict VALUES (3, 'x'), (NULL, NULL);
        INSERT INTO parted VALUES (4, 'x'), (40, 'x'); INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2);""")
    pg.run("backup", url(name))
    target = pg.server.make()
    pg.restore("latest", url(target), "--schema-only")
    pg.restore("latest", url(target), "--data-only")
    assert pg.server.dump(target) == pg.server.dump(name)
    pg.server.sql("TRUNCATE p, simple, strict, parted, tree, loose; INSERT INTO p VALUES (20, 'x'), (3, 'x')", target)
    result = pg.restore("latest", url(target), "--data-only", "--exclude-table", "p", "--exclude-table", "p1", "--exclude-table", "p2", code=PARTIAL)
    told = [line for line in result.err.splitlines() if "refer" in line]
    assert len(told) == 2 and any("simple_key" in t and "1 row " in t for t in told) and any("part_key" in t and "2 rows" in t for t in told), result.err


def test_rows_that_are_there_twice_are_refused_by_a_deferrable_key(triggers):
    server, target = triggers.server, triggers.target
    triggers.restore("latest", url(target), "--data-only", "--table", "parent")
    triggers.restore("latest", url(target), "--data-only", "--table", "child")
    before = server.rows(STATES, target)
    line = triggers.fails("restore", "latest", "--to", url(target), "--data-only", "--table", "child", code=FAILED,
                          names="public.child holds rows")
    assert "was not changed" in line
    assert server.value("SELECT count(*) FROM child", target) == 100
    assert server.rows(STATES, target) == before


# Columns that stand elsewhere after a restore, and tables that have hardly any.

GROWN = """
CREATE TABLE base (a int, b text);
CREATE TABLE grown (c int, note text, twice int GENERATED ALWAYS AS (c * 2) STORED) INHERITS (base);
CREATE TABLE "grown Again" (z int) INHERITS (grown);
ALTER TABLE base ADD COLUMN d text DEFAULT 'd', ADD COLUMN "e ""f" int;
INSERT INTO base SELECT g, 'b' || g FROM generate_series(1, 10) AS g;
INSERT INTO grown (a, b, c, note) SELECT g, 'b' || g, g, E'tab\\t' || g FROM generate_series(1, 500) AS g;
INSERT INTO "grown Again" (a, c, note, z) SELECT g, g, '', g FROM generate_series(1, 500) AS g;
"""


def test_columns_in_another_order_pass_verification(pg):
    name = pg.server.make(GROWN)
    pg.run("backup", url(name))
    result = pg.run("verify", "latest", "--level", "comprehensive", "--against", "postgres:", "--json").json
    names = {(check["name"], check["object"]) for check in result["checks"]}
    for table in ("base", "grown", "grown Again"):
        assert {("row_count", "public." + table), ("checksum", "public." + table)} <= names


def test_a_row_that_differs_beside_other_columns_fails_verification(pg):
    name = pg.server.make("CREATE EXTENSION coffer_test;" + GROWN + "CREATE TABLE z (i int); CREATE INDEX zz ON z (i);")
    pg.run("backup", url(name))
    for level, tables, statement in (
            ("standard", {"public.grown"}, "DELETE FROM ONLY public.grown WHERE a = 5"),
            ("comprehensive", {"public.grown", "public.grown Again"},
             "UPDATE ONLY public.grown SET a = c + 1, c = a + 1 WHERE a IN (5, 6); UPDATE public.\"grown Again\" SET b = '' WHERE a = 5"),
            ("comprehensive", {"public.grown"}, "ALTER TABLE public.grown RENAME note TO noted")):
        options = "-c coffer_test.tamper=" + statement.replace(" ", "\\ ")
        result = pg.run("verify", "latest", "--level", level, "--against", "postgres:", "--json", code=4,
                        env={"PGOPTIONS": options}).json
        assert tables <= {check["object"] for check in result["checks"] if not check["passed"]}, statement


SPARSE = """
CREATE TABLE nothing ();
INSERT INTO nothing SELECT FROM generate_series(1, 3);
CREATE TABLE emptied (a int);
INSERT INTO emptied VALUES (1), (2);
ALTER TABLE emptied DROP COLUMN a;
CREATE TABLE computed (a int GENERATED ALWAYS AS (6 * 7) STORED, b text GENERATED ALWAYS AS ('x' || 'y') STORED);
INSERT INTO computed SELECT FROM generate_series(1, 4);
CREATE TABLE parted (id int GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 5), at int NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (50);
CREATE TABLE parted_2 (note text, at int NOT NULL, id int NOT NULL);
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (50) TO (100);
INSERT INTO parted (at, note) SELECT g, 'n' || g FROM generate_series(0, 99) AS g;
CREATE TABLE below () INHERITS (nothing);
INSERT INTO below SELECT FROM generate_series(1, 2);
"""
SPARSE_TABLES = ("nothing", "emptied", "computed", "parted", "below")


@pytest.fixture
def sparse(pg):
    pg.source = pg.server.make(SPARSE)
    pg.run("backup", url(pg.source))
    return pg


@pytest.mark.parametrize("options", [(), ("--table", "*")])
def test_tables_of_few_columns_come_back(sparse, options):
    server, target = sparse.server, sparse.server.make()
    assert sparse.restore("latest", url(target), *options, "--json").json["rows"] == 3 + 2 + 4 + 100 + 2
    assert_same_rows(server, sparse.source, target, *SPARSE_TABLES)
    assert server.dump(target) == server.dump(sparse.source)
    for database in (sparse.source, target):
        server.sql("INSERT INTO parted (at) VALUES (7), (77)", database)
    assert_same_rows(server, sparse.source, target, "parted")


def test_tables_of_few_columns_come_back_alone(sparse):
    server, target = sparse.server, sparse.server.make()
    for table in ("nothing", "emptied", "computed", "parted", "parted_2"):
        sparse.restore("latest", url(target), "--table", f"public.{table}", "--rename", f"public.{table}=public.new_{table}")
        query = "SELECT count(*), min(t::text) FROM {} AS t"
        source = "ONLY nothing" if table == "nothing" else table
        assert server.rows(query.format(f"new_{table}"), target) == server.rows(query.format(source), sparse.source), table


def test_rows_alone_come_back_into_tables_of_few_columns(sparse):
    server, target = sparse.server, sparse.server.make()
    sparse.restore("latest", url(target), "--schema-only")
    sparse.restore("latest", url(target), "--data-only")
    assert server.dump(target) == server.dump(sparse.source)


def test_scripts_of_tables_of_few_columns_run(sparse):
    server, target = sparse.server, sparse.server.make()
    for table in ("nothing", "emptied", "computed", "parted_1", "parted_2"):
        server.psql(target, input=sparse.run("dump", f"latest:{sparse.source}/tables/public.{table}.sql").stdout)
        query = f"SELECT count(*), min(t::text) FROM ONLY {table} AS t"
        assert server.rows(query, target) == server.rows(query, sparse.source), table


@pytest.mark.parametrize("level", ["quick", "comprehensive"])
def test_tables_of_few_columns_pass_verification(sparse, level):
    sparse.run("verify", "latest", "--level", level, "--against", "postgres:")
