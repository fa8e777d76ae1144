# dagfs. `make demo` and `make check` set the machine up by themselves (scripts/setup).
#
#   make [V=debug|release|tsan|fuzz] [BUILD=build] target
#
# Objects go to $(BUILD)/$(V), nothing elsewhere. Each layer becomes one archive and a test links
# only its own layer and those below: an upward call does not link.

BUILD  ?= build
V      ?= release
OUT    := $(BUILD)/$(V)
PREFIX ?= /usr/local
# Where mount(8) looks for mount.TYPE, and nowhere else.
HELPER_DIR ?= /sbin
DESTDIR ?=

LAYERS := fs dag exchange routing net
PKGS   := fuse3 libuv libsodium lmdb libcrypto libssl jansson libcares libxxhash

SRC    := $(sort $(shell find $(LAYERS) -name '*.c'))
HDR    := $(sort $(shell find $(LAYERS) -name '*.h'))
TESTS  := $(sort $(shell find tests -name 'test_*.c'))
FUZZ   := $(sort $(shell find tests/fuzz -name 'fuzz_*.c' 2>/dev/null))
HELP   := $(sort $(shell find tests -maxdepth 1 -name '*.c'))

CFLAGS_debug   := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_release := -O2 -g
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq ($(V),fuzz)
CC := clang
endif

PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS may be given, in the environment or to make: they come after our own.
override CFLAGS := -std=c17 -D_GNU_SOURCE -I. -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes \
          -Wmissing-prototypes -Werror $(CFLAGS_$(V)) $(PKG_CFLAGS) $(CFLAGS)
override LDLIBS := $(PKG_LIBS) -lpthread $(LDLIBS)

objs = $(patsubst %.c,$(OUT)/%.o,$(filter $(1)/%,$(filter-out fs/main.c,$(SRC))))
lib  = $(OUT)/lib$(1).a

all: $(OUT)/dagfs

$(OUT)/dagfs: $(OUT)/fs/main.o $(foreach l,$(LAYERS),$(call lib,$(l)))
	@echo "  LD      $@"
	@$(CC) $(CFLAGS_$(V)) $(LDFLAGS) -o $@ $^ $(LDLIBS)

define layer_rule
$(call lib,$(1)): $(call objs,$(1))
	@echo "  AR      $$@"
	@mkdir -p $$(@D); rm -f $$@; ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))

# A test of layer L links L and everything to its right in the house.
below_fs       := fs dag exchange routing net
below_dag      := dag exchange routing net
below_exchange := exchange routing net
below_routing  := routing net
below_net      := net
below_sim      := exchange routing net
below_e2e      := exchange routing net
below_bench    := exchange routing net
below_fuzz     := fs dag exchange routing net

layer_of = $(word 2,$(subst /, ,$(1)))
.SECONDEXPANSION:
$(OUT)/tests/%: $(OUT)/tests/%.o $(patsubst %.c,$(OUT)/%.o,$(HELP)) \
		$$(foreach l,$$(below_$$(call layer_of,tests/$$*)),$$(call lib,$$l))
	@echo "  LD      $@"
	@$(CC) $(CFLAGS_$(V)) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# tests/sim/wrap.h tells what these are for.
comma := ,
SIM_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,wallclock_ns random_system public_key_verify identity_sign)
SIM := $(sort $(wildcard tests/sim/*.c))
$(OUT)/tests/sim/sim: $(SIM:%.c=$(OUT)/%.o) $(foreach l,$(below_sim),$(call lib,$(l)))
	@echo "  LD      $@"
	@$(CC) $(CFLAGS_$(V)) $(LDFLAGS) $(SIM_WRAP) -o $@ $^ $(LDLIBS) -lm

# The hostile peer of tests/e2e/hostile.py.
$(OUT)/tests/e2e/evil/evil: $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tests/e2e/evil/*.c))) $(foreach l,$(below_e2e),$(call lib,$(l)))
	@echo "  LD      $@"
	@$(CC) $(CFLAGS_$(V)) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(if $(filter fuzz,$(V)),,$(OUT)/tests/fuzz/replay.o) \
		$(foreach l,$(below_fuzz),$(call lib,$(l)))
	@echo "  LD      $@"
	@$(CC) $(CFLAGS_$(V)) $(LDFLAGS) $(if $(filter fuzz,$(V)),-fsanitize=fuzzer) -o $@ $^ $(LDLIBS)

$(OUT)/%.o: %.c
	@echo "  CC      $<"
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- what people call ----

setup:
	@scripts/setup

# Everything that must hold before a commit: layers, headers, unit tests and fuzz corpora under ASan and
# UBSan, then the program itself with a real mount (tests/e2e/smoke).
check: setup
	@$(MAKE) --no-print-directory V=debug check-built
check-built: layers format-check headers $(OUT)/dagfs $(TESTS:%.c=$(OUT)/%) $(FUZZ:%.c=$(OUT)/%)
	@scripts/run-tests $(TESTS:%.c=$(OUT)/%) \
		$(foreach f,$(FUZZ:tests/fuzz/fuzz_%.c=%),"$(OUT)/tests/fuzz/fuzz_$(f) tests/fuzz/corpus/$(f)") \
		"env DAGFS=$(OUT)/dagfs tests/e2e/smoke"

# The threaded paths under TSan: unit tests, then the program itself.
check-tsan: setup
	@$(MAKE) --no-print-directory V=tsan check-tsan-built
TSAN_TESTS := $(foreach t,exchange/test_store_lmdb exchange/test_store_generations exchange/test_blocks exchange/test_fetcher net/test_loop \
	net/test_db net/test_wait dag/test_import dag/test_file dag/test_data_threads,$(wildcard tests/$(t).c))
TSAN_SCENARIOS := together many-small pins
check-tsan-built: $(TSAN_TESTS:%.c=$(OUT)/%) $(OUT)/dagfs
	@TSAN_OPTIONS="halt_on_error=1 suppressions=$(CURDIR)/tests/e2e/tsan.supp" scripts/run-tests -t 1500 \
		$(TSAN_TESTS:%.c=$(OUT)/%) "env DAGFS=$(OUT)/dagfs tests/e2e/run $(TSAN_SCENARIOS)"

demo: setup
	@$(MAKE) --no-print-directory V=release all
	@scripts/demo

# The issue's whole story with real processes and mounts: minutes.
e2e: setup
	@$(MAKE) --no-print-directory V=release all $(BUILD)/release/tests/e2e/evil/evil
	@DAGFS=$(BUILD)/release/dagfs tests/e2e/run

# Many nodes on virtual time: the fixed set, or make sim SEED=... SCENARIO=... NODES=...
sim: setup
	@$(MAKE) --no-print-directory V=$(V) sim-built
sim-built: $(OUT)/tests/sim/sim
	@$< "$(SEED)" "$(SCENARIO)" $(NODES)

# Against real Kubo and Helia nodes on loopback.
interop: setup
	@scripts/setup-interop all
	@$(MAKE) --no-print-directory V=release all
	@DAGFS=$(BUILD)/release/dagfs tests/interop/run $(SCENARIOS)

# Ratios against references of the same run. KUBO=path names a Kubo binary to compare with.
bench: setup
	@$(MAKE) --no-print-directory V=release all
	@DAGFS=$(BUILD)/release/dagfs scripts/bench $(ROWS)

SECONDS_EACH ?= 60
fuzz: setup
	@$(MAKE) --no-print-directory V=fuzz fuzz-built
fuzz-built: $(FUZZ:%.c=$(OUT)/%)
	@scripts/fuzz $(SECONDS_EACH) $^

install: all
	install -Dm755 $(BUILD)/release/dagfs $(DESTDIR)$(PREFIX)/bin/dagfs
	@mkdir -p $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5
	$(BUILD)/release/dagfs help --man >$(DESTDIR)$(PREFIX)/share/man/man1/dagfs.1
	$(BUILD)/release/dagfs help --man config >$(DESTDIR)$(PREFIX)/share/man/man5/dagfs-config.5
	@mkdir -p $(DESTDIR)$(HELPER_DIR) $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/systemd/user
	ln -sf $(PREFIX)/bin/dagfs $(DESTDIR)$(HELPER_DIR)/mount.dagfs
	sed 's,@BINDIR@,$(PREFIX)/bin,' scripts/systemd/dagfs.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/dagfs.service
	sed 's,@BINDIR@,$(PREFIX)/bin,' scripts/systemd/dagfs-user.service >$(DESTDIR)$(PREFIX)/lib/systemd/user/dagfs.service

FORMATTED := $(SRC) $(HDR) $(sort $(shell find tests -name '*.[ch]'))
format: setup
	@clang-format -i $(FORMATTED)

# What `make format` would change.
format-check: setup
	@clang-format --dry-run -Werror $(FORMATTED) || { echo "format: run make format"; exit 1; }
	@echo "format: nothing to change"

layers:
	@scripts/check-layers

headers: $(HDR:%=$(OUT)/%.ok)
$(OUT)/%.h.ok: %.h
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(filter-out -MMD -MP,$(CFLAGS)) -fsyntax-only -x c $< && touch $@

clean:
	rm -rf $(BUILD)

.PHONY: all setup check check-built check-tsan check-tsan-built demo e2e sim sim-built interop bench fuzz fuzz-built \
	install format format-check layers headers clean
.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
