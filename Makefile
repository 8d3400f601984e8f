# Two commands matter: `make run` and `make test`. Both say what is missing, or install it.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help run test web check unit browser clean

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: web ## build everything and start it on a synthetic market; prints the address
	cargo run --release --bin conveyance -- up --demo

web: apps/web/dist/index.html ## build the page

apps/web/dist/index.html: $(shell find apps/web/src apps/web/public apps/web/build apps/web/scripts apps/web/index.html apps/web/vite.config.ts apps/web/package-lock.json -type f -not -path "*/generated/*" 2>/dev/null)
	@deploy/needs node npm
	cd apps/web && npm ci --no-audit --no-fund && npm run build

test: web check unit browser ## everything CI runs

check: ## formatting and lints
	@deploy/needs cargo cc
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

unit: web ## all Rust tests, and the page's own
	cargo test --workspace
	cd apps/web && npm run check && npm test

browser: web ## the page in a real browser
	@deploy/needs chromium
	cd apps/web && npm run test:browser

clean:
	cargo clean
	rm -rf apps/web/node_modules apps/web/dist
