# Two commands for everyone: `make up` and `make test`. The rest is for people
# who work on Catalyst. Build results lie outside the checkout, so that a fresh
# clone starts warm.

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/catalyst
export CARGO_TARGET_DIR ?= $(CACHE)/target

.PHONY: up build test test-real bench lint format check-tools check-tools-real

up: build ## Build and start an embedded Sovereign.
	$(CARGO_TARGET_DIR)/release/catalyst up $(ARGS)

build: check-tools ## Build the release binary.
	cargo build --locked --release -p catalyst

test: check-tools ## Run every test that needs only git, cargo and the standard tools.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace

test-real: check-tools-real ## Run the lanes that need real parts; builds and caches them.
	tests/real/run

bench: check-tools ## Print the figures.
	tests/bench/run

lint: ## Formatting and lints only.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

format:
	cargo fmt --all

check-tools:
	@tools/check-tools git cargo cc

check-tools-real:
	@tools/check-tools git cargo cc go kubectl curl
