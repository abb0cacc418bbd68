"""Backups of MariaDB and restores into it."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import mariadb_state
import pymysql
import pytest
import servers
from harness import BUSY, DAMAGED, DONE, FAILED, PARTIAL, USAGE, flip, kill_after

RUNS = int(os.environ.get("COFFER_KILL_RUNS", "20"))
@pytest.fixture
def small(my):
    """A repository with a backup of a small database, whose name is in source."""
    my.source = my.server.make(mariadb_state.SCRIPT)
    my.run("backup", my.server.url(my.source))
    return my


def states(server, names):
    return {name: mariadb_state.of(server, name) for name in names}


@pytest.fixture(scope="module")
def tree(stock_backup, tmp_path_factory):
    target = tmp_path_factory.mktemp("tree") / "out"
    stock_backup.restore("latest", target)
    return target


def folder_of(tree, database):
    (found,) = [p.parent for p in tree.glob("*/database.json") if json.loads(p.read_text())["name"] == database]
    return found


# The tree.

def test_the_tree_has_what_the_guide_says(tree, stock):
    assert {p.name for p in tree.iterdir() if p.is_file()} == {"server.json", "users.sql"}
    assert {json.loads(p.read_text())["name"] for p in tree.glob("*/database.json")} == set(stock)
    names = {p.name for p in (tree / "shop").iterdir()}
    assert {"database.json", "database.sql", "tables", "sequences.sql", "views.sql", "triggers.sql", "routines.sql", "events.sql"} == names
    tables = [p.name for p in (folder_of(tree, 'odd.name/100% "x" é') / "tables").iterdir()]
    assert len(set(tables)) == 16
    for name in tables:
        assert len(name.encode()) <= 255 and not name.startswith(("-", ".", "~")) and name.isprintable() and name.endswith(".sql")


def test_facts_tell_where_a_snapshot_comes_from(mariadb, stock_backup, tree):
    server = (tree / "server.json").read_text()
    facts = json.dumps(stock_backup.snapshots())
    for word in (mariadb.value("SELECT VERSION()"), "binlog.000001", "sql_mode", "character_set"):
        assert word in server, word
    assert "gtid" in server
    assert f"127.0.0.1:{mariadb.port}" in facts
    assert "root@" not in facts and "secret" not in facts


def test_a_row_is_a_line(tree, mariadb, stock):
    for path in tree.rglob("*.sql"):
        assert b"\r" not in path.read_bytes(), path
    for database in stock:
        folder = folder_of(tree, database)
        for table in json.loads((folder / "database.json").read_text())["tables"]:
            # Names may hold line feeds.
            if not table.get("file") or "\n" in table["create"].split(" (")[0] or "new\ncolumn" in table["create"]:
                continue
            data = (folder / "tables" / table["file"]).read_bytes()
            lines = data[table["data_offset"]:table["data_offset"] + table["data_length"]].split(b"\n")
            rows = [line for line in lines if line.startswith((b"(", b",("))]
            assert len(rows) == table["rows"], table["name"]
            assert {line[:1] for line in lines} <= {b"I", b"(", b",", b";", b""}


def test_a_person_can_put_the_databases_together_by_hand(mariadb, stock, tree, there):
    """With the scripts and the mariadb client alone."""
    folders = [folder_of(tree, name) for name in stock]
    # Of an account that is there neither password nor limits would come.
    there.sql("DROP USER shop_owner@localhost")
    there.client(None, "--force", input=(tree / "users.sql").read_bytes(), code=None)
    for name, folder in zip(stock, folders):
        there.client(input=(folder / "database.sql").read_bytes())
    for script in ("sequences.sql", "tables", "routines.sql", "views.sql", "triggers.sql", "events.sql"):
        for name, folder in zip(stock, folders):
            path = folder / script
            for part in sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []:
                there.client(name, input=part.read_bytes())
    # Rights on a procedure need the procedure.
    there.client(input=(tree / "users.sql").read_bytes())
    for name in stock:
        mariadb_state.assert_equal(mariadb_state.of(mariadb, name), mariadb_state.of(there, name))
    grants = "SELECT user, host FROM mysql.global_priv WHERE user LIKE 'shop%' OR user LIKE 'odd%'"
    users = mariadb.rows(grants)
    assert len(users) == 5 and sorted(users) == sorted(there.rows(grants))
    for user, host in users:
        account = f"'{user.replace(chr(39), chr(39) * 2)}'" + (f"@'{host}'" if host else "")
        assert mariadb_state.grants_of(mariadb, account) == mariadb_state.grants_of(there, account)


def test_each_tables_script_loads_into_an_empty_database(mariadb, stock, tree, there):
    for database in stock:
        folder = folder_of(tree, database)
        want = mariadb_state.of(mariadb, database)
        for table in json.loads((folder / "database.json").read_text())["tables"]:
            with there.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SET foreign_key_checks = 0")
                cursor.execute("DROP DATABASE IF EXISTS alone")
                cursor.execute("CREATE DATABASE alone")
            there.client("alone", input=(folder / "tables" / table["file"]).read_bytes())
            got = mariadb_state.of(there, "alone")
            for what in ("rows", "checksum", "TABLE", "history"):
                assert got.get((what, table["name"])) == want.get((what, table["name"])), (what, table["name"])


def test_scripts_keep_rows_where_sessions_commit_nothing(my, there):
    source = my.server.make("CREATE SEQUENCE s START WITH 5; CREATE TABLE a (i INT); INSERT INTO a VALUES (1), (2); DO NEXTVAL(s)")
    my.run("backup", my.server.url(source))
    there.sql("SET GLOBAL autocommit = 0; CREATE DATABASE loaded")
    try:
        scripts = [my.run("dump", f"latest:{source}/{name}").out for name in ("tables/a.sql", "sequences.sql")]
        done = there.client("loaded", "-N", input=("".join(scripts) + "SELECT @@autocommit").encode())
        assert done.stdout.split() == [b"0"]
        assert there.rows("SELECT i FROM a", "loaded") == [(1,), (2,)]
        assert there.value("SELECT NEXTVAL(s)", "loaded") >= my.server.value("SELECT NEXTVAL(s)", source)
    finally:
        there.sql("SET GLOBAL autocommit = 1")


# Whole restores.

@pytest.mark.threads
@pytest.mark.parametrize("jobs, local_infile", [("1", "ON"), ("4", "ON"), ("2", "OFF")])
def test_databases_of_every_kind_of_object_come_back_equal(mariadb, stock, stock_backup, there, jobs, local_infile):
    there.sql(f"SET GLOBAL local_infile = {local_infile}")
    try:
        stock_backup.restore("latest", there.url(), "--jobs", jobs, env=there.variables)
    finally:
        there.sql("SET GLOBAL local_infile = ON")
    assert there.databases() == set(stock)
    for name in stock:
        mariadb_state.assert_equal(mariadb_state.of(mariadb, name), mariadb_state.of(there, name))
    there.assert_idle()


ENUMS = """
CREATE TABLE {0} (id INT PRIMARY KEY, e ENUM('a', '', '0', 'it''s'{1}), f ENUM('a', 'b') NOT NULL, s SET('', 'x', '3'), u ENUM('é', '') CHARSET utf16);
SET sql_mode = '';
INSERT INTO {0} VALUES (1, 0, 0, 0, 0), (2, 1, 1, 1, 1), (3, 2, 2, 2, 2), (4, 3, 1, 3, NULL), (5, 4, 2, 4, 1), (6, NULL, 1, 7, 1);
INSERT INTO {0} VALUES (7, 5, 1, NULL, 0), (8, 1, 2, 5, 2);
"""


@pytest.mark.parametrize("local_infile", ["ON", "OFF"])
def test_values_that_look_alike_stay_what_they_are(my, local_infile):
    """What an ENUM holds that is none of its values is shown as ''."""
    # The server warns of each, more often than it counts in two bytes.
    source = my.server.make(ENUMS.format("plain", "") + ENUMS.format("signed", ", '+0'") +
                            "CREATE TABLE many (id INT PRIMARY KEY, e ENUM('(+0,', '')) AS SELECT seq AS id, seq % 40 = 0 AS e FROM seq_1_to_70000")
    my.run("backup", my.server.url(source))
    my.server.sql(f"SET GLOBAL local_infile = {local_infile}")
    try:
        my.restore(f"latest:/{source}", my.server.url("alike"))
    finally:
        my.server.sql("SET GLOBAL local_infile = ON")
    for table, columns in (("plain", "id, e + 0, f + 0, s + 0, u + 0"), ("signed", "id, e + 0, f + 0, s + 0, u + 0"), ("many", "id, e + 0")):
        query = f"SELECT {columns} FROM {table} ORDER BY id"
        assert my.server.rows(query, "alike") == my.server.rows(query, source)
    my.run("verify", "latest", "--level", "comprehensive", "--against", my.server.url(), timeout=120)
    # A value that the table does not know is still an error, beside those that are none.
    my.server.sql("TRUNCATE plain; ALTER TABLE plain MODIFY f ENUM('a', 'c') NOT NULL", "alike")
    my.fails("restore", f"latest:/{source}", "--to", my.server.url("alike"), "--data-only", "--table", "plain", code=FAILED, names="plain")


def test_rows_of_generated_columns_alone_come_back(my):
    source = my.server.make("CREATE TABLE made (a INT AS (1) STORED, b INT AS (2) VIRTUAL); INSERT INTO made VALUES (), (), ();"
                            "CREATE TABLE plain (i INT); INSERT INTO plain VALUES (1)")
    my.run("backup", my.server.url(source))
    my.restore(f"latest:/{source}", my.server.url("made_again"))
    mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(my.server, "made_again"))
    assert my.server.value("SELECT COUNT(*) FROM made", "made_again") == 3
    my.run("verify", "latest", "--level", "comprehensive", "--against", my.server.url())


CLIPPED = """
SET sql_mode = ''; CREATE TABLE clipped (id INT AUTO_INCREMENT PRIMARY KEY, a INT, s VARCHAR(9), t TINYINT AS (a * 100) STORED, e ENUM('', 'x'), KEY (t),
	n INT AS (s) STORED, v TINYINT AS (a * 100) VIRTUAL, h INET6, f FLOAT, u CHAR(1) AS (s) VIRTUAL UNIQUE) CHARSET utf8mb4;
INSERT INTO clipped (a, s, e, h, f) VALUES (1, '5', 0, '::1', 0.1), (2, 'x', 1, NULL, -0), (3, '3€', 2, '::2', 1e30);
CREATE TABLE many (a INT PRIMARY KEY, t TINYINT AS (a + 100) STORED); INSERT INTO many (a) SELECT seq * 30 FROM seq_1_to_3000;
CREATE TABLE clipped_history (a INT, t TINYINT AS (a * 100) STORED) WITH SYSTEM VERSIONING; INSERT INTO clipped_history (a) VALUES (1), (2); DELETE FROM clipped_history WHERE a = 2;
"""


@pytest.mark.parametrize("local_infile", ["ON", "OFF"])
def test_values_that_the_source_clipped_come_back_and_no_other_is_clipped(my, local_infile):
    """A generated column holds what a session that is not strict makes of it."""
    server = my.server
    source = server.make(CLIPPED)
    assert server.rows("SELECT t FROM clipped", source) == [(100,), (127,), (127,)]
    my.run("backup", server.url(source))
    server.sql(f"SET GLOBAL local_infile = {local_infile}")
    try:
        my.restore(f"latest:/{source}", server.url("clipped_again"))
        mariadb_state.assert_equal(mariadb_state.of(server, source), mariadb_state.of(server, "clipped_again"))
        for table, change in (("clipped", "MODIFY s VARCHAR(1) CHARSET utf8mb4"), ("many", "DROP PRIMARY KEY, MODIFY a SMALLINT")):
            server.sql(f"TRUNCATE {table}; ALTER TABLE {table} {change}", "clipped_again")
            restore = ("restore", f"latest:/{source}", "--to", server.url("clipped_again"), "--data-only", "--table", table)
            assert "does not take the rows as they are" in my.fails(*restore, code=FAILED, names=f"clipped_again.{table}")
            assert server.value(f"SELECT COUNT(*) FROM {table}", "clipped_again") == 0
    finally:
        server.sql("SET GLOBAL local_infile = ON")
    my.run("verify", "latest", "--level", "comprehensive", "--against", server.url())
    server.assert_idle()


# What a session begins with, and what is worst of it for a backup or a restore.
HOSTILE = {
    "sql_select_limit": "3", "sql_big_selects": "0", "max_join_size": "1", "sql_safe_updates": "1", "sql_auto_is_null": "1",
    "sql_mode": "'TRADITIONAL,ORACLE,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,EMPTY_STRING_IS_NULL,PAD_CHAR_TO_FULL_LENGTH,TIME_ROUND_FRACTIONAL'",
    "old_mode": "'ZERO_DATE_TIME_CAST'", "time_zone": "'-07:00'", "lc_time_names": "'de_DE'", "default_week_format": "3",
    "div_precision_increment": "0", "group_concat_max_len": "4", "max_sort_length": "64", "sql_quote_show_create": "0",
    "character_set_server": "latin1", "collation_server": "latin1_bin", "character_set_client": "latin1", "character_set_results": "latin1",
    "character_set_connection": "latin1", "character_set_filesystem": "latin1", "system_versioning_asof": "'2001-01-01 00:00:00'",
    "autocommit": "0", "completion_type": "1", "tx_isolation": "'READ-UNCOMMITTED'", "binlog_format": "'STATEMENT'",
    "default_storage_engine": "MyISAM", "explicit_defaults_for_timestamp": "0", "foreign_key_checks": "1", "check_constraint_checks": "1",
    "wait_timeout": "1", "net_read_timeout": "1", "net_write_timeout": "1", "idle_transaction_timeout": "1",
    "idle_readonly_transaction_timeout": "1", "idle_write_transaction_timeout": "1", "max_statement_time": "0.5", "lock_wait_timeout": "1",
    "innodb_lock_wait_timeout": "1", "sql_if_exists": "1", "alter_algorithm": "INSTANT", "innodb_strict_mode": "1",
    "innodb_compression_default": "1", "max_error_count": "0", "sql_notes": "1", "sql_warnings": "1", "low_priority_updates": "1",
    "big_tables": "1", "sql_buffer_result": "1", "tx_read_only": "1"}


@contextlib.contextmanager
def hostile_globals(server):
    with server.connect() as connection, connection.cursor() as cursor:
        before = {}
        for name, value in HOSTILE.items():
            cursor.execute(f"SELECT @@GLOBAL.{name}")
            (before[name],) = cursor.fetchone()
            cursor.execute(f"SET GLOBAL {name} = {value}")
        try:
            yield
        finally:
            for name, value in before.items():
                cursor.execute(f"SET GLOBAL {name} = " + ("%s" if name != "system_versioning_asof" else "DEFAULT /* %s */"), (value,))


def test_the_servers_settings_do_not_matter(my, mariadb, stock, stock_backup, there):
    stamps = mariadb.make("CREATE TABLE stamps (a TIMESTAMP NOT NULL, b TIMESTAMP NOT NULL, c TIMESTAMP NULL)")
    my.run("backup", mariadb.url(stamps))
    with hostile_globals(there):
        stock_backup.restore("latest", there.url(), env=there.variables)
        my.restore("latest", there.url(), env=there.variables)
    for name in (*stock, stamps):
        mariadb_state.assert_equal(mariadb_state.of(mariadb, name), mariadb_state.of(there, name))


def test_the_servers_settings_do_not_change_what_is_saved(my, mariadb, stock, tree, tmp_path):
    with mariadb_state.user(mariadb, "driven", "GRANT ALL ON *.* TO driven@'%'; REVOKE SUPER, CONNECTION ADMIN ON *.* FROM driven@'%'"):
        with hostile_globals(mariadb):
            mariadb.sql("SET GLOBAL init_connect = 'SET sql_select_limit = 2, sql_mode = ORACLE'")
            try:
                my.run("backup", mariadb.url(*stock, user="driven"), env={"MYSQL_PWD": "x"})
                my.run("verify", "latest", "--against", mariadb.url())
            finally:
                mariadb.sql("SET GLOBAL init_connect = ''")
    my.restore("latest", tmp_path / "out")
    files = {path.relative_to(tree) for path in tree.rglob("*.*") if path.name not in ("server.json", "users.sql")}
    assert files == {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*")
                     if path.name not in ("server.json", "users.sql")}
    for path in files:
        if (tree / path).is_file():
            assert (tmp_path / "out" / path).read_bytes() == (tree / path).read_bytes(), path


ALIKE = """
CREATE TABLE {0} (i INT, c_{0} INT); INSERT INTO {0} VALUES (1, {1}); CREATE TABLE same (a{1} INT); CREATE VIEW v AS SELECT c_{0} FROM {0};
CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN {1}; CREATE PROCEDURE only_in_{1}() SELECT {1};
CREATE TRIGGER t BEFORE INSERT ON {0} FOR EACH ROW SET NEW.i = {1}; CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT {1};
"""


def test_databases_whose_names_are_alike_keep_what_is_theirs(my, there):
    """To information_schema names that differ in case or accent are the same."""
    names = ["cs", "CS", "cafe", "café"]
    for number, name in enumerate(names):
        my.server.make(ALIKE.format(("tab", "Tab", "tab2", "täb2")[number], number), name=name)
    my.run("backup", my.server.url(*names))
    my.restore("latest", there.url(), env=there.variables)
    for name in names:
        mariadb_state.assert_equal(mariadb_state.of(my.server, name), mariadb_state.of(there, name))
    # One of them goes where the others are.
    there.drop("CS")
    my.restore("latest", there.url(), "--schema", "CS", env=there.variables)
    mariadb_state.assert_equal(mariadb_state.of(my.server, "CS"), mariadb_state.of(there, "CS"))
    my.run("verify", "latest", "--against", my.server.url())


def test_a_second_backup_of_what_was_restored_is_the_same(stock, stock_backup, there, coffer, tree, tmp_path):
    stock_backup.restore("latest", there.url(), env=there.variables)
    coffer.variables = there.variables
    coffer.run("backup", there.url(*stock), code={DONE, PARTIAL})
    coffer.restore("latest", tmp_path / "again")
    for path in tree.rglob("tables/*.sql"):
        assert (tmp_path / "again" / path.relative_to(tree)).read_bytes() == path.read_bytes(), path


def test_a_database_comes_back_under_another_name(small, tmp_path):
    my = small.server
    want = mariadb_state.of(my, small.source)
    small.restore(f"latest:/{small.source}", my.url("other_name"))
    mariadb_state.assert_equal(want, mariadb_state.of(my, "other_name"))
    small.restore("latest", my.url(), "--rename", f"{small.source}=third_name")
    mariadb_state.assert_equal(want, mariadb_state.of(my, "third_name"))


def test_what_is_in_the_way_is_left_alone(small):
    my = small.server
    target = my.make("CREATE TABLE child (mine INT); INSERT INTO child VALUES (1)")
    before = mariadb_state.of(my, target)
    line = small.fails("restore", f"latest:/{small.source}", "--to", my.url(target), code={FAILED, BUSY}, names="child")
    assert "--clean" in line
    mariadb_state.assert_equal(before, mariadb_state.of(my, target))
    small.restore(f"latest:/{small.source}", my.url(target), "--clean")
    mariadb_state.assert_equal(mariadb_state.of(my, small.source), mariadb_state.of(my, target))
    my.assert_idle()


def test_schema_and_data_come_back_one_after_the_other(small):
    my = small.server
    # A trigger would act on every row, and cannot be switched off.
    my.sql("DROP TRIGGER shout", small.source)
    small.run("backup", my.url(small.source))
    small.restore(f"latest:/{small.source}", my.url("parts"), "--schema-only")
    assert my.value("SELECT COUNT(*) FROM child", "parts") == 0
    small.restore(f"latest:/{small.source}", my.url("parts"), "--data-only")
    want, got = mariadb_state.of(my, small.source), mariadb_state.of(my, "parts")
    mariadb_state.assert_equal(want, got)


TRIGGERS = """
CREATE USER IF NOT EXISTS trigger_owner@localhost;
GRANT ALL ON *.* TO trigger_owner@localhost;
CREATE TABLE seen (what VARCHAR(50));
delimiter //
create /* as it was */ trigger first before insert on large for each row /* a body */  begin set new.a = concat(new.a, '1'); end//
CREATE TRIGGER third BEFORE INSERT ON large FOR EACH ROW SET NEW.a = CONCAT(NEW.a, '3') -- until here
//
CREATE DEFINER = trigger_owner@localhost TRIGGER second BEFORE INSERT ON large FOR EACH ROW PRECEDES third SET NEW.a = CONCAT(NEW.a, '2')//
SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'//
CREATE TRIGGER after_it AFTER INSERT ON large FOR EACH ROW INSERT INTO seen VALUES (NEW.a), ('é\\')//
CREATE TRIGGER other_event AFTER DELETE ON large FOR EACH ROW DELETE FROM seen//
SET sql_mode = ORACLE//
CREATE TRIGGER foreign_one BEFORE INSERT ON large FOR EACH ROW  DECLARE x INT; BEGIN x := 1; SET NEW.b = CONCAT(NEW.b, x); END//
"""


def assert_triggers_act(my, database):
    my.sql("INSERT INTO large VALUES (-1, 'x', 'x')", database)
    assert my.rows("SELECT a, b FROM large WHERE id = -1", database) == [("x123", "x1")]
    assert my.rows("SELECT * FROM seen", database) == [("x123",), ("é\\",)]
    my.sql("DELETE FROM large WHERE id = -1", database)
    assert my.value("SELECT COUNT(*) FROM seen", database) == 0


def test_triggers_sleep_while_rows_alone_are_loaded_and_no_kill_loses_one(my):
    server = my.server
    source = server.make(LARGE.replace("400000", "100000"))
    server.client(source, "--comments", input=TRIGGERS.encode())
    assert_triggers_act(server, source)
    my.run("backup", server.url(source))
    want = mariadb_state.of(server, source)
    my.restore(f"latest:/{source}", server.url("rows_only"), "--schema-only")
    mariadb_state.assert_equal({key: want[key] for key in want if key[0] == "TRIGGER"},
                               {key: value for key, value in mariadb_state.of(server, "rows_only").items() if key[0] == "TRIGGER"})
    for number in (signal.SIGKILL, signal.SIGINT):
        process = my.start("restore", f"latest:/{source}", "--to", server.url("rows_only"), "--data-only")
        servers.wait_for(lambda: any("LOAD" in (row[4] or "") for row in server.sessions()), 20, "loading")
        process.send_signal(number)
        process.communicate(timeout=20)
        server.assert_idle(seconds=5)
        assert_triggers_act(server, "rows_only")
        # They did nothing to what was loaded.
        assert server.rows("SELECT * FROM large WHERE BINARY a <> MD5(id) OR BINARY b <> MD5(id + 1)", "rows_only") == []
        server.sql("SET foreign_key_checks = 0; " + "".join(f"TRUNCATE {t};" for t in ("large", "parent", "child", "other")), "rows_only")
    my.restore(f"latest:/{source}", server.url("rows_only"), "--data-only")
    # TRUNCATE has begun the numbering anew.
    want, got = ({key: value for key, value in state.items() if key[0] != "TABLE"}
                 for state in (want, mariadb_state.of(server, "rows_only")))
    mariadb_state.assert_equal(want, got)
    assert_triggers_act(server, "rows_only")


def test_no_engine_takes_the_place_of_one_that_is_missing(my, mariadb):
    with mariadb_state.engine(mariadb, "ha_archive"):
        source = my.server.make("CREATE TABLE filed (i INT) ENGINE = ARCHIVE; INSERT INTO filed VALUES (1), (2); CREATE TABLE plain (i INT);"
                                "CREATE TABLE numbered (i INT AUTO_INCREMENT PRIMARY KEY, t INT) ENGINE = ARCHIVE; INSERT INTO numbered (t) VALUES (1), (2);"
                                "CREATE TABLE begun (i INT AUTO_INCREMENT PRIMARY KEY) ENGINE = ARCHIVE AUTO_INCREMENT = 7")
        my.run("backup", mariadb.url(source))
        want = mariadb_state.of(mariadb, source)
        my.restore(f"latest:/{source}", mariadb.url("filed_again"))
        mariadb_state.assert_equal(want, mariadb_state.of(mariadb, "filed_again"))
        mariadb.drop(source)
        mariadb.drop("filed_again")
    line = my.fails("restore", f"latest:/{source}", "--to", mariadb.url("without"), code=FAILED, names="table without.")
    assert "ARCHIVE" in line and "without" not in mariadb.databases()
    my.restore(f"latest:/{source}", mariadb.url("without"), "--exclude-table", "filed", "--exclude-table", "numbered", "--exclude-table", "begun")
    assert tables(mariadb, "without") == {"plain"}
    # A server of our own takes what is installed beside it.
    my.run("verify", "latest", timeout=120)
    my.fails("verify", "latest", "--against", mariadb.url(), code=FAILED, names="ARCHIVE")


def test_verify_passes_tables_that_look_at_another_server(my, mariadb):
    with mariadb_state.engine(mariadb, "ha_federatedx"):
        alone, source = "none", my.server.make("CREATE TABLE near (i INT); INSERT INTO near VALUES (1), (2)")
        my.server.sql(f"CREATE SERVER itself FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', USER 'root', PASSWORD 'secret', "
                      f"DATABASE '{source}', PORT {mariadb.port}); "
                      "CREATE TABLE far (i INT) ENGINE = FEDERATED CONNECTION = 'itself/near'; CREATE VIEW v AS SELECT * FROM far", source)
        try:
            my.run("backup", mariadb.url(source))
            for options in ((), ("--against", mariadb.url())):
                my.run("verify", "latest", "--level", "comprehensive", *options, timeout=120)
            # Nor need it answer.
            alone = mariadb.make("CREATE TABLE far (i INT) ENGINE = FEDERATED CONNECTION = 'itself/near'")
            my.server.sql("ALTER SERVER itself OPTIONS (PASSWORD 'other'); FLUSH TABLES")
            my.run("backup", mariadb.url(alone))
        finally:
            mariadb.drop(source)
            mariadb.drop(alone)
            my.server.sql("DROP SERVER itself")


# Parts.

def tables(server, database):
    return {row[0] for row in server.rows("SHOW TABLES", database)}


def test_one_table_comes_back(small):
    my = small.server
    target = my.make()
    # What it refers to is not there, and that is told.
    result = small.restore(f"latest:/{small.source}", my.url(target), "--table", "child", code=PARTIAL)
    assert "parent" in result.error_line
    assert tables(my, target) == {"child"}
    want, got = mariadb_state.of(my, small.source), mariadb_state.of(my, target)
    for key in (("TABLE", "child"), ("checksum", "child"), ("rows", "child"), ("TRIGGER", "shout")):
        assert want[key] == got[key]


def test_a_dropped_table_comes_back_into_its_database(small):
    my = small.server
    want = mariadb_state.of(my, small.source)
    my.sql("DROP TABLE child", small.source)
    small.restore("latest", my.url(), "--table", f"{small.source}.child")
    mariadb_state.assert_equal(want, mariadb_state.of(my, small.source))


def test_a_table_that_is_there_is_not_touched(small):
    my = small.server
    before = mariadb_state.of(my, small.source)
    line = small.fails("restore", "latest", "--to", my.url(), "--table", f"{small.source}.child", code={FAILED, BUSY}, names="child")
    assert "--clean" in line or "--rename" in line
    mariadb_state.assert_equal(before, mariadb_state.of(my, small.source))


def test_a_table_comes_back_beside_the_one_that_is_there(small):
    my = small.server
    before = mariadb_state.of(my, small.source)
    # The trigger's name is taken.
    small.restore("latest", my.url(), "--table", f"{small.source}.child", "--rename", f"{small.source}.child={small.source}.child_old", code=PARTIAL)
    after = mariadb_state.of(my, small.source)
    assert after["checksum", "child_old"] == before["checksum", "child"]
    my.sql("DROP TABLE child_old", small.source)
    mariadb_state.assert_equal(before, mariadb_state.of(my, small.source))


def test_foreign_keys_that_do_not_hold_are_named(my):
    server = my.server
    source = server.make("CREATE TABLE a (x INT, y INT, PRIMARY KEY (x, y)); CREATE TABLE b (x INT, y INT, CONSTRAINT to_a FOREIGN KEY (x, y) REFERENCES a (x, y));"
                         "INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1), (2, NULL)")
    my.run("backup", server.url(source))
    other = server.make(f"CREATE TABLE c (x INT, y INT, CONSTRAINT from_afar FOREIGN KEY (x, y) REFERENCES {source}.a (x, y))")
    replace = ("restore", "latest", "--to", server.url(), "--clean", "--table", f"{source}.a")
    my.run(*replace)
    server.sql(f"INSERT INTO a VALUES (3, 3), (4, 4); INSERT INTO b VALUES (3, 3), (3, 3); INSERT INTO {other}.c VALUES (4, 4)", source)
    lines = [line for line in my.run(*replace, code=PARTIAL).err.splitlines() if "warning" in line]
    assert len(lines) == 2 and "to_a" in lines[0] and "2 rows" in lines[0] and "from_afar" in lines[1], lines
    # Rows alone, of one of the two tables, and of both.
    server.sql(f"SET foreign_key_checks = 0; TRUNCATE {other}.c; TRUNCATE a; TRUNCATE b", source)
    assert "to_a" in my.run("restore", "latest", "--to", server.url(), "--data-only", "--table", f"{source}.b", code=PARTIAL).err
    server.sql("TRUNCATE b", source)
    my.run("restore", "latest", "--to", server.url(), "--data-only")


def test_a_sequence_that_a_table_uses_goes_on(my):
    server = my.server
    source = server.make("CREATE SEQUENCE s; CREATE TABLE t (i INT DEFAULT NEXTVAL(s)); INSERT INTO t VALUES (), ()")
    my.run("backup", server.url(source))
    server.sql("ALTER SEQUENCE s RESTART 500", source)
    state = server.rows("SELECT * FROM s", source)

    def restore(*options):
        my.restore("latest", server.url(), "--table", f"{source}.t", *options)
        assert server.rows("SELECT * FROM s", source) == state
    restore("--rename", f"{source}.t={source}.t2")
    assert f"nextval(`{source}`.`s`)" in server.rows("SHOW CREATE TABLE t2", source)[0][1]
    restore("--clean")
    restore("--clean", "--exclude-table", "s")
    restore("--rename", f"{source}.t={source}.t3", "--rename", f"{source}.s={source}.other")
    assert f"nextval(`{source}`.`other`)" in server.rows("SHOW CREATE TABLE t3", source)[0][1]
    # Named, it is in the way like anything else.
    assert "sequence" in my.fails("restore", "latest", "--to", server.url(), "--table", f"{source}.s", code={FAILED, BUSY}, names=f"{source}.s")


def test_databases_swap_their_names(my):
    server = my.server
    second = server.make("CREATE TABLE p (i INT PRIMARY KEY); INSERT INTO p VALUES (1); CREATE SEQUENCE s")
    first = server.make(f"CREATE TABLE c (i INT DEFAULT NEXTVAL({second}.s), j INT, FOREIGN KEY (j) REFERENCES {second}.p (i)); INSERT INTO c (j) VALUES (1);"
                        f"CREATE VIEW v AS SELECT j FROM c JOIN {second}.p ON j = p.i")
    my.run("backup", server.url(first, second))
    my.restore("latest", server.url(), "--clean", "--create", "--rename", f"{first}={second}", "--rename", f"{second}={first}")
    text = server.rows("SHOW CREATE TABLE c", second)[0][1]
    assert f"REFERENCES `{first}`.`p`" in text and f"nextval(`{first}`.`s`)" in text
    assert server.rows("SELECT * FROM v", second) == [(1,)] and server.rows("SELECT * FROM p", first) == [(1,)]


def test_keys_follow_tables_to_their_new_names(my):
    server = my.server
    source = server.make("CREATE TABLE p (i INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES p (i)); CREATE TABLE c (i INT, FOREIGN KEY (i) REFERENCES p (i));"
                         "INSERT INTO p VALUES (1, 1); INSERT INTO c VALUES (1); CREATE VIEW v AS SELECT i FROM p;"
                         "CREATE PROCEDURE r() SELECT * FROM p; CREATE PROCEDURE quiet() SELECT 'pp'")
    other = server.make()
    my.run("backup", server.url(source))

    def parents(database, table):
        return [row[0] for row in server.rows("SELECT CONCAT(REFERENCED_TABLE_SCHEMA, '.', REFERENCED_TABLE_NAME) FROM information_schema.KEY_COLUMN_USAGE "
                                              f"WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = '{table}' AND REFERENCED_TABLE_NAME IS NOT NULL")]
    my.restore("latest", server.url(), "--table", f"{source}.p", "--rename", f"{source}.p={source}.old")
    assert parents(source, "old") == [f"{source}.old"]
    my.restore("latest", server.url(), "--table", f"{source}.c", "--rename", f"{source}.c={other}.c")
    assert parents(other, "c") == [f"{source}.p"]
    made, second = server.new_name(), server.new_name()
    done = my.run("restore", "latest", "--to", server.url(), "--create", "--rename", f"{source}={made}", "--rename", f"{source}.p={second}.q", code=PARTIAL)
    assert parents(made, "c") == parents(second, "q") == [f"{second}.q"]
    # A view and a routine do not follow, and say so.
    named = [line for line in done.err.splitlines() if "in its text" in line]
    assert len(named) == 2 and f"view {made}.v" in named[0] + named[1] and f"procedure {made}.r" in named[0] + named[1], done.err


def test_a_server_whose_names_have_no_case(my, request):
    folding = servers.MariaDB(MARIADB_ARGS="--lower-case-table-names=1")
    request.addfinalizer(folding.remove)
    name = my.server.new_name()
    upper = my.server.make("CREATE TABLE Tab (i INT); CREATE VIEW v AS SELECT * FROM Tab;"
                           "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1", name=name.upper())
    my.server.make("CREATE TABLE Tab (i INT); CREATE TABLE tab (i INT)", name=name)
    my.run("backup", my.server.url(name, upper))
    line = my.fails("restore", "latest", "--to", folding.url(), code=USAGE, env=folding.variables)
    assert f"{name} " in line and upper in line and folding.databases() == set()
    line = my.fails("restore", f"latest:/{name}", "--to", folding.url(), code=USAGE, env=folding.variables)
    assert f"{name}.tab" in line and f"{name}.Tab" in line and folding.databases() == set()
    my.restore(f"latest:/{upper}", folding.url(), env=folding.variables)
    # What a person wrote there, in any case, is not rewritten for a server that minds it.
    folding.sql("CREATE TRIGGER t BEFORE INSERT ON TAB FOR EACH ROW SET NEW.i = 1; CREATE VIEW w AS SELECT 1", upper)
    my.run("backup", folding.url(upper), env=folding.variables)
    done = my.restore("latest", my.server.url("minds_case"), code=PARTIAL)
    assert "trigger minds_case.t was not made" in done.err and tables(my.server, "minds_case") == {"tab", "v", "w"}


def test_a_row_longer_than_a_statement_may_be_is_told(my):
    source = my.server.make("CREATE TABLE large (id INT PRIMARY KEY, t LONGTEXT); INSERT INTO large VALUES (1, REPEAT('x', 2000000))")
    my.run("backup", my.server.url(source))
    assert "max_allowed_packet" in my.run("dump", f"latest:{source}/tables/large.sql").out.splitlines()[0]
    my.server.sql("SET GLOBAL local_infile = OFF; SET GLOBAL max_allowed_packet = 1048576")
    try:
        assert "max_allowed_packet" in my.fails("restore", f"latest:/{source}", "--to", my.server.url("long_rows"), code=FAILED, names="long_rows.large")
    finally:
        my.server.sql("SET GLOBAL local_infile = ON; SET GLOBAL max_allowed_packet = 16777216")


@pytest.mark.parametrize("options", [["--table", "nonesuch"], ["--schema", "nonesuch"]])
def test_a_pattern_that_matches_nothing_is_an_error(small, options):
    before = small.server.databases()
    small.fails("restore", "latest", "--to", small.server.url(), *options, code={FAILED, USAGE}, names="nonesuch")
    small.fails("backup", small.server.url(small.source), *options, code={FAILED, USAGE}, names="nonesuch")
    assert small.server.databases() == before


@pytest.mark.parametrize("options, want", [(["--table", "child"], {"child"}), (["--exclude-table", "child"], {"parent", "other"}),
                                           (["--table", "*.?arent"], {"parent"})])
def test_a_backup_takes_what_was_chosen(my, options, want, tmp_path):
    source = my.server.make(mariadb_state.SCRIPT)
    my.run("backup", my.server.url(source), *options, code={DONE, PARTIAL})
    my.restore("latest", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / source / "database.json").read_text())
    assert {t["name"] for t in manifest["tables"]} == want


def test_a_dry_run_tells_the_plan_and_changes_nothing(small):
    my = small.server
    before = my.databases()
    result = small.restore(f"latest:/{small.source}", my.url("planned"), "--dry-run")
    assert "child" in result.out and "parent" in result.out
    assert my.databases() == before
    small.fails("restore", "latest", "--to", my.url(), "--dry-run", code={FAILED, BUSY})


def test_the_result_is_told_in_figures(small):
    done = small.restore(f"latest:/{small.source}", small.server.url("counted"), "--json").json
    assert done["tables"] == 3 and done["rows"] == 1102, done


# Daily.

def test_dumping_unchanged_databases_again_stores_next_to_nothing(my, tmp_path):
    source = my.server.make("CREATE TABLE t (id INT PRIMARY KEY, a CHAR(32)) AS SELECT seq AS id, MD5(seq) AS a FROM seq_1_to_100000;" + mariadb_state.SCRIPT)
    first = my.backup(my.server.url(source))
    second = my.backup(my.server.url(source))
    assert second["bytes_stored"] < first["bytes_stored"] * 0.01 + 20_000
    outs = []
    for made in (first, second):
        my.restore(made["snapshot"], tmp_path / made["snapshot"])
        outs.append({str(p.relative_to(tmp_path / made["snapshot"])): p.read_bytes()
                     for p in (tmp_path / made["snapshot"]).rglob("*") if p.is_file()})
    assert {path for path in outs[0] if outs[0][path] != outs[1].get(path)} <= {"server.json"}


# What goes wrong.

def assert_refused(coffer, *args, code=FAILED, names=(), **kw):
    line = coffer.fails("backup", *args, code=code, names=names, **kw)
    assert coffer.snapshots() == []
    coffer.server.assert_idle()
    return line


def test_a_server_that_is_down_a_wrong_password_and_an_unknown_database_are_told(my):
    assert_refused(my, "mysql://root@127.0.0.1:1/x", names="127.0.0.1")
    line = assert_refused(my, my.server.url("x"), env={"MYSQL_PWD": "topsecret"}, names="root")
    assert "topsecret" not in line
    assert_refused(my, my.server.url("nonesuch"), names="nonesuch")


def test_a_password_in_the_source_is_refused(my):
    line = assert_refused(my, f"mysql://root:topsecret@127.0.0.1:{my.server.port}/x", code=USAGE, names="MYSQL_PWD")
    assert "topsecret" not in line


def test_an_option_file_and_tls_are_used(my, tmp_path):
    source = my.server.make(mariadb_state.SCRIPT)
    options = tmp_path / "my.cnf"
    options.write_text(f"[client]\nuser=root\npassword=secret\nhost=127.0.0.1\nport={my.server.port}\n")
    my.variables = {name: None for name in my.server.variables}
    my.run("backup", f"mysql:///{source}?defaults-file={options}")
    my.variables = {"MYSQL_PWD": "secret"}
    my.run("backup", my.server.url(source, **{"ssl-ca": my.server.variables["MARIADB_SSLCA"], "ssl-verify-server-cert": "1"}))
    my.run("backup", f"mariadb://root@localhost/{source}?socket={my.server.socket}")


def test_a_user_without_rights_is_refused_or_takes_a_consistent_snapshot(my, tmp_path):
    source = my.server.make(mariadb_state.SCRIPT)
    with mariadb_state.user(my.server, "few", f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON {source}.* TO few@'%'"):
        result = my.run("backup", my.server.url(source, user="few"), "--jobs", "4", env={"MYSQL_PWD": "x"}, code={DONE, FAILED, PARTIAL})
        if result.code == FAILED:
            assert result.error_line and my.snapshots() == []
        else:
            my.restore("latest", tmp_path / "out")
    with mariadb_state.user(my.server, "none", f"GRANT SELECT ON {source}.parent TO none@'%'"):
        my.run("backup", my.server.url(source, user="none"), "--table", "parent", env={"MYSQL_PWD": "x"}, code={DONE, FAILED, PARTIAL})
    my.server.assert_idle()


def test_databases_that_may_not_be_seen_are_told_and_other_servers_are_saved(my):
    server = my.server
    source = server.make("CREATE TABLE t (i INT)")
    server.make("CREATE TABLE hidden (i INT)")
    with mariadb_state.user(server, "few", f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON {source}.* TO few@'%'; GRANT SELECT ON mysql.* TO few@'%'"):
        result = my.run("backup", server.url(user="few"), "--all-databases", env={"MYSQL_PWD": "x"}, code=PARTIAL)
        assert [line for line in result.err.splitlines() if "warning" in line and "SHOW DATABASES" in line]
        server.sql("GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO few@'%'")
        my.run("backup", server.url(user="few"), "--all-databases", "--schema", source, env={"MYSQL_PWD": "x"})
    definition = "CREATE SERVER IF NOT EXISTS `far``away` FOREIGN DATA WRAPPER `mysql` OPTIONS (HOST '10.0.0.1', USER 'it''s', PORT 3307);"
    server.sql(definition)
    try:
        before = server.rows("SELECT * FROM mysql.servers")
        my.run("backup", server.url(source))
        assert definition + "\n" in my.run("dump", "latest:users.sql").out
        server.sql("DROP SERVER `far``away`")
        server.client(input=my.run("dump", "latest:users.sql").out.encode())
        assert server.rows("SELECT * FROM mysql.servers") == before
    finally:
        server.sql("DROP SERVER IF EXISTS `far``away`")


def test_a_table_that_may_not_be_read_is_named(my):
    source = my.server.make("CREATE TABLE parent (i INT); CREATE TABLE child (i INT)")
    with mariadb_state.user(my.server, "part", f"GRANT SHOW VIEW, TRIGGER, EVENT ON {source}.* TO part@'%'; GRANT SELECT ON {source}.parent TO part@'%'; "
                                 f"GRANT INSERT ON {source}.child TO part@'%'"):
        result = my.run("backup", my.server.url(source, user="part"), env={"MYSQL_PWD": "x"}, code=FAILED)
        assert "child" in result.err.splitlines()[-1]
        assert my.snapshots() == []


def test_tables_that_no_snapshot_holds_still_are_reported(my, tmp_path):
    source = my.server.make(mariadb_state.SCRIPT + "CREATE TABLE flat (id INT) ENGINE = MyISAM; INSERT INTO flat VALUES (1);"
                            "CREATE TABLE crash_safe (id INT) ENGINE = Aria; INSERT INTO crash_safe VALUES (2);"
                            "CREATE TABLE listed (id INT NOT NULL) ENGINE = CSV; INSERT INTO listed VALUES (3);")
    assert_refused(my, my.server.url(source), "--require-transactional", code={FAILED, BUSY}, names=source)
    my.run("backup", my.server.url(source), code={DONE, PARTIAL})
    my.restore("latest", tmp_path / "out")
    facts = json.loads((tmp_path / "out/server.json").read_text())["facts"]
    assert all(name in facts["tables_not_transactional"] for name in ("flat", "crash_safe", "listed"))
    my.restore(f"latest:/{source}", my.server.url("flat_copy"))
    mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(my.server, "flat_copy"))
    my.server.assert_idle()


LARGE = ("CREATE TABLE large (id INT PRIMARY KEY, a CHAR(32), b CHAR(32)) AS SELECT seq AS id, MD5(seq) AS a, MD5(seq + 1) AS b FROM seq_1_to_400000;"
         + mariadb_state.SCRIPT)


def dumping(server):
    return any("large" in (row[4] or "") and "SELECT" in (row[4] or "").upper() for row in server.sessions())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_stopped_leaves_nothing_on_the_server(my, number):
    source = my.server.make(LARGE)
    # Several times: the server may be waiting to send, or not.
    for _ in range(3):
        process = my.start("backup", my.server.url(source))
        servers.wait_for(lambda: dumping(my.server), 20, "the dump")
        started = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert process.returncode in (-number, 128 + number), err
        assert time.monotonic() - started < 2
        assert len(err.splitlines()) <= 1
        my.server.assert_idle()
    assert my.snapshots() == []


@pytest.mark.slow
def test_killed_at_random_moments_it_leaves_nothing_on_the_server(my):
    rng = random.Random(5)
    source = my.server.make(LARGE)
    length = my.run("backup", my.server.url(source)).seconds
    for _ in range(RUNS):
        process = my.start("backup", my.server.url(source), "--jobs", "3")
        kill_after(process, rng.uniform(0, length))
        process.communicate()
        my.server.assert_idle(seconds=2)
    my.check()
    my.run("backup", my.server.url(source))


def test_a_session_that_the_server_ends_fails_the_dump(my):
    source = my.server.make(LARGE)
    process = my.start("backup", my.server.url(source))
    servers.wait_for(lambda: dumping(my.server), 20, "the dump")
    # Else it may be done before it is killed.
    process.send_signal(signal.SIGSTOP)
    for row in my.server.sessions():
        if "large" in (row[4] or ""):
            my.server.sql(f"KILL CONNECTION {row[0]}")
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == FAILED, err
    assert len(err.splitlines()) == 1 and b"large" in err
    assert my.snapshots() == []
    my.server.assert_idle()


@pytest.mark.parametrize("statement", ["ALTER TABLE {t} ADD COLUMN late INT", "ALTER TABLE {t} DROP COLUMN t", "DROP TABLE {t}",
                                       "TRUNCATE TABLE {t}", "RENAME TABLE {t} TO renamed"])
def test_a_change_of_a_table_during_the_dump_waits_or_ends_it(my, statement, tmp_path):
    source = my.server.make(LARGE)
    before = mariadb_state.of(my.server, source)
    process = my.start("backup", my.server.url(source), "--jobs", "1")
    servers.wait_for(lambda: dumping(my.server), 20, "the dump")
    process.send_signal(signal.SIGSTOP)
    ddl = subprocess.Popen(["mariadb", "--no-defaults", "-S", my.server.socket, "-u", "root", source, "-e", statement.format(t="other")],
                           env=my.server.env())
    time.sleep(0.5)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=30)
    assert ddl.wait(20) == 0
    if process.returncode == 0:
        my.restore(f"latest:/{source}", my.server.url("restored"))
        got = mariadb_state.of(my.server, "restored")
        # After a change it begins again.
        mariadb_state.assert_equal(before if got == before else mariadb_state.of(my.server, source), got)
    else:
        assert process.returncode in (FAILED, BUSY), err
        assert len(err.splitlines()) == 1 and b"other" in err
        assert my.snapshots() == []
    my.server.assert_idle()


def test_a_lock_that_cannot_be_had_does_not_stall_the_server(my):
    """Somebody holds the lock that a snapshot of non-transactional tables needs."""
    source = my.server.make(mariadb_state.SCRIPT + "CREATE TABLE flat (id INT) ENGINE = MyISAM")
    with my.server.connect(source) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES child WRITE, flat WRITE")
        started = time.monotonic()
        process = my.start("backup", my.server.url(source), "--lock-wait", "2")
        _, err = process.communicate(timeout=60)
        assert process.returncode in (FAILED, BUSY), err
        assert time.monotonic() - started < 15
        assert len(err.splitlines()) == 1
    assert my.snapshots() == []
    my.server.assert_idle()


@contextlib.contextmanager
def statements(server, database, *sqls):
    """Clients that run a statement each, again and again, as long as the context lasts; how often they did."""
    stop, done = threading.Event(), [0] * len(sqls)

    def run(which):
        with server.connect(database) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute(sqls[which])
                done[which] += 1
    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(sqls))]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("server_options", ["", "--skip-log-bin"])
def test_tables_without_transactions_are_saved_as_they_are_beside_their_writers(coffer, mariadb, server_options):
    """Without a binary log it takes the lock of the server, too."""
    server = servers.MariaDB(MARIADB_ARGS=server_options) if server_options else mariadb
    coffer.variables = server.variables
    make = "CREATE TABLE {0} (id INT PRIMARY KEY, n INT) ENGINE = {0}; INSERT INTO {0} SELECT seq, 0 FROM seq_1_to_2000;"
    source = server.make("".join(make.format(engine) for engine in ("MyISAM", "Aria", "InnoDB")))
    one = "UPDATE MyISAM, Aria SET MyISAM.n = MyISAM.n + 1, Aria.n = Aria.n + 1 WHERE MyISAM.id = Aria.id"
    try:
        with statements(server, source, one, one, "UPDATE MyISAM SET id = id", "UPDATE InnoDB SET n = n + 1") as done:
            for number in range(3):
                before = list(done)
                assert coffer.run("backup", server.url(source), "--jobs", "3", timeout=60).seconds < 20
                coffer.restore(f"latest:/{source}", server.url(f"seen{number}"))
                values = server.rows("SELECT DISTINCT n FROM MyISAM UNION SELECT n FROM Aria", f"seen{number}")
                assert len(values) == 1
                assert len(server.rows("SELECT DISTINCT n FROM InnoDB", f"seen{number}")) == 1
                servers.wait_for(lambda: all(n > b for n, b in zip(done, before)), 10, "a writer's turn")
        server.assert_idle()
    finally:
        if server_options:
            server.remove()


def test_a_backup_does_not_wait_for_whoever_waits_for_it(my):
    """RENAME holds the one table and waits for our lock of the other, while we would look at the one."""
    source = my.server.make("CREATE TABLE a (i INT PRIMARY KEY) ENGINE = InnoDB; CREATE TABLE b (i INT) ENGINE = MyISAM;"
                            + "".join(f"CREATE TABLE t{n} (i INT) ENGINE = MyISAM;" for n in range(20)))
    with statements(my.server, source, "RENAME TABLE a TO c, b TO a, c TO b"):
        done = my.run("backup", my.server.url(source))
    assert done.seconds < 20
    my.server.assert_idle()


def test_definitions_that_change_all_the_time_are_held_back_or_named(my):
    source = my.server.make(mariadb_state.SCRIPT + "".join(f"CREATE TABLE still{n} (a INT PRIMARY KEY);" for n in range(20)))
    changes = ["CREATE OR REPLACE TABLE busy{0} (a INT)", "DROP TABLE IF EXISTS busy{0}", "CREATE OR REPLACE TABLE busy{0} (b INT)"]

    def change(which):
        with my.server.connect(source, read_timeout=60) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                for sql in changes:
                    cursor.execute(sql.format(which))
    stop = threading.Event()
    threads = [threading.Thread(target=change, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            my.run("backup", my.server.url(source), "--jobs", "2")
            my.restore(f"latest:/{source}", my.server.url(f"held{number}"))
        with mariadb_state.user(my.server, "few", f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON {source}.* TO few@'%'"):
            result = my.run("backup", my.server.url(source, user="few"), "--lock-wait", "2", env={"MYSQL_PWD": "x"}, code=None)
            assert result.code in (FAILED, BUSY, PARTIAL) and result.seconds < 10
            assert result.code == PARTIAL or f"{source}.busy" in result.err.splitlines()[-1]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    my.server.assert_idle()


class Bank:
    """Clients that move money between tables as long as the context lasts."""

    def __init__(self, server, n_threads=4, n_tables=8, n_rows=200, engine="InnoDB"):
        self.server, self.n_tables, self.n_rows = server, n_tables, n_rows
        self.database = server.make("".join(
            f"CREATE TABLE account{n} (id INT PRIMARY KEY, balance BIGINT, padding TEXT) ENGINE = {engine}; INSERT INTO account{n} "
            f"SELECT seq, 1000, REPEAT('x', 2000) FROM seq_1_to_{n_rows};" for n in range(n_tables)))
        self.stop, self.moved = threading.Event(), [0] * n_threads
        self.longest = 0.0
        self.threads = [threading.Thread(target=self.move, args=(n,)) for n in range(n_threads)]

    def move(self, which):
        rng = random.Random(which)
        with self.server.connect(self.database, autocommit=False) as connection, connection.cursor() as cursor:
            while not self.stop.is_set():
                a, b, amount = rng.randrange(self.n_tables), rng.randrange(self.n_tables), rng.randrange(100)
                started = time.monotonic()
                try:
                    cursor.execute(f"UPDATE account{a} SET balance = balance - %s WHERE id = %s", (amount, rng.randint(1, self.n_rows)))
                    cursor.execute(f"UPDATE account{b} SET balance = balance + %s WHERE id = %s", (amount, rng.randint(1, self.n_rows)))
                    connection.commit()
                    self.moved[which] += 1
                except pymysql.err.OperationalError:
                    connection.rollback()
                self.longest = max(self.longest, time.monotonic() - started)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def total(self, server, database):
        return sum(server.value(f"SELECT SUM(balance) FROM account{n}", database) for n in range(self.n_tables))


@pytest.mark.slow
def test_money_that_moves_during_the_dump_keeps_its_sum_and_the_binary_log_goes_on_from_it(my, there):
    with Bank(my.server) as bank:
        snapshots = []
        for _ in range(3):
            before = sum(bank.moved)
            snapshots.append(my.backup(my.server.url(bank.database), "--jobs", "4")["snapshot"])
            assert sum(bank.moved) > before + 10, "nothing moved meanwhile"
        time.sleep(0.2)
    assert bank.longest < 1.5
    for snapshot in snapshots:
        my.restore(snapshot, there.url(), "--clean", env=there.variables)
        assert bank.total(there, bank.database) == bank.n_tables * bank.n_rows * 1000
    facts = next(s for s in my.snapshots() if s["id"] == snapshots[-1])
    text = json.dumps(facts)
    file = re.search(r"binlog\.\d{6}", text).group(0)
    position = int(re.search(r'"[a-z_.]*binlog[a-z_.]*pos[a-z]*": "?(\d+)', text).group(1))
    events = servers.run("mariadb-binlog", "--no-defaults", f"--database={bank.database}", f"--start-position={position}",
                         *[p for p in sorted((my.server.folder / "binlog").glob("binlog.[0-9]*")) if p.name >= file]).stdout
    there.client(input=events)
    want, got = mariadb_state.of(my.server, bank.database), mariadb_state.of(there, bank.database)
    mariadb_state.assert_equal(want, got)
    my.server.assert_idle()


@pytest.mark.slow
def test_without_a_binary_log_a_snapshot_is_consistent_too(coffer, request):
    request.getfixturevalue("mariadb_server")
    server = servers.MariaDB(MARIADB_ARGS="--skip-log-bin")
    coffer.variables = server.variables
    try:
        with Bank(server) as bank:
            snapshot = coffer.backup(server.url(bank.database), "--jobs", "4")["snapshot"]
        assert bank.longest < 1.5
        coffer.restore(f"{snapshot}:/{bank.database}", server.url("copy"))
        assert bank.total(server, "copy") == bank.n_tables * bank.n_rows * 1000
        server.assert_idle()
    finally:
        server.remove()


def test_damage_is_told_and_nothing_looks_restored(my, tmp_path):
    source = my.server.make(LARGE)
    my.run("backup", my.server.url(source))
    bad = my.copy(tmp_path / "bad")
    bad.variables = my.variables
    largest = max(bad.objects("packs"), key=lambda p: p.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    assert bad.fails("restore", f"latest:/{source}", "--to", my.server.url("damaged"), code=DAMAGED)
    my.server.assert_idle()
    # No part of it is there, and all of the rest.
    done = bad.restore(f"latest:/{source}", my.server.url("damaged"), "--clean", "--keep-going", "--jobs", "3", code=PARTIAL)
    assert "damaged.large: " in done.err and my.server.value("SELECT COUNT(*) FROM large", "damaged") == 0
    want, got = ({key: value for key, value in mariadb_state.of(my.server, name).items() if key[1] != "large"} for name in (source, "damaged"))
    mariadb_state.assert_equal(want, got)
    my.server.assert_idle()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_restore_that_is_stopped_leaves_no_session(my, number):
    source = my.server.make(LARGE)
    my.run("backup", my.server.url(source))
    process = my.start("restore", f"latest:/{source}", "--to", my.server.url("stopped"))
    servers.wait_for(lambda: any("LOAD" in (row[4] or "") or "INSERT" in (row[4] or "") for row in my.server.sessions()), 20, "loading")
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (-number, 128 + number), err
    my.server.assert_idle(seconds=5)
    my.restore(f"latest:/{source}", my.server.url("stopped"), "--clean")
    mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(my.server, "stopped"))


# Verification.

@pytest.mark.parametrize("level", ["quick", "standard", "comprehensive"])
def test_verify_passes_what_is_sound(small, level):
    before = small.server.databases()
    small.run("verify", "latest", "--level", level, "--against", small.server.url(), timeout=120)
    assert small.server.databases() == before
    small.server.assert_idle()


def test_verify_starts_a_server_of_its_own(mariadb, stock_backup):
    with servers.open_folder() as scratch:
        env = {**{name: None for name in mariadb.variables}, "TMPDIR": scratch}
        # Beside what one leaves that was killed together with what cleans up behind it.
        process = stock_backup.start("verify", "latest", start_new_session=True, env=env)
        servers.wait_for(lambda: any(scratch.glob("*/work/data")), 20, "a server")
        servers.kill_keepers(scratch)
        process.kill()
        process.wait()
        left = [str(path) for path in scratch.iterdir()]
        done = stock_backup.run("verify", "latest", "--level", "comprehensive", "--json", env=env, timeout=120).json
        assert [check["object"] for check in done["checks"] if check["name"] == "leftover"] == left and len(left) == 1
        assert servers.processes(str(scratch)) == set()
        assert list(scratch.iterdir()) == []


def test_verify_knows_tables_of_which_not_all_comes_back_as_it_was(my, mariadb):
    """In scratch databases they name other databases; none is made in the directory of the original."""
    with servers.open_folder() as folder:
        first, second = mariadb.make("CREATE TABLE parent (i INT PRIMARY KEY); INSERT INTO parent VALUES (1), (2)"), mariadb.new_name()
        mariadb.make(f"CREATE SEQUENCE s; CREATE TABLE child (i INT DEFAULT NEXTVAL(s), j INT, FOREIGN KEY (j) REFERENCES {first}.parent (i));"
                     f"CREATE TABLE empty_child (j INT, FOREIGN KEY (j) REFERENCES {first}.parent (i)); INSERT INTO child (j) VALUES (1), (2);"
                     f"CREATE TABLE part1 (i INT) ENGINE = MyISAM; CREATE TABLE part2 LIKE part1; INSERT INTO part1 VALUES (1);"
                     f"CREATE TABLE merged (i INT) ENGINE = MERGE UNION = (part1, part2); INSERT INTO part2 VALUES (2), (3);"
                     f"CREATE TABLE elsewhere (i INT) DATA DIRECTORY = '{folder}' COMMENT 'x'; INSERT INTO elsewhere VALUES (1);"
                     f"CREATE TABLE elsewhere2 (i INT) ENGINE = MyISAM DATA DIRECTORY = '{folder}' INDEX DIRECTORY = '{folder}';"
                     f"CREATE TABLE parted (i INT) PARTITION BY HASH (i) (PARTITION a DATA DIRECTORY = '{folder}', PARTITION b)", name=second)
        my.run("backup", mariadb.url(first, second))
        want = mariadb_state.of(mariadb, second)
        before = sorted(folder.rglob("*"))
        for options in ((), ("--against", mariadb.url())):
            my.run("verify", "latest", "--level", "comprehensive", *options, timeout=120)
            assert sorted(folder.rglob("*")) == before
        my.restore(f"latest:/{second}", mariadb.url(), "--rename", f"{second}=beside")
        assert sorted(folder.rglob("*")) == before
        assert mariadb_state.of(mariadb, "beside")["checksum", "elsewhere"] == want["checksum", "elsewhere"]
        mariadb.drop("beside")
        mariadb.drop(second)
        my.restore(f"latest:/{second}", mariadb.url())
        mariadb_state.assert_equal(want, mariadb_state.of(mariadb, second))
        assert sorted(folder.rglob("*")) == before
        mariadb.drop(second)


LIMITED = """
CREATE TABLE limited (i INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME LIMIT 2 PARTITIONS 4;
INSERT INTO limited VALUES (1, 1), (2, 2), (3, 3); UPDATE limited SET v = v + 1; UPDATE limited SET v = v + 1;
"""


def test_verify_passes_rows_whatever_their_order(my):
    source = my.server.make("CREATE TABLE t (a INT, b MEDIUMTEXT); INSERT INTO t SELECT seq, REPEAT(MD5(seq), 4000) FROM seq_1_to_150;" + LIMITED)
    my.run("backup", my.server.url(source))
    my.run("verify", "latest", "--level", "comprehensive", "--jobs", "4", "--against", my.server.url())


def test_verify_fails_what_was_changed(small):
    """Somebody deletes rows from what was restored."""
    my = small.server
    my.sql(LIMITED, small.source)
    small.run("backup", my.url(small.source))
    stop = threading.Event()

    def tamper():
        with my.connect() as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("SELECT table_schema FROM information_schema.tables WHERE table_name = 'other' AND table_schema LIKE 'coffer%'")
                for (name,) in cursor.fetchall():
                    for statement in (f"DELETE FROM {name}.other", f"UPDATE {name}.limited SET v = 7 WHERE v <> 7"):
                        with contextlib.suppress(pymysql.err.MySQLError):
                            cursor.execute(statement)
    thread = threading.Thread(target=tamper)
    thread.start()
    try:
        result = small.run("verify", "latest", "--level", "comprehensive", "--against", my.url(), code={DAMAGED, FAILED}, timeout=120)
        assert "other" in result.out + result.err
        assert result.code == FAILED or "limited: other rows" in result.out
    finally:
        stop.set()
        thread.join()
    my.assert_idle()


def scratch_databases(server):
    return {name for name in server.databases() if name.startswith("coffer")}


def kill_when_there_is_one(server, process):
    """kill -9 of a verification that has made its scratch database; its name."""
    before = scratch_databases(server)
    servers.wait_for(lambda: scratch_databases(server) - before, 20, "a scratch database")
    process.kill()
    process.wait()
    server.assert_idle(10)
    return (scratch_databases(server) - before).pop()


def test_what_killed_verifications_left_the_next_drops(small):
    my = small.server
    ours = {"coffer_verify_mine", "coffer_verify_" + "0" * 32 + "_1"}
    for name in ours:
        my.make(name=name)
    verify = ("verify", "latest", "--against", my.url())
    kill_when_there_is_one(my, small.start(*verify, start_new_session=True))
    for _ in range(4):
        kill_after(small.start(*verify, start_new_session=True), random.uniform(0, 0.3))
    my.assert_idle(10)
    left = scratch_databases(my) - ours
    result = small.run(*verify, "--json").json
    assert scratch_databases(my) == ours
    assert {check["object"] for check in result["checks"] if check["name"] == "leftover"} == left
    assert result["passed"] and result["warnings"] == 0


def test_verifications_leave_each_others_databases_alone(small):
    my = small.server
    verify = ("verify", "latest", "--against", my.url())
    stopped = small.start(*verify, start_new_session=True)
    servers.wait_for(lambda: scratch_databases(my), 20, "a scratch database")
    stopped.send_signal(signal.SIGSTOP)
    running = scratch_databases(my)
    assert "leftover" not in small.run(*verify).out and scratch_databases(my) == running
    stopped.send_signal(signal.SIGCONT)
    beside = small.start(*verify, start_new_session=True)
    for process in (stopped, beside):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and b"leftover" not in out, err
    assert scratch_databases(my) == set()


def test_what_may_not_be_dropped_is_named_with_the_command(small):
    my = small.server
    left = kill_when_there_is_one(my, small.start("verify", "latest", "--against", my.url(), start_new_session=True))
    my.sql("CREATE OR REPLACE USER maker IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO maker; REVOKE DROP ON *.* FROM maker")
    try:
        warned = small.run("verify", "latest", "--against", my.url(user="maker"), code=PARTIAL)
        # Nor can it drop its own.
        both = scratch_databases(my)
        assert left in both and len(both) == 2
        for name in both:
            assert f"use DROP DATABASE {name}\n" in warned.err
    finally:
        my.sql("DROP USER maker")
    small.run("verify", "latest", "--against", my.url())
    assert scratch_databases(my) == set()


def test_a_source_may_be_named_in_any_way_that_backup_takes(coffer, mariadb):
    coffer.variables = mariadb.variables
    name = mariadb.make("CREATE TABLE t (id INT PRIMARY KEY)")
    socket = coffer.backup(f"mysql://root@/{name}?socket={mariadb.socket}")
    tcp = coffer.backup(mariadb.url(name))
    for made, typed in ((socket, f"mysql://localhost/{name}"), (socket, f"mariadb:///{name}?socket={mariadb.socket}"),
                        (tcp, mariadb.url(name)), (tcp, f"mariadb://127.0.0.1/{name}"), (tcp, f"mysql://x@127.0.0.1:{mariadb.port}/{name}")):
        assert [s["id"] for s in coffer.snapshots("--source", typed)] == [made["snapshot"]], typed
    line = coffer.fails("dump", "latest:x", "--source", f"mysql://127.0.0.1/{name}x", code=FAILED)
    assert line.endswith(f"did you mean {tcp['source']}?")
