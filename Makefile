# Two commands for everyone: `make up` and `make test`. The rest is for people
# who work on Catalyst. Build results lie outside the checkout, so that a fresh
# clone starts warm.

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/catalyst
export CARGO_TARGET_DIR ?= $(CACHE)/target

IMAGES_PROFILE := $(if $(filter up build bench,$(MAKECMDGOALS)),--release)

.PHONY: up build images images-more console test test-real bench lint format check-tools check-tools-more check-tools-real

up: build ## Build and start an embedded Sovereign.
	@echo 'the command line: $(CARGO_TARGET_DIR)/release/catalyst' >&2
	$(CARGO_TARGET_DIR)/release/catalyst up $(ARGS)

build: check-tools images console ## Build the release binary, which carries console and images.
	cargo build --locked --release --workspace --bin catalyst

# Its tool is built as what follows is, so that nothing is compiled twice: as
# release for a release, and always with the features of the whole workspace.
images: check-tools ## Build the images of the shipped Applications; ARGS=--pin names them in the charts.
	cargo build --locked $(IMAGES_PROFILE) --workspace --example images
	$(CARGO_TARGET_DIR)/$(if $(IMAGES_PROFILE),release,debug)/examples/images $(if $(filter images,$(MAKECMDGOALS)),$(ARGS))

# Into a folder of their own, with those above, for CATALYST_IMAGES.
images-more: check-tools-more ## Build also the images of the Blueprints that the binary does not carry; ARGS=--pin as above.
	cargo build --locked --workspace --example images
	$(CARGO_TARGET_DIR)/debug/examples/images --more $(ARGS)

# Built anew only when its source is newer than what was built.
console: core/console/dist/index.html ## Build the web console.

core/console/node_modules/.package-lock.json: core/console/package-lock.json core/console/package.json
	cd core/console && npm ci --no-audit --no-fund
	@touch $@

core/console/dist/index.html: core/console/node_modules/.package-lock.json \
		$(shell find core/console -path core/console/node_modules -prune -o -path core/console/dist -prune -o -type f -print)
	cd core/console && npm run build
	@touch $@

test: check-tools images console ## Run every test that needs only git, cargo, node and the standard tools.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace
	cd core/console && npm test

test-real: check-tools-real ## Run the lanes that need real parts; builds and caches them.
	tests/real/run

bench: check-tools images console ## Print the figures.
	tests/bench/run

lint: ## Formatting and lints only.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

format:
	cargo fmt --all

check-tools:
	@tools/check-tools git cargo cc ldd node npm

# What .ci/run had to build lies among the tools that the lanes build.
check-tools-real: check-tools-more
	@PATH="$(CACHE)/bin:$$PATH" tools/check-tools node npm kubectl curl jq openssl

# For images of programs that registries of Go and Python have.
check-tools-more:
	@tools/check-tools git cargo cc ldd go pip3
