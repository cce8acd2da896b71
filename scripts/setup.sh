#!/usr/bin/env bash
# Sees to the programs that must be on the machine, and installs missing Debian packages where it may.
# What comes from npm and PyPI is the Makefile's business.
# usage: scripts/setup.sh build | bench | demo | test
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

# Each line: what tells that it is there, and the Debian package that brings it.
wanted() {
    echo "cc gcc"
    echo "c++ g++"
    case $1 in
    demo) echo "ffmpeg ffmpeg" ;;
    bench)
        echo "python3 python3"
        echo "valgrind valgrind"
        echo "wrk wrk"
        ;;
    test)
        echo "ffmpeg ffmpeg"
        echo "ffprobe ffmpeg"
        echo "chromium chromium"
        echo "curl curl"
        echo "openssl openssl"
        echo "nginx nginx"
        echo "gst-launch-1.0 gstreamer1.0-tools"
        echo "element:souphttpsrc gstreamer1.0-plugins-good"
        echo "element:hlsdemux gstreamer1.0-plugins-bad"
        echo "element:avdec_h264 gstreamer1.0-libav"
        echo "element:opusdec gstreamer1.0-plugins-base"
        echo "python3 python3"
        echo "venv python3-venv"
        echo "ip iproute2"
        echo "tc iproute2"
        ;;
    esac
}

is_there() {
    case $1 in
    venv) python3 -c 'import venv, ensurepip' >/dev/null 2>&1 ;;
    nginx) has nginx || [ -x /usr/sbin/nginx ] ;;
    element:*) has gst-inspect-1.0 && gst-inspect-1.0 --exists "${1#element:}" >/dev/null 2>&1 ;;
    *) has "$1" ;;
    esac
}

# Prints the missing packages, each once.
missing() {
    wanted "$1" | while read -r sign package; do
        is_there "$sign" || echo "$package"
    done | sort -u | tr '\n' ' '
}

apt_install() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo && sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    has apt-get || return 1
    echo "setup: installing $*"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    # The tests start their own; a service on port 80 is nothing that a test suite leaves on a machine.
    case " $* " in *" nginx "*) has systemctl && "${as_root[@]}" systemctl disable --now nginx >/dev/null 2>&1 || true ;; esac
}

for tool in cargo node npm; do
    has "$tool" || {
        echo "setup: $tool is missing: install a Rust toolchain (rustup) and Node.js 20 with npm" >&2
        exit 1
    }
done

packages=$(missing "${1:-build}")
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086 # one word a package
    apt_install $packages || {
        echo "setup: please install: $packages" >&2
        exit 1
    }
fi
