# NitroKV: everything that is built, checked or measured is a target here; CI calls nothing else.
# `make` alone prints the targets. Building needs Go, a C compiler, libzstd and liblz4 (`make deps-build`); checking
# needs `make deps`.

GO      ?= go
CC      ?= cc
GCC     ?= gcc
CLANG   ?= clang
PREFIX  ?= /usr/local
DESTDIR ?=
# Steps at a time: one more than the two processors of a small machine, since tests of the server wait a lot.
JOBS    ?= 3

# Seconds that each fuzz target searches for new inputs, and the share (percent) of the random tests'
# full length that is run: as they are; under the sanitisers, and once more over mode bitcask; under valgrind. `make test-long`
# raises all of them.
FUZZ_SECONDS ?= 2
TEST_PERCENT ?= 100
PART_PERCENT ?= 30
SLOW_PERCENT ?= 10

# ---- flags ---------------------------------------------------------------------------------------
# Code generation has one list, the one that cgo uses. Warnings are make's own: a newer compiler must
# not break an embedder's `go build`.
CODEGEN := $(shell sed -n 's/^.*\#cgo CFLAGS: *//p' engine/cgo.go 2>/dev/null)
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror
CHECKED := -g -DNK_CHECKED

# Libraries have one list too, cgo's. pkg-config is asked when the first recipe needs it, which is after deps-build.
PACKAGES := $(shell sed -n 's/^.*\#cgo pkg-config: *//p' engine/cgo.go 2>/dev/null)
LIBS      = $(eval LIBS := $$(shell pkg-config --libs $(PACKAGES)))$(LIBS)
LIBFLAGS  = $(eval LIBFLAGS := $$(shell pkg-config --cflags $(PACKAGES)))$(LIBFLAGS)

# A flavour is one way to compile the whole engine; its objects lie in obj/<flavour>/.
FLAVOURS := lib plain malloc asan tsan
CC_lib      = $(CC)
FLAGS_lib   = -g -fPIC
CC_plain    = $(GCC)
FLAGS_plain = $(CHECKED) -DNK_VALGRIND
CC_malloc    = $(GCC)
FLAGS_malloc = $(CHECKED) -DNK_VALGRIND -DNK_ARENA_MALLOC
# What the fuzzers count on costs the tests little, and compiling everything once more a lot.
CC_asan    = $(CLANG)
FLAGS_asan = $(CHECKED) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link \
	-fno-sanitize-recover=all
# (clang instruments atomic loads even in functions that no_sanitize excludes; gcc does not.)
CC_tsan    = $(GCC)
FLAGS_tsan = $(CHECKED) -O1 -fno-omit-frame-pointer -fsanitize=thread

# The tests' own code is compiled in a fifth of the time; what it tests, and what all tests share, is as it is.
OPTIMISE = $(if $(filter test_%,$*),-O0)

# ---- files ---------------------------------------------------------------------------------------
ENGINE_C := $(wildcard engine/*.c)
C_TESTS  := $(patsubst tests/c/%.c,%,$(wildcard tests/c/test_*.c))
# Those that run under memcheck once more, with a block of its own for each object in an arena: only in `make test-long`, for
# the time that it takes. In `make test` memcheck goes by the annotations of the arenas.
MALLOC_TESTS :=
FUZZERS  := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHES  := $(wildcard tests/bench/*.c)
SUPPORT  := support client collide model
C_FILES  := $(wildcard engine/*.[ch] tests/c/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch] \
	tests/sim/*.[ch] examples/*.[ch])
GO_DIRS  := client cmd engine proto server tests

# Compilers are quiet unless they have something to say; V=1 shows their command lines.
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

STEP     := scripts/step
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all \
	--errors-for-leak-kinds=all
# Address space randomisation beyond 28 bits leaves the thread sanitiser no room for its shadow.
NO_ASLR  := setarch $(shell uname -m) --addr-no-randomize
SLOW     := NK_TEST_PERCENT=$(SLOW_PERCENT)
PART     := NK_TEST_PERCENT=$(PART_PERCENT)
FULL     := NK_TEST_PERCENT=$(TEST_PERCENT)

# The race detector's runtime lets a second pass at the end of each process, in case somebody still races; the
# tests start hundreds of them.
export GORACE ?= atexit_sleep_ms=10

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help all build run deps deps-build test test-long test-steps test-c race asan tsan valgrind fuzz \
	fuzz-go golden lint format bench bench-peers bench-stores lib check-lib install uninstall clean FORCE

help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# ---- build ---------------------------------------------------------------------------------------
all: build ## the same as build
build: bin/nitrokv ## bin/nitrokv: server, CLI, benchmark (needs Go, a C compiler, libzstd, liblz4)

# Go's own cache decides what is stale; it sees the C files too.
bin/nitrokv: FORCE | deps-build
	$(GO) build -o $@ ./cmd/nitrokv

deps-build: ## installs what the build needs beyond Go and a C compiler, if it is missing (apt)
	@scripts/deps-build $(PACKAGES)

run: build ## build, then serve on 127.0.0.1:6379
	bin/nitrokv serve

lib: lib/libnitrokv.a lib/libnitrokv.so ## libnitrokv.a and .so, for C programs

# Behind DESTDIR everything lies as it will lie in the system, so the unit names the folder without it.
INSTALL_DIR := $(DESTDIR)$(PREFIX)
VERSION     := $(shell sed -n 's/^.define NITRO_VERSION_STRING "\(.*\)"/\1/p' engine/nitro.h 2>/dev/null)

install: build lib ## binary, library, header and systemd unit into PREFIX (/usr/local)
	install -d $(addprefix $(INSTALL_DIR)/,bin lib/pkgconfig lib/systemd/system include share/doc/nitrokv)
	install -m 755 bin/nitrokv $(INSTALL_DIR)/bin/nitrokv
	install -m 644 lib/libnitrokv.a $(INSTALL_DIR)/lib/libnitrokv.a
	install -m 755 lib/libnitrokv.so.0 $(INSTALL_DIR)/lib/libnitrokv.so.0
	ln -sf libnitrokv.so.0 $(INSTALL_DIR)/lib/libnitrokv.so
	install -m 644 engine/nitro.h $(INSTALL_DIR)/include/nitro.h
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@PACKAGES@|$(PACKAGES)|' packaging/nitrokv.pc \
		>$(INSTALL_DIR)/lib/pkgconfig/nitrokv.pc
	chmod 644 $(INSTALL_DIR)/lib/pkgconfig/nitrokv.pc
	install -m 644 LICENSE $(INSTALL_DIR)/share/doc/nitrokv/LICENSE
	sed 's|@BINDIR@|$(PREFIX)/bin|' packaging/nitrokv.service >$(INSTALL_DIR)/lib/systemd/system/nitrokv.service
	chmod 644 $(INSTALL_DIR)/lib/systemd/system/nitrokv.service

uninstall: ## removes what install has put there; data stays
	rm -f $(addprefix $(INSTALL_DIR)/,bin/nitrokv lib/libnitrokv.a lib/libnitrokv.so.0 lib/libnitrokv.so \
		lib/pkgconfig/nitrokv.pc include/nitro.h share/doc/nitrokv/LICENSE lib/systemd/system/nitrokv.service)
	[ ! -d $(INSTALL_DIR)/share/doc/nitrokv ] || rmdir --ignore-fail-on-non-empty $(INSTALL_DIR)/share/doc/nitrokv

clean: ## removes what make has built, and nothing else: data stays
	rm -rf bin lib obj

# One object with every internal name made local: the archive exports what the shared library does.
obj/lib/nitrokv.o: $(ENGINE_C:engine/%.c=obj/lib/%.o)
	$(LD) -r -o $@.all $^
	objcopy --localize-hidden $@.all $@
	rm $@.all

lib/libnitrokv.a: obj/lib/nitrokv.o
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $<

lib/libnitrokv.so.0: obj/lib/nitrokv.o
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-z,defs -Wl,-soname,libnitrokv.so.0 -o $@ $< $(LIBS)

lib/libnitrokv.so: lib/libnitrokv.so.0
	ln -sf libnitrokv.so.0 $@

obj/embed-static: examples/embed.c lib/libnitrokv.a
	$(CC) -std=gnu11 -O2 $(WARN) -Iengine -o $@ examples/embed.c lib/libnitrokv.a $(LIBS)

obj/embed-shared: examples/embed.c lib/libnitrokv.so
	$(CC) -std=gnu11 -O2 $(WARN) -Iengine -o $@ examples/embed.c -Llib -lnitrokv

# ---- C tests: every flavour's objects once, every test program linked with them -------------------
# obj/<flavour>/libengine.a exists so that a test names one file; nothing is installed from it.
define flavour_rules
obj/$(1)/%.o: engine/%.c Makefile engine/cgo.go | deps-build
	@mkdir -p $$(@D)
	$(Q)$$(CC_$(1)) $$(CODEGEN) $$(LIBFLAGS) $$(WARN) $$(FLAGS_$(1)) -MMD -MP -c -o $$@ $$<
$(foreach d,c fuzz bench,
obj/$(1)/tests/%.o: tests/$(d)/%.c Makefile engine/cgo.go
	@mkdir -p $$(@D)
	$(Q)$$(CC_$(1)) $$(CODEGEN) $$(WARN) $$(FLAGS_$(1)) $$(OPTIMISE) -Iengine -Itests/c -MMD -MP -c -o $$@ $$<
)
obj/$(1)/libengine.a: $$(ENGINE_C:engine/%.c=obj/$(1)/%.o) $$(SUPPORT:%=obj/$(1)/tests/%.o)
	@rm -f $$@
	$(Q)$$(AR) rcs $$@ $$^
obj/$(1)/test_%: obj/$(1)/tests/test_%.o obj/$(1)/libengine.a
	$(Q)$$(CC_$(1)) $$(FLAGS_$(1)) -o $$@ $$^ $$(LIBS) -lcmocka
obj/$(1)/tsan_gate: obj/$(1)/tests/tsan_gate.o obj/$(1)/libengine.a
	$(Q)$$(CC_$(1)) $$(FLAGS_$(1)) -o $$@ $$^ $$(LIBS) -lpthread
obj/$(1)/fuzz_%: obj/$(1)/tests/fuzz_%.o obj/$(1)/libengine.a
	$(Q)$$(CC_$(1)) $$(FLAGS_$(1)) -fsanitize=fuzzer -o $$@ $$^ $$(LIBS)
-include $$(wildcard obj/$(1)/*.d obj/$(1)/tests/*.d)
endef
$(foreach f,$(FLAVOURS),$(eval $(call flavour_rules,$(f))))
.SECONDARY:

.PHONY: $(C_TESTS:%=plain-%) $(C_TESTS:%=asan-%) $(C_TESTS:%=valgrind-%) $(C_TESTS:%=malloc-%)
$(C_TESTS:%=plain-%): plain-%: obj/plain/%
	@$(FULL) $(STEP) $@ $<
$(C_TESTS:%=asan-%): asan-%: obj/asan/%
	@$(PART) $(STEP) $@ $<
$(C_TESTS:%=valgrind-%): valgrind-%: obj/plain/%
	@$(SLOW) $(STEP) $@ $(VALGRIND) $<
$(C_TESTS:%=malloc-%): malloc-%: obj/malloc/%
	@$(SLOW) $(STEP) $@ $(VALGRIND) $<

# The constants of collide.c are those that the finder finds.
.PHONY: c-collision
c-collision: obj/plain/tests/find_collision.o
	@$(GCC) $(FLAGS_plain) -o obj/find_collision $<
	@$(STEP) $@ scripts/check-collision

test-c: $(C_TESTS:%=plain-%) c-collision ## the C tests alone, as they are
asan: $(C_TESTS:%=asan-%) ## the C tests under the address and undefined behaviour sanitisers
valgrind: $(C_TESTS:%=valgrind-%) $(MALLOC_TESTS:%=malloc-%) ## … under memcheck

tsan: obj/tsan/tsan_gate ## threads behind a gate, as the server runs them, under the sanitiser
	@$(PART) $(STEP) tsan-gate $(NO_ASLR) $<

# ---- simulation ----------------------------------------------------------------------------------
# Crashes, faults and damage on a simulated disk: tests/sim. N and SEED are for `make sim`.
N    ?= 1000000
SEED ?= 1

# The engine is the library's, as it is delivered.
CC_sim    = $(CC)
FLAGS_sim = -g
SIM_PARTS := disk disk_try disk_vfs image links merges model names ops pages restores snaps world
SIMS      := sim faults damage

obj/sim/sim/%.o: tests/sim/%.c Makefile engine/cgo.go
	@mkdir -p $(@D)
	$(Q)$(CC_sim) $(CODEGEN) $(WARN) $(FLAGS_sim) -Iengine -Itests/c -MMD -MP -c -o $@ $<
-include $(wildcard obj/sim/sim/*.d)
$(SIMS:%=obj/sim/run-%): obj/sim/run-%: obj/sim/sim/%.o $(SIM_PARTS:%=obj/sim/sim/%.o) \
		obj/lib/libengine.a
	$(Q)$(CC_sim) $(FLAGS_sim) -o $@ $^ $(LIBS)

.PHONY: sim sim-short sim-crash sim-faults sim-damage mutants
sim: obj/sim/run-sim ## N recoveries (a million) after crashes on a simulated disk, from SEED
	$< N=$(N) SEED=$(SEED)

# What `make test` runs of it.
sim-short: sim-crash sim-faults sim-damage ## … 20,000 of them; every call failed; every bit flipped
sim-crash: obj/sim/run-sim
	@$(STEP) $@ $< N=20000 SEED=1
sim-faults: obj/sim/run-faults
	@$(STEP) $@ $<
sim-damage: obj/sim/run-damage
	@$(STEP) $@ $<

mutants: $(SIMS:%=obj/sim/run-%) ## breaks the engine on purpose, place by place: is it noticed?
	tests/sim/mutants

# The same programs with the planted bug number MUTANT (engine/mutant.h): only the files that have it differ.
MUTANT  ?= 0
MUTATED := $(shell grep -l 'NK_MUTATE.$(MUTANT),' engine/*.c)
obj/sim/mutants/$(MUTANT)/%.o: engine/%.c Makefile engine/cgo.go
	@mkdir -p $(@D)
	$(Q)$(CC_sim) $(CODEGEN) $(LIBFLAGS) $(WARN) $(FLAGS_sim) -DNK_MUTANT=$(MUTANT) -c -o $@ $<
$(SIMS:%=obj/sim/mutants/$(MUTANT)/run-%): obj/sim/mutants/$(MUTANT)/run-%: obj/sim/sim/%.o \
		$(SIM_PARTS:%=obj/sim/sim/%.o) $(MUTATED:engine/%.c=obj/sim/mutants/$(MUTANT)/%.o) \
		obj/lib/libengine.a
	$(Q)$(CC_sim) $(FLAGS_sim) -o $@ $^ $(LIBS)
.PHONY: mutant-build
mutant-build: $(SIMS:%=obj/sim/mutants/$(MUTANT)/run-%)

# ---- fuzzing -------------------------------------------------------------------------------------
# The corpus is replayed first, so that an old crash is reported as what it is. New inputs and crashes
# go to obj/; a crash worth keeping is copied to tests/fuzz/corpus/<target>/ under a name that says it.
.PHONY: $(FUZZERS:fuzz_%=search-%)
$(FUZZERS:fuzz_%=search-%): search-%: obj/asan/fuzz_%
	@mkdir -p obj/fuzz/found/$*
	@$(STEP) replay-$* $< -runs=0 -timeout=10 tests/fuzz/corpus/$*
	@$(STEP) fuzz-$* $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-verbosity=0 -artifact_prefix=obj/fuzz/crash-$*- obj/fuzz/found/$* tests/fuzz/corpus/$*

fuzz: $(FUZZERS:fuzz_%=search-%) ## replay the corpora, then search FUZZ_SECONDS for each C target

# ---- golden files --------------------------------------------------------------------------------
golden: obj/plain/test_golden ## writes tests/golden/ anew: only for a format that is not released yet
	NK_GOLDEN_UPDATE=1 $<

# ---- Go ------------------------------------------------------------------------------------------
.PHONY: e2e race-bitcask e2e-bitcask go-vet go-format static-check
race: ## the Go tests under the race detector
	@$(STEP) go-race $(GO) test -race -v ./...

e2e: build ## the built server against redis-server, real clients, redis-cli, nc and the CLI
	@$(FULL) NITROKV_BIN=$(CURDIR)/bin/nitrokv $(STEP) go-e2e $(GO) -C tests test -count=1 -timeout 30m -v -skip '^TestSoak$$' ./...

# The tests that are about clients and data alone run over mode bitcask as well, with files that rotate and merge all the
# time: server/helpers_test.go, tests/differ/server_test.go and tests/e2e/mode_test.go say how.
BITCASK_SERVER := TextRequests Pipeline.* RequestsInSingleBytes LargeValues ManyClients Shutdown.* Binary[HIPL].* \
	DataSurvives AcknowledgedIsDurable EndOfStream.* WaitAOFEnds Flush MalformedInput Garbage \
	SlowClients.* NeverReadingClient KillInTheMiddleOfAReply FullSocket LostClient KilledClient HalfAReply.* \
	Queue.* EveryCommandIsDescribed NoCommandIsAcknowledgedWithoutEffect DataIsNeverMissed
BITCASK_E2E := RandomCommands EncodingOfFreshValues ProtocolErrors Kill LinearizableAcrossKills \
	Client[A-Z].* GoRedis.* RedisCLI PutGetDelete LargeValue SegmentsMayDiffer DumpAndLoadRestoreEverything \
	LoadLargeValues ReplyWaitsForItsSync DurableReadsDontWait GetOvertakesSetOnBinary \
	RequestsRunWhileReplyWaits WhatReadsShow ReadAtAlwaysWaitsForWriteAtNever LowerLevelsDontWait SyncOnDemand \
	Failed.* InterruptedWrites Loading \
	Backup Backup[NW].*[seg] BackupOf.* SnapshotReadWhileReplaced FlippedBackup PointInTime SaveInterval LastSave
empty :=
named = ^Test($(subst $(empty) $(empty),|,$(strip $(1))))$$
race-bitcask: ## those of package server that fit, over mode bitcask, under the race detector
	@NK_TEST_MODE=bitcask $(STEP) go-race-bitcask $(GO) test -race -count=1 -v -run '$(call named,$(BITCASK_SERVER))' ./server
e2e-bitcask: build ## those of them that fit, over mode bitcask
	@$(PART) NK_TEST_MODE=bitcask NITROKV_BIN=$(CURDIR)/bin/nitrokv $(STEP) go-e2e-bitcask \
		$(GO) -C tests test -count=1 -timeout 30m -v -run '$(call named,$(BITCASK_E2E))' ./differ ./e2e

# The server in mode bitcask at work for so long, with TTLs and merges: memory, handles and disk stay flat (tests/e2e/soak_test.go).
SOAK       ?= 10m
SOAK_SHORT ?= 20s
.PHONY: soak soak-short
soak-run = NITROKV_BIN=$(CURDIR)/bin/nitrokv SOAK=$(1) $(STEP) $@ \
	$(GO) -C tests test -count=1 -timeout 0 -v -run '^TestSoak$$' ./e2e
soak: build ## mode bitcask for SOAK (ten minutes) with TTLs and merges: does anything grow?
	@$(call soak-run,$(SOAK))
soak-short: build
	@$(call soak-run,$(SOAK_SHORT))

# ---- container and installation ------------------------------------------------------------------
# What needs docker or systemd says so where there is none; it is then listed as not run.
INSTALL_TESTS := entrypoint image make unit
.PHONY: test-install $(INSTALL_TESTS:%=install-%)
$(INSTALL_TESTS:%=install-%): install-%: build lib
	@NITROKV_BIN=$(CURDIR)/bin/nitrokv $(STEP) $@ timeout 900 tests/install/$*
test-install: $(INSTALL_TESTS:%=install-%) ## the container's entry point, make install, the systemd unit, docker

# ---- lint ----------------------------------------------------------------------------------------
.PHONY: c-format c-includes c-symbols go-rules
# The measuring programs are compiled by tests/peers when they run; here only for their warnings.
# A module of its own, so that what it compares with is no dependency of anything else.
STORES := tests/bench/stores
LINT := c-format c-includes c-symbols go-format go-vet go-rules static-check check-lib \
	$(BENCHES:tests/bench/%.c=obj/lib/tests/%.o)
lint: $(LINT) ## every static check

format: ## gofmt and clang-format, in place
	clang-format -i $(C_FILES)
	gofmt -w $(GO_DIRS)

c-format:
	@$(STEP) $@ clang-format --dry-run -Werror $(C_FILES)
c-includes:
	@$(STEP) $@ scripts/lint-includes $(wildcard engine/*.[ch])
c-symbols: $(ENGINE_C:engine/%.c=obj/lib/%.o)
	@$(STEP) $@ scripts/lint-symbols $^
go-format:
	@$(STEP) $@ scripts/lint-gofmt $(GO_DIRS)
go-vet: | build
	@$(STEP) $@ sh -c '$(GO) vet ./... && $(GO) -C tests vet ./... && $(GO) -C $(STORES) vet ./...'
go-rules:
	@$(STEP) $@ scripts/lint-imports
static-check: obj/staticcheck | build
	@$(STEP) $@ sh -c 'for d in . tests $(STORES); do (cd $$d && $(CURDIR)/obj/staticcheck ./...) || exit 1; done'
check-lib: lib obj/embed-static obj/embed-shared ## the library exports nitro_* alone, and embeds
	@$(STEP) $@ scripts/check-lib

obj/staticcheck: tests/go.mod
	@mkdir -p $(@D)
	$(GO) -C tests build -o ../$@ honnef.co/go/tools/cmd/staticcheck

# ---- test ----------------------------------------------------------------------------------------
deps: deps-build ## installs what the tests need (apt; PyPI and npm into obj/), and says so
	@scripts/deps
	@scripts/deps-clients

# What `make test` consists of. The summary counts a step that was never reached as failed.
C_STEPS := $(foreach way,plain asan valgrind,$(C_TESTS:%=$(way)-%)) $(MALLOC_TESTS:%=malloc-%) c-collision tsan-gate
FUZZ_STEPS := $(FUZZERS:fuzz_%=replay-%) $(FUZZERS:fuzz_%=fuzz-%)
STEPS := $(filter-out %.o,$(LINT)) $(C_STEPS) $(FUZZ_STEPS) sim-crash sim-faults sim-damage go-race go-e2e \
	go-race-bitcask go-e2e-bitcask soak-short $(INSTALL_TESTS:%=install-%)

# Every step runs even when another has failed.
test: deps ## everything: lint, C under three checkers, fuzz, Go, end to end (under 8 minutes)
	@rm -rf obj/results && mkdir -p obj/results
	@printf '%s\n' $(STEPS) >obj/results/expected
	@$(MAKE) --no-print-directory --keep-going --output-sync=target --jobs=$(JOBS) test-steps; \
		scripts/summary $$?

# make begins them in this order; those that wait a lot, and load the machine little, are spread among the others. What
# compiles the same Go packages doesn't do so at the same time.
test-steps: e2e test-c lint valgrind race soak-short sim-short e2e-bitcask asan race-bitcask tsan fuzz test-install

fuzz-go: ## search FUZZ_SECONDS with each Go fuzz target
	@$(STEP) $@ scripts/fuzz-go $(FUZZ_SECONDS)

test-long: ## test with ten times the random operations and a minute for each fuzz target
	$(MAKE) test TEST_PERCENT=1000 PART_PERCENT=1000 SLOW_PERCENT=100 FUZZ_SECONDS=60 MALLOC_TESTS='$(C_TESTS)'
	$(MAKE) fuzz-go FUZZ_SECONDS=60

# ---- measuring -----------------------------------------------------------------------------------
bench: build ## one server, one load: throughput and latency by the built-in benchmark
	scripts/bench

bench-peers: build ## side by side with redis-server and memcached (installs them)
	scripts/deps-peers
	$(GO) -C tests run ./peers -nitrokv $(CURDIR)/bin/nitrokv $(PEERS_FLAGS)

bench-stores: ## the Go package engine in mode bitcask beside other stores for Go programs
	$(GO) -C $(STORES) run . $(STORES_FLAGS)

FORCE:
