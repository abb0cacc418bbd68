#!/bin/bash
# What the servers' scripts share; they source it. A script defines
#   up      start the server with all of its state in DIR, print KEY=VALUE lines
#   signal  what asks the server to end
# and calls main "$@" last:
#   X start DIR [PID]  start it and wait until it answers; print the lines, which are in DIR/env, too. Started already,
#                      only print them. With PID: end it, and remove DIR, when that process has ended.
#   X stop DIR         end it; its data stays for the next start
set -euo pipefail

die()
{
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# Database servers refuse root: when root asks, they run as a user of their own. "${as[@]}" goes before their commands.
as=()
give_to()
{
	if [ "$(id -u)" = 0 ]; then
		chown -R "$1" "$DIR"
		as=(setpriv --reuid "$1" --regid "$1" --init-groups --)
	fi
}

# A port nobody listens on, below those that outgoing connections take.
free_port()
{
	local port
	while :; do
		port=$((RANDOM % 20000 + 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# server.crt and server.key, signed by itself.
make_certificate()
{
	[ -s "$DIR/server.crt" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$DIR/server.key" -out "$DIR/server.crt" \
		2>/dev/null
	chmod 600 "$DIR/server.key"
}

# When a process began, which tells it from a later one with its number. Fails when there is none, or a dead one.
began()
{
	local stat
	stat=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
	case $stat in '' | Z* | X*) return 1 ;; esac
	cut -d ' ' -f 20 <<<"$stat"
}

# Start the server in the background, and remember it.
serve()
{
	setsid "${as[@]}" "$@" </dev/null >>"$DIR/log" 2>&1 9>&- &
	echo "$! $(began $!)" >"$DIR/pid"
}

is_running()
{
	local pid when
	[ -s "$DIR/pid" ] || return 1
	read -r pid when <"$DIR/pid"
	[ "$(began "$pid" || :)" = "$when" ]
}

# wait_until COMMAND...: for at most a minute, and as long as the server lives.
wait_until()
{
	local tries=600
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		if [ $tries = 0 ] || ! is_running; then
			tail -20 "$DIR/log" >&2
			die "the server in $DIR does not answer"
		fi
		sleep 0.1
	done
}

down()
{
	local pid tries=200
	if is_running; then
		read -r pid _ <"$DIR/pid"
		# shellcheck disable=SC2154 # the sourcing script sets it
		kill -s "$signal" "$pid"
		while is_running && [ $tries -gt 0 ]; do
			tries=$((tries - 1))
			sleep 0.1
		done
		! is_running || kill -s KILL "$pid"
	fi
	rm -f "$DIR/pid" "$DIR/env"
}

start()
{
	exec 9>"$DIR/lock"
	flock 9
	if ! is_running; then
		# A start that fails leaves nothing behind that runs.
		trap '[ $? = 0 ] || down' EXIT
		up >"$DIR/env.new"
		mv "$DIR/env.new" "$DIR/env"
		if [ -n "${1-}" ]; then
			# shellcheck disable=SC2016 # expands in the inner shell
			setsid sh -c 'tail --pid "$1" -f /dev/null; "$2" stop "$3" && rm -rf "$3"' - "$1" \
				"$(realpath "$0")" "$DIR" </dev/null >/dev/null 2>&1 9>&- &
		fi
	fi
	cat "$DIR/env"
}

main()
{
	case ${1-}:$# in
	start:2 | start:3)
		mkdir -p "$2"
		DIR=$(realpath "$2")
		start "${3-}"
		;;
	stop:2)
		[ -d "$2" ] || exit 0
		DIR=$(realpath "$2")
		down
		;;
	*)
		sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" >&2
		exit 2
		;;
	esac
}
