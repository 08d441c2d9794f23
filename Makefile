# The commands of the project; `make` alone lists them. CI runs the same (.ci/run).

SHELL := /bin/bash
HOST_TRIPLE = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC = target/$(HOST_TRIPLE)/release/rs-worker
# A static program finds no C library at run time to look for getrandom in, and would read /dev/urandom instead, which an
# empty root does not have: so the crate is told to call it straight. Packed, the relocations that every start reads are
# 5 KiB and not 240; they count in each worker's memory. A linker that cannot pack them says so and goes on.
STATIC_FLAGS = -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom" -C link-arg=-Wl,-z,pack-relative-relocs
CARGO ?= cargo
# Where `make install` puts things, and the program that it installs.
PREFIX ?= /usr/local
DESTDIR ?=
PROGRAM ?= $(firstword $(wildcard $(STATIC) target/release/rs-worker))

.DEFAULT_GOAL := help
.PHONY: help run build static static-path static-debug install uninstall deb lint check doc test page-tests rust-tests install-test-deps bench clean toolchain

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build rs-worker and start it
	@exec target/release/rs-worker serve

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

lint: toolchain ## format and lints, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

check: lint ## format, lints and the tests that need nothing installed
	$(MAKE) --no-print-directory rust-tests TEST_ARGS="--skip real_"

doc: toolchain ## the crate's documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

test: toolchain install-test-deps ## install what the tests need and run all of them
	$(MAKE) --no-print-directory page-tests
	$(MAKE) --no-print-directory rust-tests

# The page: its state by itself, then all of it in a browser against the server.
page-tests:
	node --test tests/page/
	$(CARGO) build --locked --bin rs-worker --example fake_cli
	node --test --test-concurrency=1 tests/browser/

# The integration tests come last, so that their summary is the last line. Most of them wait for processes most of the
# time, so twice as many run at once as there are processors.
rust-tests:
	$(CARGO) test --locked --doc
	$(CARGO) test --locked --lib --bins
	$(CARGO) test --locked --test fuzz
	$(CARGO) build --locked --example fake_cli
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((2 * $$(nproc)))} $(CARGO) test --locked --test integration -- $(TEST_ARGS)

install-test-deps: ## the real CLIs and the Python libraries that the tests drive, at fixed versions
	@tests/install-deps

# What is measured is what is shipped: the static program.
bench: static ## the benches and their peers; each prints a ratio, and the README's table and plots are written anew
	@benches/peers/install
	RS_WORKER_BENCH_PROGRAM=$(abspath $(STATIC)) $(CARGO) bench --locked -- --readme

clean: ## remove everything that was built or installed here
	rm -rf target

toolchain:
	@command -v $(CARGO) >/dev/null || { \
	  echo "rs-worker is built with Rust (1.88 or later), and there is no cargo here."; \
	  echo "Install it as https://rustup.rs says, open a new terminal, and run make again."; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "Rust needs a C compiler to link programs, and there is none here."; \
	  echo "On Debian and Ubuntu: sudo apt-get install build-essential"; \
	  echo "On Fedora: sudo dnf install gcc      On Alpine: apk add build-base"; exit 1; }
