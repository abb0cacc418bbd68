"""Whole PostgreSQL databases, and all of a server's: replaced, brought back, dropped again."""

import contextlib

import pytest
import servers
from harness import BUSY, FAILED, PARTIAL

# What keeps a server from dropping a database, and us from helping that.
STUBBORN = """
CREATE TABLE t AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
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
        with contextlib.closing(postgres.connect(name)):
            coffer.fails("restore", "latest", "--to", url(name), "--create", "--clean", "--dry-run", code=BUSY, names=name)
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


# All of a server.

@pytest.fixture(scope="module")
def other():
    """A second server, with roles and databases of its own."""
    server = servers.Postgres()
    yield server
    server.remove()


def load_globals(script, server):
    """As a person does: the first user is there already, which is told and does no harm."""
    return servers.run("psql", "-X", "-q", "postgres", env=server.env(), input=script.encode()).stderr.decode().splitlines()


def test_globals_load_into_an_empty_cluster(postgres, shop_backup, other, tmp_path):
    shop_backup.restore("latest", tmp_path / "out")
    script = (tmp_path / "out/globals.sql").read_text(encoding="utf-8")
    here, there = postgres.variables["PG_TABLESPACE"], other.variables["PG_TABLESPACE"]
    assert here in script
    assert len(load_globals(script.replace(here, there), other)) == 1
    want = servers.run("pg_dumpall", "-g", "--restrict-key=x", env=postgres.env()).stdout.decode().replace(here, there)
    got = servers.run("pg_dumpall", "-g", "--restrict-key=x", env=other.env()).stdout.decode()
    # Settings of a role in a database come with the database.
    assert [line for line in got.splitlines() if "IN DATABASE" not in line] == [
        line for line in want.splitlines() if "IN DATABASE" not in line]
    # Passwords came along, as hashes.
    assert "SCRAM-SHA-256" in got
    target = other.make()
    servers.run("pg_restore", "-e", "-d", target, tmp_path / "out/shop/schema.dump", env=other.env())
    other.drop(target)


# Of the databases that every server has.
PROPERTIES = """
CREATE ROLE owning; CREATE ROLE app LOGIN; CREATE ROLE mon;
ALTER DATABASE postgres OWNER TO owning; ALTER DATABASE postgres CONNECTION LIMIT 17;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO mon WITH GRANT OPTION;
SET ROLE mon; GRANT CONNECT ON DATABASE postgres TO app; RESET ROLE;
ALTER DATABASE postgres SET search_path = "$user", "a; b", public;
ALTER ROLE app IN DATABASE template1 SET app.text = 'it''s; "odd"';
COMMENT ON DATABASE postgres IS 'ours; not yours'; COMMENT ON DATABASE template1 IS NULL;
"""
ALL_ROLES = r"""
ALTER ROLE ALL SET search_path = "$user", "we""ird, \ x", public; ALTER ROLE ALL SET app.text = E'a\nb\\c''d';
"""
UNDONE = """
ALTER DATABASE postgres OWNER TO postgres; ALTER DATABASE postgres CONNECTION LIMIT -1;
ALTER DATABASE postgres RESET ALL; ALTER ROLE app IN DATABASE template1 RESET ALL; ALTER ROLE ALL RESET ALL;
UPDATE pg_database SET datacl = NULL WHERE datname = 'postgres';
UPDATE pg_database SET datacl = '{=c/postgres,postgres=CTc/postgres}' WHERE datname = 'template1';
COMMENT ON DATABASE postgres IS 'default administrative connection database';
COMMENT ON DATABASE template1 IS 'default template for new databases';
"""


def properties(server):
    return server.rows(
        "SELECT datname, datdba::regrole::text, datconnlimit, datistemplate, shobj_description(d.oid, 'pg_database'),"
        " (SELECT array_agg(a::text ORDER BY a::text) FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) a),"
        " (SELECT array_agg(setrole || array_to_string(setconfig, '|') ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)"
        " FROM pg_database d WHERE datname IN ('postgres', 'template1') ORDER BY 1")


def test_a_whole_cluster_comes_back(other, coffer):
    coffer.variables = other.variables
    initial = properties(other)
    other.sql(PROPERTIES + ALL_ROLES)
    name = other.make("CREATE TABLE t AS SELECT 1 AS a")
    want, roles = properties(other), "SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = 0"
    of_roles = other.rows(roles)
    coffer.run("backup", "postgres:", "--all-databases")
    other.sql(UNDONE)
    other.drop(name)
    assert properties(other) == initial and other.rows(roles) == []
    load_globals(coffer.run("dump", "latest:globals.sql").out, other)
    assert other.rows(roles) == of_roles
    everything = ("restore", "latest", "--to", "postgres:", "--create")
    told = coffer.run(*everything, "--dry-run").out
    assert "set owner, rights, settings, connection limit, comment of database postgres" in told and properties(other) == initial
    coffer.run(*everything)
    assert properties(other) == want and other.exists(name)
    # What has been changed since stays, and is named; what is the same is not.
    other.sql("ALTER DATABASE postgres OWNER TO app; ALTER DATABASE postgres SET work_mem = '1MB'")
    other.drop(name)
    changed = properties(other)
    for dry in (["--dry-run"], []):
        line = coffer.run(*everything, *dry, code=PARTIAL).error_line
        assert "database postgres keeps its owner, rights, settings" in line
    assert properties(other) == changed
    coffer.run(*everything, "--clean")
    assert properties(other) == want
