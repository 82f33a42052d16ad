#!/bin/sh
# What the published image's entry point promises, as far as builds rely on it:
# options alone are those of the server, the database and its user are made,
# and only then the server takes connections from elsewhere.
set -e
case "$1" in -*) set -- postgres "$@" ;; esac
if [ "$(id -u 2>/dev/null || echo 0)" = 0 ]; then
	mkdir -p "$PGDATA" /tmp /var/run/postgresql
	chown postgres:postgres "$PGDATA" /var/run/postgresql
	exec setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	echo "$POSTGRES_PASSWORD" >/var/run/postgresql/pw
	initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=/var/run/postgresql/pw --auth-local=trust --auth-host=scram-sha-256 -N >/dev/null
	rm -f /var/run/postgresql/pw
	shift
	pg_ctl -D "$PGDATA" -w -s -o "$* -c listen_addresses='' -c unix_socket_directories=/var/run/postgresql" start
	psql -h /var/run/postgresql -p "${PGPORT:-5432}" -U "$POSTGRES_USER" -d postgres -qc "create database \"$POSTGRES_DB\""
	pg_ctl -D "$PGDATA" -w -s -m fast stop
	set -- postgres "$@"
fi
exec "$@" -D "$PGDATA" -c unix_socket_directories=/var/run/postgresql
