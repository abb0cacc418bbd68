"""PostgreSQL of another version than the client programs: saved, and restored there and into a newer server."""

import pytest
import servers
from harness import FAILED, PARTIAL

pytestmark = pytest.mark.slow

SCRIPT = """
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('sad', 'it''s');
CREATE TABLE s.parent (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood s.mood DEFAULT 'sad', double int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE s.child (id serial PRIMARY KEY, parent int REFERENCES s.parent, f float8, d date) PARTITION BY RANGE (id);
CREATE TABLE s.child_1 PARTITION OF s.child FOR VALUES FROM (1) TO (50);
CREATE TABLE s.child_rest PARTITION OF s.child DEFAULT;
CREATE INDEX child_date ON s.child (d);
CREATE STATISTICS s.both ON parent, (f * 2) FROM s.child;
INSERT INTO s.parent (mood) SELECT 'it''s' FROM generate_series(1, 20);
INSERT INTO s.child (parent, f, d) SELECT 1 + g % 20, 0.1 * g, date '2020-01-01' + g FROM generate_series(1, 100) AS g;
CREATE VIEW s.moods AS SELECT mood, count(*) AS n FROM s.parent JOIN s.child ON child.parent = s.parent.id GROUP BY mood;
CREATE MATERIALIZED VIEW s.sums AS SELECT parent, sum(f) AS f FROM s.child GROUP BY parent;
CREATE FUNCTION s.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER note BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.note();
CREATE ROLE older_reader;
GRANT USAGE ON SCHEMA s TO older_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA s TO older_reader;
CREATE PUBLICATION p FOR TABLE s.parent;
SELECT lo_from_bytea(700, '\\\\x00ff');
"""


@pytest.fixture(scope="module")
def older():
    try:
        server = servers.OlderPostgres()
    except servers.Unavailable as why:
        pytest.skip(str(why))
    yield server
    server.remove()


def text(server, database):
    """pg_dump's text without the line that names the server's version."""
    return [line for line in server.dump(database).splitlines() if not line.startswith(b"-- Dumped from")]


def test_an_older_server_is_saved_and_restored_and_upgraded(older, postgres, coffer):
    coffer.variables = older.variables
    older.make(SCRIPT, name="closed")
    # As was the advice before PostgreSQL 15, where it is so from the start.
    older.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "closed")
    older.make("CREATE TABLE t (a int)", name="open")
    coffer.run("backup", "postgres://", "--all-databases")
    coffer.run("verify", "latest", "--against", "postgres:///", "--level", "comprehensive", timeout=120)
    for name in ("closed", "open"):
        coffer.restore(f"latest:/{name}", f"postgres:///{name}_again", "--create")
        assert text(older, f"{name}_again") == text(older, name)
    # The schema is the superuser's there, whoever makes the database.
    older.execute("CREATE ROLE maker LOGIN CREATEDB")
    made = coffer.restore("latest:/closed", "postgres://maker@/made", "--create", "--no-owner", "--exclude-table", "*.*", code=PARTIAL)
    assert "everybody may create in schema public" in made.err
    coffer.restore("latest:/open", "postgres://maker@/made_open", "--create", "--no-owner")

    coffer.variables = postgres.variables
    postgres.execute("CREATE ROLE older_reader")
    try:
        for name in ("closed", "open"):
            coffer.restore(f"latest:/{name}", f"postgres:///{name}_new", "--create")
            assert text(postgres, f"{name}_new") == text(older, name)
    finally:
        postgres.drop("closed_new")
        postgres.execute("DROP ROLE older_reader")


def test_a_newer_database_does_not_go_into_an_older_server(older, postgres, coffer):
    coffer.variables = postgres.variables
    coffer.backup(f"postgres:///{postgres.make('CREATE TABLE t (a int)')}")
    coffer.variables = older.variables
    failed = coffer.run("restore", "latest", "--to", "postgres:///newer", "--create", code=FAILED)
    assert "the target runs PostgreSQL 14, the snapshot is of 15" in failed.err
    assert not older.exists("newer")
