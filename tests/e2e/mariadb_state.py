"""All that a MariaDB database holds, as its server tells it, to be compared with what was restored."""

import contextlib
import re

from servers import quoted

SCRIPT = """
CREATE TABLE parent (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE);
CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, note VARCHAR(50), doubled INT AS (parent * 2) STORED, KEY (note),
	FOREIGN KEY (parent) REFERENCES parent (id));
CREATE TABLE other (id INT PRIMARY KEY, t TEXT);
INSERT INTO parent (name) SELECT CONCAT('parent ', seq) FROM seq_1_to_100;
INSERT INTO child (parent, note) SELECT 1 + seq % 100, CONCAT('note ', seq) FROM seq_1_to_1000;
INSERT INTO other VALUES (1, 'one'), (2, NULL);
CREATE VIEW both_ AS SELECT p.name, c.note FROM parent AS p JOIN child AS c ON c.parent = p.id;
CREATE TRIGGER shout BEFORE INSERT ON child FOR EACH ROW SET NEW.note = UPPER(NEW.note);
CREATE PROCEDURE p() SELECT 1;
CREATE SEQUENCE s START WITH 5;
"""
SHOWN = {"VIEW": ("Create View", "character_set_client", "collation_connection"),
         "TRIGGER": ("sql_mode", "SQL Original Statement", "character_set_client", "collation_connection", "Database Collation"),
         "FUNCTION": ("sql_mode", "Create Function", "character_set_client", "collation_connection", "Database Collation"),
         "PROCEDURE": ("sql_mode", "Create Procedure", "character_set_client", "collation_connection", "Database Collation"),
         "PACKAGE": ("sql_mode", "Create Package", "character_set_client", "collation_connection", "Database Collation"),
         "PACKAGE BODY": ("sql_mode", "Create Package Body", "character_set_client", "collation_connection", "Database Collation"),
         "EVENT": ("sql_mode", "time_zone", "Create Event", "character_set_client", "collation_connection", "Database Collation")}


class State:
    def __init__(self, server, database):
        self.connection = server.connect(database)
        self.database = database
        self.found = {}
        with self.connection:
            self.read()

    def rows(self, query, *parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def read(self):
        self.rows("SELECT 1")
        with self.connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', sql_mode = '', sql_quote_show_create = 1")
        # The name may differ, the rest not.
        text = self.rows(f"SHOW CREATE DATABASE {quoted(self.database)}")[0]["Create Database"]
        self.found["database"] = text.replace(quoted(self.database), "DB")
        for row in self.rows("SELECT table_name AS n, table_type AS t FROM information_schema.tables WHERE table_schema = BINARY %s",
                             self.database):
            {"BASE TABLE": self.table, "SYSTEM VERSIONED": self.table, "VIEW": self.view, "SEQUENCE": self.sequence}[row["t"]](row["n"])
        for row in self.rows("SELECT routine_name AS n, routine_type AS t FROM information_schema.routines WHERE routine_schema = BINARY %s",
                             self.database):
            self.shown(row["t"], row["n"])
        for row in self.rows("SELECT trigger_name AS n, action_order AS o FROM information_schema.triggers WHERE trigger_schema = BINARY %s",
                             self.database):
            self.shown("TRIGGER", row["n"])
            self.found["TRIGGER", row["n"], "order"] = row["o"]
        for row in self.rows("SELECT event_name AS n, status AS s FROM information_schema.events WHERE event_schema = BINARY %s", self.database):
            self.shown("EVENT", row["n"])
            self.found["EVENT", row["n"], "status"] = row["s"]

    def shown(self, kind, name):
        row = self.rows(f"SHOW CREATE {kind} {quoted(name)}")[0]
        self.found[kind, name] = tuple(row[column] for column in SHOWN[kind])
        if kind == "TRIGGER":
            # One that was written anew for another name has quotes around it.
            self.found[kind, name] = tuple(text.replace("`", "") for text in self.found[kind, name])

    def view(self, name):
        self.shown("VIEW", name)

    def table(self, name):
        create = self.rows(f"SHOW CREATE TABLE {quoted(name)}")[0]["Create Table"]
        # A default that takes from a sequence names its database.
        self.found["TABLE", name] = create.replace(quoted(self.database) + ".", "")
        self.found["rows", name] = self.rows(f"SELECT count(*) AS n FROM {quoted(name)}")[0]["n"]
        if "GENERATED ALWAYS AS (" in create:
            # The server's checksum of such a table is another one each time it was written.
            self.found["checksum", name] = sorted(map(repr, self.rows(f"SELECT * FROM {quoted(name)}")))
        else:
            self.found["checksum", name] = self.rows(f"CHECKSUM TABLE {quoted(name)} EXTENDED")[0]["Checksum"]
        if "WITH SYSTEM VERSIONING" in create:
            columns = ", ".join(quoted(row["n"]) for row in self.rows(
                "SELECT column_name AS n FROM information_schema.columns WHERE table_schema = BINARY %s AND table_name = BINARY %s",
                self.database, name))
            if "PERIOD FOR SYSTEM_TIME" not in create:
                columns += ", row_start, row_end"
            self.found["history", name] = sorted(map(repr, self.rows(
                f"SELECT {columns} FROM {quoted(name)} FOR SYSTEM_TIME ALL")))

    def sequence(self, name):
        self.found["SEQUENCE", name] = self.rows(f"SHOW CREATE SEQUENCE {quoted(name)}")[0]["Create Table"]
        self.found["next", name] = self.rows(f"SELECT next_not_cached_value AS v FROM {quoted(name)}")[0]["v"]


def of(server, database):
    return State(server, database).found


def assert_equal(want, got):
    assert set(want) == set(got), (set(want) ^ set(got))
    different = {key: (want[key], got[key]) for key in want if want[key] != got[key]}
    assert not different, different


def grants_of(server, account):
    """The server lists a grant's columns in no order."""
    rows = [row[0] for row in server.rows(f"SHOW GRANTS FOR {account}")]
    return sorted(re.sub(r"\(([^)]*)\)", lambda found: str(sorted(found.group(1).split(", "))), row) for row in rows)


@contextlib.contextmanager
def user(server, name, grants):
    server.sql(f"CREATE USER {name}@'%' IDENTIFIED BY 'x'; {grants}")
    try:
        yield
    finally:
        server.sql(f"DROP USER {name}@'%'")


@contextlib.contextmanager
def engine(server, name):
    server.sql(f"INSTALL SONAME '{name}'")
    try:
        yield
    finally:
        server.sql(f"FLUSH TABLES; UNINSTALL SONAME '{name}'")
