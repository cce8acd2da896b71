# onair: `make run` starts the server, `make test` runs every test. Both see to what they need.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PAGES := web/ui/dist/index.html
PAGE_SOURCES := $(shell find web/ui/src web/ui/public -type f 2>/dev/null) $(wildcard web/ui/*.html web/ui/*.json web/ui/*.ts)
# npm writes this file last.
PAGE_MODULES := web/ui/node_modules/.package-lock.json
BROWSER_MODULES := tests/browser/node_modules/.package-lock.json
STORE_MODULES := tests/stores/node_modules/.package-lock.json
VENV := .venv/requirements.txt
RELEASE := target/release/onair

.PHONY: help run demo bench bench-hls bench-micro bench-recording bench-instructions fuzz test test-ui test-rust test-browser soak check setup-build setup-demo setup-bench setup-test media clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-19s %s\n", $$1, $$2 }'

run: setup-build $(PAGES) ## Build the pages and the server, and start it on http://127.0.0.1:8080
	cargo build --release --locked
	$(RELEASE) serve

demo: setup-demo $(PAGES) ## The same with a test broadcast in the room "demo"
	cargo build --release --locked
	$(RELEASE) demo

test: setup-test test-ui test-rust test-browser ## Run every test: unit, property, integration, real clients, real browser

test-ui: $(PAGES)
	npm --prefix web/ui test

test-rust: $(PAGES) $(VENV) $(STORE_MODULES) media
	cargo test --workspace --locked --no-fail-fast

test-browser: $(PAGES) $(BROWSER_MODULES) media
	cargo test --workspace --locked --no-run
	rm -rf target/browser-logs target/screenshots
	ONAIR_BIN=$(CURDIR)/target/debug/onair node --test --test-concurrency=1 tests/browser/

soak: setup-test $(PAGES) $(VENV) media ## Kill the server at two dozen instants of longer broadcasts. ONAIR_SEED=N chooses others
	ONAIR_SOAK=1 cargo test --locked --test e2e -- chaos::

bench: setup-bench $(PAGES) ## Measure what viewers cost, over WebRTC and HLS; results in bench/results and docs/performance.md
	cargo build --release --locked
	bench/run.py

bench-hls: setup-bench $(PAGES) ## Measure what HLS costs: waiting players, playlists, segments, memory of rooms
	cargo build --release --locked
	bench/run.py hls-waiters hls-answers hls-age hls-rooms

bench-micro: setup-build $(PAGES) ## Measure what a packet costs in each part of the media plane
	cargo bench --locked --bench micro

bench-recording: setup-build $(PAGES) ## Measure what recordings cost: packaging, spool, the end of the MP4, recovery, long lists
	cargo bench --locked --bench recording
	cargo bench --locked --bench index

bench-instructions: setup-bench $(PAGES) ## Count a packet's instructions; bench/results shows what changed. CHECK=--check only compares
	cargo bench --locked --bench instructions -- $(CHECK)

fuzz: ## Feed whatever reads the bytes of others arbitrary ones, FUZZ_SECONDS (30) for each target
	scripts/fuzz.sh $(or $(FUZZ_SECONDS),30)

check: $(PAGES) ## Formatting, lints, and the licences of dependencies where cargo-deny is installed
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "check: cargo-deny is not installed, licences and advisories were not looked at"; fi

setup-build:
	@scripts/setup.sh build

setup-demo:
	@scripts/setup.sh demo

setup-bench:
	@scripts/setup.sh bench

setup-test:
	@scripts/setup.sh test

media: ## Generate the media files of the tests
	@tests/media.sh

clean: ## Remove what was built and installed here
	rm -rf target .venv web/ui/dist web/ui/node_modules tests/browser/node_modules tests/stores/node_modules

$(PAGES): $(PAGE_MODULES) $(PAGE_SOURCES)
	npm --prefix web/ui run build

$(PAGE_MODULES): web/ui/package-lock.json
	npm --prefix web/ui ci --no-audit --no-fund
	@touch $@

$(BROWSER_MODULES): tests/browser/package-lock.json
	npm --prefix tests/browser ci --no-audit --no-fund
	@touch $@

$(STORE_MODULES): tests/stores/package-lock.json
	npm --prefix tests/stores ci --no-audit --no-fund --ignore-scripts
	@touch $@

$(VENV): tests/clients/requirements.txt
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@cp $< $@
