"""Whole PostgreSQL databases, and all of a server's: replaced, brought back, dropped again."""

import contextlib

import pytest
import servers
from harness import FAILED, PARTIAL

# What keeps a server from dropping a database, and us from helping that.
STUBBORN = """
CREATE TABLE t AS SELECT 1 AS a;
CREATE SUBSCRIPTION "In" CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = far);
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no changes'; END $$;
CREATE EVENT TRIGGER refusing ON ddl_command_start EXECUTE FUNCTION refuse();
ALTER EVENT TRIGGER refusing ENABLE ALWAYS;
"""
# By hand, as messages say.
DETACH = ('ALTER SUBSCRIPTION "In" DISABLE', 'ALTER SUBSCRIPTION "In" SET (slot_name = NONE)', 'DROP SUBSCRIPTION "In"')


def url(database=""):
    return f"postgres:///{database}"


def databases(postgres):
    return {name for name, in postgres.rows("SELECT datname FROM pg_database")}


@contextlib.contextmanager
def removed(postgres, name):
    """A database made of STUBBORN, gone afterwards."""
    try:
        yield name
    finally:
        postgres.sql(f"ALTER DATABASE {name} RESET ALL; ALTER DATABASE {name} IS_TEMPLATE false")
        postgres.sql("DROP EVENT TRIGGER IF EXISTS refusing", name)
        if postgres.rows("SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid AND datname = %s", parameters=(name,)):
            postgres.sql(";".join(DETACH), name)
        postgres.drop(name)


def test_a_verification_drops_whatever_it_made(postgres, coffer):
    coffer.variables = postgres.variables
    with removed(postgres, postgres.make(STUBBORN)) as name:
        postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on; ALTER DATABASE {name} IS_TEMPLATE true")
        coffer.run("backup", url(name))
        before = databases(postgres)
        # Where others are made may be read only, too.
        postgres.sql("ALTER DATABASE postgres SET default_transaction_read_only = on")
        try:
            coffer.run("verify", "latest", "--against", "postgres:")
        finally:
            postgres.sql("SET default_transaction_read_only = off; ALTER DATABASE postgres RESET ALL")
        assert databases(postgres) == before


def test_a_template_is_replaced(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t AS SELECT 1 AS a")
    postgres.sql(f"ALTER DATABASE {name} IS_TEMPLATE true")
    try:
        want = postgres.dump(name)
        coffer.run("backup", url(name))
        postgres.sql("CREATE TABLE u (b int)", name)
        coffer.restore("latest", url(name), "--create", "--clean")
        assert postgres.dump(name) == want
        assert postgres.value(f"SELECT datistemplate FROM pg_database WHERE datname = '{name}'")
    finally:
        postgres.sql(f"ALTER DATABASE {name} IS_TEMPLATE false")


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_replication_is_not_dropped_with_its_database(postgres, coffer, dry):
    coffer.variables = postgres.variables
    source = postgres.make("CREATE TABLE t AS SELECT 1 AS a")
    coffer.run("backup", url(source))
    anew = ("--create", "--clean", *dry)
    with removed(postgres, postgres.make(STUBBORN)) as name:
        line = coffer.fails("restore", "latest", "--to", url(name), *anew, code=FAILED, names=[name, "subscription In", *DETACH])
        assert postgres.exists(name)
        postgres.sql("DROP EVENT TRIGGER refusing;" + ";".join(s for s in DETACH if s in line), name)
        coffer.restore("latest", url(name), *anew)
    name = postgres.make("SELECT pg_create_logical_replication_slot('followed', 'test_decoding')")
    line = coffer.fails("restore", "latest", "--to", url(name), *anew, code=FAILED, names=[name, "slot followed"])
    assert postgres.value("SELECT count(*) FROM pg_replication_slots") == 1
    postgres.sql(line[line.index("SELECT pg_drop"):], name)
    coffer.restore("latest", url(name), *anew)


@pytest.mark.parametrize("options", [(), ("--table", "t")])
def test_a_table_that_leaves_a_subscription_is_named(postgres, coffer, options):
    coffer.variables = postgres.variables
    script = "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE u (b int);"
    source, name = postgres.make(script + "CREATE PUBLICATION p FOR TABLE t, u"), postgres.make(script)
    coffer.run("backup", url(source))
    v = postgres.variables
    postgres.sql(f"CREATE SUBSCRIPTION follower CONNECTION 'host={v['PGHOST']} port={v['PGPORT']} user=postgres dbname={source}' "
                 "PUBLICATION p WITH (create_slot = false, slot_name = NONE, enabled = false, copy_data = false)", name)
    for dry in (["--dry-run"], []):
        err = coffer.restore("latest", url(name), "--clean", *options, *dry, code=PARTIAL).err
        assert err.count("subscription follower") == (1 if options else 2) and "public.t" in err
    left = postgres.rows("SELECT srrelid::regclass::text FROM pg_subscription_rel", name)
    assert left == ([("u",)] if options else [])


@pytest.mark.parametrize("name, dry", [("postgres", []), ("template1", []), ("template1", ["--dry-run"])])
def test_what_every_server_has_is_not_made_anew(postgres, coffer, name, dry):
    coffer.variables = postgres.variables
    coffer.run("backup", url(postgres.make()))
    coffer.fails("restore", "latest", "--to", url(name), "--create", "--clean", *dry, code=FAILED, names=[name, "--create"])
    assert postgres.exists(name)
