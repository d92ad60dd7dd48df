# The commands a person types. `make demo` and `make test` set up what they need by themselves.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
SOAK_SECONDS ?= 60
FORKS ?= 30000
FUZZ_SECONDS ?= 20

# For `make dist`: Rust's names of targets, and nothing for all of packaging/dist/targets.txt.
TARGETS ?=

# REDIS=1: the C library with the store for Redis and Valkey. From the environment too, where other programs may have a
# REDIS that means something else: that is no mistake.
REDIS ?=
comma := ,
with_redis := $(filter 1,$(REDIS))
ifeq ($(origin REDIS),command line)
ifneq ($(filter-out 0 1,$(REDIS)),)
$(error REDIS=$(REDIS): it is 1 (with the Redis store) or 0)
endif
endif

.PHONY: help demo test soak forks faults fuzz mutants asan tsan coverage abi audit secrecy library crates emulator header install dist dist-test bench fleet setup clean

help:
	@echo "make demo      see what the library does, without an account (the emulator runs by itself)"
	@echo "make test      run every check and test (ONLY='c: memcheck': these and what they need; LIST=1: list them)"
	@echo "make soak      $(SOAK_SECONDS) s of short tokens and a server in trouble (SOAK_SECONDS=...)"
	@echo "make forks     fork a busy program at $(FORKS) random points, most in C, some in Python (FORKS=..., SEED=...)"
	@echo "make faults    put known faults into the code, one at a time, and check that a test finds each"
	@echo "make abi       check what docs/abi-policy.md promises"
	@echo "make fuzz      run each fuzz target for $(FUZZ_SECONDS) s (FUZZ_SECONDS=...)"
	@echo "make coverage  list which lines and branches the tests execute; the pure core: all"
	@echo "make mutants   change the core in 1,700 small ways, and check that a test notices each (MUTANTS=0/4: a part)"
	@echo "make asan      run the C, C++ and Python tests with AddressSanitizer and LeakSanitizer"
	@echo "make tsan      run C programs with ThreadSanitizer"
	@echo "make audit     check licences, sources and known vulnerabilities of all dependencies (ADVISORY_DB=...)"
	@echo "make secrecy   search output, stores and a core dump for secrets and tokens"
	@echo "make install   install the C library: PREFIX=$(PREFIX), DESTDIR, REDIS=1 (with the store for Redis and Valkey)"
	@echo "make dist      build what users install, into dist/: tarballs, packages, wheels, Go modules (TARGETS=...)"
	@echo "make dist-test install and use what is in dist/, where there is no Rust"
	@echo "make bench     compare the library with others, and write docs/performance.md (FULL=1: more rounds, larger fleets)"
	@echo "make fleet     simulate a day of 100,000 clients, with outages"
	@echo "make header    generate include/tu_token.h from src/ffi"

setup:
	@scripts/setup.sh test

# The others' SONAME is set by build.rs.
ifeq ($(shell uname -s),Darwin)
install_name = -- -C link-arg=-Wl,-install_name,@rpath/libtu_token.$(shell sed -n 's/^const ABI.*"\(.*\)";/\1/p' build.rs).dylib
endif

# What makes the library smaller. As `build.rustflags`, to which a user's configuration adds its own; flags of a target would
# replace those. (A user's flags of a target, or RUSTFLAGS, replace these: then the library is larger.)
# With frame pointers the unwinding tables have less to say: 50 KB less. (Elsewhere than on x86-64 they are usual, or the
# code grows more.) And a panic names the place in the code, for which the path to the sources of others is too long:
# 4 KB for the names of the registries' directories alone.
sources = $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
shorter_paths = $(foreach place,$(shell ls -d $(sources)/* 2>/dev/null),$(comma)'--remap-path-prefix=$(place)=')
frame_pointers = $(if $(filter x86_64%,$(or $(CARGO_BUILD_TARGET),$(shell uname -m))),'-Cforce-frame-pointers=yes'$(comma))
host = $(shell rustc -vV | sed -n 's/^host: //p')
smaller = --config "build.rustflags = [$(frame_pointers) '--remap-path-prefix=$(sources)='$(shorter_paths)]"

# So that the directories of the sources are there when their names are looked up. By `tree`, which gets what the library
# is made of: `fetch` gets what its tests, the bindings and the tools need as well, six times as much. What is wrong if they
# cannot be had, the build says.
crates:
	@[ -n "$(shorter_paths)" ] || $(CARGO) tree --quiet --locked -p tu-token --features capi$(if $(with_redis),$(comma)redis) \
	  --edges normal,build $(addprefix --target=,$(or $(CARGO_BUILD_TARGET),$(host))) >/dev/null 2>&1 || true

library: crates
	@# Not as an rlib beside them: with one, nothing is optimised across crates.
	@$(CARGO) rustc --quiet --release $(smaller) --features capi$(if $(with_redis),$(comma)redis) -p tu-token \
	  --crate-type cdylib,staticlib $(install_name)

emulator:
	@$(CARGO) build --quiet -p tu-token-emulator

demo:
	@scripts/setup.sh demo
	@echo "Building the library and the emulator (a few minutes the first time) ..."
	@$(MAKE) --no-print-directory library emulator
	@scripts/demo.sh

# By the environment: a step's name may hold an apostrophe.
test: export ONLY := $(ONLY)
test:
	@tests/run.sh $(if $(filter 1 yes,$(LIST)),--list) "$$ONLY"

soak:
	@scripts/setup.sh demo
	@$(MAKE) --no-print-directory library emulator
	@tests/soak.sh $(SOAK_SECONDS)

forks:
	@scripts/setup.sh demo python
	@$(MAKE) --no-print-directory library emulator
	@tests/processes/run.sh $(FORKS) $(SEED)

faults:
	@tests/faults.sh

abi: library emulator
	@scripts/setup.sh base binutils abigail python
	@tests/steps.sh stage_package >/dev/null
	@tests/abi/run.sh

audit:
	@scripts/audit.sh

fuzz:
	@scripts/setup.sh libcurl
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz.sh

coverage:
	@tests/coverage.sh

mutants:
	@tests/mutants.py

asan: emulator
	@scripts/setup.sh base c++ python python-servers redis-server
	@$(CARGO) build --quiet --workspace --example tls-front
	@tests/sanitizers.sh asan

tsan: emulator
	@scripts/setup.sh base c++ clang llvm
	@tests/sanitizers.sh tsan

secrecy: library
	@scripts/setup.sh base python
	@tests/steps.sh stage_package >/dev/null
	@$(CARGO) build --quiet --workspace --bin tu-token
	@tests/steps.sh secrecy

header:
	@TU_TOKEN_HEADER=$(CURDIR)/include/tu_token.h $(CARGO) check --quiet --features capi,__header -p tu-token

install: library
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" TARGET_DIR=target/release packaging/install.sh

dist:
	@REDIS=$(with_redis) packaging/dist.sh "$(TARGETS)"

dist-test:
	@scripts/setup.sh dist-test
	@tests/dist/run.sh

bench: export FULL := $(FULL)
bench: export ONLY := $(ONLY)
bench:
	@scripts/setup.sh demo c++ python
	@$(MAKE) --no-print-directory library
	@benches/run.sh

fleet:
	@$(CARGO) run --quiet --release --example fleet

clean:
	$(CARGO) clean
