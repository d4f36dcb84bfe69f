/* The servers of fuzz_server_session.c: the rooms of a worker with five configurations, on one loop. What is the
 * process's (signals, sandbox, accept) is left out. */
#ifndef FUZZ_PLACES_H
#define FUZZ_PLACES_H

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_clock.h"
#include "server/entry/accept.h"
#include "server/identity/algorithms.h"
#include "server/identity/hostkeys.h"
#include "server/session/connection_set.h"

/* One server. */
struct place {
    const char *options[8];
    bool in_steps, proxied, is_late;
    struct config *config;
    struct hostkeys keys;
    struct credentials *credentials;
    char *host_keys;
    struct listeners listeners;
    struct acceptor acceptor;
    struct connection_set set;
};

static struct place places[] = {
    {.options = {"test-bench=yes"}},
    {.options = {"profile=exposed", "allow-anonymous=yes"}},
    {.options = {"auth-steps=password,keyboard-interactive", "login-banner=hello"}, .in_steps = true},
    {.options = {"channel-open-delay=20ms", "reply-delay=10ms", "client-alive-interval=1s", "idle-timeout=60s",
                 "rekey-interval=10s", "session-bytes=1M"},
     .is_late = true},
    {.options = {"proxy-from=127.0.0.0/8"}, .proxied = true},
};
#define PLACES (sizeof places / sizeof places[0])

static struct ev_loop *loop;
static struct scoreboard *board;

static void place_failed(const char *why)
{
    (void)fprintf(stderr, "fuzz_places: %s\n", why);
    abort();
}

static void place_settled(void *data)
{
    (void)data;
}

static struct config *read_config(const struct place *place)
{
    static char words[][48] = {"sshechod",
                               "--config",
                               "/dev/null",
                               "-o",
                               "ciphers=aes128-gcm@openssh.com",
                               "-o",
                               "kex=curve25519-sha256",
                               "-o",
                               "host-key-types=ed25519",
                               "-o",
                               "listen=127.0.0.1:0"};
    char *arguments[32];
    int count = 0;
    for (; count < (int)(sizeof words / sizeof words[0]); count++) {
        arguments[count] = words[count];
    }
    for (size_t i = 0; place->options[i] != NULL; i++) {
        arguments[count++] = words[3];
        arguments[count++] = strdup(place->options[i]);
    }
    struct option_error error = {""};
    struct config *config = config_read(count, arguments, &error);
    if (config == NULL) {
        place_failed(error.text);
    }
    while (count > (int)(sizeof words / sizeof words[0])) {
        free(arguments[count - 1]);
        count -= 2;
    }
    return config;
}

/* As process/worker.c does it, but for what is the process's. */
static void open_place(struct place *place, unsigned slot, int nowhere)
{
    struct option_error error = {""};
    place->config = read_config(place);
    place->credentials = credentials_read(place->config, &error);
    if (place->credentials == NULL || algorithms_narrow(place->config, &error) != 0 ||
        hostkeys_load(&place->keys, place->config, NULL, &error) != 0) {
        place_failed(error.text);
    }
    struct counters *counters = &board->workers[slot];
    password_checks_init(&place->set.password_checks, loop, -1, counters);
    ssh_bind bind = algorithms_make_bind(&place->keys, place->config, &error);
    place->host_keys = algorithms_host_keys(&place->keys, place->config);
    if (bind == NULL || place->host_keys == NULL) {
        place_failed(error.text);
    }
    (void)connection_set_init(&place->set, loop, place->config, place->credentials, bind, board, slot);
    const struct acceptor_setup entry = {.config = place->config,
                                         .listeners = &place->listeners,
                                         .board = board,
                                         .slot = slot,
                                         .siblings = 1,
                                         .fd_limit = 1024,
                                         .settled = place_settled};
    if (acceptor_init(&place->acceptor, loop, &place->set, &entry) != 0) {
        place_failed("no acceptor");
    }
    place->set.host_keys = place->host_keys;
    report_file_begin(&place->set.reports, nowhere, counters);
    place->set.closed = place_settled;
}

/* What accept.c does with a socket that accept(2) has given it. */
static void let_in(struct place *place, int fd)
{
    struct net_address peer;
    struct acceptor *acceptor = &place->acceptor;
    static const uint8_t address[] = {127, 0, 0, 1};
    net_set_v4(&peer, address, 40000);
    while (!admission_may_accept(&acceptor->admission, mono_now())) {
        fuzz_clock_pass_us(1000);
    }
    admission_accepted(&acceptor->admission, mono_now());
    if (proxy_wait_guards(&acceptor->gate, &peer)) {
        proxy_wait_enter(&acceptor->gate, fd, &peer);
    } else if (admission_check(&acceptor->admission, &peer, mono_now()) != ADMITTED) {
        place_failed("refused");
    } else if (connection_create(&place->set, fd, &peer) == NULL) {
        place_failed("no connection");
    }
}

#endif
