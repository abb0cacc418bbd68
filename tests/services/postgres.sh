#!/bin/bash
# PostgreSQL 15 for tests: postgres.sh start DIR [PID] | stop DIR (see lib.sh). The folders above DIR must let
# everybody pass, because the server runs as the user postgres when root starts it.
# Prints PGHOST (folder of the socket, where everybody is trusted), PGPORT, PGUSER, PGPASSWORD (asked for over TCP),
# PGDATABASE, PG_TCP_HOST, PG_SSLROOTCERT, PG_TABLESPACE (a folder for one).
# Takes PG_CONF: more lines for postgresql.conf. PG_EXTENSIONS: a folder of extensions besides Debian's. PG_BIN: the folder of
# another version's initdb and postgres.
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # for lib.sh; PostgreSQL's fast shutdown
signal=INT
bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
share=/usr/share/postgresql/15

# A copy of the server that looks for extensions below DIR: it finds its files from where it lies itself.
copy_server()
{
	[ -e "$DIR$bin" ] || {
		mkdir -p "$DIR$bin" "$DIR$share"
		cp "$bin/initdb" "$bin/postgres" "$DIR$bin"
		ln -s "${bin%/bin}/lib" "$DIR${bin%/bin}/lib"
		cp -rs $share/. "$DIR$share"
		cp "$PG_EXTENSIONS"/* "$DIR$share/extension"
	}
	bin=$DIR$bin
}

make_cluster()
{
	echo secret >"$DIR/password"
	make_certificate
	give_to postgres
	"${as[@]}" "$bin/initdb" -D "$DIR/data" -U postgres --pwfile="$DIR/password" --auth-local=trust \
		--auth-host=scram-sha-256 --data-checksums --no-sync -E UTF8 --locale=C.UTF-8 >"$DIR/log" 2>&1 ||
		{ cat "$DIR/log" >&2; die "initdb failed"; }
	cat >>"$DIR/data/postgresql.conf" <<-CONF
		listen_addresses = '127.0.0.1'
		unix_socket_directories = '$DIR'
		wal_level = logical
		shared_buffers = 64MB
		ssl = on
		ssl_cert_file = '$DIR/server.crt'
		ssl_key_file = '$DIR/server.key'
		${PG_CONF-}
	CONF
}

up()
{
	local port
	[ -x "$bin/postgres" ] || die "no PostgreSQL 15 here: tests/install-packages test"
	[ -z "${PG_EXTENSIONS-}" ] || copy_server
	mkdir -p "$DIR/tablespace"
	give_to postgres
	[ -s "$DIR/data/PG_VERSION" ] || make_cluster
	port=$(free_port)
	serve "$bin/postgres" -D "$DIR/data" -p "$port"
	wait_until pg_isready -q -h "$DIR" -p "$port"
	cat <<-ENV
		PGHOST=$DIR
		PGPORT=$port
		PGUSER=postgres
		PGPASSWORD=secret
		PGDATABASE=postgres
		PG_TABLESPACE=$DIR/tablespace
		PG_TCP_HOST=127.0.0.1
		PG_SSLROOTCERT=$DIR/server.crt
	ENV
}

main "$@"
