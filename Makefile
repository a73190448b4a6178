# Everything a developer or CI runs. `make` lists the targets.
#
# dev/setup goes first in each: it returns at once if nothing is missing. Everything but `build` and
# `bench` uses the dev profile, so that the dependencies are compiled once (they are optimised in it).
# `demo` leaves tidegate's own crate unoptimised: fast enough for it, and a third of the wait.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# For the program that is run: make demo ARGS='--scenario reset-flood --seed 7'
ARGS ?=
# For cargo test: make test TESTS=engine
TESTS ?=
# For the simulation: make sim SEEDS=1000
SEEDS ?= 1000
# For make fuzz: seconds for each function; TARGET=decode for one of them.
SECONDS ?= 60
TARGET ?=
# For make faults: some tests only (FAULTS=drain), another store; and how much of each. LONG=1 is what is asked
# for once and again (hours); every change has what it can afford, and each row of the table says which it was.
FAULTS ?=
STORE ?= redb
LONG ?=
# Passes of each crash point, kills (with 200 of them a million records), reloads under load.
ROUNDS ?= $(if $(LONG),10,1)
KILLS ?= $(if $(LONG),200,20)
RELOADS ?= $(if $(LONG),100,10)
# Damages to snapshots and to the store; MiB of empty lines in a packed file, MiB of a packed batch.
DAMAGES ?= $(if $(LONG),10000)
BOMB ?= $(if $(LONG),10240)
PACKED ?= $(if $(LONG),950)
# Made-up keys; seconds of the soak and its events a second, of an endpoint's outage, of each fuzzed function.
KEYS ?= $(if $(LONG),10000000)
SOAK ?= $(if $(LONG),7200)
RATE ?=
OUTAGE ?= $(if $(LONG),600)
FUZZ ?= $(if $(LONG),1800)
# How a small disk to be filled is had, if not as it can be: mount, namespace, or shim for a library in its place.
DISK ?=
# An older tidegate to take turns with: make faults FAULTS=upgrade OLDER=/path/to/it
OLDER ?=

scripts := dev/setup dev/lib.sh dev/faults/table dev/helm dev/kafka/kafka dev/kafka/check .ci/run

# A line that says what comes next, and why it may take a while.
say = @printf '==> %s\n' $(1) >&2

.PHONY: help demo build test sim faults fuzz kafka-check helm-lint lint format bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## build, then watch an attack being stopped; nothing else needed (ARGS='--help' for its options)
	$(call say,'looking for what the build needs')
	@dev/setup build
	$(call say,'building tidegate (the first time some minutes: Kafka client, OpenSSL bindings, ~200 crates)')
	@CARGO_PROFILE_DEV_OPT_LEVEL=0 $(CARGO) build --profile dev --locked --bin tidegate
	$(call say,'tidegate demo $(ARGS)')
	@$(TARGET_DIR)/debug/tidegate demo $(ARGS)

build: ## the binary to ship, in target/release (slow: one codegen unit, link-time optimisation)
	@dev/setup build
	$(CARGO) build --release --locked --bin tidegate

test: ## all tests, with a real Kafka (TESTS=NAME for some; TIDEGATE_TEST_EVENTS=1000000 for more events)
	@dev/setup test helm
	$(call say,'the test broker')
	@dev/kafka/kafka fetch
	@dev/kafka/check
	$(call say,'cargo test')
	@$(CARGO) test --locked $(TESTS)
	$(call say,'the same contract and crash suite over the store that is not built by default')
	@$(CARGO) test --locked --lib --features sled store::contract
	@$(MAKE) helm-lint

# Those that are empty leave a test its own size.
sizes = ROUNDS=$(ROUNDS) KILLS=$(KILLS) RELOADS=$(RELOADS) DAMAGES=$(DAMAGES) BOMB_MIB=$(BOMB) PACKED_MIB=$(PACKED) \
  KEYS=$(KEYS) SOAK=$(SOAK) RATE=$(RATE) OUTAGE=$(OUTAGE) FUZZ=$(FUZZ) DISK=$(DISK) STORE=$(STORE) OLDER=$(OLDER)

faults: ## what tidegate survives, as one table (LONG=1 for the long run, or ROUNDS, KILLS, DAMAGES ... alone; FAULTS=NAME, STORE=sled)
	@dev/setup test
	@dev/kafka/kafka fetch
	$(call say,'what tidegate survives (some minutes)')
	@$(foreach size,$(sizes),$(if $(filter-out %=,$(size)),TIDEGATE_TEST_$(size))) dev/faults/table $(FAULTS)

# No sanitizer: this crate has no unsafe code, and librdkafka's configure cannot link with one.
fuzz: ## libFuzzer at every door for strangers' bytes, with nightly (SECONDS=60 each; TARGET=decode for one)
	@dev/setup build fuzz
	@for target in $(or $(TARGET),$(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))); do \
	  printf '==> %s, %s s\n' "$$target" $(SECONDS) >&2; \
	  mkdir -p fuzz/found/"$$target"; \
	  cargo +nightly fuzz run --sanitizer none "$$target" fuzz/found/"$$target" fuzz/corpus/"$$target" -- \
	    -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0; \
	done

sim: ## the simulation over many seeds (SEEDS=1000), and all broken behaviours; a failure prints the command that repeats it
	@dev/setup build
	$(call say,'$(SEEDS) seeds, and the broken behaviours')
	@TIDEGATE_SIM_SEEDS=$(SEEDS) $(CARGO) test --locked --test sim -- --nocapture

kafka-check: ## does the test broker keep its word (three quarters of a minute)
	@dev/setup test
	@dev/kafka/check

helm-lint: ## lint, render and check the Helm chart
	@dev/setup helm
	$(call say,'the Helm chart')
	@dev/helm version --short >&2
	@helm/check

lint: ## formatting, clippy without a warning, scripts that parse
	@dev/setup build lint
	$(call say,'scripts')
	@for script in $(scripts); do bash -n "$$script"; done
	$(call say,'cargo fmt')
	@$(CARGO) fmt --check
	$(call say,'cargo clippy')
	@$(CARGO) clippy --locked --all-targets -- -D warnings
	@$(CARGO) clippy --locked --lib --features sled -- -D warnings

format: ## let rustfmt have its way
	@dev/setup lint
	@$(CARGO) fmt

bench: ## the benchmarks (ARGS=NAME for one)
	@dev/setup build
	$(CARGO) bench --locked $(ARGS)

clean: ## what was built; the fetched jars and helm in .cache/ stay
	$(CARGO) clean
