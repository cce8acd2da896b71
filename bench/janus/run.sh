#!/usr/bin/env bash
# Starts Janus (Debian package) in a network namespace with a WHIP/WHEP adapter before it, until it is stopped.
# usage: bench/janus/run.sh [--loops N] [--port PORT]
#
# Prints `ready: URL` and then a line of JSON:
#   whip, whep   where to publish and to watch; {room} stands for a room's name
#   pid          Janus' process id
#   local        the addresses that viewers may have here; the way back from Janus is there
#   netns, host  the namespace and Janus' address in it, to run another server at the same place
set -euo pipefail
cd "$(dirname "$0")"

loops=2
port=8080
while [ $# -gt 0 ]; do
    case $1 in
    --loops) loops=${2:?} ;;
    --port) port=${2:?} ;;
    *)
        sed -n '2,3s/^# //p' "$0" >&2
        exit 2
        ;;
    esac
    shift 2
done

# Janus leaves out loopback interfaces and has to listen somewhere else: on one end of a veth pair. The other end is
# ours. Nothing leaves the machine.
netns=onair-janus
outer=onair-janus0
inner=onair-janus1
host=10.200.77.1
here=10.200.77.2
viewers=10.201.0.0/16
api_port=8088
folder=/run/onair-janus

say() { echo "janus: $*" >&2; }

as_root() {
    [ "$(id -u)" -eq 0 ] || {
        say "network namespaces want root: run it with sudo"
        exit 1
    }
}

# What is missing of the Debian packages, each once.
missing() {
    command -v janus >/dev/null || echo janus
    command -v ip >/dev/null || echo iproute2
    command -v python3 >/dev/null || echo python3
    command -v setpriv >/dev/null || echo util-linux
}

install_missing() {
    local packages
    packages=$(missing | tr '\n' ' ')
    [ -z "$packages" ] && return
    command -v apt-get >/dev/null || {
        say "please install: $packages"
        exit 1
    }
    say "installing $packages"
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
}

# Takes the network down; also what a run left that was killed.
network_down() {
    ip link del "$outer" 2>/dev/null || true
    ip netns del "$netns" 2>/dev/null || true
    ip route del local "$viewers" dev lo 2>/dev/null || true
}

network_up() {
    ip netns add "$netns"
    ip link add "$outer" type veth peer name "$inner" netns "$netns"
    ip address add "$here/24" dev "$outer"
    ip link set "$outer" up
    ip -n "$netns" address add "$host/24" dev "$inner"
    ip -n "$netns" link set "$inner" up
    ip -n "$netns" link set lo up
    # Every address of the range is ours (AnyIP): a viewer binds whichever it likes.
    ip route add local "$viewers" dev lo
    ip -n "$netns" route add "$viewers" via "$here"
}

# Writes Janus' configuration into the folder.
configure() {
    # Folders with what is needed, in place of a list of what is not.
    local lib
    # No -m1: dpkg that is not read to its end fails, and so would this.
    lib=$(dpkg -L janus | grep '/janus/plugins$')
    lib=${lib%/plugins}
    mkdir "$folder"/{plugins,transports,events,loggers}
    ln -s "$lib/plugins/libjanus_videoroom.so" "$folder/plugins/"
    ln -s "$lib/transports/libjanus_http.so" "$folder/transports/"
    # No session_timeout: on a machine that is kept busy the adapter's polls may be late. ICE-lite as in onair.
    cat >"$folder/janus.jcfg" <<CONFIG
general: {
    configs_folder = "$folder"
    plugins_folder = "$folder/plugins"
    transports_folder = "$folder/transports"
    events_folder = "$folder/events"
    loggers_folder = "$folder/loggers"
    debug_level = 2
    debug_timestamps = true
    debug_colors = false
    session_timeout = 0
    event_loops = $loops
}
certificates: {
    rsa_private_key = false
}
media: {
    ipv6 = false
}
nat: {
    ice_lite = true
    ice_enforce_list = "$inner"
}
CONFIG
    cat >"$folder/janus.transport.http.jcfg" <<CONFIG
general: {
    json = "compact"
    base_path = "/janus"
    http = true
    port = $api_port
    ip = "$host"
    https = false
}
admin: {
    admin_http = ${JANUS_ADMIN:-false}
    admin_ip = "$host"
    admin_https = false
}
CONFIG
    # Rooms have names; they are made when somebody publishes.
    cat >"$folder/janus.plugin.videoroom.jcfg" <<CONFIG
general: {
    string_ids = true
}
CONFIG
}

stop() {
    trap '' INT TERM HUP
    [ -z "${adapter:-}" ] || kill "$adapter" 2>/dev/null || true
    if [ -n "${janus:-}" ]; then
        kill "$janus" 2>/dev/null || true
        # It tears every PeerConnection down, one after the other.
        for _ in {1..50}; do
            kill -0 "$janus" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$janus" 2>/dev/null || true
    fi
    network_down
    rm -rf "$folder"
}

as_root
install_missing
# One run at a time: it has the names and addresses. The lock is also what says that remains are nobody's.
exec 9>"/run/$netns.lock"
flock -n 9 || {
    say "another run is there"
    exit 1
}
network_down
rm -rf "$folder"
mkdir "$folder"
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
network_up
configure
# Each viewer has a socket of its own.
ulimit -n "$(ulimit -Hn)"
# Should this script be killed, they end with it. Neither gets the lock.
setpriv --pdeathsig KILL ip netns exec "$netns" janus --configs-folder "$folder" \
    >"$folder/janus.log" 2>&1 9>&- </dev/null &
janus=$!
mkfifo "$folder/ready"
setpriv --pdeathsig KILL python3 -B adapter.py --janus "http://$host:$api_port/janus" --listen "$here:$port" \
    >"$folder/ready" 9>&- </dev/null &
adapter=$!
url=
read -r url <"$folder/ready" || true
[ -n "$url" ] || {
    tail -n 5 "$folder/janus.log" >&2
    say "it could not be started"
    exit 1
}
echo "ready: $url"
echo "{\"whip\": \"$url/whip/{room}\", \"whep\": \"$url/whep/{room}\", \"pid\": $janus, \"local\": \"$viewers\"," \
    "\"netns\": \"$netns\", \"host\": \"$host\"}"
ended=0
wait -n "$janus" "$adapter" || ended=$?
tail -n 5 "$folder/janus.log" >&2
say "it ended by itself ($ended)"
exit 1
