#!/usr/bin/env bash
# Runs every fuzz target for so many seconds, from fuzz/seeds and the corpus of earlier runs; the first crash ends it.
# Brings the nightly toolchain and cargo-fuzz where they are missing.
# usage: scripts/fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1

cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

cargo +nightly fuzz list | while read -r target; do
    echo "fuzz: $target, $seconds s"
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
    # Inputs beyond 4 KiB find nothing that shorter ones do not, and cost the time of many.
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- -max_total_time="$seconds" \
        -max_len=4096 -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_funcs=0 -print_final_stats=1
done
