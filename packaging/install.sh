#!/bin/sh
# Installs edge-gateway where there is neither apt nor K3s: program, unit, user, a configuration, manual pages. Called again, with a newer archive, it
# upgrades: configuration and queue stay, and a program that does not start gives way to the one before.
#   ./install.sh             as root, in the unpacked archive of `packaging/archive`
#   ./install.sh --remove    configuration and queue stay
#   --root DIR               a system below DIR, such as an image that is being made: nothing is started, and no user is made
#   SYSTEMCTL                a command in place of systemctl, for systemd elsewhere
set -eu
# Folders that it makes are for the service's user, too, whatever root's umask is.
umask 022
# A connection that breaks while the service is restarted would leave the marks of an upgrade under way for the next one.
trap '' HUP

here=$(cd "$(dirname "$0")" && pwd)
root='' action=install
fail() { echo "install.sh: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case "$1" in
  --remove) action=remove ;;
  --root) root=${2:?install.sh: --root needs a directory}; shift ;;
  *) echo "usage: ./install.sh [--remove] [--root DIR]" >&2; exit 2 ;;
  esac
  shift
done
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "needs root: sudo ./install.sh"

program=$root/usr/local/bin/edge-gateway
before=$program.before
unit=$root/etc/systemd/system/edge-gateway.service
packaged=$root/usr/lib/systemd/system/edge-gateway.service
configuration=$root/etc/edge-gateway/gateway.toml
# There until an installation, or an upgrade, is done: what was interrupted is gone on with, and not taken for something else.
first=$unit.first
upgrade=$unit.upgrade
systemctl=${SYSTEMCTL:-systemctl}
# This machine's systemd is none of another system's.
has_systemd() { [ -n "${SYSTEMCTL:-}" ] || { [ -z "$root" ] && [ -d /run/systemd/system ]; }; }

# A link to /dev/null is no unit, but what the removal of a package leaves.
has_unit() { [ -e "$unit" ] && ! { [ -L "$unit" ] && [ "$(readlink "$unit")" = /dev/null ]; }; }
# A unit of this script's beside a package hides it, and has to go.
if [ -e "$packaged" ] && ! { [ "$action" = remove ] && grep -qs '^ExecStart=/usr/local/bin/edge-gateway ' "$unit"; }; then
  fail "a package has installed edge-gateway here: use apt"
fi

remove() {
  if has_systemd && has_unit; then "$systemctl" disable --now edge-gateway.service; fi
  rm -f "$program" "$before" "$unit.before" "$first" "$upgrade"
  if has_unit; then rm -f "$unit"; fi
  for file in $(cd "$here/share" && find . -type f); do rm -f "$root/usr/local/share/$file"; done
  if has_systemd; then "$systemctl" daemon-reload; fi
  if [ -e "$packaged" ]; then echo "The package's is there: systemctl enable --now edge-gateway"; fi
  echo "edge-gateway is removed. /etc/edge-gateway and /var/lib/edge-gateway are kept: the queue may hold messages that no hub has."
}

# By a new file and a rename: what is there is running.
put() { # MODE FROM TO
  mkdir -p "$(dirname "$3")"
  cp "$2" "$3.new"
  chmod "$1" "$3.new"
  mv "$3.new" "$3"
}

make_user() {
  [ -z "$root" ] || return 0
  ! getent passwd edge-gateway >/dev/null || return 0
  if getent group edge-gateway >/dev/null; then group=--gid=edge-gateway; else group=--user-group; fi
  useradd --system "$group" --no-create-home --home-dir /var/lib/edge-gateway --shell /usr/sbin/nologin edge-gateway
}

start() {
  if ! has_systemd; then
    if [ -n "$root" ]; then
      echo "In $root: make the user edge-gateway (edge-gateway.service says how), and systemctl --root=$root enable edge-gateway.service"
    else
      echo "systemd does not run here. As the user edge-gateway, with a supervisor that starts it again:"
      echo "  $program run /etc/edge-gateway/gateway.toml --state /var/lib/edge-gateway"
    fi
    return 0
  fi
  "$systemctl" daemon-reload
  if [ -e "$first" ]; then
    "$systemctl" enable --quiet edge-gateway.service
    rm -f "$first"
  fi
  if ! "$systemctl" --quiet is-enabled edge-gateway.service; then
    echo "edge-gateway.service is disabled, and is left so"
    return 0
  fi
  ended=0
  timeout 60 "$systemctl" restart edge-gateway.service || ended=$?
  case $ended in
  0) return 0 ;;
  # `timeout` says so: on a full disk a start goes on without an end.
  124) echo "edge-gateway has not opened its queue within a minute: systemctl status edge-gateway"; return 0 ;;
  esac
  [ -e "$before" ] || fail "the service does not start: journalctl -u edge-gateway"
  mv "$before" "$program"
  mv "$unit.before" "$unit"
  rm -f "$upgrade"
  "$systemctl" daemon-reload
  timeout 60 "$systemctl" restart edge-gateway.service || true
  fail "the service does not start with this program: the one before is in place again. journalctl -u edge-gateway"
}

if [ "$action" = remove ]; then remove; exit; fi

version=$("$here/edge-gateway" --version) \
  || fail "this archive's program does not run here: it is for $(cat "$here/machine"), and this is $(uname -m) with $(ldd --version 2>&1 | head -1)"
make_user
if ! has_unit; then
  put 644 /dev/null "$first"
elif [ ! -e "$first" ] && { [ ! -e "$upgrade" ] || [ ! -e "$before" ]; }; then
  cp -p "$program" "$before"
  cp -p "$unit" "$unit.before"
  put 644 /dev/null "$upgrade"
fi
put 755 "$here/edge-gateway" "$program"
sed 's|/usr/bin/edge-gateway|/usr/local/bin/edge-gateway|' "$here/edge-gateway.service" | put 644 /dev/stdin "$unit"
[ -e "$configuration" ] || put 644 "$here/gateway.toml" "$configuration"
for file in $(cd "$here/share" && find . -type f); do put 644 "$here/share/$file" "$root/usr/local/share/$file"; done
sync
start
rm -f "$first" "$upgrade"
echo "$version is installed. Its configuration: ${configuration#"$root"}, three lines marked \`# <-\`; then systemctl reload edge-gateway"
