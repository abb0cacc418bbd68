"""Databases in other encodings than UTF-8: names, definitions and rows come back as they are."""

import shutil

import pytest
import servers
from harness import PARTIAL, TOP
from test_postgres import tree_of


def make(postgres, encoding, script="", name=None):
    """A database whose script is bytes of its own encoding."""
    name = postgres.make(None, "-E", encoding, "-T", "template0", "--locale=C", name=name)
    postgres.psql(name, "-o", "/dev/null", input=script, env={"PGCLIENTENCODING": encoding})
    return name


def text_of(postgres, database, encoding="UTF8"):
    """What there is, the same for databases that differ in their names alone."""
    made = servers.run("pg_dump", "--restrict-key=x", "-C", "-E", encoding, database, env=postgres.env()).stdout
    return made.replace(database.encode(), b"db")


def test_other_encodings_keep_their_bytes(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    latin = postgres.make(None, "-E", "LATIN1", "-T", "template0", "--locale=C")
    postgres.sql("SET client_encoding = 'UTF8'; CREATE TABLE \"tübe\" (t text); INSERT INTO \"tübe\" VALUES ('grüße'), (E'a\\\\b')", latin)
    ascii = postgres.make(None, "-E", "SQL_ASCII", "-T", "template0", "--locale=C")
    postgres.psql(ascii, input=b"CREATE TABLE \"\xff\xfe\" (t text); INSERT INTO \"\xff\xfe\" VALUES (E'\\xe9\\xff')",
                  env={"PGCLIENTENCODING": "SQL_ASCII"})
    for name, schema, content in ((latin, "tübe", "grüße\na\\\\b\n".encode("latin-1")), (ascii, None, b"\xe9\xff\n")):
        coffer.backup(f"postgres:///{name}")
        tree = tree_of(coffer, tmp_path / name, database=name)
        ((key, table),) = tree.tables.items()
        assert tree.data(*key) == content
        if schema:
            assert key == ("public", schema)
            coffer.backup(f"postgres:///{name}", "--exclude-table", schema, "--tag", "none")
            assert schema.encode() not in coffer.run("dump", f"latest:{name}/schema.sql", "--tag", "none").stdout
        target = postgres.make(None, "-E", tree.manifest["encoding"], "-T", "template0", "--locale=C")
        postgres.psql(target, "-o", "/dev/null", "-f", tree.script(*key))
        env = {"PGCLIENTENCODING": "SQL_ASCII"}
        assert servers.run("pg_dump", "--restrict-key=x", target, env=postgres.env(**env)).stdout == servers.run(
            "pg_dump", "--restrict-key=x", name, env=postgres.env(**env)).stdout


NAMES = """SET client_encoding = 'UTF8'; ALTER DATABASE {db} SET search_path = '{a}x', public;
COMMENT ON DATABASE {db} IS '{a}'; CREATE SCHEMA "{a}" AUTHORIZATION "{role}"; SET search_path = "{a}";
CREATE TABLE "t{a}" (id serial PRIMARY KEY, "c{b}" text DEFAULT '{b}'); INSERT INTO "t{a}" ("c{b}") VALUES ('{a}'), ('{b}');
ALTER TABLE "t{a}" OWNER TO "{role}"; COMMENT ON TABLE "t{a}" IS '{b}'; CREATE INDEX "i{b}" ON "t{a}" ("c{b}");
CREATE MATERIALIZED VIEW "m{b}" AS SELECT * FROM "t{a}";
CREATE FUNCTION "f{a}"() RETURNS text LANGUAGE sql AS $$SELECT '{b}'::text$$;
CREATE TABLE public."{a}" (i int); INSERT INTO public."{a}" VALUES (1);"""


@pytest.mark.parametrize("encoding, a, b, other", [("LATIN1", "Ã¤", "ü", "ä"), ("EUC_JP", "表", "語", "本")])
def test_names_of_other_encodings_are_restored_and_no_others_dropped(postgres, coffer, tmp_path, encoding, a, b, other):
    coffer.variables = postgres.variables
    source = postgres.make(None, "-E", encoding, "-T", "template0", "--locale=C")
    role = f"rölé{encoding}"
    postgres.sql(f"SET client_encoding = 'UTF8'; CREATE ROLE \"{role}\"; ALTER DATABASE {source} OWNER TO \"{role}\"")
    seen = postgres.value(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{source}'", source)
    postgres.sql(NAMES.format(db=source, role=seen, a=a, b=b), source)
    coffer.backup(f"postgres:///{source}")
    copy = postgres.new_name()
    coffer.run("restore", "latest", "--to", f"postgres:///{copy}", "--create")
    assert text_of(postgres, copy) == text_of(postgres, source)
    postgres.sql(f"SET client_encoding = 'UTF8'; CREATE TABLE public.\"{other}\" AS SELECT 1 AS i;"
                 f"INSERT INTO public.\"{a}\" VALUES (2)", copy)
    coffer.run("restore", "latest", "--to", f"postgres:///{copy}", "--clean")
    assert postgres.rows(f'TABLE public."{other}"', copy) == postgres.rows(f'TABLE public."{a}"', copy) == [(1,)]
    postgres.sql(f"SET client_encoding = 'UTF8'; DROP TABLE public.\"{other}\"", copy)
    assert text_of(postgres, copy) == text_of(postgres, source)
    coffer.run("restore", "latest", "--to", f"postgres:///{copy}", "--table", f"public.{a}", "--rename", f"public.{a}=public.{other}")
    assert postgres.rows(f'TABLE public."{other}"', copy) == [(1,)]
    coffer.run("verify", "latest", "--level", "comprehensive")
    tree = tree_of(coffer, tmp_path / "tree", database=source)
    for target_encoding in (encoding, "UTF8"):
        target = postgres.make(None, "-E", target_encoding, "-T", "template0", "--locale=C")
        postgres.psql(target, "-o", "/dev/null", "-f", tree.script(a, f"t{a}"))
        assert postgres.rows(f'SELECT "c{b}" FROM "{a}"."t{a}"', target) == [(a,), (b,)]


# @ has no equivalent in UTF-8, ~ has one.
ODD = b"""CREATE SCHEMA "s~"; CREATE TABLE "s~"."t~" (id serial PRIMARY KEY, "c@" text DEFAULT '@', e text);
COMMENT ON TABLE "s~"."t~" IS 'a@'; INSERT INTO "s~"."t~" VALUES (1, '~', '@');
CREATE TABLE "@" (i int) PARTITION BY LIST (i); CREATE TABLE "p@" PARTITION OF "@" FOR VALUES IN (1); INSERT INTO "@" VALUES (1);
CREATE MATERIALIZED VIEW "m@" AS SELECT * FROM "s~"."t~"; CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT '@'::text$$;
SELECT lo_from_bytea(77, 'lo'); COMMENT ON LARGE OBJECT 77 IS 'l@';
COMMENT ON DATABASE db IS 'd@'; ALTER DATABASE db SET search_path = 's~', public; ALTER DATABASE db SET "x.y" = '@';"""


@pytest.mark.parametrize("encoding, x, k", [("EUC_JP", b"\xa9\xa1", b"\xc9\xbd"), ("SQL_ASCII", b"\xff\x80", b"\xe4")])
def test_what_has_no_equivalent_in_utf_8_comes_back(postgres, coffer, tmp_path, encoding, x, k):
    coffer.variables = postgres.variables
    name, copy = postgres.new_name(), postgres.new_name()
    make(postgres, encoding, ODD.replace(b"@", x).replace(b"~", k).replace(b" db ", f" {name} ".encode()), name)
    coffer.run("backup", f"postgres:///{name}")
    coffer.restore("latest", f"postgres:///{copy}", "--create")
    assert text_of(postgres, copy, encoding) == text_of(postgres, name, encoding)
    coffer.restore("latest", f"postgres:///{copy}", "--clean")
    assert text_of(postgres, copy, encoding) == text_of(postgres, name, encoding)
    if encoding != "SQL_ASCII":
        coffer.run("verify", "latest", "--level", "comprehensive", "--against", "postgres:///")
    tree, target = tree_of(coffer, tmp_path / "tree", database=name), make(postgres, encoding)
    for key in tree.with_data():
        postgres.psql(target, "-o", "/dev/null", "-f", tree.script(*key))


def test_names_of_databases_and_roles_are_bytes(postgres, coffer):
    """Of a role that was named in LATIN1, which a database in UTF-8 cannot name, and a database that was named in UTF-8 and is in LATIN1."""
    coffer.variables = postgres.variables
    odd, plain, latin, copy = b"r\xf6le", postgres.make("CREATE TABLE t (i int)"), postgres.new_name("dä"), postgres.new_name("dö")
    make(postgres, "LATIN1", b"CREATE ROLE \"%s\"; CREATE TABLE t (i int); ALTER TABLE t OWNER TO \"%s\"" % (odd, odd), latin)
    raw = make(postgres, "SQL_ASCII")
    try:
        postgres.sql(f"ALTER DATABASE \"{latin}\" SET work_mem = '7MB'")
        postgres.sql(f"COMMENT ON DATABASE \"{latin.encode().decode('latin-1')}\" IS 'süß'", latin, env={"PGCLIENTENCODING": "UTF8"})
        line = coffer.run("backup", f"postgres:///{plain}", code=PARTIAL).error_line
        assert "role r\\xf6le was named in a database of another encoding" in line
        globals = coffer.run("dump", "latest:globals.sql").stdout
        assert b'CREATE ROLE "%s";' % odd in globals
        coffer.run("verify", "latest", "--level", "quick")
        coffer.run("backup", f"postgres:///{latin}", "--tag", "latin", code=PARTIAL)
        coffer.restore("latest", f"postgres:///{copy}", "--tag", "latin", "--create")
        assert postgres.rows("SELECT shobj_description(oid, 'pg_database'), current_setting('work_mem') FROM pg_database "
                             "WHERE datname = current_database()", copy) == [("süß", "7MB")]
        assert postgres.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 't'", copy) == odd.decode("latin-1")
        for name in (latin, copy):
            postgres.drop(name)
        drop = {"input": b'DROP ROLE "%s"' % odd, "env": {"PGCLIENTENCODING": "SQL_ASCII"}}
        postgres.psql(raw, **drop)
        servers.run("psql", "-X", "-q", "-o", "/dev/null", "-d", raw, env=postgres.env(), input=globals)
    finally:
        for name in (latin, copy):
            postgres.drop(name)
        postgres.psql(raw, **drop)


def test_a_database_in_euc_jp_stands_beside_names_in_utf_8(postgres, coffer):
    """Which are none in it: of a role that it has nothing to do with, and its own."""
    coffer.variables = postgres.variables
    source, copy = make(postgres, "EUC_JP", b"CREATE TABLE \"\xc9\xbd\" (i int)"), postgres.new_name("Äpfel")
    postgres.sql(f"CREATE ROLE \"Äpfel\"; ALTER DATABASE {source} SET work_mem = '7MB'")
    try:
        coffer.run("backup", f"postgres:///{source}")
        for options in (["--create"], ["--clean"]):
            coffer.restore("latest", f"postgres:///{copy}", *options)
            assert postgres.value("SELECT current_setting('work_mem')", copy) == "7MB"
            assert postgres.value("SELECT count(*) FROM pg_class WHERE relname = '表'", copy) == 1
    finally:
        postgres.drop(copy)
        postgres.sql('DROP ROLE "Äpfel"')


def test_definitions_of_older_snapshots_are_of_the_databases_encoding(postgres, coffer):
    """Of one that was made when they were not in UTF-8: with a schema, a comment and a setting."""
    old = TOP / "tests/e2e/fixtures/latin1"
    shutil.rmtree(coffer.path)
    shutil.copytree(old / "repo", coffer.path)
    shutil.copy(old / "key", coffer.key)
    coffer.key.chmod(0o600)
    coffer.variables = postgres.variables
    copy, wide = postgres.new_name(), postgres.make()
    coffer.restore("latest", f"postgres:///{copy}", "--create")
    made = text_of(postgres, copy)
    for part in ("COMMENT ON DATABASE db IS 'süß'", "SET search_path TO 'grün', 'public'", 'INDEX "i ö"', "1\tÃ¤\n2\tü\n"):
        assert part in made.decode()
    assert postgres.rows('TABLE "grün"."mü"', copy) == [(1, "Ã¤"), (2, "ü")]
    coffer.restore("latest", f"postgres:///{copy}", "--clean")
    assert text_of(postgres, copy) == made
    coffer.restore("latest", f"postgres:///{copy}", "--table", "grün.tür", "--rename", "grün.tür=grün.tor")
    assert postgres.rows('TABLE "grün".tor', copy) == [(1, "Ã¤"), (2, "ü")]
    coffer.restore("latest", f"postgres:///{wide}")
    assert postgres.rows('TABLE "grün"."mü"', wide) == [(1, "Ã¤"), (2, "ü")]


def test_a_client_encoding_of_a_database_is_not_its_scripts(postgres, coffer, tmp_path):
    coffer.variables = postgres.variables
    name = postgres.make()
    postgres.sql(f"SET client_encoding = 'UTF8'; CREATE TABLE \"ñ€\" (t text); INSERT INTO \"ñ€\" VALUES ('ñ'), ('€'); "
                 f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'", name)
    coffer.backup(f"postgres:///{name}")
    tree = tree_of(coffer, tmp_path / "tree", database=name)
    target = postgres.make()
    postgres.psql(target, "-o", "/dev/null", "-f", tree.script("public", "ñ€"))
    assert postgres.rows('SELECT t FROM "ñ€"', target) == [("ñ",), ("€",)]
