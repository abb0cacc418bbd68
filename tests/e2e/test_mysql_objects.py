"""What MariaDB has besides tables: users, views, routines and events, and what a restore leaves out."""

import contextlib
import socket
import socketserver
import threading
import time

import mariadb_state
from harness import BUSY, DAMAGED, FAILED, PARTIAL, USAGE


def test_users_loaded_by_hand_change_no_account_that_is_there(my, there):
    server, accounts = my.server, ("kept@localhost", "late@localhost", "lost@localhost")
    source = server.make("CREATE TABLE t (i INT)")
    try:
        server.sql("CREATE USER kept@localhost IDENTIFIED BY 'a' REQUIRE SSL; GRANT SELECT ON *.* TO kept@localhost WITH GRANT OPTION; "
                   "CREATE USER late@localhost IDENTIFIED BY 'a' WITH MAX_USER_CONNECTIONS 5 PASSWORD EXPIRE; CREATE USER lost@localhost IDENTIFIED BY 'a'")
        there.sql("CREATE USER kept@localhost IDENTIFIED BY 'b'")
        before = there.rows("SHOW CREATE USER kept@localhost")
        my.run("backup", server.url(source))
        text = my.run("dump", "latest:users.sql").out
        # As where the server refuses to make it.
        text = "".join(line for line in text.splitlines(True) if not line.startswith("CREATE USER IF NOT EXISTS `lost`"))
        there.client(None, "--force", input=text.encode(), code=None)
        assert there.rows("SHOW CREATE USER kept@localhost") == before
        assert "GRANT SELECT ON *.*" in mariadb_state.grants_of(there, accounts[0])[0] and "WITH GRANT OPTION" in mariadb_state.grants_of(there, accounts[0])[0]
        assert there.rows("SHOW CREATE USER late@localhost") == server.rows("SHOW CREATE USER late@localhost")
        assert there.rows("SELECT user FROM mysql.user WHERE user = 'lost'") == []
    finally:
        for each in (server, there):
            each.sql("DROP USER IF EXISTS " + ", ".join(accounts))


BROKEN_VIEWS = """
CREATE TABLE gone (c INT); CREATE TABLE child2 (a INT, b INT);
CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x;
CREATE VIEW a_no_table AS SELECT c FROM gone; CREATE VIEW b_no_column AS SELECT a, b FROM child2;
CREATE VIEW c_no_function AS SELECT f(a) AS y FROM child2; CREATE VIEW d_no_view AS SELECT * FROM a_no_table;
DROP TABLE gone; ALTER TABLE child2 DROP COLUMN b; DROP FUNCTION f;
"""


def test_a_broken_view_is_reported_and_stops_nothing(my):
    names = ["a_no_table", "b_no_column", "c_no_function", "d_no_view"]
    source = my.server.make(mariadb_state.SCRIPT + BROKEN_VIEWS + "CREATE VIEW whole AS SELECT a FROM child2; CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1")
    saved = my.run("backup", my.server.url(source), code=PARTIAL)
    restored = my.restore(f"latest:/{source}", my.server.url("mended"), code=PARTIAL)
    for result, database in ((saved, source), (restored, "mended")):
        lines = [line for line in result.err.splitlines() if "warning" in line]
        assert len(lines) == 4 and all(f"{database}.{name}" in line for name, line in zip(names, lines)), lines
    want, got = mariadb_state.of(my.server, source), mariadb_state.of(my.server, "mended")
    mariadb_state.assert_equal({key: value for key, value in want.items() if key[1] not in names}, got)
    # Their definitions are there, for whoever puts back what they miss.
    for name in names:
        assert f"VIEW `{name}` AS" in my.run("dump", f"latest:{source}/views.sql").out
    for options in (["--against", my.server.url()], []):
        my.run("verify", "latest", "--level", "comprehensive", *options, timeout=120)


def test_a_view_whose_function_the_backup_may_not_execute_comes_back(my):
    source = my.server.make("CREATE TABLE t (i INT); INSERT INTO t VALUES (1); CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN a + 1; "
                            "CREATE VIEW v AS SELECT f(i) AS b FROM t; CREATE VIEW w AS SELECT * FROM v")
    with mariadb_state.user(my.server, "few", "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, LOCK TABLES, BINLOG MONITOR ON *.* TO few@'%'"):
        saved = my.run("backup", my.server.url(source, user="few"), env={"MYSQL_PWD": "x"}, code=PARTIAL)
        lines = [line for line in saved.err.splitlines() if "warning" in line]
        assert len(lines) == 2 and all("EXECUTE" in line and f"'{source}.f'" in line and "no restore" not in line for line in lines), lines
        my.run("verify", "latest", "--level", "comprehensive", "--against", my.server.url(), timeout=120)
        my.restore(f"latest:/{source}", my.server.url("views_back"))
        mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(my.server, "views_back"))
        my.server.sql(f"GRANT EXECUTE ON FUNCTION {source}.f TO few@'%'")
        my.run("backup", my.server.url(source, user="few"), env={"MYSQL_PWD": "x"})


def test_views_whose_owner_is_gone_do_not_end_a_backup(my, there):
    server, source = my.server, my.server.new_name()
    server.make("CREATE TABLE t (i INT); INSERT INTO t VALUES (3); CREATE USER leaves@localhost; GRANT ALL ON *.* TO leaves@localhost; "
                "CREATE DEFINER = leaves@localhost FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN a * 2; CREATE VIEW v AS SELECT f(i) AS `é` FROM t; "
                "CREATE VIEW w AS SELECT * FROM v", name=source)
    server.sql("DROP USER leaves@localhost")
    saved = my.run("backup", server.url(source), code=PARTIAL)
    lines = [line for line in saved.err.splitlines() if "warning" in line]
    assert len(lines) == 2 and all("'leaves'@'localhost'" in line for line in lines), lines
    my.run("verify", "latest", "--level", "comprehensive", timeout=120)
    there.sql("CREATE USER leaves@localhost; GRANT ALL ON *.* TO leaves@localhost")
    try:
        my.restore("latest", there.url(), env=there.variables)
        assert there.rows("SELECT `é` FROM w", source) == [(6,)]
    finally:
        there.sql("DROP USER leaves@localhost")


def test_rights_on_what_is_gone_are_no_failure(my, there):
    server, source = my.server, my.server.make("CREATE TABLE t (i INT); CREATE VIEW v AS SELECT 1; CREATE USER clerk@localhost")
    try:
        server.sql("GRANT SELECT ON v TO clerk@localhost; GRANT SELECT ON t TO clerk@localhost; DROP VIEW v", source)
        my.run("backup", server.url(source))
        my.restore("latest", there.url(), "--users", env=there.variables)
        assert any(f"`{source}`.`t`" in row for row in mariadb_state.grants_of(there, "clerk@localhost"))
    finally:
        for each in (server, there):
            each.sql("DROP USER IF EXISTS clerk@localhost")


def test_a_routine_that_the_server_refuses_keeps_nothing_else_back(my):
    server = my.server
    source = server.make(mariadb_state.SCRIPT)
    server.sql("SET GLOBAL log_bin_trust_function_creators = 1")
    try:
        server.sql("CREATE FUNCTION unsafe() RETURNS INT RETURN (SELECT COUNT(*) FROM other); CREATE VIEW v AS SELECT unsafe()", source)
    finally:
        server.sql("SET GLOBAL log_bin_trust_function_creators = 0")
    my.run("backup", server.url(source))
    done = my.restore(f"latest:/{source}", server.url("copy"), code=PARTIAL)
    warnings = [line for line in done.err.splitlines() if "warning" in line]
    assert len(warnings) == 2 and "function copy.unsafe" in warnings[0] and "log_bin_trust_function_creators" in warnings[0], warnings
    want = mariadb_state.of(server, source)
    mariadb_state.assert_equal({key: want[key] for key in want if key[1] not in ("unsafe", "v")}, mariadb_state.of(server, "copy"))


OWNED = """
CREATE ROLE role_; CREATE USER gone@localhost IDENTIFIED BY 'it''s'; CREATE USER `rea``der`@'%' IDENTIFIED BY 'x' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 7;
GRANT role_ TO gone@localhost; SET DEFAULT ROLE role_ FOR gone@localhost; CREATE TABLE t (i INT, j INT); INSERT INTO t VALUES (1, 2);
CREATE DEFINER = gone@localhost FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1; CREATE DEFINER = gone@localhost EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1;
GRANT EXECUTE ON FUNCTION {0}.f TO gone@localhost; GRANT SELECT ON {0}.t TO gone@localhost; GRANT INSERT (j), SELECT ON {0}.t TO `rea``der`@'%' WITH GRANT OPTION;
CREATE DEFINER = gone@localhost VIEW v AS SELECT i, f() AS f FROM t; CREATE VIEW w AS SELECT 1; GRANT SELECT ON {0}.v TO `rea``der`@'%';
CREATE DEFINER = `rea``der`@'%' VIEW a AS SELECT i FROM v; GRANT SELECT ON {0}.a TO role_; GRANT ALL ON {0}.* TO `rea``der`@'%';
"""
OWNERS = ("gone@localhost", "`rea``der`@'%'", "role_")


def drop_owners(server):
    server.sql("DROP USER IF EXISTS gone@localhost, `rea``der`@'%'; DROP ROLE IF EXISTS role_")


def test_databases_go_onto_a_server_without_their_users(my, there, request):
    server, source = my.server, my.server.new_name()
    request.addfinalizer(lambda: [drop_owners(each) for each in (server, there)])
    server.make(OWNED.format(source), name=source)
    my.run("backup", server.url(source))
    want = mariadb_state.of(server, source)
    # Without them all comes but what cannot be without them, and nobody's account is touched.
    done = my.restore("latest", there.url(), env=there.variables, code=PARTIAL)
    lines = [line for line in done.err.splitlines() if "was not made" in line]
    assert [line.split(" ")[3] for line in lines] == [f"{source}.a", f"{source}.v"] and "--users" in lines[1], done.err
    mariadb_state.assert_equal({key: want[key] for key in want if key[1:] not in (("a",), ("v",))}, mariadb_state.of(there, source))
    assert "gone" in my.fails("verify", "latest", "--against", there.url(), env=there.variables, code=FAILED)
    plan = my.restore("latest", there.url(), "--users", "--clean", "--dry-run", env=there.variables).out
    assert "ensure user `rea``der`@`%`\n" in plan and "grant rights\n" in plan
    # Twice: who is there stays.
    for options in ([], ["--clean"]):
        there.drop(source) if not options else None
        my.restore("latest", there.url(), "--users", *options, env=there.variables)
        mariadb_state.assert_equal(want, mariadb_state.of(there, source))
        for owner in OWNERS:
            assert mariadb_state.grants_of(server, owner) == mariadb_state.grants_of(there, owner)
        assert there.rows("SELECT * FROM a", source) == [(1,)]
        there.sql("ALTER USER gone@localhost IDENTIFIED BY 'other'")
        server.sql("ALTER USER gone@localhost IDENTIFIED BY 'other'")
    for options in (["--rename", "x=y"], ["--no-privileges"], ["--data-only"]):
        my.fails("restore", "latest", "--to", there.url(), "--users", *options, env=there.variables, code=USAGE, names="--users")
    my.fails("restore", "latest", "--to", there.url("x"), "--users", env=there.variables, code=USAGE, names="--users")
    my.fails("restore", f"latest:/{source}", "--to", there.url(), "--users", env=there.variables, code=FAILED, names="--users")


def test_keep_going_leaves_out_what_fails(my):
    server = my.server
    source = server.make(mariadb_state.SCRIPT + "CREATE TABLE filed (i INT PRIMARY KEY, e ENUM('a', 'b')); INSERT INTO filed VALUES (1, 'a'), (2, 'b');"
                         "CREATE VIEW last AS SELECT i FROM filed")
    my.run("backup", server.url(source))
    want = mariadb_state.of(server, source)
    my.restore(f"latest:/{source}", server.url("goes_on"), "--schema-only")
    server.sql("ALTER TABLE filed MODIFY e ENUM('a'); DROP TRIGGER shout", "goes_on")
    restore = ("restore", f"latest:/{source}", "--to", server.url("goes_on"), "--data-only")
    done = my.run(*restore, "--keep-going", code=PARTIAL)
    (line,) = [line for line in done.err.splitlines() if "warning" in line]
    assert "goes_on.filed" in line and "rows left out" in line and "3 tables, 1102 rows" in done.out
    got = mariadb_state.of(server, "goes_on")
    assert server.value("SELECT COUNT(*) FROM filed", "goes_on") == 0
    for table in ("parent", "child", "other"):
        assert got["checksum", table] == want["checksum", table]
    # What is refused before the rows, and an engine that is missing.
    with mariadb_state.engine(server, "ha_archive"):
        server.sql("ALTER TABLE filed DROP PRIMARY KEY, ENGINE = ARCHIVE", source)
        my.run("backup", server.url(source))
        server.drop(source)
    my.fails("restore", f"latest:/{source}", "--to", server.url("with_less"), code=FAILED, names="filed")
    done = my.restore(f"latest:/{source}", server.url("with_less"), "--keep-going", code=PARTIAL)
    lines = [line for line in done.err.splitlines() if "warning" in line]
    assert len(lines) == 2 and "with_less.filed" in lines[0] and "with_less.last" in lines[1], lines
    mariadb_state.assert_equal({key: want[key] for key in want if key[1] not in ("filed", "last")}, mariadb_state.of(server, "with_less"))


MOST = "CREATE, ALTER, DROP, INSERT, SELECT, INDEX, REFERENCES, CREATE VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER, EVENT"


def test_what_belongs_to_others_is_left_out_alone(my):
    server = my.server
    source = server.make("CREATE TABLE t (i INT); INSERT INTO t VALUES (1); CREATE PROCEDURE p() SELECT 1; "
                         "CREATE VIEW v AS SELECT i FROM t; CREATE VIEW of_v AS SELECT i FROM v; CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1; "
                         "CREATE DEFINER = few@'%' VIEW mine AS SELECT 2 AS two")
    my.run("backup", server.url(source))
    with mariadb_state.user(server, "few", f"GRANT {MOST} ON *.* TO few@'%'"):
        restore = ("restore", f"latest:/{source}", "--to", server.url("without", user="few"))
        done = my.run(*restore, env={"MYSQL_PWD": "x"}, code=PARTIAL)
        lines = [line for line in done.err.splitlines() if "was not made" in line]
        assert [line.split(" ")[3] for line in lines] == [f"without.{name}" for name in ("p", "of_v", "v", "e")], done.err
        assert all("root@" in line and "--no-owner" in line for line in (lines[0], *lines[2:]))
        assert server.rows("SELECT i, two FROM t JOIN mine", "without") == [(1, 2)]
        my.run(*restore, "--clean", "--no-owner", env={"MYSQL_PWD": "x"})
        assert server.rows("SELECT * FROM of_v", "without") == [(1,)]


def test_a_database_that_may_not_be_made_is_left_out_with_what_is_in_it(my):
    server = my.server
    names = [server.make("CREATE TABLE t (i INT); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT i FROM t") for _ in range(2)]
    my.run("backup", server.url(*names))
    for name in names:
        server.drop(name)
    with mariadb_state.user(server, "few", f"GRANT {MOST}, SET USER ON *.* TO few@'%'; REVOKE CREATE ON *.* FROM few@'%'; "
                            f"GRANT CREATE ON {names[1]}.* TO few@'%'; GRANT SET USER ON *.* TO few@'%'"):
        restore = ("restore", "latest", "--to", server.url(user="few"))
        line = my.fails(*restore, env={"MYSQL_PWD": "x"}, code=FAILED, names=f"database {names[0]}")
        assert "part restored" not in line and not set(names) & server.databases()
        done = my.run(*restore, "--keep-going", env={"MYSQL_PWD": "x"}, code=PARTIAL)
        (warning,) = [line for line in done.err.splitlines() if "warning" in line]
        assert f"database {names[0]}" in warning and "1 table, 1 row" in done.out
        assert server.rows("SELECT * FROM v", names[1]) == [(1,)]


def test_clean_gives_a_database_its_defaults_back(my):
    server, source = my.server, my.server.new_name()
    server.sql(f"CREATE DATABASE {source} CHARACTER SET latin1 COLLATE latin1_german1_ci; CREATE TABLE {source}.t (i INT)")
    my.run("backup", server.url(source))
    server.sql("CREATE DATABASE other_way CHARACTER SET utf8mb4 COMMENT 'x'; CREATE TABLE other_way.kept (a TEXT)")
    before = server.rows("SHOW CREATE TABLE other_way.kept")
    assert "alter database other_way\n" in my.restore(f"latest:/{source}", server.url("other_way"), "--clean", "--dry-run").out
    my.restore(f"latest:/{source}", server.url("other_way"), "--clean")
    query = "SELECT default_collation_name, schema_comment FROM information_schema.schemata WHERE schema_name = 'other_way'"
    assert server.rows(query) == [("latin1_german1_ci", "")] and server.rows("SHOW CREATE TABLE other_way.kept") == before
    # One table alone changes none.
    server.sql("ALTER DATABASE other_way COMMENT 'y'")
    my.restore(f"latest:/{source}", server.url("other_way"), "--clean", "--table", "t")
    assert server.rows(query) == [("latin1_german1_ci", "y")]


def test_whoever_restores_roles_does_not_keep_them(my, there):
    server, source = my.server, my.server.make("CREATE TABLE t (i INT)")
    accounts = "DROP USER IF EXISTS boss@localhost; DROP ROLE IF EXISTS role_a, role_b"
    mapping = "SELECT host, user, role, admin_option FROM mysql.roles_mapping ORDER BY 1, 2, 3"
    try:
        server.sql("CREATE USER boss@localhost; CREATE ROLE role_a WITH ADMIN boss@localhost; CREATE ROLE role_b; GRANT role_b TO boss@localhost; "
                   "REVOKE ADMIN OPTION FOR role_b FROM CURRENT_USER")
        my.run("backup", server.url(source))
        for options in ([], ["--clean"]):
            my.restore("latest", there.url(), "--users", *options, env=there.variables)
            assert there.rows(mapping) == server.rows(mapping) != []
    finally:
        for each in (server, there):
            each.sql(accounts)


def test_what_users_made_in_the_servers_own_databases_is_named(my):
    server = my.server
    server.make("CREATE TABLE t (i INT)")
    all_of_it = ("backup", server.url(), "--all-databases")
    my.run(*all_of_it)
    things = {"TABLE": "mysql.mine", "VIEW": "mysql.seen", "FUNCTION": "mysql.made", "EVENT": "mysql.due", "PROCEDURE": "sys.done"}
    try:
        server.sql("CREATE TABLE mysql.mine (i INT); CREATE VIEW mysql.seen AS SELECT 1; CREATE FUNCTION mysql.made() RETURNS INT DETERMINISTIC RETURN 1; "
                   "CREATE EVENT mysql.due ON SCHEDULE EVERY 1 YEAR DO SELECT 1; CREATE PROCEDURE sys.done() SELECT 1")
        (line,) = [line for line in my.run(*all_of_it, code=PARTIAL).err.splitlines() if "warning" in line]
        assert all(name in line for name in things.values()) and "sys_config" not in line, line
        line = my.run(*all_of_it, "--exclude-table", "mysql.*", code=PARTIAL).err
        assert "sys.done" in line and "mysql.mine" not in line
        my.run(*all_of_it, "--exclude-table", "mysql.*", "--exclude-table", "sys.*")
    finally:
        server.sql("; ".join(f"DROP {kind} IF EXISTS {name}" for kind, name in things.items()))


def test_names_of_objects_made_in_another_character_set_stay(my):
    source = my.server.make("CREATE TABLE t (i INT)")
    my.server.client(source, "--default-character-set=latin1", input="CREATE VIEW `v\xe4` AS SELECT i AS `\xf6`, '\xdf' AS s FROM t; "
                     "CREATE PROCEDURE `p\xe4`() SELECT '\xdf'; CREATE TRIGGER `t\xe4` BEFORE INSERT ON t FOR EACH ROW SET @a = '\xdf'".encode("latin1"))
    my.run("backup", my.server.url(source))
    for target in ("umlauts", "umläute"):
        my.restore(f"latest:/{source}", my.server.url(target))
        mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(my.server, target))
    assert "ASCII" in my.fails("restore", f"latest:/{source}", "--to", my.server.url(source), "--table", "vä", "--rename", f"{source}.vä={source}.vö",
                               code=FAILED, names="vö")
    my.run("verify", "latest", "--against", my.server.url())
    my.server.client(source, "--default-character-set=latin1",
                     input=f"CREATE TRIGGER {source}.`u\xe4` BEFORE UPDATE ON {source}.t FOR EACH ROW SET @a = 1".encode("latin1"))
    my.run("backup", my.server.url(source))
    assert "latin1" in my.fails("restore", f"latest:/{source}", "--to", my.server.url("umlaut"), code=BUSY, names="trigger umlaut.uä")


BACKSLASHES = r"""
SET sql_mode = 'NO_BACKSLASH_ESCAPES';
delimiter //
CREATE PROCEDURE p(a ENUM('x\','y')) DETERMINISTIC COMMENT 'it''s \ and
 \n' CREATE TABLE t (i INT) COMMENT 'a\'//
CREATE FUNCTION f() RETURNS ENUM('\', '(') DETERMINISTIC COMMENT 'b\' RETURN '\'//
CREATE EVENT e ON SCHEDULE EVERY 1 YEAR COMMENT 'c\' DO SELECT '\'//
SET sql_mode = 'ORACLE,NO_BACKSLASH_ESCAPES'//
CREATE PACKAGE pk SQL SECURITY INVOKER COMMENT 'it''s \ here
 \n' AS FUNCTION g RETURN VARCHAR2(10); END//
CREATE PACKAGE BODY pk COMMENT '\' AS FUNCTION g RETURN VARCHAR2(10) AS BEGIN RETURN 'd\'; END; END//
"""


def test_options_that_mean_nothing_to_the_server_stay(my):
    source = my.server.make("SET sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'; CREATE TABLE t (a INT, b INT foo = 'it''s \\\\' COMMENT '/* `k` */', KEY (a) blub = YES) bar = 3 "
                            "PARTITION BY HASH (a) (PARTITION p baz = 'x'); INSERT INTO t VALUES (1, 2)")
    my.run("backup", my.server.url(source))
    my.restore(f"latest:/{source}", my.server.url("with_options"))
    mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(my.server, "with_options"))
    assert "/* `bar`='3' */" in my.server.rows("SHOW CREATE TABLE t", "with_options")[0][1]


def test_comments_keep_their_backslashes(my, there):
    source = my.server.make(BACKSLASHES)
    my.run("backup", my.server.url(source))
    want = mariadb_state.of(my.server, source)
    my.restore(f"latest:/{source}", my.server.url("slashes"))
    mariadb_state.assert_equal(want, mariadb_state.of(my.server, "slashes"))
    there.make(name=source)
    for name in ("routines", "events"):
        there.client(source, input=my.run("dump", f"latest:{source}/{name}.sql").out.encode())
    mariadb_state.assert_equal(want, mariadb_state.of(there, source))
    my.run("verify", "latest", "--level", "comprehensive", "--against", my.server.url())


def test_events_whose_time_has_passed_are_named(my):
    server = my.server
    source = server.make("CREATE EVENT once ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO SELECT 1;"
                         "CREATE EVENT kept ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE DO SELECT 1;"
                         "CREATE EVENT asleep ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE DISABLE DO SELECT 1;"
                         "CREATE EVENT again ON SCHEDULE EVERY 1 YEAR DO SELECT 1")
    my.run("backup", server.url(source))
    time.sleep(2.1)
    done = my.restore(f"latest:/{source}", server.url("late"), code=PARTIAL)
    warnings = sorted(line for line in done.err.splitlines() if "warning" in line)
    assert len(warnings) == 2 and "late.kept is disabled" in warnings[0] and "late.once was not made" in warnings[1], warnings
    for options in ((), ("--against", server.url())):
        my.run("verify", "latest", *options, timeout=120)


def test_verify_takes_views_whose_owner_may_do_nothing_elsewhere(my):
    server = my.server
    source = server.make("CREATE TABLE t (i INT PRIMARY KEY)")
    with mariadb_state.user(server, "app", f"GRANT ALL ON {source}.* TO app@'%'; GRANT ALL ON kept.* TO app@'%'"):
        server.sql("CREATE DEFINER = app@'%' VIEW v AS SELECT * FROM t; CREATE DEFINER = app@'%' VIEW w AS SELECT * FROM v", source)
        my.run("backup", server.url(source))
        my.run("verify", "latest", "--level", "comprehensive", "--against", server.url())
        # The real restore keeps them.
        my.restore(f"latest:/{source}", server.url("kept"))
        assert {row[0] for row in server.rows("SELECT definer FROM information_schema.views WHERE table_schema = 'kept'")} == {"app@%"}


def test_a_script_makes_tables_that_a_strict_server_refuses(my, there):
    source = my.server.make("SET innodb_strict_mode = 0; CREATE TABLE t (i INT) ENGINE = InnoDB ROW_FORMAT = FIXED; INSERT INTO t VALUES (1)")
    my.run("backup", my.server.url(source))
    there.make(name=source)
    script = my.run("dump", f"latest:{source}/tables/t.sql").out + "SELECT @@innodb_strict_mode"
    assert there.client(source, "-N", input=script.encode()).stdout.split() == [b"1"]
    mariadb_state.assert_equal(mariadb_state.of(my.server, source), mariadb_state.of(there, source))


@contextlib.contextmanager
def rewriting(server, old, new):
    """A port of the server on which one text of clients becomes another of the same length."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection(("127.0.0.1", server.port)) as upstream:
                threading.Thread(target=pump, args=(upstream, self.request)).start()
                pump(self.request, upstream)

    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(old, new))
            target.shutdown(socket.SHUT_RDWR)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,)).start()
        try:
            yield proxy.server_address[1]
        finally:
            proxy.shutdown()


def test_verify_knows_in_which_turn_triggers_act(my):
    server = my.server
    old, new = "FOR EACH ROW             SET NEW.i = 2", "FOR EACH ROW PRECEDES ta SET NEW.i = 2"
    source = server.make("CREATE TABLE t (i INT); CREATE TRIGGER ta BEFORE INSERT ON t FOR EACH ROW SET NEW.i = 1;"
                         f"CREATE TRIGGER tb BEFORE INSERT ON t {old}; CREATE TRIGGER tc AFTER INSERT ON t FOR EACH ROW SET @x = 1")
    my.run("backup", server.url(source))
    my.run("verify", "latest", "--against", server.url())
    with rewriting(server, old.encode(), new.encode()) as port:
        url = server.url().replace(str(server.port), str(port))
        done = my.run("verify", "latest", "--against", url, code=DAMAGED)
    failed = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2 and all("its turn" in line for line in failed), done.out


def test_a_trigger_that_goes_with_its_table_is_named(my):
    server = my.server
    source = server.make("CREATE TABLE c (i INT); CREATE TABLE d (i INT); CREATE TRIGGER c1 AFTER INSERT ON c FOR EACH ROW SET @x = 1")
    my.run("backup", server.url(source))
    server.sql("CREATE TRIGGER c9 AFTER DELETE ON c FOR EACH ROW SET @x = 9; CREATE TRIGGER d9 AFTER DELETE ON d FOR EACH ROW SET @x = 9", source)
    restore = ("restore", "latest", "--to", server.url(source), "--table", "c", "--clean")
    for options in (["--dry-run"], []):
        done = my.run(*restore, *options, code=PARTIAL)
        assert f"trigger {source}.c9 goes with its table" in done.err and done.err.count("warning") == 1
        assert not options or f"drop trigger {source}.c9\n" in done.out
    assert {row[0] for row in server.rows("SHOW TRIGGERS", source)} == {"c1", "d9"}
    my.run(*restore)
