"""Tables straight off a mount, by the databases' own clients."""

import os
import subprocess

import pytest
import servers
import zstandard
from test_mount import mounted, wait_until

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fuse") or os.geteuid() != 0,
                                reason="needs /dev/fuse and root")

TABLES = ("CREATE TABLE orders (id serial PRIMARY KEY, what text, price numeric CHECK (price >= 0)); "
          "INSERT INTO orders (what, price) SELECT md5(g::text), g % 100 FROM generate_series(1, 20000) AS g; "
          "CREATE INDEX ON orders (price); CREATE TABLE other (id int); INSERT INTO other VALUES (1), (2);")


def test_psql_loads_a_table_s_script_and_its_bare_rows(coffer, postgres):
    source, target, bare = postgres.make(TABLES), postgres.make(), postgres.make("CREATE TABLE orders (id int, what text, "
                                                                                 "price numeric);")
    coffer.variables = postgres.variables
    coffer.backup(f"postgres:///{source}")
    with mounted(coffer) as (mnt, _):
        tables = mnt / "latest" / source / "tables"
        postgres.psql(target, "-o", "/dev/null", "-f", tables / "public.orders.sql")
        postgres.psql(bare, "-c", f"\\copy orders from '{tables / 'public.orders.copy'}'")
    one = ("-t", "orders", "-t", "orders_id_seq", "--no-owner")
    assert postgres.dump(target, *one) == postgres.dump(source, *one)
    both = "SELECT id, what, price FROM orders ORDER BY id"
    assert postgres.rows(both, bare) == postgres.rows(both, source)


def test_pg_restore_reads_the_schema(coffer, postgres):
    source, target = postgres.make(TABLES), postgres.make()
    coffer.variables = postgres.variables
    coffer.backup(f"postgres:///{source}")
    with mounted(coffer) as (mnt, _):
        servers.run("pg_restore", "-d", target, mnt / "latest" / source / "schema.dump", env=postgres.env())
    assert postgres.dump(target, "-s") == postgres.dump(source, "-s")


def test_mariadb_loads_a_table_s_script(coffer, mariadb):
    source, target = mariadb.make(), mariadb.make()
    mariadb.sql("CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, what varchar(40), KEY (what)); "
                "INSERT INTO orders (what) SELECT md5(seq) FROM seq_1_to_20000;", source)
    coffer.variables = mariadb.variables
    coffer.backup(f"mysql:///{source}")
    with mounted(coffer) as (mnt, _):
        with open(mnt / "latest" / source / "tables/orders.sql", "rb") as script:
            mariadb.sql(script.read().decode(), target)
    sums = [mariadb.rows("CHECKSUM TABLE orders", name)[0][1] for name in (source, target)]
    assert sums[0] == sums[1] != 0


def bytes_read_by(process):
    with open(f"/proc/{process.pid}/io") as file:
        return int(dict(line.split(": ") for line in file)["rchar"])


def test_one_table_costs_only_its_own_reading(coffer, postgres):
    source = postgres.make("".join(
        f"CREATE TABLE t{i} (a text); INSERT INTO t{i} SELECT md5(({i} * 100000 + g)::text) FROM generate_series(1, {n}) AS g;"
        for i, n in enumerate([60_000] * 30 + [150_000])))
    coffer.variables = postgres.variables
    coffer.backup(f"postgres:///{source}")
    with mounted(coffer) as (mnt, process):
        path = mnt / "latest" / source / "tables/public.t30.copy"
        size = path.stat().st_size
        before = bytes_read_by(process)
        subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)
        cost = bytes_read_by(process) - before
        stored = len(zstandard.compress(path.read_bytes(), 1))
    assert size > 4_000_000
    # Frames at both ends hold neighbours, too.
    assert cost < 3 * stored, (cost, stored)


def test_what_is_mounted_while_it_is_backed_up_again(coffer, postgres):
    source = postgres.make(TABLES)
    coffer.variables = postgres.variables
    coffer.backup(f"postgres:///{source}")
    with mounted(coffer) as (mnt, _):
        first = (mnt / "latest" / source / "tables/public.other.copy").read_bytes()
        postgres.sql("INSERT INTO other VALUES (3)", source)
        coffer.backup(f"postgres:///{source}")
        path = mnt / "latest" / source / "tables/public.other.copy"
        wait_until(lambda: path.read_bytes() == first + b"3\n")
