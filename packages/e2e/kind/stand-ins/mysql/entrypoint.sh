#!/usr/bin/env bash
# As the entry point of the image that this stands in for: makes the database once, then runs the server.
set -euo pipefail
data=/var/lib/mysql
options=(--datadir="$data" --user=mysql --socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0)
while [ $# -gt 0 ]; do
  case $1 in
    --ignore-db-dir) options+=("--ignore-db-dirs=$2"); shift 2 ;;
    *) options+=("$1"); shift ;;
  esac
done
mkdir -p /run/mysqld
chown mysql:mysql /run/mysqld "$data"
if [ ! -d "$data/mysql" ]; then
  mariadb-install-db --datadir="$data" --user=mysql --auth-root-authentication-method=normal >/dev/null
  setup=/run/mysqld/setup.sql
  printf "ALTER USER 'root'@'localhost' IDENTIFIED BY '%s';\nFLUSH PRIVILEGES;\n" "$MYSQL_ROOT_PASSWORD" >"$setup"
  chown mysql:mysql "$setup"
  options+=("--init-file=$setup")
fi
exec mariadbd "${options[@]}"
