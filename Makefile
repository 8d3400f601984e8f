# Two commands matter: `make run` and `make test`. Both say what is missing, or install it.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help run test web check unit faults browser smooth clean

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: web ## build everything and start it on a synthetic market; prints the address
	@deploy/needs cargo cc libssl
	cargo run --release --bin conveyance -- up --demo

web: apps/web/dist/index.html ## build the page

apps/web/dist/index.html: $(shell find apps/web/src apps/web/public apps/web/build apps/web/scripts apps/web/index.html apps/web/vite.config.ts apps/web/package-lock.json -type f -not -path "*/generated/*" 2>/dev/null)
	@deploy/needs node npm
	cd apps/web && npm ci --no-audit --no-fund && npm run build

test: web check unit faults browser ## everything CI runs

check: ## formatting and lints
	@deploy/needs cargo cc libssl
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

unit: web ## all Rust tests, against a real Kafka broker too, and the page's own
	@deploy/needs java mvn
	deploy/kafka/broker run cargo test --workspace
	cd apps/web && npm run check && npm test

faults: web ## short campaigns on the embedded bus and on real Kafka: power cut, processes and brokers killed, frozen, cut off; a broken commit order must be noticed
	@deploy/needs java mvn
	cargo build -p conveyance -p bench
	target/debug/bench kill --times 10 --listings 1500 --json
	target/debug/bench power --cuts 60 --listings 600 --json
	target/debug/bench faults --bus sqlite --faults 25 --json
	target/debug/bench faults --bus kafka --faults 25 --json
	cargo build -p conveyance --features planted --bin conveyance-planted
	target/debug/bench faults --bus sqlite --faults 25 --plant commit-first --json
	target/debug/bench faults --bus kafka --faults 5 --only kill --plant commit-first --json

browser: web ## the page in a real browser, also with the real program behind it
	@deploy/needs chromium cargo cc
	cargo build --bin conveyance
	cd apps/web && npm run test:browser

smooth: web ## whether the page's longest task stays under 100 ms with 20,000 listings on the map; for a machine that does nothing else
	@deploy/needs chromium
	cd apps/web && npm run smooth

clean:
	cargo clean
	rm -rf apps/web/node_modules apps/web/dist
