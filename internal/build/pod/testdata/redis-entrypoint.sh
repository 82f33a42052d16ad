#!/bin/sh
# What the published image's entry point promises, as far as builds rely on it:
# options alone are those of the server, which does not run as root.
set -e
case "$1" in -*) set -- redis-server "$@" ;; esac
if [ "$(id -u)" = 0 ]; then
	mkdir -p /data
	chown redis:redis /data
	exec setpriv --reuid=999 --regid=999 --clear-groups "$0" "$@"
fi
cd /data
exec "$@"
