"""Backups of PostgreSQL: what is in a snapshot's tree, and that PostgreSQL's own programs take it from there."""

import json

import pytest
import servers
from harness import FAILED, PARTIAL, USAGE

EMPTY = ("CREATE TABLE a (id int PRIMARY KEY, t text); INSERT INTO a SELECT g, 'row ' || g FROM generate_series(1, 1000) AS g; "
         "CREATE SCHEMA s; CREATE TABLE s.a (id int); INSERT INTO s.a VALUES (1); CREATE TABLE s.b (id int); "
         "INSERT INTO s.b VALUES (2), (3);")


def text_of(value):
    """A text of the manifest; what is no UTF-8 stands there in hexadecimal."""
    return value if isinstance(value, str) else bytes.fromhex(value["bytes"]).decode("utf-8", "surrogateescape")


class Tree:
    """The folder of one database in a restored snapshot."""

    def __init__(self, folder):
        self.folder = folder
        self.manifest = json.loads((folder / "database.json").read_text(encoding="utf-8"))
        self.tables = {(text_of(t["schema"]), text_of(t["name"])): t for t in self.manifest["tables"]}

    def data(self, schema, name):
        return (self.folder / text_of(self.tables[schema, name]["file"])).read_bytes()

    def script(self, schema, name):
        path = self.folder / text_of(self.tables[schema, name]["file"])
        assert path.suffix == ".copy"
        return path.with_suffix(".sql")

    def with_data(self):
        return [key for key, table in self.tables.items() if table.get("file")]

    def of_extensions(self):
        """Tables that an extension makes have no script of their own."""
        return [key for key, table in self.tables.items() if table.get("extension")]


def tree_of(coffer, target, snapshot="latest", database="shop"):
    coffer.restore(snapshot, target)
    return Tree(target / database)


@pytest.fixture(scope="module")
def tree(shop_backup, tmp_path_factory):
    return tree_of(shop_backup, tmp_path_factory.mktemp("tree") / "out")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_tree_has_what_the_guide_says(tree):
    top = tree.folder.parent
    assert {p.name for p in top.iterdir()} == {"server.json", "globals.sql", "shop"}
    assert {"database.json", "schema.dump", "schema.sql", "sequences.sql", "tables", "large-objects",
            "large-objects.sql"} == {p.name for p in tree.folder.iterdir()}


def test_facts_tell_where_a_snapshot_comes_from(postgres, shop_backup, tree):
    server = json.loads((tree.folder.parent / "server.json").read_text())
    assert str(postgres.value("SELECT system_identifier FROM pg_control_system()")) in json.dumps(server)
    snapshot = shop_backup.snapshots()
    facts = json.dumps(snapshot)
    for word in ("UTF8", postgres.value("SHOW server_version").split()[0]):
        assert word in json.dumps(server), server
    assert "postgres://[local]:" + postgres.port + "/shop" in facts
    assert "secret" not in facts and "postgres@" not in facts


def test_every_table_with_rows_of_its_own_is_there_and_no_other(postgres, shop, tree):
    want = postgres.rows("""
        SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        LEFT JOIN pg_extension e ON e.oid = d.refobjid
        WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$' AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))""",
                         shop)
    assert set(tree.with_data()) == set(want)


def test_data_is_what_copy_gives(postgres, shop, tree):
    for (schema, name), table in tree.tables.items():
        if not table.get("file"):
            continue
        columns = ", ".join(ident(text_of(c)) for c in table["columns"])
        where = text_of(table.get("condition", ""))
        source = f"(SELECT {columns} FROM ONLY {ident(schema)}.{ident(name)} {where})"
        with postgres.connect(shop) as connection, connection.cursor() as cursor:
            cursor.execute("SET search_path = ''; SET extra_float_digits = 3; SET datestyle = ISO; SET intervalstyle = postgres")
            piece = Sink()
            cursor.copy_expert(f"COPY {source} TO STDOUT", piece)
        assert tree.data(schema, name) == bytes(piece.data), (schema, name)
        assert table.get("rows", 0) == bytes(piece.data).count(b"\n")
        assert table.get("bytes", 0) == len(piece.data)


class Sink:
    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data if isinstance(data, bytes) else data.encode()


def ident(name):
    return '"' + name.replace('"', '""') + '"'


def test_generated_and_dropped_columns_are_left_out(tree):
    assert [text_of(c) for c in tree.tables["shop", "customer"]["columns"]] == [
        "id", "name", "email", "address", "mood", "best_order", "created"]
    assert tree.tables["shop", "no_columns"]["rows"] == 3


def test_file_names_are_plain_and_different(tree):
    names = [p.name for p in (tree.folder / "tables").iterdir()]
    assert len(names) == 2 * len(tree.with_data()) - len(tree.of_extensions())
    for name in names:
        assert len(name.encode()) <= 255 and not name.startswith(("-", ".", "~")) and "\n" not in name and name.isprintable()
    assert len({name.casefold() for name in names}) >= len(names) - 4
    assert "shop.orders.copy" in names and "shop.orders.sql" in names
    assert any("grüße" in name for name in names)


def test_pg_restore_takes_the_schema_archive(postgres, shop, tree):
    env = postgres.env()
    assert b"TABLE shop orders" in servers.run("pg_restore", "-l", tree.folder / "schema.dump", env=env).stdout
    whole, parts = postgres.make(), postgres.make()
    servers.run("pg_restore", "-e", "-d", whole, tree.folder / "schema.dump", env=env)
    for section in ("pre-data", "data", "post-data"):
        servers.run("pg_restore", "-e", f"--section={section}", "-d", parts, tree.folder / "schema.dump", env=env)
    want = postgres.dump(shop, "-s")
    assert postgres.dump(whole, "-s") == want
    assert postgres.dump(parts, "-s") == want


def test_a_person_can_put_a_database_together_by_hand(postgres, shop, tree):
    """schema.dump, the bare data and the scripts, with psql and pg_restore alone."""
    env, target = postgres.env(), postgres.make()
    servers.run("pg_restore", "-e", "--section=pre-data", "-d", target, tree.folder / "schema.dump", env=env)
    for schema, name in tree.with_data():
        table = tree.tables[schema, name]
        columns = ", ".join(ident(text_of(c)) for c in table["columns"])
        columns = f"({columns})" if columns else ""
        with postgres.connect(target) as connection, connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            with open(tree.folder / table["file"], "rb") as file:
                cursor.copy_expert(f"COPY {ident(schema)}.{ident(name)} {columns} FROM STDIN", file)
    postgres.psql(target, "-o", "/dev/null", "-f", tree.folder / "sequences.sql")
    postgres.psql(target, "-o", "/dev/null", "-f", tree.folder / "large-objects.sql")
    want = {row[0]: bytes(row[1]) for row in postgres.rows(
        "SELECT oid::text, lo_get(oid) FROM pg_largeobject_metadata", shop)}
    for oid, content in want.items():
        assert (tree.folder / "large-objects" / oid).read_bytes() == content
    servers.run("pg_restore", "-e", "--section=post-data", "-d", target, tree.folder / "schema.dump", env=env)
    for view in ("zz_base", "aa_above", "totals", "totals_of_totals"):
        postgres.sql(f"REFRESH MATERIALIZED VIEW shop.{view}", target)
    left, right = postgres.dump(shop, "--no-blobs"), postgres.dump(target, "--no-blobs")
    assert left == right
    about = "SELECT oid, lomowner::regrole::text, lomacl::text, obj_description(oid, 'pg_largeobject') FROM pg_largeobject_metadata"
    assert sorted(postgres.rows(about, shop)) == sorted(postgres.rows(about, target))


def test_schema_text_loads_by_psql(postgres, shop, tree):
    target = postgres.make()
    postgres.psql(target, "-o", "/dev/null", "-f", tree.folder / "schema.sql")
    assert postgres.dump(target, "-s") == postgres.dump(shop, "-s")


EMPTIED = """
DO $$ DECLARE what text; BEGIN
    FOR what IN SELECT format('EXTENSION %I', extname) FROM pg_extension WHERE extname <> 'plpgsql'
        UNION ALL SELECT format('SCHEMA %I', nspname) FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$|^public$'
        UNION ALL SELECT format('LANGUAGE %I', lanname) FROM pg_language WHERE oid >= 16384 AND lanname <> 'plpgsql'
        UNION ALL SELECT format('ACCESS METHOD %I', amname) FROM pg_am WHERE oid >= 16384
    LOOP EXECUTE 'DROP ' || replace(what, 'EXTENSION', 'EXTENSION IF EXISTS') || ' CASCADE'; END LOOP;
END $$
"""


def test_the_script_of_every_table_loads_into_an_empty_database(postgres, shop, tree):
    target, failed = postgres.make(), []
    for schema, name in tree.with_data():
        if (schema, name) in tree.of_extensions():
            continue
        done = postgres.psql(target, "-o", "/dev/null", "-f", tree.script(schema, name), code=None)
        if done.returncode:
            failed.append((schema, name, done.stderr[-500:]))
        else:
            columns = ", ".join(ident(text_of(c)) for c in tree.tables[schema, name]["columns"])
            query = f"SELECT {columns} FROM ONLY {ident(schema)}.{ident(name)}"
            if columns:
                query = f"SELECT t::text FROM ({query}) AS t ORDER BY 1"
            if postgres.rows(query, target) != postgres.rows(query, shop):
                failed.append((schema, name, "other rows"))
        with postgres.connect(target) as connection, connection.cursor() as cursor:
            cursor.execute(EMPTIED)
    assert not failed


SHARED = """
CREATE SCHEMA s; COMMENT ON SCHEMA s IS 'shared'; CREATE TYPE s.mood AS ENUM ('sad', 'ok'); COMMENT ON TYPE s.mood IS 'm';
CREATE DOMAIN s.pos AS int CHECK (VALUE > 0); ALTER DOMAIN s.pos ADD CONSTRAINT small CHECK (VALUE < 9) NOT VALID;
COMMENT ON CONSTRAINT small ON DOMAIN s.pos IS 'c'; CREATE SEQUENCE s.q; CREATE TEXT SEARCH CONFIGURATION s.words (COPY = simple);
CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT $1 + 1; END;
CREATE FUNCTION s.quoted() RETURNS trigger LANGUAGE plpgsql AS $sql1$BEGIN RETURN new; /* $do2$ */ END$sql1$;
CREATE TABLE s.parent (id int DEFAULT nextval('s.q'), m s.mood, p s.pos); COMMENT ON COLUMN s.parent.id IS 'id';
CREATE TABLE s.a (w text, f int GENERATED ALWAYS AS (s.f(1)) STORED) INHERITS (s.parent);
CREATE TABLE s.b (w text CHECK (to_tsvector('s.words', w) <> ''), f int GENERATED ALWAYS AS (s.f(1)) STORED) INHERITS (s.parent);
CREATE TRIGGER t BEFORE INSERT ON s.a FOR EACH ROW EXECUTE FUNCTION s.quoted();
CREATE TRIGGER t BEFORE INSERT ON s.b FOR EACH ROW EXECUTE FUNCTION s.quoted();
CREATE INDEX ON s.a (to_tsvector('s.words', w));
INSERT INTO s.a VALUES (DEFAULT, 'ok', 1, 'x'); INSERT INTO s.b VALUES (DEFAULT, 'sad', 2, 'y');
"""


def test_scripts_of_tables_share_what_they_need(postgres, coffer, tmp_path):
    """What is there stays as it is; the table itself must not be there."""
    coffer.variables = postgres.variables
    name = postgres.make(SHARED)
    coffer.run("backup", f"postgres:///{name}")
    scripts = {t: coffer.run("dump", f"latest:{name}/tables/s.{t}.sql").stdout for t in ("parent", "a", "b")}
    target = postgres.make()
    for table in ("parent", "a"):
        postgres.psql(target, "-o", "/dev/null", input=scripts[table])
    postgres.sql("COMMENT ON TYPE s.mood IS 'mine'; SELECT setval('s.q', 70)", target)
    postgres.psql(target, "-o", "/dev/null", "-1", input=scripts["b"])
    assert postgres.value("SELECT obj_description('s.mood'::regtype)", target) == "mine"
    assert postgres.value("SELECT nextval('s.q')", target) == 71
    postgres.sql("COMMENT ON TYPE s.mood IS 'm'; SELECT setval('s.q', 2)", target)
    assert postgres.dump(target) == postgres.dump(name)
    assert b'relation "a" already exists' in postgres.psql(target, "-o", "/dev/null", input=scripts["a"], code=3).stderr
    # A restore of one table does the same.
    postgres.sql("DROP TABLE s.b", target)
    coffer.restore("latest", f"postgres:///{target}", "--table", "s.b")
    assert postgres.dump(target) == postgres.dump(name)


def test_the_script_of_a_table_brings_all_that_belongs_to_it(postgres, shop, tree):
    target = postgres.make()
    postgres.psql(target, "-o", "/dev/null", "-f", tree.script("shop", "orders"))
    for query in ("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'orders' ORDER BY 1",
                  "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND "
                  "(contype <> 'f' OR confrelid = conrelid) AND conparentid = 0 ORDER BY 1",
                  "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass AND NOT tgisinternal "
                  "ORDER BY 1",
                  "SELECT last_value, is_called FROM shop.orders_id_seq",
                  "SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'shop.orders'::regclass ORDER BY 1",
                  "SELECT obj_description('shop.orders'::regclass)"):
        assert postgres.rows(query, target) == postgres.rows(query, shop), query
    # It may be used at once: the next number is a new one.
    postgres.sql("INSERT INTO shop.orders (customer, amount) VALUES (1000, 5)", target)


def test_dumping_an_unchanged_database_again_stores_next_to_nothing(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a FROM generate_series(1, 100000) AS g;" + EMPTY)
    first = coffer.backup(f"postgres:///{name}")
    second = coffer.backup(f"postgres:///{name}")
    assert second["bytes_stored"] < first["bytes_stored"] * 0.01 + 20_000
    coffer.restore(first["snapshot"], tmp_path / "a")
    coffer.restore(second["snapshot"], tmp_path / "b")
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {path for path in a if a[path] != b.get(path)} <= {"server.json", f"{name}/schema.dump"}
    assert set(a) == set(b)


def test_a_table_takes_its_place_once(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t AS SELECT g AS id, md5(g::text) || md5((-g)::text) AS a "
                         "FROM generate_series(1, 200000) AS g")
    made = coffer.backup(f"postgres:///{name}")
    data = postgres.value("SELECT sum(length(id::text) + length(a) + 2) FROM t", name)
    assert made["bytes_stored"] < data * 0.75, "both the data and the script of a table were stored"
    assert made["bytes_stored"] > data * 0.4


@pytest.mark.parametrize("options, tables", [
    (["--table", "a"], {("public", "a"), ("s", "a")}),
    (["--table", "s.*"], {("s", "a"), ("s", "b")}),
    (["--table", "*.a"], {("public", "a"), ("s", "a")}),
    (["--schema", "s"], {("s", "a"), ("s", "b")}),
    (["--schema", "s", "--exclude-table", "s.b"], {("s", "a")}),
    (["--exclude-table", "*.b"], {("public", "a"), ("s", "a")}),
    (["--exclude-table-data", "s.a"], {("public", "a"), ("s", "b")}),
    (["--table", "PUBLIC.A"], {("public", "a")}),
])
def test_selections_take_what_pg_dump_would(postgres, coffer, tmp_path, options, tables):
    coffer.variables = postgres.variables
    name = postgres.make(EMPTY)
    coffer.backup(f"postgres:///{name}", *options)
    tree = tree_of(coffer, tmp_path / "out", database=name)
    assert set(tree.with_data()) == tables
    target = postgres.make()
    servers.run("pg_restore", "-e", "-d", target, tree.folder / "schema.dump", env=postgres.env())
    for schema, table in tables:
        target = postgres.make()
        postgres.psql(target, "-o", "/dev/null", "-f", tree.script(schema, table))


@pytest.mark.parametrize("option", ["--table", "--schema"])
def test_a_pattern_that_matches_nothing_fails(postgres, coffer, option):
    coffer.variables = postgres.variables
    name = postgres.make(EMPTY)
    coffer.fails("backup", f"postgres:///{name}", option, "nonesuch", code={FAILED, USAGE}, names="nonesuch")
    assert coffer.snapshots() == []
    postgres.assert_idle()


PARTS = """
CREATE SCHEMA o; CREATE SCHEMA p;
CREATE TABLE p.other (i int); CREATE TABLE o.t (id int PRIMARY KEY, fk int REFERENCES o.t); CREATE TABLE p.child () INHERITS (o.t);
CREATE FUNCTION o.rows() RETURNS SETOF p.other LANGUAGE sql AS 'SELECT * FROM p.other';
CREATE VIEW o.v AS SELECT * FROM p.other; CREATE VIEW o.vv AS SELECT * FROM o.v;
CREATE TABLE o.fk (t int REFERENCES o.t, kind int DEFAULT 1); CREATE TABLE o.pt (k int) PARTITION BY LIST (k);
CREATE TABLE p.pt1 PARTITION OF o.pt FOR VALUES IN (1); INSERT INTO o.t VALUES (1); INSERT INTO o.pt VALUES (1);
CREATE EXTENSION citext; CREATE SCHEMA e; CREATE TABLE e.t (c citext);
"""


def test_a_part_says_what_it_cannot_be_restored_without(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make(PARTS)
    for options, told in ((["--schema", "o"], ["table p.pt1", "function o.rows()", "view o.v needs table p.other"]),
                          (["--exclude-table", "o.t"], ["table p.child needs table o.t"]),
                          (["--table", "o.vv"], ["view o.vv needs view o.v,"])):
        lines = coffer.run("backup", f"postgres:///{name}", *options, code=PARTIAL).err.splitlines()
        assert len(lines) == len(told) and all(word in line for word, line in zip(told, lines)), lines
    assert "e.t needs extension citext" in coffer.run("backup", f"postgres:///{name}", "--schema", "e", "-v").err
    # A table brings what it needs, and a part of it nothing that is not there.
    coffer.run("backup", f"postgres:///{name}", "--table", "o.pt", "--table", "o.t")
    target = postgres.make()
    coffer.restore("latest", f"postgres:///{target}")
    assert postgres.rows("SELECT tableoid::regclass::text FROM o.pt", target) == [("p.pt1",)]
    assert postgres.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'o'::regnamespace", target) == []
    coffer.run("verify", "latest", "--against", "postgres:")


def test_all_databases_go_into_one_snapshot(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    names = [postgres.make(EMPTY), postgres.make("CREATE TABLE only_here (i int)", name="Odd/name %1")]
    template, closed = postgres.make("CREATE TABLE t (i int)"), postgres.make()
    postgres.sql(f"ALTER DATABASE {template} IS_TEMPLATE true; ALTER DATABASE {closed} ALLOW_CONNECTIONS false")
    names.append(template)
    invalid = postgres.make()
    postgres.sql(f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{invalid}'")
    try:
        done = coffer.run("backup", "postgres:", "--all-databases", code=PARTIAL)
    finally:
        postgres.sql(f"DROP DATABASE {closed}; DROP DATABASE {invalid}; ALTER DATABASE {template} IS_TEMPLATE false")
    told = done.err.splitlines()
    assert len(told) == 2 and closed in told[0] and invalid in told[1], told
    assert len(coffer.snapshots()) == 1
    coffer.restore("latest", tmp_path / "out")
    folders = {json.loads(p.read_text())["name"] for p in (tmp_path / "out").glob("*/database.json")}
    assert set(names) | {"postgres", "template1"} <= folders
    assert "template0" not in folders
    assert (tmp_path / "out/globals.sql").exists()
    assert f"postgres://[local]:{postgres.port}" in json.dumps(coffer.snapshots())


@pytest.mark.threads
def test_one_job_and_many_give_the_same(postgres, shop, shop_backup, coffer, tree, tmp_path):
    coffer.variables = postgres.variables
    for jobs in ("1", "8"):
        coffer.backup(f"postgres:///{shop}", "--jobs", jobs)
        coffer.restore("latest", tmp_path / jobs)
        got, want = contents(tmp_path / jobs / "shop"), contents(tree.folder)
        assert {path for path in want if got.get(path) != want[path]} <= {"schema.dump"}
        assert set(got) == set(want)


@pytest.mark.slow
def test_a_value_of_100_megabytes_comes_back(postgres, coffer):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE big (t text); INSERT INTO big SELECT string_agg(repeat(md5(g::text), 33), '') FROM "
                         "generate_series(1, 100000) AS g")
    coffer.backup(f"postgres:///{name}")
    target = postgres.make()
    coffer.restore("latest", f"postgres:///{target}", timeout=120)
    query = "SELECT length(t), md5(t) FROM big"
    assert postgres.rows(query, target) == postgres.rows(query, name)


@pytest.mark.parametrize("url", ["postgresql:///{db}", "postgres://127.0.0.1:{port}/{db}", "postgres:dbname={db} port={port}",
                                 "postgres://postgres@/{db}?host={host}", "postgres:service=here"])
def test_a_database_may_be_named_in_many_ways(postgres, coffer, url, tmp_path):
    name = postgres.make("CREATE TABLE t (i int)")
    service = tmp_path / "service"
    v = postgres.variables
    service.write_text(f"[here]\nhost={v['PGHOST']}\nport={v['PGPORT']}\ndbname={name}\nuser=postgres\n")
    coffer.variables = {**v, "PGSERVICEFILE": str(service)}
    coffer.run("backup", url.format(db=name, port=v["PGPORT"], host=v["PGHOST"]))
    assert len(coffer.snapshots()) == 1


def test_a_password_comes_from_its_file(postgres, coffer):
    name = postgres.make("CREATE TABLE t (i int)")
    passfile = coffer.work / ".pgpass"
    passfile.write_text(f"127.0.0.1:{postgres.port}:*:postgres:secret\n")
    passfile.chmod(0o600)
    coffer.run("backup", postgres.tcp(name), env={"PGPASSFILE": str(passfile)})
    coffer.run("backup", postgres.tcp(name))


def test_tls_is_used_when_asked_for(postgres, coffer):
    name = postgres.make("CREATE TABLE t (i int)")
    coffer.variables = {"PGPASSWORD": "secret"}
    good = postgres.variables["PG_SSLROOTCERT"]
    coffer.run("backup", postgres.tcp(name, sslmode="verify-full", sslrootcert=good))
    other = coffer.work / "other.crt"
    servers.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout",
                coffer.work / "other.key", "-out", other)
    line = coffer.fails("backup", postgres.tcp(name, sslmode="verify-full", sslrootcert=other), code=FAILED)
    assert "certificate" in line


def test_a_reader_of_all_data_may_back_up(postgres, coffer, tmp_path):
    coffer.variables = {**postgres.variables, "PGUSER": "reader"}
    postgres.sql("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data")
    name = postgres.make()
    try:
        postgres.sql(EMPTY + "CREATE SEQUENCE q; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w;"
                     "GRANT USAGE ON FOREIGN SERVER far TO reader;"
                     "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'p'); CREATE USER MAPPING FOR reader SERVER far", name)
        lines = coffer.run("backup", f"postgres:///{name}", code=PARTIAL).err.splitlines()
        assert [line for line in lines if "user mapping for postgres at server far" not in line] == []
        tree = tree_of(coffer, tmp_path / "out", database=name)
        assert len(tree.with_data()) == 3
    finally:
        postgres.drop(name)
        postgres.sql("DROP ROLE reader")


def test_settings_of_a_role_or_database_do_not_leak_into_the_data(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    name = postgres.make("CREATE TABLE t (d date, i interval, f float8, b bytea, x xml, m money); "
                         "INSERT INTO t VALUES ('2020-02-01', '1 day 2 hours', 0.1::float8 + 0.2::float8, '\\x00ff', '<a/>', 1)")
    tree_of_plain = None
    for round in range(2):
        coffer.backup(f"postgres:///{name}")
        tree = tree_of(coffer, tmp_path / str(round), database=name)
        if round == 0:
            tree_of_plain = tree.data("public", "t")
            for setting in ("datestyle = 'German'", "intervalstyle = iso_8601", "extra_float_digits = -5", "bytea_output = escape",
                            "statement_timeout = 1", "lock_timeout = 1", "default_transaction_isolation = 'read uncommitted'",
                            "idle_in_transaction_session_timeout = 1", "search_path = pg_catalog, information_schema",
                            "standard_conforming_strings = off", "quote_all_identifiers = on", "row_security = on",
                            "default_transaction_deferrable = on", "client_encoding = 'LATIN1'", "xmloption = document", "role = pg_monitor"):
                postgres.sql(f"ALTER DATABASE {name} SET {setting}")
        else:
            assert tree.data("public", "t") == tree_of_plain


def test_a_source_may_be_named_in_any_way_that_backup_takes(shop_backup, postgres_server, tmp_path):
    host, port = postgres_server.variables["PGHOST"], postgres_server.port
    services = tmp_path / "services"
    services.write_text(f"[here]\nhost={host}\nport={port}\ndbname=shop\n")
    for typed in ("postgres:///shop", "postgresql://postgres@/shop", "postgres:dbname=shop", "postgres:service=here",
                  f"postgres:///shop?host={host}&port={port}", shop_backup.summary["source"]):
        listed = shop_backup.run("snapshots", "--json", "--source", typed, env={"PGSERVICEFILE": services}).json
        assert [s["id"] for s in listed] == [shop_backup.summary["snapshot"]], typed
    line = shop_backup.fails("dump", "latest:shop/database.json", "--source", "postgres:///shpo", code=FAILED)
    assert line.endswith(f"did you mean {shop_backup.summary['source']}?")


def test_the_size_counts_rows_once_and_a_restore_twice(shop_backup, tree):
    summary = shop_backup.summary
    files = [p.stat().st_size for p in tree.folder.parent.rglob("*") if p.is_file()]
    assert summary["bytes_total"] == summary["bytes_read"] < summary["bytes_restored"] == sum(files)
    assert shop_backup.snapshots()[0]["bytes_restored"] == summary["bytes_restored"]
