"""Restores into PostgreSQL, and verification: the whole, a part, renamed, and everything that must be refused."""

import contextlib
import json
import os
import random
import re
import signal
import time

import pytest
import servers
from harness import BUSY, DAMAGED, DONE, FAILED, PARTIAL, USAGE, flip, kill_after

# Tables that refer to each other, with everything that a table brings along.
SCRIPT = """
CREATE SCHEMA s;
CREATE TYPE s.kind AS ENUM ('x', 'y');
CREATE FUNCTION s.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE s.parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
CREATE TABLE s.child (id serial PRIMARY KEY, parent int REFERENCES s.parent, k s.kind DEFAULT 'x',
	d int GENERATED ALWAYS AS (s.double(parent)) STORED, note text CHECK (note <> ''));
CREATE INDEX child_note ON s.child (lower(note));
CREATE TABLE public.other (id int);
INSERT INTO s.parent (name) SELECT 'parent ' || g FROM generate_series(1, 100) AS g;
INSERT INTO s.child (parent, note) SELECT g % 100 + 1, 'note ' || g FROM generate_series(1, 1000) AS g;
INSERT INTO public.other VALUES (1), (2);
CREATE VIEW s.both AS SELECT p.name, c.note FROM s.parent AS p JOIN s.child AS c ON c.parent = p.id;
CREATE FUNCTION s.upper_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.note := upper(new.note); RETURN new; END $$;
CREATE TRIGGER shout BEFORE INSERT ON s.child FOR EACH ROW EXECUTE FUNCTION s.upper_note();
COMMENT ON TABLE s.child IS 'a child';
"""


def url(database):
    return f"postgres:///{database}"


@pytest.fixture
def small(postgres, coffer):
    """A repository with a backup of a small database, whose name is in source."""
    coffer.variables = postgres.variables
    coffer.source = postgres.make(SCRIPT)
    coffer.run("backup", url(coffer.source))
    return coffer


def tables(postgres, database):
    return {tuple(row) for row in postgres.rows(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'", database)}


def unchanged(postgres, database):
    """A context that a target is left alone."""
    class Check:
        def __enter__(self):
            self.before = postgres.dump(database)

        def __exit__(self, kind, *_):
            if kind is None:
                assert postgres.dump(database) == self.before
    return Check()


# The whole.

@pytest.mark.threads
@pytest.mark.parametrize("jobs", ["1", "4"])
def test_a_database_of_every_kind_of_object_comes_back_equal(postgres, shop, shop_backup, jobs):
    target = postgres.make()
    shop_backup.restore("latest", url(target), "--jobs", jobs, timeout=120)
    assert postgres.dump(target) == postgres.dump(shop)
    postgres.assert_idle()


def test_a_database_is_made_as_it_was(postgres, shop, shop_backup):
    target = postgres.new_name()
    shop_backup.restore("latest", url(target), "--create", timeout=120)

    def text(database):
        name = re.escape(database.encode())
        dump = postgres.dump(database, "--create")
        return re.sub(rb"(DATABASE |connect |-- Name: (?=\w+; Type: DATABASE))" + name + rb"\b", rb"\1DB", dump)
    assert text(target) == text(shop)


def test_what_was_restored_can_be_backed_up_and_restored_again(postgres, shop, shop_backup, coffer):
    first, second = postgres.make(), postgres.make()
    shop_backup.restore("latest", url(first), timeout=120)
    coffer.variables = postgres.variables
    coffer.run("backup", url(first))
    coffer.restore("latest", url(second), timeout=120)
    assert postgres.dump(second) == postgres.dump(shop)


def test_a_target_that_has_something_in_the_way_is_left_alone(postgres, small):
    target = postgres.make("CREATE SCHEMA s; CREATE TABLE s.child (mine int); INSERT INTO s.child VALUES (7)")
    with unchanged(postgres, target):
        line = small.fails("restore", "latest", "--to", url(target), code={FAILED, BUSY}, names="s")
    assert "--clean" in line
    with unchanged(postgres, target):
        small.fails("restore", "latest", "--to", url(target), "--create", code={FAILED, BUSY}, names=target)
    postgres.assert_idle()


def test_clean_replaces_what_is_in_the_way(postgres, small):
    target = postgres.make("CREATE SCHEMA s; CREATE TABLE s.child (mine int); CREATE TABLE other (x int); CREATE TABLE kept (y int)")
    small.restore("latest", url(target), "--clean")
    small.restore("latest", url(target), "--clean")
    assert postgres.exists(target) and ("public", "kept") in tables(postgres, target)
    postgres.sql("DROP TABLE kept", target)
    assert postgres.dump(target) == postgres.dump(small.source)


def test_the_schema_public_gets_its_owner(postgres, coffer):
    """As every database has it that came from a server before 15."""
    coffer.variables = postgres.variables
    postgres.sql("CREATE ROLE settler LOGIN")
    source = postgres.make("ALTER SCHEMA public OWNER TO postgres; CREATE TABLE t (i int); ALTER TABLE t OWNER TO settler")
    target, made, own = postgres.make(), postgres.new_name(), postgres.make(None, "-O", "settler")
    try:
        coffer.run("backup", url(source))
        coffer.restore("latest", url(target), "--clean")
        coffer.restore("latest", url(made), "--create")
        assert postgres.dump(target) == postgres.dump(made) == postgres.dump(source)
        coffer.run("verify", "latest", "--against", "postgres:")
        # Who may not give it away keeps it, and gets the rest.
        done = coffer.restore("latest", url(own), code=PARTIAL, env={"PGUSER": "settler"})
        assert "schema public" in done.err and tables(postgres, own) == {("public", "t")}
    finally:
        for name in (source, target, made, own):
            postgres.drop(name)
        postgres.sql("DROP ROLE settler")


# Views that hang on a key, and on each other.
VIEWS = """
CREATE SCHEMA s;
CREATE TABLE s.t (id int PRIMARY KEY, name text, other int);
CREATE TABLE s.u (id int PRIMARY KEY, t int REFERENCES s.t);
ALTER TABLE s.t ADD CONSTRAINT around FOREIGN KEY (other) REFERENCES s.u DEFERRABLE;
CREATE VIEW s.base AS SELECT id, name FROM s.t;
CREATE VIEW s.grouped AS SELECT b.id, b.name, t.other, count(*) AS n FROM s.t JOIN s.base AS b USING (id) GROUP BY t.id, b.id, b.name;
CREATE MATERIALIZED VIEW s.stored AS SELECT * FROM s.grouped;
CREATE MATERIALIZED VIEW s.stored_by_key AS SELECT id, name FROM s.t GROUP BY id;
CREATE VIEW s.on_stored AS SELECT * FROM s.stored JOIN s.stored_by_key USING (id, name);
CREATE FUNCTION s.f() RETURNS SETOF s.grouped LANGUAGE sql BEGIN ATOMIC SELECT * FROM s.grouped; END;
INSERT INTO s.t SELECT g, 'n' || g FROM generate_series(1, 10) AS g;
REFRESH MATERIALIZED VIEW s.stored;
"""


@pytest.mark.parametrize("options", [(), ("--exclude-table", "nonesuch")])
def test_clean_drops_views_that_hang_on_keys(postgres, coffer, options):
    coffer.variables = postgres.variables
    name, target = postgres.make(VIEWS), postgres.make()
    coffer.run("backup", url(name))
    coffer.restore("latest", url(target))
    assert postgres.dump(target) == postgres.dump(name)
    coffer.restore("latest", url(target), "--clean", *options)
    assert postgres.dump(target) == postgres.dump(name)
    # What grew since is not dropped, and named.
    postgres.sql("CREATE VIEW public.mine AS SELECT id, name FROM s.t GROUP BY id", target)
    with unchanged(postgres, target):
        line = coffer.fails("restore", "latest", "--to", url(target), "--clean", *options, code=FAILED, names="mine")
    assert "was not changed" in line
    postgres.assert_idle()


def test_clean_of_a_schema_drops_views_in_any_order(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make(VIEWS + "DROP FUNCTION s.f;")
    want = postgres.dump(name)
    coffer.run("backup", url(name))
    coffer.restore("latest", url(name), "--schema", "s", "--clean")
    assert postgres.dump(name) == want
    with unchanged(postgres, name):
        coffer.fails("restore", "latest", "--to", url(name), "--table", "s.t", "--clean", code=FAILED, names="base")
    postgres.assert_idle()


def test_clean_leaves_a_slot_at_a_publisher_alone(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE SUBSCRIPTION \"In\" CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = far)")
    coffer.run("backup", url(name))
    detach = 'ALTER SUBSCRIPTION "In" DISABLE; ALTER SUBSCRIPTION "In" SET (slot_name = NONE)'
    try:
        with unchanged(postgres, name):
            line = coffer.fails("restore", "latest", "--to", url(name), "--clean", code=FAILED, names="slot far")
        assert detach.replace(";", " and") in line
        postgres.sql(detach, name)
        coffer.restore("latest", url(name), "--clean")
        assert postgres.value("SELECT subslotname FROM pg_subscription WHERE subname = 'In'", name) == "far"
    finally:
        postgres.sql(detach, name)


def test_create_with_clean_replaces_the_database(postgres, small):
    target = postgres.make("CREATE TABLE gone (y int)")
    small.restore("latest", url(target), "--create", "--clean")
    assert postgres.dump(target) == postgres.dump(small.source)


def test_without_create_a_missing_database_is_named(postgres, small):
    line = small.fails("restore", "latest", "--to", url("nonesuch"), code=FAILED, names="nonesuch")
    assert "--create" in line
    assert not postgres.exists("nonesuch")


def test_schema_and_data_come_back_one_after_the_other(postgres, small):
    target = postgres.make()
    small.restore("latest", url(target), "--schema-only")
    assert postgres.dump(target, "-s") == postgres.dump(small.source, "-s")
    assert postgres.value("SELECT count(*) FROM s.child", target) == 0
    small.restore("latest", url(target), "--data-only")
    assert postgres.dump(target) == postgres.dump(small.source)


def test_data_only_keeps_what_is_there(postgres, coffer):
    """A table with rows refuses them a second time, before another one gets any; a sequence only goes forward."""
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE a (i int); CREATE TABLE keyed (id serial PRIMARY KEY, down int GENERATED ALWAYS AS IDENTITY (INCREMENT -1));"
                         "INSERT INTO a VALUES (1); INSERT INTO keyed DEFAULT VALUES; CREATE TABLE none (i int);"
                         "CREATE MATERIALIZED VIEW m AS SELECT * FROM a; CREATE MATERIALIZED VIEW l AS SELECT * FROM m;"
                         "SELECT lo_from_bytea(4711, 'large')")
    coffer.run("backup", url(name))
    target = postgres.make()
    coffer.restore("latest", url(target), "--schema-only")
    postgres.sql("INSERT INTO a VALUES (7); INSERT INTO none VALUES (8); SELECT setval('keyed_id_seq', 50)", target)
    with unchanged(postgres, target):
        for dry in ([], ["--dry-run"]):
            line = coffer.fails("restore", "latest", "--to", url(target), "--data-only", *dry, code={FAILED, BUSY}, names="public.a holds rows")
            assert "TRUNCATE" in line
    postgres.sql("TRUNCATE a; SELECT lo_create(4711)", target)
    with unchanged(postgres, target):
        coffer.fails("restore", "latest", "--to", url(target), "--data-only", "--dry-run", code=FAILED, names="large object 4711 is in the way")
        coffer.fails("restore", "latest", "--to", url(target), "--data-only", code=FAILED, names="large object 4711 is in the way")
    postgres.sql("SELECT lo_unlink(4711)", target)
    coffer.restore("latest", url(target), "--data-only")
    assert postgres.value("SELECT lo_get(4711)::text", target) == "\\x6c61726765"
    assert postgres.rows("SELECT * FROM l", target) == postgres.rows("SELECT * FROM a", target) == [(1,)]
    assert postgres.rows("SELECT nextval('keyed_id_seq'), nextval('keyed_down_seq')", target) == [(51, -2)]
    postgres.assert_idle()


def test_a_database_comes_back_without_its_tablespace_under_any_setting(postgres, coffer):
    """Its name looks like a connection string, and where it goes arrays have no nulls."""
    coffer.variables = postgres.variables
    place = postgres.new_name("place")
    postgres.sql(f"SET allow_in_place_tablespaces = on; CREATE TABLESPACE {place} LOCATION ''; CREATE DATABASE \"k=v\" TABLESPACE {place}")
    postgres.psql("dbname='k=v'", "-c", "CREATE TABLE t (a text[] DEFAULT '{NULL}'); INSERT INTO t VALUES ('{NULL,x}')")
    want = postgres.dump("dbname='k=v'")
    coffer.run("backup", "postgres:///k%3Dv")
    postgres.sql(f'DROP DATABASE "k=v"; DROP TABLESPACE {place}')
    try:
        assert place in coffer.restore("latest", "postgres:///k%3Dv", "--create", code=PARTIAL).err
        assert postgres.dump("dbname='k=v'") == want
        # A limit for statements is overruled when a session begins, and takes none of the other settings along.
        postgres.sql('DROP DATABASE "k=v"; CREATE DATABASE "k=v"; ALTER DATABASE "k=v" SET array_nulls = off;'
                     'ALTER DATABASE "k=v" SET statement_timeout = \'10min\'; ALTER DATABASE "k=v" SET default_transaction_read_only = on')
        coffer.restore("latest", "postgres:///k%3Dv")
        assert postgres.dump("dbname='k=v'") == want
    finally:
        postgres.sql('DROP DATABASE IF EXISTS "k=v"')


def test_a_snapshot_of_all_databases_gives_each(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    names = [postgres.make("CREATE TABLE a (i int); INSERT INTO a VALUES (1)"),
             postgres.make("CREATE TABLE b (i int); INSERT INTO b VALUES (2)")]
    others = {name for name, in postgres.rows("SELECT datname FROM pg_database WHERE NOT datistemplate", "postgres")}
    others -= {*names, "postgres"}
    postgres.sql("CREATE TABLE of_server (i int)")
    try:
        coffer.run("backup", "postgres:", "--all-databases")
    finally:
        postgres.sql("DROP TABLE of_server")
    want = [postgres.dump(name) for name in names]
    target = postgres.make()
    coffer.run("restore", f"latest:/{names[1]}", "--to", url(target))
    assert postgres.dump(target) == want[1]
    for name in names:
        postgres.drop(name)
    # What was in the database postgres goes into it again; in the way there, it keeps no other away.
    try:
        err = coffer.run("restore", "latest", "--to", "postgres:", "--create", code=PARTIAL if others else DONE).err
        assert {line.split(": ")[2] for line in err.splitlines()} == others
        assert [postgres.dump(name) for name in names] == want and tables(postgres, "postgres") == {("public", "of_server")}
        postgres.drop(names[1])
        err = coffer.run("restore", "latest", "--to", "postgres:", "--create", code=PARTIAL).err
        assert f"{names[0]}: not restored" in err and "postgres: not restored" in err and postgres.dump(names[1]) == want[1]
    finally:
        postgres.sql("DROP TABLE of_server")
    line = coffer.fails("restore", "latest:/postgres", "--to", "postgres:", "--create", code={FAILED, BUSY})
    assert "--clean" in line
    for name in names:
        postgres.drop(name)
        coffer.run("restore", f"latest:/{name}", "--to", url(name), "--create")
    assert [postgres.dump(name) for name in names] == want


# A part.

def test_one_table_comes_back_with_what_belongs_to_it(postgres, small):
    target = postgres.make()
    # The foreign key to a table that is not there cannot be made, and is told.
    result = small.restore("latest", url(target), "--table", "s.child", code=PARTIAL)
    assert "child_parent_fkey" in result.error_line
    assert tables(postgres, target) == {("s", "child")}
    for query in ("SELECT * FROM s.child ORDER BY id", "SELECT last_value, is_called FROM s.child_id_seq",
                  "SELECT indexdef FROM pg_indexes WHERE tablename = 'child' ORDER BY 1", "SELECT obj_description('s.child'::regclass)",
                  "SELECT tgname FROM pg_trigger WHERE tgrelid = 's.child'::regclass AND NOT tgisinternal"):
        assert postgres.rows(query, target) == postgres.rows(query, small.source), query
    postgres.sql("INSERT INTO s.child (note) VALUES ('quiet')", target)
    assert postgres.value("SELECT note FROM s.child ORDER BY id DESC LIMIT 1", target) == "QUIET"


def test_a_dropped_table_comes_back_into_its_database(postgres, small):
    want = postgres.dump(small.source)
    postgres.sql("DROP TABLE s.child CASCADE", small.source)
    small.restore("latest", url(small.source), "--table", "s.child")
    postgres.sql("CREATE VIEW s.both AS SELECT p.name, c.note FROM s.parent AS p JOIN s.child AS c ON c.parent = p.id;", small.source)
    assert postgres.dump(small.source) == want


def test_a_table_that_is_there_is_not_touched(postgres, small):
    with unchanged(postgres, small.source):
        line = small.fails("restore", "latest", "--to", url(small.source), "--table", "s.child", code={FAILED, BUSY}, names="s.child")
    assert "--clean" in line or "--rename" in line
    postgres.assert_idle()


def test_a_table_comes_back_beside_the_one_that_is_there(postgres, small):
    before = postgres.dump(small.source)
    small.restore("latest", url(small.source), "--table", "s.child", "--rename", "s.child=s.child_yesterday")
    query = "SELECT * FROM s.{} ORDER BY id"
    assert postgres.rows(query.format("child_yesterday"), small.source) == postgres.rows(query.format("child"), small.source)
    assert postgres.value("SELECT count(*) FROM pg_indexes WHERE tablename = 'child_yesterday'", small.source) == 2
    # Its numbers come from a sequence of its own.
    postgres.sql("INSERT INTO s.child_yesterday (note) VALUES ('x')", small.source)
    assert postgres.value("SELECT last_value FROM s.child_id_seq", small.source) == 1000
    postgres.sql("DROP TABLE s.child_yesterday", small.source)
    assert postgres.dump(small.source) == before


def test_a_schema_comes_back_under_another_name(postgres, small):
    small.restore("latest", url(small.source), "--schema", "s", "--rename", "s=s_old")
    assert {("s", "child"), ("s", "parent"), ("s_old", "child"), ("s_old", "parent")} <= tables(postgres, small.source)
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 's_old.child'::regclass AND contype = 'f'"
    assert "s_old.parent" in postgres.value(query, small.source)
    assert "s_old.double" in postgres.value("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 's_old.child'::regclass "
                                            "AND pg_get_expr(adbin, adrelid) LIKE '%double%'", small.source)
    postgres.sql("DROP SCHEMA s CASCADE", small.source)
    assert postgres.value("SELECT count(*) FROM s_old.child", small.source) == 1000


# What a schema may hold besides tables, each used by another.
KINDS = """
CREATE SCHEMA x;
CREATE TYPE x.span AS RANGE (subtype = int);
CREATE TYPE x.named AS RANGE (subtype = text, multirange_type_name = x."Many Named");
CREATE TYPE x.pair AS (a int, b x.span);
CREATE DOMAIN x.positive AS int CHECK (VALUE > 0);
CREATE COLLATION x.bytes FROM "C";
CREATE FUNCTION x.near(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT abs($1 - $2) < 3';
CREATE OPERATOR x.=~= (FUNCTION = x.near, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION x.least(x.span, x.span_multirange) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE AGGREGATE x.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TEXT SEARCH CONFIGURATION x.words (COPY = pg_catalog.simple);
CREATE FUNCTION x.cmp(x.pair, x.pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a - ($2).a';
CREATE OPERATOR CLASS x.near_ops FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int);
CREATE TABLE x.t (id x.positive, s x.span, m x.span_multirange, n x."Many Named", p x.pair, name text COLLATE x.bytes,
	CHECK (id OPERATOR(x.=~=) 5), EXCLUDE USING gist (s WITH &&));
CREATE INDEX hashed ON x.t USING hash ((id::int) x.near_ops);
CREATE STATISTICS x.t_stats ON id, s FROM x.t;
CREATE INDEX found ON x.t USING gin (to_tsvector('x.words', name)); CREATE SEQUENCE x.sq;
CREATE TEXT SEARCH DICTIONARY x.plain (TEMPLATE = simple);
CREATE VIEW x.objects AS SELECT 'x.sq'::regclass AS a, 'x.t'::regtype AS b, 'x.pair[]'::regtype AS c, 'x.near'::regproc AS d, 'x.near(int, int)'::regprocedure AS e,
	'x.cmp(x.pair, x.pair)'::regprocedure AS f, 'x.=~='::regoper AS g, 'x.=~=(int, int)'::regoperator AS h, 'x.bytes'::regcollation AS i, 'x.words'::regconfig AS j,
	'x.plain'::regdictionary AS k, 'x'::regnamespace AS l;
CREATE VIEW x.v AS SELECT x.total(id::int) AS sum, id OPERATOR(x.=~=) 3 AS near, x.least(s, m) FROM x.t GROUP BY id, s, m;
INSERT INTO x.t VALUES (5, '[1,3)', '{[1,3)}', '{[a,b)}', '(1,"[1,2)")', 'n');
"""


@pytest.mark.parametrize("quoted", ["off", "on"])
def test_a_schema_of_every_kind_comes_back_under_another_name(postgres, coffer, quoted):
    coffer.variables = postgres.variables
    name = postgres.make(KINDS)
    postgres.sql(f'ALTER DATABASE "{name}" SET quote_all_identifiers = {quoted}')
    coffer.run("backup", url(name))
    coffer.restore("latest", url(name), "--schema", "x", "--rename", "x=y")
    assert postgres.rows("SELECT * FROM y.v", name) == postgres.rows("SELECT * FROM x.v", name)
    want = re.sub(rb"\bx\b", b"y", postgres.dump(name, "--schema", "x"))
    assert postgres.dump(name, "--schema", "y") == want
    postgres.sql("DROP SCHEMA x CASCADE", name)
    assert postgres.dump(name, "--schema", "y") == want


DEFAULT_RIGHTS = "".join(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO PUBLIC;" for kind in ("TABLES", "SEQUENCES", "ROUTINES", "TYPES", "SCHEMAS"))
RIGHTLESS = SCRIPT + """
CREATE FUNCTION s."odd (f"(s.kind, VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE s.p() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE s.counted(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0'); CREATE TYPE s.span AS RANGE (SUBTYPE = int);
GRANT CREATE ON SCHEMA public TO PUBLIC; COMMENT ON SCHEMA public IS 'all';
CREATE DOMAIN s.d AS int; REVOKE EXECUTE ON FUNCTION s.double(int) FROM PUBLIC; REVOKE USAGE ON TYPE s.d FROM PUBLIC;
CREATE MATERIALIZED VIEW s.names AS SELECT name FROM s.parent; GRANT SELECT (name) ON s.parent TO PUBLIC;
"""


@pytest.mark.parametrize("options", [["--clean"], ["--schema", "s", "--clean"], ["--schema", "s", "--rename", "s=z"]])
def test_what_the_target_grants_by_default_is_not_given_to_what_is_restored(postgres, coffer, options):
    coffer.variables = postgres.variables
    name = postgres.make(RIGHTLESS)
    coffer.run("backup", url(name))
    want = postgres.dump(name)
    postgres.sql(DEFAULT_RIGHTS, name)
    # Of a schema --clean replaces the tables, and warns of the types and functions that stay.
    coffer.restore("latest", url(name), *options, code={DONE, PARTIAL})
    if "--rename" in options:
        postgres.sql("DROP SCHEMA s CASCADE; ALTER SCHEMA z RENAME TO s", name)
    postgres.sql(DEFAULT_RIGHTS.replace("GRANT ALL", "REVOKE ALL").replace(" TO ", " FROM "), name)

    def rights(dump):
        return [line for line in dump.splitlines() if re.match(rb"(GRANT|REVOKE|.*SCHEMA public)", line)]
    assert rights(postgres.dump(name)) == rights(want)


def test_without_privileges_nothing_is_granted_that_the_target_withholds(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (i int); GRANT SELECT ON t TO PUBLIC")
    coffer.run("backup", url(name))
    target = postgres.make("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor")
    coffer.restore("latest", url(target), "--no-privileges")
    assert postgres.rows("SELECT proacl::text FROM pg_proc WHERE proname = 'f'", target) == [("{postgres=X/postgres}",)]
    assert postgres.rows("SELECT relacl::text FROM pg_class WHERE relname = 't'", target) == [("{postgres=arwdDxt/postgres}",)]


OF_EXTENSIONS = """
CREATE SCHEMA x; CREATE EXTENSION hstore WITH SCHEMA x; CREATE EXTENSION pg_trgm WITH SCHEMA public;
CREATE TABLE x.t (h x.hstore DEFAULT 'a=>1', CHECK (h OPERATOR(x.?) 'a'), n text);
CREATE INDEX ON x.t USING gist (h x.gist_hstore_ops); CREATE INDEX ON x.t USING gin (n public.gin_trgm_ops);
CREATE VIEW x.v AS SELECT x.akeys(h) AS k, h OPERATOR(x.->) 'a' AS a, x.n FROM x.t AS x;
INSERT INTO x.t VALUES ('a=>2, b=>3', 'n');
"""


def test_a_schema_with_an_extension_comes_back_under_another_name(postgres, coffer):
    coffer.variables = postgres.variables
    name, target = postgres.make(OF_EXTENSIONS), postgres.make()
    coffer.run("backup", url(name))
    coffer.restore("latest", url(target), "--rename", "x=y")
    assert postgres.rows("SELECT * FROM y.v", target) == [(["a", "b"], "2", "n")]
    postgres.sql("DROP VIEW x.v", name)
    postgres.sql("DROP VIEW y.v", target)
    assert postgres.dump(target) == re.sub(rb"\bx\b", b"y", postgres.dump(name))
    # The extension is there, and stays where it is.
    postgres.sql("DROP TABLE x.t", name)
    coffer.restore("latest", url(name), "--rename", "x=y", "--table", "x.t")
    assert postgres.rows("SELECT * FROM y.t", name) == postgres.rows("SELECT * FROM y.t", target)


NAMED = """
CREATE SCHEMA app; CREATE SCHEMA z; CREATE TABLE z.t (id int); CREATE SEQUENCE app.sq;
CREATE TABLE app.t (id int PRIMARY KEY DEFAULT nextval('app.sq'), note text, CHECK (t.* IS NOT NULL));
CREATE TABLE app.by_text (id int DEFAULT nextval('app.sq'::text), kind text DEFAULT 'app');
CREATE INDEX t_whole ON app.t (id) WHERE t.* IS NOT NULL; CREATE POLICY p ON app.t USING (EXISTS (SELECT FROM z.t AS o WHERE o.id = t.id));
CREATE FUNCTION app.body() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM app.t); END';
CREATE FUNCTION app.path() RETURNS bigint LANGUAGE sql SET search_path = app AS 'SELECT 1';
CREATE FUNCTION app.other() RETURNS text LANGUAGE sql AS $$ SELECT 'app, happ.t' $$;
CREATE PUBLICATION published FOR TABLE app.t; INSERT INTO app.t VALUES (1, 'x'); INSERT INTO z.t VALUES (1); SELECT lo_from_bytea(77, 'x');
COMMENT ON TABLE app.t IS 'app.t';
"""


def test_a_new_name_selects_nothing_and_is_not_in_texts(postgres, coffer):
    coffer.variables = postgres.variables
    name, made = postgres.make(NAMED), postgres.new_name()
    coffer.run("backup", url(name))
    args = ["restore", "latest", "--to", url(made), "--create", "--rename", "app=app2"]
    assert "z.t" in coffer.run(*args, "--dry-run").out
    lines = coffer.run(*args, code=PARTIAL).err.splitlines()
    objects = ["TABLE app.by_text", "FUNCTION app.body()", "FUNCTION app.path()"]
    assert len(lines) == 3 and all(any(o in line for line in lines) for o in objects), lines
    assert tables(postgres, made) == {("app2", "t"), ("app2", "by_text"), ("z", "t")}
    assert postgres.rows("SELECT schemaname, tablename FROM pg_publication_tables", made) == [("app2", "t")]
    assert postgres.value("SELECT convert_from(lo_get(77), 'UTF8')", made) == "x"
    # Beside the present one no publication takes it in.
    coffer.run("restore", "latest", "--to", url(name), "--schema", "app", "--rename", "app=app2", code=PARTIAL)
    coffer.run("restore", "latest", "--to", url(name), "--table", "app.t", "--rename", "app.t=app.u")
    assert postgres.rows("SELECT schemaname, tablename FROM pg_publication_tables", name) == [("app", "t")]
    assert postgres.rows("SELECT * FROM app.u", name) == [(1, "x")]
    coffer.fails("restore", "latest", "--to", url(name), "--table", "app.t", "--rename", "app.t=app." + 64 * "n", code=USAGE, names="63")


def test_a_schema_comes_back_alone(postgres, small):
    target = postgres.make()
    small.restore("latest", url(target), "--schema", "s")
    assert tables(postgres, target) == {("s", "child"), ("s", "parent")}


def test_a_table_may_be_left_out(postgres, small):
    target = postgres.make()
    small.restore("latest", url(target), "--exclude-table", "other")
    assert tables(postgres, target) == {("s", "child"), ("s", "parent")}


def test_every_table_of_the_shop_comes_back_alone(postgres, shop, shop_backup):
    names = postgres.rows("SELECT n.nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN "
                          "('shop', 'data') AND relkind = 'r' AND NOT relispartition ORDER BY 1, 2", shop)
    assert len(names) > 25
    target = postgres.make()
    for schema, table in names:
        shop_backup.restore("latest", url(target), "--table", f'"{schema}"."{table}"', code={DONE, PARTIAL})
        query = f'SELECT t::text FROM ONLY "{schema}"."{table}" AS t ORDER BY 1'
        assert postgres.rows(query, target) == postgres.rows(query, shop), table
        # All but what each of them needs again; faster than another database.
        postgres.execute("DO $$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' "
                         "LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP; CREATE SCHEMA public; END $$", target)


def test_a_partitioned_table_comes_back_with_its_partitions(postgres, shop, shop_backup):
    target = postgres.make()
    shop_backup.restore("latest", url(target), "--table", "shop.event*")
    query = "SELECT * FROM shop.event ORDER BY at, kind, id"
    assert postgres.rows(query, target) == postgres.rows(query, shop)


@pytest.mark.parametrize("option", ["--table", "--schema"])
def test_a_pattern_that_matches_nothing_is_an_error(postgres, small, option):
    target = postgres.make()
    with unchanged(postgres, target):
        small.fails("restore", "latest", "--to", url(target), option, "nonesuch", code={FAILED, USAGE}, names="nonesuch")


def read_bytes(coffer, *args):
    """Run to the end; the bytes the process read by read() and pread(), which the kernel counts."""
    process = coffer.start(*args)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with open(f"/proc/{process.pid}/io", encoding="ascii") as file:
        counted = dict(line.split(": ") for line in file)
    _, err = process.communicate()
    assert process.returncode == DONE, err
    return int(counted["rchar"])


@pytest.mark.native
def test_one_table_of_a_hundred_is_read_without_the_others(postgres, coffer):
    coffer.variables = postgres.variables
    script = "".join(f"CREATE TABLE t{n} AS SELECT g AS id, md5((g * {n + 1})::text) AS a, md5((g + {n})::text) AS b "
                     "FROM generate_series(1, 5000) AS g;" for n in range(100))
    name = postgres.make(script)
    coffer.run("backup", url(name))
    stored = coffer.stored_bytes()
    assert stored > 15 << 20
    one, whole = postgres.make(), postgres.make()
    little = read_bytes(coffer, "restore", "latest", "--to", url(one), "--table", "t42")
    much = read_bytes(coffer, "restore", "latest", "--to", url(whole))
    assert postgres.rows("SELECT * FROM t42 ORDER BY id", one) == postgres.rows("SELECT * FROM t42 ORDER BY id", name)
    assert tables(postgres, one) == {("public", "t42")}
    assert much > stored * 0.8
    assert little < stored * 0.2 and little < much * 0.2, (little, much, stored)


# A disaster, in which some of it does not hold.

TROUBLED = """
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (a int REFERENCES a, note text);
CREATE INDEX b_note ON b (note);
CREATE FUNCTION may(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE TABLE c (id serial, i int CHECK (may(i)));
INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 'one'); INSERT INTO c (i) VALUES (-1);
CREATE OR REPLACE FUNCTION may(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
SET session_replication_role = replica; INSERT INTO b VALUES (2, 'two'); RESET session_replication_role;
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM a';
CREATE MATERIALIZED VIEW m AS SELECT counted();
CREATE MATERIALIZED VIEW sound AS SELECT * FROM a;
"""


@pytest.mark.parametrize("options", [[], ["--schema", "public"]])
def test_what_fails_may_be_left_out(postgres, coffer, options):
    coffer.variables = postgres.variables
    name, target = postgres.make(TROUBLED), postgres.new_name()
    coffer.run("backup", url(name))
    line = coffer.fails("restore", "latest", "--to", url(target), "--create", *options, code=FAILED)
    assert "--keep-going" in line and "worker" not in line and "; ;" not in line
    done = coffer.restore("latest", url(target), "--create", "--keep-going", *options, code=PARTIAL)
    lines = done.err.splitlines()
    assert [word for word in ("FK CONSTRAINT public.b b_a_fkey", "rows of table public.c", "rows of materialized view public.m")
            if not any(word in line for line in lines)] == [], lines
    assert len(lines) == 3
    assert postgres.rows("SELECT * FROM b ORDER BY a", target) == [(1, "one"), (2, "two")]
    assert postgres.rows("SELECT * FROM sound", target) == [(1,)] and postgres.rows("SELECT * FROM c", target) == []
    assert postgres.rows("SELECT nextval('c_id_seq')", target) == [(2,)]
    assert postgres.rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1", target) == [("a_pkey",), ("b_note",)]
    # One table, in one transaction.
    one = postgres.make()
    coffer.fails("restore", "latest", "--to", url(one), "--table", "c", code=FAILED)
    coffer.restore("latest", url(one), "--table", "c", "--keep-going", code=PARTIAL)
    assert tables(postgres, one) == {("public", "c")}
    coffer.restore("latest", url(one), "--table", "b", "--table", "a", "--keep-going", code=PARTIAL)
    assert postgres.rows("SELECT * FROM b ORDER BY a", one) == [(1, "one"), (2, "two")]
    # A view whose rows cannot be had now keeps nothing away.
    coffer.restore("latest", url(one), "--table", "m", code=PARTIAL)
    postgres.assert_idle()


def test_a_setting_that_is_refused_takes_no_other_along(postgres, coffer):
    coffer.variables = postgres.variables
    name, target = postgres.make(), postgres.new_name()
    postgres.sql(f"ALTER DATABASE {name} SET session_replication_role = replica; ALTER DATABASE {name} CONNECTION LIMIT 7;"
                 f"ALTER DATABASE {name} SET search_path = 'a;b', public; CREATE ROLE maker LOGIN CREATEDB")
    coffer.run("backup", url(name))
    try:
        command = ("restore", "latest", "--to", f"postgres://maker@/{target}", "--create", "--no-owner")
        coffer.fails(*command, code=FAILED, names="session_replication_role")
        line = coffer.run(*command, "--keep-going", code=PARTIAL).error_line
        assert f'ALTER DATABASE "{target}" SET session_replication_role: ' in line and "'replica'" not in line
        assert postgres.rows("SELECT setconfig, datconnlimit FROM pg_db_role_setting, pg_database d "
                             f"WHERE d.oid = setdatabase AND datname = '{target}'") == [(['search_path="a;b", public'], 7)]
    finally:
        postgres.drop(target)
        postgres.sql("DROP ROLE maker")


@pytest.mark.parametrize("options", [[], ["--table", "b", "--table", "a"]])
def test_a_key_to_rows_that_were_left_out_keeps_nothing_away(postgres, coffer, options):
    coffer.variables = postgres.variables
    name, target = postgres.make("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int CONSTRAINT key REFERENCES a, note text);"
                                 "CREATE TABLE c (a int CONSTRAINT held REFERENCES a); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 'one')"), postgres.make()
    coffer.run("backup", url(name), "--exclude-table-data", "a")
    assert "FK CONSTRAINT public.b key" in coffer.restore("latest", url(target), *options, code=PARTIAL).error_line
    assert postgres.rows("SELECT * FROM b", target) == [(1, "one")]
    assert [row[0] for row in postgres.rows("SELECT conname FROM pg_constraint WHERE contype = 'f'", target)] == ([] if options else ["held"])
    if not options:
        done = coffer.run("verify", "latest", "--against", "postgres:", code=PARTIAL)
        assert "FAILED" not in done.out and "public.b key" in done.err


# Owners, rights, plans.

def test_a_role_that_is_missing_is_named(postgres, coffer):
    coffer.variables = postgres.variables
    postgres.sql("CREATE ROLE passing_by; CREATE ROLE set_up; CREATE ROLE let_in")
    name = postgres.make("CREATE TABLE t (i int); ALTER TABLE t OWNER TO passing_by; CREATE TABLE u (i int); GRANT SELECT ON u TO passing_by")
    postgres.sql(f"ALTER ROLE set_up IN DATABASE {name} SET role = 'none'; GRANT CREATE ON DATABASE {name} TO let_in")
    coffer.run("backup", url(name))
    postgres.drop(name)
    postgres.sql("DROP ROLE passing_by, set_up, let_in")
    target = postgres.make()
    with unchanged(postgres, target):
        line = coffer.fails("restore", "latest", "--to", url(target), code=FAILED, names="passing_by")
    assert "globals.sql" in line
    postgres.assert_idle()
    coffer.restore("latest", url(target), "--no-owner", "--no-privileges")
    assert postgres.value("SELECT tableowner FROM pg_tables WHERE tablename = 't'", target) == "postgres"
    assert postgres.value("SELECT relacl FROM pg_class WHERE relname = 'u'", target) is None
    # What the database itself needs is missed before it is made, too.
    line = coffer.fails("restore", "latest", "--to", url(name), "--create", code=FAILED)
    assert "no role let_in, passing_by, set_up:" in line and "dropped again" not in line
    line = coffer.restore("latest", url(name), "--create", "--no-owner", "--no-privileges", code=PARTIAL).error_line
    assert 'ALTER ROLE set_up IN DATABASE "' + name in line


def test_a_dry_run_tells_the_plan_and_changes_nothing(postgres, small):
    target = postgres.make()
    with unchanged(postgres, target):
        result = small.restore("latest", url(target), "--dry-run")
        for word in ("s.child", "s.parent", "other"):
            assert word in result.out
        lines = small.restore("latest", url(target), "--dry-run", "--json").stdout
        assert json.loads(lines.splitlines()[-1])
        result = small.restore("latest", url(target), "--dry-run", "--table", "other")
        assert "other" in result.out and "s.child" not in result.out
    with unchanged(postgres, small.source):
        small.fails("restore", "latest", "--to", url(small.source), "--dry-run", code={FAILED, BUSY})
    small.fails("restore", "latest", "--to", url("nonesuch"), "--dry-run", code=FAILED, names="nonesuch")


def test_the_result_is_told_in_figures(postgres, small):
    target = postgres.make()
    done = small.restore("latest", url(target), "--json").json
    assert done["tables"] == 3 and done["rows"] == 1102, done


def test_a_restore_without_the_right_to_create_is_refused(postgres, small):
    postgres.sql("CREATE ROLE nobody_special LOGIN")
    try:
        target = postgres.make("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        with unchanged(postgres, target):
            assert small.fails("restore", "latest", "--to", f"postgres://nobody_special@/{target}", "--no-owner", "--no-privileges", code=FAILED)
    finally:
        postgres.sql("DROP ROLE nobody_special")


def test_a_snapshot_of_another_kind_is_refused(postgres, coffer):
    coffer.variables = postgres.variables
    coffer.backup("stream:x", input=b"x")
    target = postgres.make()
    assert coffer.fails("restore", "latest", "--to", url(target), code={FAILED, USAGE})


def test_options_of_databases_and_files_do_not_mix(postgres, small, tmp_path):
    for args in (["--to", tmp_path / "out", "--table", "x"], ["--to", tmp_path / "out", "--clean"],
                 ["--to", tmp_path / "out", "--rename", "a=b"]):
        small.fails("restore", "latest", *args, code=USAGE)
    small.fails("backup", tmp_path, "--table", "x", code=USAGE, names="--table")
    for args in (["--schema-only", "--data-only"], ["--rename", "nothing"], ["--rename", "a=b=c=d"]):
        small.fails("restore", "latest", "--to", url(small.source), *args, code={USAGE, FAILED})


def test_text_that_does_not_fit_the_targets_encoding_is_told_before(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t (t text); INSERT INTO t VALUES ('漢字')")
    coffer.run("backup", url(name))
    target = postgres.make(None, "-E", "LATIN1", "-T", "template0", "--locale=C")
    with unchanged(postgres, target):
        coffer.fails("restore", "latest", "--to", url(target), code=FAILED, names="LATIN1")
    postgres.assert_idle()


# What goes wrong on the way.

def test_damage_is_told_and_nothing_looks_restored(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a FROM generate_series(1, 50000) AS g")
    coffer.run("backup", url(name))
    bad = coffer.copy(tmp_path / "bad")
    bad.variables = postgres.variables
    largest = max(bad.objects("packs"), key=lambda p: p.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    target = postgres.make()
    line = bad.fails("restore", "latest", "--to", url(target), code=DAMAGED)
    assert "t" in line
    assert "t" not in {t for _, t in tables(postgres, target)} or postgres.value("SELECT count(*) FROM t", target) == 0
    postgres.assert_idle()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_restore_that_is_stopped_leaves_no_session(postgres, coffer, number):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a FROM generate_series(1, 600000) AS g; CREATE INDEX ON t (a)")
    coffer.run("backup", url(name))
    target = postgres.make()
    process = coffer.start("restore", "latest", "--to", url(target))
    servers.wait_for(lambda: any("COPY" in (row[3] or "") for row in postgres.sessions()), 20, "COPY")
    started = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (-number, 128 + number), err
    assert time.monotonic() - started < 3
    assert len(err.splitlines()) <= 1
    postgres.assert_idle(seconds=5)
    # And again, over what it left.
    coffer.restore("latest", url(target), "--clean")
    assert postgres.dump(target) == postgres.dump(name)


def test_a_session_that_is_ended_by_the_server_fails_the_restore(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a FROM generate_series(1, 600000) AS g")
    coffer.run("backup", url(name))
    target = postgres.make()
    process = coffer.start("restore", "latest", "--to", url(target))
    servers.wait_for(lambda: any("COPY" in (row[3] or "") for row in postgres.sessions()), 20, "COPY")
    postgres.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'coffer%' AND query LIKE '%COPY%'")
    _, err = process.communicate(timeout=20)
    assert process.returncode == FAILED, err
    assert len(err.splitlines()) == 1 and b"t" in err
    postgres.assert_idle()


# Verification.

@pytest.mark.parametrize("level", ["quick", "standard", "comprehensive"])
def test_verify_passes_what_is_sound(postgres, shop_backup, level):
    done = shop_backup.run("verify", "latest", "--level", level, "--against", "postgres:", "--json", timeout=120)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert "false" not in done.out or all(line.get("passed", True) for line in lines)
    assert not postgres.rows("SELECT 1 FROM pg_database WHERE datname LIKE 'coffer%'")
    postgres.assert_idle()


# What depends on who the roles of a server are. In the order of names they are made in there.
OF_ROLES = SCRIPT + """
ALTER TABLE s.child ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON s.child TO v_early, "V late" USING (true);
GRANT SELECT ON public.other TO "V late" WITH GRANT OPTION;
GRANT USAGE ON SCHEMA s TO v_group; GRANT SELECT ON s.parent TO v_group;
CREATE MATERIALIZED VIEW s.names AS SELECT name FROM s.parent;
ALTER MATERIALIZED VIEW s.names OWNER TO v_early;
CREATE FUNCTION s.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION s.on_ddl();
ALTER EVENT TRIGGER e OWNER TO v_super;
SET SESSION AUTHORIZATION "V late"; GRANT SELECT ON public.other TO v_early;
"""


@pytest.fixture
def roles(postgres):
    names = ("v_early", '"V late"', "v_group", "v_super")
    postgres.sql("".join(f"CREATE ROLE {name};" for name in names) + "ALTER ROLE v_super SUPERUSER; GRANT v_group TO v_early")
    made = []
    yield made
    for name in made:
        postgres.drop(name)
    postgres.sql("DROP ROLE " + ", ".join(names))


def test_verify_starts_a_server_of_its_own(postgres, coffer, roles):
    coffer.variables = postgres.variables
    roles.append(postgres.make(OF_ROLES))
    # As at a provider whose server lets others own an event trigger.
    postgres.sql("ALTER ROLE v_super NOSUPERUSER VALID UNTIL '2040-01-01'")
    postgres.sql("CREATE TABLE days (at timestamptz DEFAULT '2020-01-01') PARTITION BY RANGE (at);"
                 "CREATE TABLE day PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')", roles[0])
    # Times in definitions are the same wherever they are dumped.
    coffer.run("backup", url(roles[0]), env={"PGOPTIONS": "-c timezone=Europe/Berlin"})
    with servers.open_folder() as scratch:
        env = {**{k: None for k in postgres.variables}, "TMPDIR": scratch}
        done = coffer.run("verify", "latest", "--level", "comprehensive", env=env, timeout=120)
        assert not done.err, done.err
        assert servers.processes(str(scratch)) == set()
        assert list(scratch.iterdir()) == []


TAMPERED = [
    ("standard", "DELETE FROM s.child WHERE id = 500"),
    ("standard", "DROP TABLE public.other"),
    ("standard", "ALTER TABLE s.parent DROP CONSTRAINT IF EXISTS parent_name_key"),
    ("standard", "ALTER TABLE s.child DISABLE TRIGGER shout"),
    ("standard", "CREATE OR REPLACE FUNCTION s.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'"),
    ("comprehensive", "UPDATE s.child SET note = 'changed' WHERE id = 500"),
    ("comprehensive", "SELECT setval('s.child_id_seq', 5)"),
]


@pytest.mark.parametrize("level, statement", TAMPERED)
def test_verify_fails_what_was_changed(postgres, coffer, level, statement):
    """An extension of the server changes what is restored, while its indexes are made."""
    coffer.variables = postgres.variables
    name = postgres.make("CREATE EXTENSION coffer_test;" + SCRIPT + "CREATE INDEX zz ON s.parent (id, name);")
    coffer.run("backup", url(name))
    options = "-c coffer_test.tamper=" + statement.replace("\\", "\\\\").replace(" ", "\\ ")
    result = coffer.run("verify", "latest", "--level", level, "--against", "postgres:", code=DAMAGED, env={"PGOPTIONS": options}, timeout=120)
    assert "failed" in result.out
    postgres.assert_idle()
    assert not postgres.rows("SELECT 1 FROM pg_database WHERE datname LIKE 'coffer%'")


# What a server writes in another way once it has read it.
LISTS = """
CREATE TABLE t (s varchar(10) DEFAULT 'a' CHECK (s IN ('a', 'b')), p text);
CREATE VIEW v AS SELECT * FROM t WHERE s NOT IN ('x', 'y');
CREATE INDEX i ON t (s) WHERE s IN ('q', 'r');
CREATE POLICY p ON t USING (s IN ('a', 'c'));
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW WHEN (new.s IN ('k', 'l')) EXECUTE FUNCTION f();
CREATE DOMAIN d varchar(3) CHECK (value IN ('a', 'b'));
CREATE RULE r AS ON INSERT TO t WHERE new.s IN ('m', 'n') DO INSTEAD NOTHING;
CREATE STATISTICS st ON (s IN ('a', 'b')), p FROM t;
CREATE FUNCTION g(s varchar) RETURNS bool BEGIN ATOMIC SELECT s IN ('a', 'b'); END;
CREATE EXTENSION coffer_test; CREATE INDEX zz ON t (p);
SET quote_all_identifiers = on; CREATE TEXT SEARCH DICTIONARY td (TEMPLATE = simple, stopwords = 'english');
"""


def test_verify_knows_what_the_server_writes_in_another_way(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make(LISTS)
    coffer.run("backup", url(name))
    done = coffer.run("verify", "latest", "--level", "comprehensive", "--against", "postgres:")
    assert "another way" in done.out
    tamper = "ALTER DOMAIN public.d DROP CONSTRAINT d_check; ALTER DOMAIN public.d ADD CONSTRAINT d_check CHECK (value IN ('a', 'B'))"
    # One job: each index that is made tampers.
    done = coffer.run("verify", "latest", "--level", "comprehensive", "--against", "postgres:", "--jobs", "1", code=DAMAGED,
                      env={"PGOPTIONS": "-c coffer_test.tamper=" + tamper.replace(" ", "\\ ")})
    failed = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1 and f"schema {name}" in failed[0] and "DOMAIN public.d differs" in failed[0], done.out


def test_verify_fails_on_damage(postgres, small, tmp_path):
    bad = small.copy(tmp_path / "bad")
    bad.variables = postgres.variables
    for pack in bad.objects("packs"):
        flip(pack, pack.stat().st_size // 3)
    assert bad.run("verify", "latest", "--level", "quick", "--against", "postgres:", code={DAMAGED}).err
    postgres.assert_idle()


def test_verify_that_is_interrupted_leaves_nothing(postgres, shop_backup):
    process = shop_backup.start("verify", "latest", "--against", "postgres:", start_new_session=True)
    servers.wait_for(lambda: postgres.rows("SELECT 1 FROM pg_database WHERE datname LIKE 'coffer%'"), 20, "a scratch database")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    postgres.assert_idle(5)
    assert not postgres.rows("SELECT 1 FROM pg_database WHERE datname LIKE 'coffer%'")


def scratch_databases(postgres):
    return {row[0] for row in postgres.rows("SELECT datname FROM pg_database WHERE datname LIKE 'coffer%'")}


def start_verify(coffer, *args, **options):
    return coffer.start("verify", "latest", *args, start_new_session=True, **options)


def kill_when_there_is_one(postgres, process):
    """kill -9 of a verification that has made its scratch database; its name."""
    before = scratch_databases(postgres)
    servers.wait_for(lambda: scratch_databases(postgres) - before, 20, "a scratch database")
    process.kill()
    process.wait()
    postgres.assert_idle(10)
    return (scratch_databases(postgres) - before).pop()


def test_what_killed_verifications_left_the_next_drops(postgres, small):
    ours = {postgres.make(name=name) for name in ("coffer_verify_mine", "coffer_verify_" + "0" * 32 + "_1")}
    against = ("--against", "postgres:")
    kill_when_there_is_one(postgres, start_verify(small, *against))
    for _ in range(4):
        kill_after(start_verify(small, *against), random.uniform(0, 0.5))
    postgres.assert_idle(10)
    left = scratch_databases(postgres) - ours
    result = small.run("verify", "latest", *against, "--json").json
    assert scratch_databases(postgres) == ours
    assert {check["object"] for check in result["checks"] if check["name"] == "leftover"} == left
    assert result["passed"] and result["warnings"] == 0


def test_verifications_leave_each_others_databases_alone(postgres, small):
    against = ("--against", "postgres:")
    stopped = start_verify(small, *against)
    servers.wait_for(lambda: scratch_databases(postgres), 20, "a scratch database")
    stopped.send_signal(signal.SIGSTOP)
    running = scratch_databases(postgres)
    result = small.run("verify", "latest", *against)
    assert "leftover" not in result.out and scratch_databases(postgres) == running
    stopped.send_signal(signal.SIGCONT)
    beside = start_verify(small, *against)
    for process in (stopped, beside):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and b"leftover" not in out, err
    assert scratch_databases(postgres) == set()


def test_who_is_in_a_scratch_database_does_not_keep_it(postgres, small):
    """Such as a pooler, which keeps connections."""
    process = start_verify(small, "--against", "postgres:")
    name = servers.wait_for(lambda: scratch_databases(postgres), 20, "a scratch database").pop()
    with contextlib.closing(postgres.connect(name)):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert scratch_databases(postgres) == set()


def test_what_may_not_be_dropped_is_named_with_the_command(postgres, coffer):
    coffer.variables = postgres.variables
    postgres.sql("CREATE ROLE maker LOGIN CREATEDB")
    name = postgres.make(None, "-O", "maker")
    try:
        # A template cannot be dropped as it is.
        postgres.sql(f"SET ROLE maker; CREATE TABLE t AS SELECT 1 AS a; RESET ROLE; ALTER DATABASE {name} IS_TEMPLATE true", name)
        coffer.run("backup", url(name))
        left = kill_when_there_is_one(postgres, start_verify(coffer, "--against", "postgres:"))
        postgres.sql(f"ALTER DATABASE {left} OWNER TO postgres; ALTER DATABASE {left} IS_TEMPLATE true")
        warned = coffer.run("verify", "latest", "--against", "postgres:", code=PARTIAL, env={"PGUSER": "maker"})
        command = warned.error_line.split(": use ")[1]
        assert f"DROP DATABASE {left}" in command and scratch_databases(postgres) == {left}
        postgres.sql(command)
        assert scratch_databases(postgres) == set()
    finally:
        postgres.sql(f"ALTER DATABASE {name} IS_TEMPLATE false")
        postgres.drop(name)
        postgres.sql("DROP ROLE maker")


def test_a_killed_verification_takes_its_own_server_along(postgres, small):
    with servers.open_folder() as scratch:
        env = {**{k: None for k in postgres.variables}, "TMPDIR": scratch}
        process = start_verify(small, env=env)
        servers.wait_for(lambda: any(scratch.glob("*/work/data/base")), 20, "a server")
        time.sleep(random.uniform(0, 1))
        process.kill()
        process.wait()
        servers.wait_for(lambda: not any(scratch.iterdir()) and not servers.processes(str(scratch)), 15, "the end of it")
        # Nor does it matter for long when nobody is left to do that.
        process = start_verify(small, env=env)
        servers.wait_for(lambda: any(scratch.glob("*/work/.s.PGSQL*")), 20, "a server")
        servers.kill_keepers(scratch)
        process.kill()
        process.wait()
        left = [str(path) for path in scratch.iterdir()]
        found = small.run("verify", "latest", "--level", "quick", "--json", env=env).json["checks"]
        assert [check["object"] for check in found if check["name"] == "leftover"] == left and len(left) == 1
        assert list(scratch.iterdir()) == [] and servers.processes(str(scratch)) == set()
