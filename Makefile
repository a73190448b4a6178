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
# For make faults: passes of each crash point, kills, reloads under load, some tests only (FAULTS=drain), another store.
ROUNDS ?= 1
KILLS ?= 20
RELOADS ?= 10
FAULTS ?=
# Seconds of the soak and of an endpoint's outage, MiB of a packed batch, for the long run: 7200, 600, 950.
SOAK ?=
OUTAGE ?=
PACKED ?=
STORE ?= redb
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

faults: ## what tidegate survives, as one table (ROUNDS=10 KILLS=200 RELOADS=100 for the long run; FAULTS=NAME, STORE=sled)
	@dev/setup test
	@dev/kafka/kafka fetch
	$(call say,'what tidegate survives (some minutes)')
	@TIDEGATE_TEST_ROUNDS=$(ROUNDS) TIDEGATE_TEST_KILLS=$(KILLS) TIDEGATE_TEST_RELOADS=$(RELOADS) TIDEGATE_TEST_STORE=$(STORE) \
	  $(if $(OLDER),TIDEGATE_TEST_OLDER=$(OLDER)) $(if $(SOAK),TIDEGATE_TEST_SOAK=$(SOAK)) \
	  $(if $(OUTAGE),TIDEGATE_TEST_OUTAGE=$(OUTAGE)) $(if $(PACKED),TIDEGATE_TEST_PACKED_MIB=$(PACKED)) \
	  dev/faults/table $(FAULTS)

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
