#!/bin/sh
# Mosquitto with a bridge, for `outage-drill --gateway "sh mosquitto-bridge.sh {local_port} {hub_port} {state}"`. A fourth word `saving` has it save
# its messages at every change. Queue, window and timers are set in its favour: by default it keeps 1 000 messages, sends 20 at a time, waits up to
# 30 s before it connects again, and notices a half-open link after 60 s and more.
set -eu
case "${4:-}" in
  saving) save='autosave_on_changes true
autosave_interval 1' ;;
  *) save='' ;;
esac
# Started by root it would become another user, who may not write there.
user=''
if [ "$(id -u)" = 0 ]; then user='user root'; fi
cat > "$3/bridge.conf" <<END
$user
listener $1 127.0.0.1
allow_anonymous true
persistence true
persistence_location $3/
$save
max_queued_messages 100000
max_inflight_messages 1000
connection drill
address 127.0.0.1:$2
topic plant/# out 1 "" far/
cleansession false
try_private false
restart_timeout 1
keepalive_interval 5
END
PATH="$PATH:/usr/sbin"
exec mosquitto -c "$3/bridge.conf"
