#!/bin/bash
# MariaDB 10.11 for tests: mariadb.sh start DIR [PID] | stop DIR (see lib.sh). The folders above DIR must let
# everybody pass, because the server runs as the user mysql when root starts it.
# Prints MYSQL_UNIX_PORT (the socket), MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER, MYSQL_PWD, MARIADB_SSLCA.
# Takes MARIADB_ARGS: more options for mariadbd.
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # for lib.sh
signal=TERM

client()
{
	MYSQL_PWD=$password "$1" --no-defaults --socket="$DIR/socket" --user=root "${@:2}"
}

up()
{
	local port password=secret
	command -v mariadbd >/dev/null || die "no MariaDB here: tests/install-packages test"
	mkdir -p "$DIR/tmp" "$DIR/binlog"
	make_certificate
	give_to mysql
	if [ ! -d "$DIR/data/mysql" ]; then
		password=
		"${as[@]}" mariadb-install-db --no-defaults --datadir="$DIR/data" --tmpdir="$DIR/tmp" \
			--auth-root-authentication-method=normal --skip-test-db --skip-name-resolve >"$DIR/log" 2>&1 ||
			{ cat "$DIR/log" >&2; die "mariadb-install-db failed"; }
	fi
	port=$(free_port)
	# shellcheck disable=SC2086 # a list of options
	serve mariadbd --no-defaults --datadir="$DIR/data" --tmpdir="$DIR/tmp" --socket="$DIR/socket" \
		--bind-address=127.0.0.1 --port="$port" --pid-file="$DIR/server.pid" --skip-name-resolve \
		--server-id=1 --log-bin="$DIR/binlog/binlog" --binlog-format=ROW \
		--innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
		--ssl-cert="$DIR/server.crt" --ssl-key="$DIR/server.key" --ssl-ca="$DIR/server.crt" ${MARIADB_ARGS-}
	wait_until client mariadb-admin ping
	if [ -z "$password" ]; then
		client mariadb <<-SQL
			SET sql_log_bin = 0;
			CREATE OR REPLACE USER root@127.0.0.1 IDENTIFIED BY 'secret';
			GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;
			ALTER USER root@localhost IDENTIFIED BY 'secret';
		SQL
	fi
	cat <<-ENV
		MYSQL_UNIX_PORT=$DIR/socket
		MYSQL_HOST=127.0.0.1
		MYSQL_TCP_PORT=$port
		MYSQL_USER=root
		MYSQL_PWD=secret
		MARIADB_SSLCA=$DIR/server.crt
	ENV
}

main "$@"
