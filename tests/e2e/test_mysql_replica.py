"""Backups of a MariaDB server that is a replica, and how another one goes on from them."""

import contextlib
import json
import threading

import mariadb_state
import pytest
from harness import PARTIAL

TABLES = "CREATE TABLE a (i INT PRIMARY KEY, n INT); INSERT INTO a SELECT seq, 0 FROM seq_1_to_20; CREATE TABLE b (i INT AUTO_INCREMENT PRIMARY KEY, j INT)"


@contextlib.contextmanager
def replica(primary, server, **position):
    """The server applies what is new at the primary, or what is behind a position."""
    follow(primary, server, **position or {"gtid": primary.value("SELECT @@gtid_binlog_pos")})
    try:
        yield server
    finally:
        server.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL gtid_slave_pos = '', server_id = 1, slave_parallel_threads = 0")


def follow(primary, server, gtid="", file=None, position=None):
    place = f"master_log_file = '{file}', master_log_pos = {position}, master_use_gtid = no" if file else "master_use_gtid = slave_pos"
    server.sql(f"STOP SLAVE; RESET SLAVE ALL; SET GLOBAL server_id = 2, slave_parallel_threads = 2, gtid_slave_pos = '{gtid}'; CHANGE MASTER TO "
               f"master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'root', master_password = 'secret', {place}; START SLAVE")


def wait_for_all(primary, server):
    assert server.value(f"SELECT MASTER_GTID_WAIT('{primary.value('SELECT @@gtid_binlog_pos')}', 20)") == 0


@contextlib.contextmanager
def writer(server, database):
    stop = threading.Event()

    def write():
        with server.connect(database, autocommit=False) as connection, connection.cursor() as cursor:
            number = 0
            while not stop.is_set():
                number += 1
                cursor.execute(f"UPDATE a SET n = n + 1 WHERE i = {number % 20 + 1}")
                cursor.execute(f"INSERT INTO b (j) VALUES ({number})")
                connection.commit()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def facts_of(coffer):
    return json.loads(coffer.run("dump", "latest:server.json").out)["facts"]


@pytest.mark.parametrize("by", ["gtid", "file"])
def test_another_server_goes_on_where_a_replica_was(my, there, by):
    primary, source = my.server, my.server.make(TABLES)
    file, position = primary.rows("SHOW MASTER STATUS")[0][:2]
    there.make(TABLES, name=source)
    with replica(primary, there, **{"file": file, "position": position} if by == "file" else {}):
        with writer(primary, source):
            there.value("SELECT MASTER_POS_WAIT('%s', %d, 20)" % (file, position + 3000))
            my.run("backup", there.url(source), env=there.variables)
            facts = facts_of(my)
        there.sql("STOP SLAVE")
        my.restore(f"latest:/{source}", there.url(source), "--clean", env=there.variables)
        # The replica's own log has nothing of what it applied.
        assert facts["log_slave_updates"] == "0" and "gtid_binlog_pos" not in facts
        assert (facts["primary_host"], facts["primary_port"]) == ("127.0.0.1", str(primary.port))
        if by == "file":
            follow(primary, there, file=facts["primary_log_file"], position=facts["primary_log_position"])
        else:
            follow(primary, there, gtid=facts["gtid_slave_pos"])
        wait_for_all(primary, there)
        mariadb_state.assert_equal(mariadb_state.of(primary, source), mariadb_state.of(there, source))


def test_a_replica_whose_position_cannot_be_seen_is_told(my, there):
    primary, source = my.server, my.server.make(TABLES)
    gtid = primary.value("SELECT @@gtid_binlog_pos")
    file, position = primary.rows("SHOW MASTER STATUS")[0][:2]
    rights = f"GRANT SHOW DATABASES ON *.* TO few@'%'; GRANT ALL ON {source}.* TO few@'%'; "
    there.make(TABLES, name=source)
    password = {**there.variables, "MYSQL_PWD": "x"}
    with replica(primary, there, gtid=gtid), mariadb_state.user(there, "few", rights):
        done = my.run("backup", there.url(user="few"), "--all-databases", env=password, code=PARTIAL)
        assert "its position as a replica of others is not saved" in done.err
        assert "its position as" not in my.run("backup", there.url(source, user="few"), env=password).err
        there.sql("GRANT SLAVE MONITOR ON *.* TO few@'%'")
        done = my.run("backup", there.url(user="few"), "--all-databases", env=password, code=PARTIAL)
        assert "its position as a replica of 127.0.0.1 is not saved: grant SELECT on mysql" in done.err
        there.sql("GRANT SELECT ON mysql.* TO few@'%'")
        my.run("backup", there.url(user="few"), "--all-databases", env=password)
        assert facts_of(my)["gtid_slave_pos"] == gtid
        # A position in a log that moves needs the lock.
        follow(primary, there, file=file, position=position)
        done = my.run("backup", there.url(user="few"), "--all-databases", env=password, code=PARTIAL)
        assert "for it moves" in done.err and "primary_log_file" not in facts_of(my)
        there.sql("STOP SLAVE SQL_THREAD")
        my.run("backup", there.url(user="few"), "--all-databases", env=password)
        assert facts_of(my)["primary_log_position"] == str(position)
