"""Backups of PostgreSQL when something goes wrong: one clear line, no snapshot, and a server left as it was."""

import contextlib
import itertools
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

import psycopg2
import pytest
import servers
from harness import BUSY, FAILED, PARTIAL, USAGE, kill_after

RUNS = int(os.environ.get("COFFER_KILL_RUNS", "20"))
SCRIPT = "CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a FROM generate_series(1, 1000) AS g; CREATE TABLE tiny (i int); "
LARGE = SCRIPT + "CREATE TABLE large AS SELECT g AS id, md5(g::text) AS a FROM generate_series(1, 600000) AS g;"


def url(database):
    return f"postgres:///{database}"


@pytest.fixture
def pg(postgres, coffer):
    """coffer that finds the server by its environment."""
    coffer.variables = postgres.variables
    coffer.server = postgres
    return coffer


def assert_refused(coffer, *args, code=FAILED, names=(), **kw):
    """One line, no snapshot, nothing left on the server."""
    started = time.monotonic()
    line = coffer.fails("backup", *args, code=code, names=names, **kw)
    assert coffer.snapshots() == []
    coffer.server.assert_idle()
    assert time.monotonic() - started < 20
    return line


@contextlib.contextmanager
def transaction(server, database, *statements):
    """Another client's open transaction."""
    connection = server.connect(database)
    connection.autocommit = False
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            yield connection
    finally:
        connection.close()


# Not reached, not let in.

def test_a_server_that_is_down_is_named(pg):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = assert_refused(pg, f"postgres://postgres@127.0.0.1:{port}/x")
    assert str(port) in line


def test_a_server_that_does_not_answer_can_be_interrupted(pg):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        process = pg.start("backup", f"postgres://postgres@127.0.0.1:{silent.getsockname()[1]}/x")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 130


@pytest.mark.parametrize("text, word", [("x.invalid/db", "x.invalid"), ("127.0.0.1:{port}/nonesuch", "nonesuch")])
def test_an_unknown_host_or_database_is_named(pg, text, word):
    assert_refused(pg, f"postgres://postgres@{text.format(port=pg.server.port)}", names=word)


def test_a_wrong_password_is_told_and_not_shown(pg):
    name = pg.server.make(SCRIPT)
    line = assert_refused(pg, pg.server.tcp(name), env={"PGPASSWORD": "topsecretpassword"})
    assert "password" in line and "topsecretpassword" not in line


@pytest.mark.parametrize("source", ["postgres://postgres:topsecret@127.0.0.1/x", "postgres:dbname=x password=topsecret",
                                    "postgres://postgres@127.0.0.1/x?password=topsecret"])
def test_a_password_in_the_source_is_refused(pg, source):
    line = assert_refused(pg, source, code=USAGE, names="PGPASSWORD")
    assert "topsecret" not in line
    line = pg.fails("restore", "latest", "--to", source, code={USAGE, FAILED})
    assert "topsecret" not in line


def command_lines():
    lines = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.add(path.read_bytes())
    return lines


def test_the_password_is_in_no_command_line_nor_output(pg):
    name = pg.server.make(LARGE)
    pg.server.sql("ALTER ROLE postgres PASSWORD 'topsecretpassword'")
    try:
        process = pg.start("backup", pg.server.tcp(name), env={"PGPASSWORD": "topsecretpassword", "PGHOST": "127.0.0.1"})
        seen = set()
        while process.poll() is None:
            seen |= command_lines()
            time.sleep(0.005)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert any(b"pg_dump" in line for line in seen)
        assert not any(b"topsecretpassword" in line for line in seen)
        assert b"topsecretpassword" not in out + err
    finally:
        pg.server.sql("ALTER ROLE postgres PASSWORD 'secret'")
    pg.server.assert_idle()


# Rights.

@pytest.fixture
def clerk(pg):
    pg.server.sql("CREATE ROLE clerk LOGIN")
    pg.variables = {**pg.server.variables, "PGUSER": "clerk"}
    yield pg
    for (name,) in pg.server.rows("SELECT datname FROM pg_database WHERE NOT datistemplate"):
        pg.server.sql("DROP OWNED BY clerk", name)
    pg.server.sql("DROP ROLE clerk")


def test_a_table_without_the_right_to_read_is_named(clerk):
    name = clerk.server.make(SCRIPT + "GRANT SELECT ON t TO clerk; CREATE TABLE \"Hidden one\" (i int)")
    clerk.server.sql("DROP TABLE tiny", name)
    assert_refused(clerk, url(name), names="Hidden one")


def test_row_security_that_would_filter_is_an_error(clerk):
    name = clerk.server.make("CREATE TABLE private (o name, i int); INSERT INTO private VALUES ('clerk', 1), ('x', 2); GRANT SELECT ON private TO clerk; "
                             "ALTER TABLE private ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON private USING (o = current_user)")
    assert_refused(clerk, url(name), names="private")


def test_a_schema_that_may_not_be_used_is_told(clerk):
    name = clerk.server.make("CREATE SCHEMA closed; CREATE TABLE closed.t (i int)")
    assert_refused(clerk, url(name), names="closed")


# Locks.

def test_a_lock_that_cannot_be_had_is_told_with_its_table(pg):
    name = pg.server.make(SCRIPT)
    with transaction(pg.server, name, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        started = time.monotonic()
        pg.fails("backup", url(name), "--lock-wait", "1", code={FAILED, BUSY}, names="t")
        assert time.monotonic() - started < 5
        assert pg.snapshots() == []
    pg.server.assert_idle()
    pg.run("backup", url(name))
    pg.server.sql("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'left alone'", name)
    pg.fails("backup", url(name), "--lock-wait", "1", code=BUSY, names="the prepared transaction left alone (user postgres)")
    pg.server.sql("ROLLBACK PREPARED 'left alone'", name)


def test_a_lock_that_is_given_up_in_time_is_waited_for(pg):
    name = pg.server.make(SCRIPT)
    with transaction(pg.server, name, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "DELETE FROM t WHERE id > 10") as other:
        process = pg.start("backup", url(name))
        servers.wait_for(lambda: pg.server.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), 10, "waiting")
        other.commit()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def test_a_wait_for_a_lock_can_be_interrupted(pg):
    name = pg.server.make(SCRIPT)
    with transaction(pg.server, name, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        process = pg.start("backup", url(name))
        servers.wait_for(lambda: pg.server.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), 10, "waiting")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
        assert process.returncode == 130
        servers.wait_for(lambda: not pg.server.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), 3, "the end of waiting")
    pg.server.assert_idle()


def holds_locks(server, database, table):
    return server.rows("SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted AND l.mode = 'AccessShareLock' "
                       f"AND application_name LIKE 'coffer%' AND relation = '{table}'::regclass", database)


@pytest.mark.parametrize("table", ["tiny", "large"])
def test_an_alter_that_comes_meanwhile_ends_the_dump_or_waits_for_it(pg, table):
    """A table locked by the leader and not yet by a worker: the ALTER queues between them, which would deadlock."""
    name = pg.server.make(LARGE)
    process = pg.start("backup", url(name), "--jobs", "1")
    servers.wait_for(lambda: holds_locks(pg.server, name, table), 10, "the lock")
    process.send_signal(signal.SIGSTOP)
    alter = subprocess.Popen(["psql", "-X", "-q", "-d", name, "-c", f"ALTER TABLE {table} ADD COLUMN late int"], env=pg.server.env())
    servers.wait_for(lambda: alter.poll() is not None or pg.server.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), 10, "the ALTER")
    was_done = alter.poll() is not None
    process.send_signal(signal.SIGCONT)
    started = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert alter.wait(10) == 0, "the server is wedged"
    if process.returncode == 0:
        # The worker was faster; then the ALTER waited for the whole dump.
        assert not was_done and len(pg.snapshots()) == 1
    else:
        assert process.returncode in (FAILED, BUSY), err
        assert time.monotonic() - started < 5
        assert len(err.splitlines()) == 1 and table in err.decode()
        assert pg.snapshots() == []
    pg.server.assert_idle()


@pytest.mark.parametrize("statement", ["DROP TABLE t", "ALTER TABLE t RENAME TO u", "ALTER TABLE t DROP COLUMN a",
                                       "ALTER TABLE t ALTER a TYPE varchar(100)"])
def test_a_table_that_changes_between_listing_and_lock_is_told_or_right(pg, statement, tmp_path):
    name = pg.server.make(SCRIPT)
    with transaction(pg.server, name, statement) as other:
        process = pg.start("backup", url(name))
        servers.wait_for(lambda: pg.server.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), 10, "waiting")
        other.commit()
    _, err = process.communicate(timeout=20)
    pg.server.assert_idle()
    if process.returncode != 0:
        assert process.returncode in (FAILED, BUSY), err
        assert len(err.splitlines()) == 1 and b"t" in err
        assert pg.snapshots() == []
        pg.run("backup", url(name))
    # What there is restores to what is there.
    target = pg.server.make()
    pg.restore("latest", url(target))
    assert pg.server.dump(target) == pg.server.dump(name)


@contextlib.contextmanager
def constant_ddl(server, database, *scripts):
    """Clients that run statements over and over, each in a database of things that come and go; how often they did."""
    stop, done = threading.Event(), [0] * len(scripts)

    def run(which):
        with contextlib.closing(server.connect(database)) as connection, connection.cursor() as cursor:
            for n in itertools.count():
                if stop.is_set():
                    return
                for statement in scripts[which].split(";"):
                    cursor.execute(statement.replace("NAME", f"ddl_{which}_{n % 1000}_{n}"))
                done[which] += 1

    threads = [threading.Thread(target=run, args=(which,)) for which in range(len(scripts))]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


DDL = ("CREATE TABLE NAME AS SELECT 1 AS i; DROP TABLE NAME; SELECT pg_sleep(0.01)",
       "CREATE TABLE NAME (i serial PRIMARY KEY); SELECT pg_sleep(0.05); DROP TABLE NAME; SELECT pg_sleep(0.2)",
       "CREATE SEQUENCE NAME; SELECT pg_sleep(0.02); DROP SEQUENCE NAME; SELECT pg_sleep(0.05)",
       "CREATE VIEW NAME AS SELECT 1 AS i; CREATE FUNCTION NAME() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION NAME; "
       "DROP VIEW NAME; SELECT pg_sleep(0.05)",
       "CREATE TABLE NAME (i int); INSERT INTO NAME VALUES (1); TRUNCATE NAME; SELECT pg_sleep(0.3); DROP TABLE NAME; SELECT pg_sleep(0.3)")


def test_a_database_in_which_tables_come_and_go_is_backed_up(pg):
    name = pg.server.make(LARGE)
    with constant_ddl(pg.server, name, *DDL) as done:
        pg.run("backup", url(name), timeout=90)
        # Whoever waited for it goes on.
        before = list(done)
        servers.wait_for(lambda: all(now > then for now, then in zip(done, before)), 10, "all clients going on")
    pg.server.assert_idle()
    for table in ("t", "large"):
        assert pg.run("dump", f"latest:{name}/tables/public.{table}.copy").stdout
    target = pg.server.make()
    pg.restore("latest", url(target))
    assert pg.server.value("SELECT count(*) FROM large", target) == 600000


def test_tables_that_come_too_fast_are_told(pg):
    """Where each of many clients makes tables faster than they can be listed and locked."""
    name = pg.server.make(SCRIPT)
    with constant_ddl(pg.server, name, *["; ".join(["CREATE TABLE NAME (i int); DROP TABLE NAME"] * 20)] * 6):
        result = pg.run("backup", url(name), "--lock-wait", "1", code={0, FAILED, BUSY}, timeout=20)
    if result.code:
        assert "table" in result.error_line
        assert pg.snapshots() == []
    pg.server.assert_idle()


def test_many_tables_work_or_name_the_setting(coffer, request):
    """3,000 tables under the default number of locks; and a server with room for fewer says which setting to raise."""
    request.getfixturevalue("postgres_server")
    server = servers.Postgres(PG_CONF="max_connections = 12\nmax_locks_per_transaction = 10\nmax_wal_senders = 0\nmax_prepared_transactions = 0")
    coffer.server, coffer.variables = server, server.variables
    try:
        name = server.make()
        for part in range(30):
            server.sql("\n".join(f"CREATE TABLE t{n} (id int);" for n in range(part * 100, part * 100 + 100)), name)
        assert_refused(coffer, url(name), names="max_locks_per_transaction", timeout=60)
    finally:
        server.remove()


@pytest.mark.slow
def test_three_thousand_tables_are_backed_up(pg):
    name = pg.server.make()
    for part in range(30):
        pg.server.sql("\n".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, t text);" for n in range(part * 100, part * 100 + 100)), name)
    result = pg.run("backup", url(name), timeout=60)
    assert result.seconds < 30
    pg.server.assert_idle()


# Cut off.

class Proxy:
    """Forwards to a server, and cuts each connection after a number of bytes from it."""

    def __init__(self, port, limit):
        self.limit, self.to = limit, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
                threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self.pump, args=(server, client, self.limit), daemon=True).start()

    def pump(self, source, target, limit):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if limit is not None:
                    limit -= len(data)
                    if limit < 0:
                        break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()


@pytest.mark.parametrize("limit", [500, 3_000, 20_000, 200_000, 3_000_000])
def test_a_connection_that_is_cut_is_told(pg, limit):
    name = pg.server.make(LARGE)
    proxy = Proxy(int(pg.server.port), limit)
    try:
        line = assert_refused(pg, f"postgres://postgres@127.0.0.1:{proxy.port}/{name}")
        assert any(word in line for word in ("server", "connection", "EOF")), line
    finally:
        proxy.close()


@pytest.mark.parametrize("whose", ["COPY", "idle in transaction"])
def test_a_session_that_the_server_ends_fails_the_dump(pg, whose):
    name = pg.server.make(LARGE)
    process = pg.start("backup", url(name), "--jobs", "2")
    servers.wait_for(lambda: any("COPY" in row[3] and "large" in row[3] for row in pg.server.sessions()), 20, "COPY")
    process.send_signal(signal.SIGSTOP)  # lest it be through before
    condition = "query LIKE '%COPY%large%'" if whose == "COPY" else "state LIKE 'idle in%'"
    killed = pg.server.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'coffer%' AND {condition}")
    process.send_signal(signal.SIGCONT)
    assert killed
    _, err = process.communicate(timeout=20)
    assert process.returncode == FAILED, err
    assert len(err.splitlines()) == 1
    assert pg.snapshots() == []
    pg.server.assert_idle()


def test_a_server_that_stops_in_the_middle_fails_the_dump(coffer, request):
    request.getfixturevalue("postgres_server")
    server = servers.Postgres()
    coffer.variables = server.variables
    try:
        name = server.make(LARGE)
        process = coffer.start("backup", url(name))
        servers.wait_for(lambda: any("COPY" in row[3] for row in server.sessions()), 20, "COPY")
        server.stop()
        _, err = process.communicate(timeout=20)
        assert process.returncode == FAILED, err
        assert len(err.splitlines()) == 1
        assert coffer.snapshots() == []
        server.start()
        coffer.variables = server.variables
        coffer.run("backup", url(name))
    finally:
        server.remove()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["socket", "tcp"])
def test_killed_at_random_moments_it_leaves_nothing_on_the_server(pg, way):
    rng = random.Random(3)
    name = pg.server.make(LARGE)
    source = url(name) if way == "socket" else pg.server.tcp(name)
    length = pg.run("backup", source).seconds
    for _ in range(RUNS // 2):
        process = pg.start("backup", source, "--jobs", "3")
        kill_after(process, rng.uniform(0, length))
        process.communicate()
        pg.server.assert_idle(seconds=2)
    pg.check()
    pg.run("backup", source)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_while_the_server_waits_to_send_it_leaves_nothing(pg, number):
    """What the server has sent is in the buffers, full to the brim: closing must not be mistaken for a slow reader."""
    name = pg.server.make(LARGE)
    for _ in range(4):
        process = pg.start("backup", pg.server.tcp(name), "--jobs", "1")
        servers.wait_for(lambda: any("COPY" in row[3] and "large" in row[3] for row in pg.server.sessions()), 20, "COPY")
        process.send_signal(number)
        process.communicate(timeout=20)
        pg.server.assert_idle(seconds=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_at_once(pg, number):
    name = pg.server.make(LARGE)
    process = pg.start("backup", url(name))
    servers.wait_for(lambda: any("COPY" in row[3] for row in pg.server.sessions()), 20, "COPY")
    started = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number, err
    assert time.monotonic() - started < 2
    assert len(err.splitlines()) <= 1
    assert pg.snapshots() == []
    pg.server.assert_idle()


# Consistency.

@pytest.mark.slow
def test_money_that_moves_during_the_dump_keeps_its_sum(pg):
    n_tables, n_rows = 8, 200
    name = pg.server.make("".join(f"CREATE TABLE account{n} (id int PRIMARY KEY, balance bigint, padding text); INSERT INTO account{n} "
                                  f"SELECT g, 1000, repeat('x', 2000) FROM generate_series(1, {n_rows}) AS g;" for n in range(n_tables)))
    stop, moved = threading.Event(), [0] * 4

    def move(which):
        rng = random.Random(which)
        with contextlib.closing(pg.server.connect(name)) as connection:
            connection.autocommit = False
            while not stop.is_set():
                a, b, amount = rng.randrange(n_tables), rng.randrange(n_tables), rng.randrange(100)
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(f"UPDATE account{a} SET balance = balance - %s WHERE id = %s", (amount, rng.randint(1, n_rows)))
                        cursor.execute(f"UPDATE account{b} SET balance = balance + %s WHERE id = %s", (amount, rng.randint(1, n_rows)))
                    connection.commit()
                    moved[which] += 1
                except psycopg2.errors.DeadlockDetected:
                    connection.rollback()

    writers = [threading.Thread(target=move, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    try:
        snapshots = []
        for _ in range(3):
            before = sum(moved)
            snapshots.append(pg.backup(url(name), "--jobs", "4")["snapshot"])
            assert sum(moved) > before + 10, "nothing moved meanwhile"
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    for snapshot in snapshots:
        target = pg.server.make()
        pg.restore(snapshot, url(target))
        total = sum(pg.server.value(f"SELECT sum(balance) FROM account{n}", target) for n in range(n_tables))
        assert total == n_tables * n_rows * 1000
    pg.server.assert_idle()


def test_a_standby_can_be_backed_up(pg, tmp_path):
    """A hot standby made from the server: the same snapshot, without a right to write."""
    name = pg.server.make(SCRIPT + "CREATE UNLOGGED SEQUENCE unlogged;")
    standby = servers.Standby(pg.server)
    try:
        servers.wait_for(lambda: standby.exists(name), 20, "replication")
        pg.variables = standby.variables
        pg.run("backup", url(name), code=PARTIAL)
        for command in (["restore", "latest", "--to", "postgres:///new", "--create"], ["verify", "latest", "--against", "postgres:"]):
            assert "is a standby" in pg.run(*command, code=FAILED).err
        pg.variables = pg.server.variables
        pg.run("verify", "latest", "--against", "postgres:", "--level", "comprehensive")
        target = pg.server.make()
        pg.restore("latest", url(target))
        assert pg.server.dump(target) == pg.server.dump(name)
    finally:
        standby.remove()
