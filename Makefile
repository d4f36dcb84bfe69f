# sshecho: build, test, install. Hand-written; objects live under build/.
#   make            build/sshechod and build/sshload
#   make check      every test            make check-asan   the same under ASan + UBSan
#   make demo       a short tour          make install      PREFIX=/usr/local, DESTDIR=
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
PYTHON  ?= /usr/bin/python3
BUILD   ?= build
SANITIZE ?=
# TRANSPORT=0 leaves the batched socket I/O (transport.h) out of the build.
TRANSPORT ?= 1
# CRYPTO_SHORTCUTS=0 leaves out what answers libssh in libcrypto's place (crypto_shortcuts.h).
CRYPTO_SHORTCUTS ?= 1

VERSION := $(shell cat VERSION)$(shell git describe --always --dirty --match '' 2>/dev/null | sed 's/^/+g/')

pkg = $(shell pkg-config --exists $(1) 2>/dev/null && echo 1)
HAVE_SECCOMP := $(call pkg,libseccomp)
HAVE_SYSTEMD := $(call pkg,libsystemd)
NOTIFY_RELOAD := $(shell pkg-config --atleast-version=253 libsystemd 2>/dev/null && echo 1)
HAVE_MICROHTTPD := $(call pkg,libmicrohttpd)
HAVE_CURL := $(call pkg,libcurl)
HAVE_LIBCRYPTO := $(call pkg,libcrypto)
HAVE_SHORTCUTS := $(if $(filter 1,$(CRYPTO_SHORTCUTS)),$(HAVE_LIBCRYPTO))

# WERROR=1, as CI and the tests have it: a release must not fail on a warning of the next compiler.
WARN   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fPIE $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
OPT    ?= -O2 -g
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(OPT) $(WARN) $(HARDEN) -Iinclude -Isrc $(CFLAGS) \
  -DSSHECHO_VERSION='"$(VERSION)"' -DSSHECHO_PREFIX='"$(PREFIX)"' -DSSHECHO_TRANSPORT=$(TRANSPORT) \
  $(if $(HAVE_SECCOMP),-DHAVE_SECCOMP) $(if $(HAVE_SYSTEMD),-DHAVE_SYSTEMD) $(if $(HAVE_MICROHTTPD),-DHAVE_MICROHTTPD) $(if $(HAVE_CURL),-DHAVE_CURL) \
  $(if $(HAVE_LIBCRYPTO),-DHAVE_LIBCRYPTO) $(if $(HAVE_SHORTCUTS),-DSSHECHO_CRYPTO_SHORTCUTS=1) \
  $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) \
  $(shell pkg-config --cflags libssh jansson)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
LIBS_COMMON := $(shell pkg-config --libs libssh $(if $(HAVE_LIBCRYPTO),libcrypto)) -lev -lm $(if $(HAVE_MICROHTTPD),-lmicrohttpd)
LIBS_SERVER := $(LIBS_COMMON) $(shell pkg-config --libs jansson) -lcrypt $(if $(HAVE_SECCOMP),-lseccomp) $(if $(HAVE_SYSTEMD),-lsystemd)
LIBS_LOAD   := $(LIBS_COMMON) -lpthread $(shell pkg-config --libs jansson zlib $(if $(HAVE_CURL),libcurl))

COMMON := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/base/*.c src/io/*.c))
SERVER := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/server/*.c src/server/*/*.c))
LOAD   := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/load/*.c src/load/*/*.c))
UNIT   := $(patsubst test/unit/%.c,$(BUILD)/test/%,$(wildcard test/unit/test_*.c))

.PHONY: all deb docs check check-unit check-system check-hostile check-exposed check-plain unit-build build-plain build-asan check-asan build-tsan check-tsan lint check-fuzz fuzz fuzz-build demo install uninstall clean format narrow tidy
all: $(BUILD)/sshechod $(BUILD)/sshload

$(BUILD)/sshechod: $(SERVER) $(COMMON) $(BUILD)/.flags
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBS_SERVER)
$(BUILD)/sshload: $(LOAD) $(COMMON) $(BUILD)/.flags
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBS_LOAD)
# What prints the version or the prefix is made anew when the commit or PREFIX changes.
$(BUILD)/.version: FORCE
	@mkdir -p $(@D); echo '$(VERSION) $(PREFIX)' | cmp -s - $@ || echo '$(VERSION) $(PREFIX)' >$@
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -rlwE 'SSHECHO_(VERSION|PREFIX)' src)): $(BUILD)/.version
FORCE:
# So are all objects when the compiler or its flags change: make TRANSPORT=0 after make builds what it says.
export FLAGS_IN_USE = $(CC) $(filter-out -DSSHECHO_VERSION=% -DSSHECHO_PREFIX=%,$(CFLAGS_ALL)) $(LDFLAGS_ALL)
$(BUILD)/.flags: FORCE
	@mkdir -p $(@D); printenv FLAGS_IN_USE | cmp -s - $@ || printenv FLAGS_IN_USE >$@
$(BUILD)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The floor of the benchmarks: a TCP echo on the same loop, and its load. Not installed.
BENCH_ROOMS := $(BUILD)/src/base/net.o $(BUILD)/src/base/histogram.o
.PHONY: bench-tools
.SECONDARY: $(BUILD)/test/bench/tcp_echo.o $(BUILD)/test/bench/tcp_load.o
bench-tools: $(BUILD)/tcp-echo $(BUILD)/tcp-load $(BUILD)/sign-apart
$(BUILD)/tcp-%: $(BUILD)/test/bench/tcp_%.o $(BENCH_ROOMS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ -lev -lm
$(BUILD)/sign-apart: $(BUILD)/test/bench/sign_apart.o # what SECURITY.md says of a signing process
	$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcrypto

# A unit test is one file of cmocka tests: test_server_*.c sees the server's rooms, test_load_*.c the generator's, all see the common ones.
# (cmocka 2 calls names deprecated that cmocka 1 has alone.)
UNIT_FLAGS := -Wno-deprecated-declarations
$(BUILD)/test/test_server_%: test/unit/test_server_%.c $(COMMON) $(filter-out $(BUILD)/src/server/main.o,$(SERVER))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(UNIT_FLAGS) $(LDFLAGS_ALL) -MMD -MP -MF $@.d -o $@ $(filter-out %.h,$^) $(LIBS_SERVER) -lcmocka
$(BUILD)/test/test_load_%: test/unit/test_load_%.c $(COMMON) $(filter-out $(BUILD)/src/load/main.o,$(LOAD))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(UNIT_FLAGS) $(LDFLAGS_ALL) -MMD -MP -MF $@.d -o $@ $(filter-out %.h,$^) $(LIBS_LOAD) -lcmocka
$(BUILD)/test/test_%: test/unit/test_%.c $(COMMON)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(UNIT_FLAGS) $(LDFLAGS_ALL) -MMD -MP -MF $@.d -o $@ $(filter-out %.h,$^) $(LIBS_COMMON) $(shell pkg-config --libs jansson) -lcmocka

# Preloaded by tests: lets one allocation fail; sees calls that leave no trace.
$(BUILD)/test/%.so: test/faults/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O1 -Wall -Wextra -shared -fPIC -o $@.$$PPID $< && mv $@.$$PPID $@

# Tests mostly wait: JOBS of them run side by side, and then one by one those that are marked `alone`.
JOBS ?= 4
PYTEST = $(PYTHON) -m pytest -q -rs --tb=short --durations=20 -p no:cacheprovider
side_by_side_then_alone = status=0; \
  $(PYTEST) -n $(JOBS) --dist load -m 'not alone' $(1) || status=1; \
  $(PYTEST) -m alone $(1) || status=1; \
  exit $$status
check: all check-unit check-system check-hostile check-fuzz
unit-build: $(UNIT)
check-unit: $(UNIT)
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t; done
check-system: all bench-tools
	export BUILD=$(BUILD); $(call side_by_side_then_alone,test/system)
check-hostile: all
	export BUILD=$(BUILD); $(call side_by_side_then_alone,test/hostile)
# Rows side by side disturb each other: what is judged is harm. JUDGE=times JOBS=0: times too, one by one.
JUDGE ?= harm
# The hostile tests with the limits that a server on a network has.
check-exposed: all
	SSHECHOD_OPTIONS="profile=exposed" JUDGE=$(JUDGE) BUILD=$(BUILD) $(PYTEST) -n $(JOBS) test/hostile
# Hostile tests and the echo's once more with libssh doing its own socket I/O and asking libcrypto for everything.
PLAIN_TESTS ?= test/system/test_window.py test/system/test_data_packets.py test/system/test_services.py test/hostile
check-plain: all bench-tools
	SSHECHOD_OPTIONS="batch-io=no crypto-shortcuts=no" JUDGE=$(JUDGE) BUILD=$(BUILD) $(PYTEST) -n $(JOBS) $(PLAIN_TESTS)
# Without the two seams in the program at all: that it still builds.
build-plain:
	$(MAKE) BUILD=build-plain TRANSPORT=0 CRYPTO_SHORTCUTS=0 all
# Unit, window and hostile tests under ASan and UBSan, in $(BUILD)-asan; ASAN_TESTS=test/system for the rest.
ASAN_TESTS ?= test/system/test_window.py test/system/test_data_packets.py test/hostile
build-asan:
	$(MAKE) BUILD=$(BUILD)-asan OPT='-O1 -g' SANITIZE=address,undefined all unit-build
check-asan: build-asan
	$(MAKE) BUILD=$(BUILD)-asan OPT='-O1 -g' SANITIZE=address,undefined check-unit
	JUDGE=$(JUDGE) BUILD=$(BUILD)-asan $(PYTEST) -n $(JOBS) $(ASAN_TESTS)
# Only sshload has threads: a handful of tests with one that ThreadSanitizer watches, against the server as it is.
build-tsan:
	$(MAKE) BUILD=build-tsan OPT='-O1 -g' SANITIZE=thread build-tsan/sshload
check-tsan: $(BUILD)/sshechod build-tsan
	TSAN_OPTIONS=suppressions=$(CURDIR)/test/faults/tsan.suppressions SSHLOAD=$(CURDIR)/build-tsan/sshload BUILD=$(BUILD) $(PYTHON) -m pytest -q -p no:cacheprovider test/system/test_sshload_threads.py

# libFuzzer (clang) over the rooms that read text; scripts/fuzz runs them. fuzz_load_*.c sees the generator's rooms, the others the server's.
FUZZ_SECONDS ?= 20
FUZZ := $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_CC := clang -D_GNU_SOURCE -std=c17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -Iinclude -Isrc \
  -DSSHECHO_VERSION='"fuzz"' $(if $(HAVE_LIBCRYPTO),-DHAVE_LIBCRYPTO) $(if $(HAVE_SHORTCUTS),-DSSHECHO_CRYPTO_SHORTCUTS=1) \
  $(shell pkg-config --cflags libssh jansson)
FUZZ_ARCHIVES := $(BUILD)/fuzz/common.a $(BUILD)/fuzz/server.a $(BUILD)/fuzz/load.a
FUZZ_OBJECTS := $(patsubst src/%.c,$(BUILD)/fuzz/%.o,$(filter-out %/main.c,$(wildcard src/*/*.c src/*/*/*.c)))
.SECONDARY: $(FUZZ_OBJECTS)
$(BUILD)/fuzz/%.o: src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
# transport.o serves recv, send, poll and close: only where it is named, not wherever somebody calls close.
$(BUILD)/fuzz/common.a: $(filter-out %/transport.o,$(filter $(BUILD)/fuzz/base/% $(BUILD)/fuzz/io/%,$(FUZZ_OBJECTS)))
$(foreach room,server load,$(eval $(BUILD)/fuzz/$(room).a: $(filter $(BUILD)/fuzz/$(room)/%,$(FUZZ_OBJECTS))))
$(FUZZ_ARCHIVES):
	ar rcs $@ $^
$(BUILD)/fuzz/fuzz_load_%: test/fuzz/fuzz_load_%.c $(BUILD)/fuzz/load.a $(BUILD)/fuzz/common.a
	$(FUZZ_CC) -fsanitize=fuzzer -MMD -MP -o $@ $< $(BUILD)/fuzz/load.a $(BUILD)/fuzz/common.a $(LIBS_LOAD)
$(BUILD)/fuzz/fuzz_server_session: test/fuzz/fuzz_server_session.c $(BUILD)/fuzz/io/transport.o $(BUILD)/fuzz/server.a $(BUILD)/fuzz/common.a
	$(FUZZ_CC) -fsanitize=fuzzer -MMD -MP -o $@ $< $(BUILD)/fuzz/io/transport.o $(BUILD)/fuzz/server.a $(BUILD)/fuzz/common.a $(LIBS_SERVER)
$(BUILD)/fuzz/fuzz_%: test/fuzz/fuzz_%.c $(BUILD)/fuzz/server.a $(BUILD)/fuzz/common.a
	$(FUZZ_CC) -fsanitize=fuzzer -MMD -MP -o $@ $< $(BUILD)/fuzz/server.a $(BUILD)/fuzz/common.a $(LIBS_SERVER)
fuzz-build: $(FUZZ)
check-fuzz: # every target for some seconds
	BUILD=$(BUILD) $(PYTEST) test/fuzz
fuzz:
	BUILD=$(BUILD) scripts/fuzz --seconds $(FUZZ_SECONDS) --without-mitm

demo: all
	BUILD=$(BUILD) scripts/demo --built

# The files that repeat what the option table says: conf/sshechod.conf and man/sshechod.conf.5.
docs: $(BUILD)/sshechod
	scripts/refresh-docs $<

documents: all # what the commands in them print; on a quiet machine, and to be looked at
	$(PYTHON) test/documents.py $$(grep -l '^```console' README.md docs/*.md)

# Where things go. DESTDIR is put in front of each and compiled into nothing.
SBINDIR ?= $(PREFIX)/sbin
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
DOCDIR  ?= $(PREFIX)/share/doc/sshecho
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/systemd/system,$(PREFIX)/lib/systemd/system)
SYSUSERSDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/sysusers.d,$(PREFIX)/lib/sysusers.d)
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions

# One line for each installed file: mode, source, destination.
INSTALLED = \
  755:$(BUILD)/sshechod:$(SBINDIR)/sshechod \
  755:$(BUILD)/sshload:$(BINDIR)/sshload \
  644:man/sshechod.8:$(MANDIR)/man8/sshechod.8 \
  644:man/sshechod.conf.5:$(MANDIR)/man5/sshechod.conf.5 \
  644:man/sshload.1:$(MANDIR)/man1/sshload.1 \
  644:conf/deploy/sshechod.socket:$(UNITDIR)/sshechod.socket \
  644:conf/deploy/sshechod.sysusers:$(SYSUSERSDIR)/sshechod.conf \
  644:conf/deploy/completions/sshechod.bash:$(BASHDIR)/sshechod \
  644:conf/deploy/completions/sshechod.bash:$(BASHDIR)/sshload \
  644:conf/deploy/completions/_sshechod:$(ZSHDIR)/_sshechod \
  644:conf/deploy/completions/_sshechod:$(ZSHDIR)/_sshload \
  644:conf/sshechod.conf:$(DOCDIR)/sshechod.conf.sample

install: all
	@set -e; for entry in $(INSTALLED); do mode=$${entry%%:*}; rest=$${entry#*:}; \
	  install -D -m $$mode $${rest%%:*} $(DESTDIR)$${rest#*:}; done
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/sshecho
	@# from 253 on systemd sends the signal itself and waits for the answer
	sed 's|/usr/sbin/|$(SBINDIR)/|$(if $(NOTIFY_RELOAD),;s|^Type=notify$$|Type=notify-reload|;s|^ExecReload=.*|ReloadSignal=SIGUSR2|)' \
	  conf/deploy/sshechod.service > $(DESTDIR)$(UNITDIR)/sshechod.service
	chmod 644 $(DESTDIR)$(UNITDIR)/sshechod.service
	@# a configuration that is there already is its owner's
	test -e $(DESTDIR)$(SYSCONFDIR)/sshecho/sshechod.conf || install -m 644 conf/sshechod.conf $(DESTDIR)$(SYSCONFDIR)/sshecho/sshechod.conf

uninstall:
	@set -e; for entry in $(INSTALLED); do rest=$${entry#*:}; rm -f $(DESTDIR)$${rest#*:}; done
	rm -f $(DESTDIR)$(UNITDIR)/sshechod.service
	@# a configuration that was changed stays
	! cmp -s conf/sshechod.conf $(DESTDIR)$(SYSCONFDIR)/sshecho/sshechod.conf || rm $(DESTDIR)$(SYSCONFDIR)/sshecho/sshechod.conf
	-rmdir $(DESTDIR)$(DOCDIR) $(DESTDIR)$(SYSCONFDIR)/sshecho 2>/dev/null

# Debian packages sshechod and sshload, built in $(BUILD)/deb from what git has, and left in $(BUILD).
deb:
	scripts/make-deb $(BUILD)

clean:
	rm -rf build build-*

# How C and Python are written, and whether they are. PYTHON_FILES are the modules and the scripts that say so in their first line.
C_FILES = $(shell git ls-files '*.c' '*.h')
PYTHON_FILES = $(shell git ls-files '*.py'; git grep -lE '^#!.*python3' -- scripts)
SHELL_FILES = $(shell git grep -lE '^\#!/bin/(ba)?sh' -- scripts .ci)
format:
	clang-format -i $(C_FILES)
	black -q $(PYTHON_FILES)
lint:
	clang-format --dry-run -Werror $(C_FILES)
	black -q --check $(PYTHON_FILES)
	$(PYTHON) -m flake8 $(PYTHON_FILES)
	shellcheck --severity=warning $(SHELL_FILES)
# What clang-tidy counts and then leaves out ("8290 warnings generated") is shown only where something is wrong.
TIDY_FLAGS = -std=c17 -D_GNU_SOURCE -Iinclude -Isrc -DSSHECHO_VERSION='"tidy"' -DSSHECHO_TRANSPORT=1 \
  -DSSHECHO_CRYPTO_SHORTCUTS=1 -DHAVE_LIBCRYPTO -DHAVE_SECCOMP -DHAVE_SYSTEMD -DHAVE_MICROHTTPD -DHAVE_CURL
export TIDY_ONE = said=$$(clang-tidy --quiet "$$@" 2>&1) || { printf '%s\n' "$$said"; exit 1; }
tidy: narrow
	git ls-files 'src/*.c' | xargs -P $$(nproc) -I {} sh -c "$$TIDY_ONE" tidy {} -- $(TIDY_FLAGS)

# The sources as the compiler of a 32-bit machine reads them, with the headers of this one, which know both (amd64's do).
NARROW = clang --target=armv7-linux-gnueabihf -isystem $(BUILD)/narrow -isystem /usr/include/x86_64-linux-gnu \
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror -fsyntax-only '-D__regparm__(n)=' $(TIDY_FLAGS) -DSSHECHO_PREFIX='"/usr"'
narrow:
	@if [ "$$($(CC) -print-multiarch)" = x86_64-linux-gnu ]; then mkdir -p $(BUILD)/narrow/gnu && \
	  : >$(BUILD)/narrow/gnu/stubs-32.h && git ls-files 'src/*.c' 'test/unit/*.c' | xargs -P $$(nproc) -n 8 $(NARROW); \
	else echo 'narrow: needs the headers of amd64'; fi

-include $(COMMON:.o=.d) $(SERVER:.o=.d) $(LOAD:.o=.d) $(wildcard $(BUILD)/test/*.d) $(FUZZ_OBJECTS:.o=.d) $(FUZZ:=.d)
