# The commands of the project; `make` alone lists them. CI runs the same (.ci/run).

SHELL := /bin/bash
HOST_TRIPLE = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC = target/$(HOST_TRIPLE)/release/rs-worker
# A static program finds no C library at run time to look for getrandom in, and would read /dev/urandom instead, which an
# empty root does not have: so the crate is configured to make the system call directly. Packed, the relocations that every start reads are
# 5 KiB and not 240; they count in each worker's memory. A linker that cannot pack them warns and continues.
STATIC_FLAGS = -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom" -C link-arg=-Wl,-z,pack-relative-relocs
CARGO ?= cargo
# Where `make install` puts things, and the program that it installs.
PREFIX ?= /usr/local
DESTDIR ?=
PROGRAM ?= $(firstword $(wildcard $(STATIC) target/release/rs-worker))
# Runs tests with a home and a temporary folder of their own.
SCRATCH = tests/in-scratch
# Programs that check what is not code (make deny, make spelling).
TOOLS = cargo-deny@0.20.2 typos-cli@1.52.0
# The oldest Rust that builds it.
RUST_MIN = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.DEFAULT_GOAL := help
.PHONY: help run demo build static static-path static-debug install uninstall deb release tools deny advisories spelling msrv fmt lint check doc test page-tests rust-tests install-test-deps agents drift icons screenshots lighthouse record bench bench-peers clean toolchain

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build rs-worker and start it
	@exec target/release/rs-worker serve

# In a separate folder, so that nothing is left in that of the project.
demo: build ## start it in target/demo, with a CLI that needs no key and repeats each message
	@mkdir -p target/demo/adapters target/demo/project && cp adapters/examples/shell.json target/demo/adapters/
	@cd target/demo && exec ../release/rs-worker serve

build: toolchain ## build target/release/rs-worker
	$(CARGO) build --release --locked

# A static program for the gnu target needs --target, so that build scripts and macros are not built statically too.
static: toolchain ## build one statically linked program and check that it is one
	RUSTFLAGS='$(STATIC_FLAGS)' $(CARGO) build --release --locked --target $(HOST_TRIPLE)
	@tests/check-static $(STATIC)

static-path: ## print where make static puts it
	@echo $(STATIC)

static-debug: toolchain ## a debug build of it, for the test that runs it in an empty root; prints where it is
	@RUSTFLAGS='$(STATIC_FLAGS)' $(CARGO) build --quiet --locked --target $(HOST_TRIPLE) --bin rs-worker
	@echo $(abspath $(or $(CARGO_TARGET_DIR),target)/$(HOST_TRIPLE)/debug/rs-worker)

install: ## install what was built: program, services, examples (PREFIX, DESTDIR)
	@[ -n "$(PROGRAM)" ] || { echo "nothing is built yet: run make static (or make build) first"; exit 1; }
	@deploy/install "$(PROGRAM)" "$(PREFIX)" "$(DESTDIR)"

uninstall: ## remove what make install has installed (the same PREFIX, DESTDIR); data and settings stay
	@deploy/install --remove "$(PREFIX)" "$(DESTDIR)"

deb: static ## build a Debian package, target/rs-worker_VERSION_ARCH.deb
	@deploy/build-deb $(STATIC) target

release: static ## put binary, package, bill of materials and checksums into target/release-files
	@deploy/build-release $(STATIC) target/release-files

# A debug build is compiled in half the time and checks as well.
tools: toolchain ## build the checkers of licences and of spelling from crates.io, at fixed versions
	@cd / && CARGO_TARGET_DIR=$(CURDIR)/target/tools/build $(CARGO) install --quiet --locked --debug \
	  --no-default-features --root $(CURDIR)/target/tools $(TOOLS)

deny: tools ## check licences, duplicate versions and sources of the crates (deny.toml)
	target/tools/bin/cargo-deny --locked check licenses bans sources

advisories: tools ## check the crates against the advisory database, which needs the internet
	target/tools/bin/cargo-deny --locked check advisories

spelling: tools ## check the spelling (typos.toml)
	target/tools/bin/typos

msrv: ## build with the oldest supported Rust, where rustup has it
	@if rustup run $(RUST_MIN) rustc --version >/dev/null 2>&1; then \
	  CARGO_TARGET_DIR=target/msrv rustup run $(RUST_MIN) cargo check --locked; \
	else \
	  echo "Rust $(RUST_MIN) is not installed, so the oldest supported version is not built here: rustup toolchain install $(RUST_MIN)"; \
	fi

fmt: toolchain ## format the code
	$(CARGO) fmt

lint: toolchain ## format and lints, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

check: lint ## format, lints and the tests that need nothing installed; others print that they were skipped
	$(SCRATCH) $(MAKE) --no-print-directory rust-tests TEST_ARGS="--skip real_"

doc: toolchain ## the crate's documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

# Both run, so that a failure of the one does not hide those of the other.
test: toolchain install-test-deps ## install what the tests need and run all of them
	@failed=0; \
	  $(SCRATCH) $(MAKE) --no-print-directory page-tests || failed=1; \
	  $(SCRATCH) $(MAKE) --no-print-directory rust-tests || failed=1; \
	  exit $$failed

# The page: first its state alone, then the whole page in a browser against the server.
page-tests:
	node --test tests/page/*.test.mjs
	$(CARGO) build --locked --bin rs-worker --example fake_cli
	node --test --test-concurrency=1 tests/browser/*.test.mjs

# The integration tests come last, so that their summary is the last line. Most of them wait for processes most of the
# time, so twice as many run at once as there are processors. The fuzzers measure the memory of their whole program, in
# which no other may read its seeds meanwhile. Left out are those of the agents that make agents installs.
rust-tests: TEST_ARGS ?= --skip agent_files::large::
rust-tests:
	$(CARGO) test --locked --doc
	$(CARGO) test --locked --lib --bins
	$(CARGO) test --locked --test fuzz -- --test-threads=1
	$(CARGO) build --locked --example fake_cli
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((2 * $$(nproc)))} $(CARGO) test --locked --test integration -- $(TEST_ARGS)

install-test-deps: ## the real CLIs, agents and Python libraries that the tests drive, at fixed versions
	@tests/install-deps

agents: toolchain install-test-deps ## install all agents of adapters/examples (2.3 GB) and run their tests
	@tests/install-deps agents
	$(CARGO) build --locked --bin rs-worker
	RS_WORKER_TEST_REQUIRE_ALL=1 $(SCRATCH) $(CARGO) test --locked --test integration -- agent_files::

drift: toolchain install-test-deps ## run the tests of the real CLIs with the newest versions of them, and print a table
	$(CARGO) build --locked --bin rs-worker --example fake_cli
	@tests/drift

icons: install-test-deps ## draw the icons of the installed page from static/icon.svg
	node tests/browser/icons.mjs

screenshots: toolchain install-test-deps ## take the pictures of README and docs again, into docs/images
	$(CARGO) build --locked --bin rs-worker --example fake_cli
	$(SCRATCH) node tests/browser/screenshots.mjs

lighthouse: toolchain install-test-deps ## install Lighthouse, measure list and conversation on a phone and a desk, print a table
	@tests/install-deps lighthouse
	$(CARGO) build --locked --bin rs-worker --example fake_cli
	$(SCRATCH) node tests/lighthouse/run.mjs

record: toolchain install-test-deps ## record the real CLIs again into tests/captures (RECORD=NAME: only scenarios with that in their name)
	$(CARGO) build --locked --bin rs-worker --example fake_cli
	RS_WORKER_RECORD=$(RECORD) $(SCRATCH) $(CARGO) test --locked --test integration -- --ignored recordings::
	RS_WORKER_UPDATE_GOLDEN=1 $(SCRATCH) $(CARGO) test --locked --lib adapter::

# What is measured is what is shipped: the static program.
bench: static ## run the benches and their peers, and write the table and plots of docs/measurements.md
	@benches/peers/install
	RS_WORKER_BENCH_PROGRAM=$(abspath $(STATIC)) $(CARGO) bench --locked -- --write

# The managers that cannot be installed are reported by the bench, which measures the others.
bench-peers: static install-test-deps ## measure HAPI, CloudCLI, opencode serve and qwen serve beside it, and write the tables
	-@benches/peers/agents/install
	$(CARGO) build --locked --example fake_model
	RS_WORKER_BENCH_PROGRAM=$(abspath $(STATIC)) target/venv/bin/python benches/peers/agents/bench.py --write

clean: ## remove everything that was built or installed here
	rm -rf target

toolchain:
	@command -v $(CARGO) >/dev/null || { \
	  echo "rs-worker is built with Rust $(RUST_MIN) or later, and there is no cargo here."; \
	  echo "Install Rust with rustup, open a new terminal, and run make again."; exit 1; }
	@version=$$(rustc --version 2>/dev/null | cut -d ' ' -f 2); \
	printf '%s\n' "$(RUST_MIN)" "$${version%%-*}" | sort -C -V || { \
	  echo "rs-worker is built with Rust $(RUST_MIN) or later, and this is $${version:-no rustc at all}."; \
	  echo "Distributions often have an older one: install Rust with rustup, or run rustup update,"; \
	  echo "open a new terminal, and run make again."; exit 1; }
	@command -v cc >/dev/null || build/install-linker
