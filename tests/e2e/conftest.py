"""Fixtures: a fresh repository per test, and one with a backup that tests may copy and damage."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402
import servers  # noqa: E402
import trees  # noqa: E402


def pytest_configure(config):
    for line in (
        "slow: takes seconds even in a release build; left out under sanitizers",
        "native: preloads a library or counts memory, which sanitizers do not stand",
        "threads: works with several threads; run under the thread sanitizer",
        "root: needs root",
    ):
        config.addinivalue_line("markers", line)


def pytest_sessionstart(session):
    # A shell that runs the tests in the background has them ignore SIGINT, and nohup SIGHUP; the program would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not harness.PROGRAM.exists():
        pytest.exit(f"no program at {harness.PROGRAM}; build it or set COFFER_TEST_BUILD", 1)


def pytest_collection_modifyitems(items):
    for item in items:
        if os.geteuid() != 0 and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def empty(tmp_path):
    """coffer without a repository yet."""
    return harness.Coffer(tmp_path)


@pytest.fixture
def coffer(empty):
    """coffer with a fresh repository."""
    empty.init()
    return empty


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """A repository with two snapshots of a folder and one of a stream. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("sample")
    coffer = harness.Coffer(folder)
    coffer.init()
    coffer.source = trees.small(coffer.work / "source")
    coffer.rows = trees.rows(7, 4000)
    coffer.first = coffer.backup(coffer.source)["snapshot"]
    coffer.before = trees.capture(coffer.source)
    (coffer.source / "a/rows").write_bytes(trees.change_rows((coffer.source / "a/rows").read_bytes(), 3, 2))
    (coffer.source / "a/new").write_bytes(b"new")
    coffer.second = coffer.backup(coffer.source)["snapshot"]
    coffer.stream = coffer.backup("stream:rows", input=coffer.rows)["snapshot"]
    return coffer


@pytest.fixture(scope="session")
def postgres_server():
    need_driver("postgres")
    server = servers.Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb_server():
    need_driver("mysql")
    server = servers.MariaDB()
    yield server
    server.remove()


def need_driver(name):
    """Skip where the build was made without a driver, but never unnoticed: COFFER_TEST_ALL makes it a failure."""
    if name not in harness.sources():
        reason = f"this build of coffer has no {name} driver"
        if os.environ.get("COFFER_TEST_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def postgres(postgres_server):
    """PostgreSQL; databases that a test makes are dropped after it."""
    before = {row[0] for row in postgres_server.rows("SELECT datname FROM pg_database")}
    yield postgres_server
    for (name,) in postgres_server.rows("SELECT datname FROM pg_database"):
        if name not in before:
            postgres_server.drop(name)


@pytest.fixture
def mariadb(mariadb_server):
    """MariaDB; databases that a test makes are dropped after it."""
    before = mariadb_server.databases()
    yield mariadb_server
    for name in mariadb_server.databases() - before:
        mariadb_server.drop(name)


@pytest.fixture(scope="session")
def shop(postgres_server):
    """The PostgreSQL database with every kind of object. Not to be changed."""
    postgres_server.make(name="shop")
    postgres_server.psql("shop", "-o", "/dev/null", "-f", servers.FIXTURES / "postgres.sql")
    return "shop"


@pytest.fixture(scope="session")
def shop_backup(postgres_server, shop, tmp_path_factory):
    """A repository with a snapshot of it. Copy it before changing it."""
    coffer = harness.Coffer(tmp_path_factory.mktemp("shop"))
    coffer.variables = postgres_server.variables
    coffer.init()
    coffer.summary = coffer.backup(f"postgres:///{shop}")
    return coffer


@pytest.fixture(scope="session")
def stock(mariadb_server):
    """The MariaDB databases with every kind of object. Not to be changed."""
    mariadb_server.sql((servers.FIXTURES / "mariadb.sql").read_text(encoding="utf-8"))
    return sorted(mariadb_server.databases() & {"shop", "old", 'odd.name/100% "x" é', "empty_one"})


@pytest.fixture(scope="session")
def stock_backup(mariadb_server, stock, tmp_path_factory):
    """A repository with a snapshot of them. Copy it before changing it."""
    coffer = harness.Coffer(tmp_path_factory.mktemp("stock"))
    coffer.variables = mariadb_server.variables
    coffer.init()
    coffer.summary = coffer.backup(mariadb_server.url(*stock))
    return coffer


@pytest.fixture(scope="session")
def other_server(mariadb_server):
    """A second server to restore into under the same names."""
    server = servers.MariaDB()
    yield server
    server.remove()


@pytest.fixture
def there(other_server):
    # Who owns some of the stock's objects; else a restore says that they are missing.
    other_server.sql("CREATE USER IF NOT EXISTS shop_owner@localhost")
    yield other_server
    for name in other_server.databases():
        other_server.drop(name)


@pytest.fixture
def my(mariadb, coffer):
    """coffer that finds the server's password, and the server."""
    coffer.variables = mariadb.variables
    coffer.server = mariadb
    return coffer
