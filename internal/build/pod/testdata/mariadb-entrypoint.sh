#!/bin/sh
# What the published image's entry point promises, as far as builds rely on it:
# the data belongs to the database's user, who the server runs as; the database
# and its user are made and the statements of initdb.d carried out by a server
# without a network, and only then the server takes connections.
set -e
data=/var/lib/mysql run=/run/mysqld
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$data" "$run" /tmp
	chmod 1777 /tmp
	chown mysql:mysql "$data" "$run"
	exec setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi
server() { "$@" --datadir="$data" --pid-file="$run/pid" --socket="$run/s"; }
if [ ! -d "$data/mysql" ]; then
	mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >/dev/null
	server "$@" --skip-networking &
	until MYSQL_PWD='' mariadb -S "$run/s" -u root -e 'select 1' >/dev/null 2>&1; do
		kill -0 $! || exit 1
		sleep 0.1
	done
	{
		echo "CREATE DATABASE $MARIADB_DATABASE; CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';"
		echo "GRANT ALL ON $MARIADB_DATABASE.* TO '$MARIADB_USER'@'%';"
		cat /docker-entrypoint-initdb.d/*.sql
		echo "; ALTER USER root@localhost IDENTIFIED BY '$MARIADB_ROOT_PASSWORD';"
	} | MYSQL_PWD='' mariadb -S "$run/s" -u root
	MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb-admin -S "$run/s" -u root shutdown
	wait
fi
exec "$@" --datadir="$data" --pid-file="$run/pid" --socket="$run/s"
