/*
 * config.h - room: the server's configuration.
 *
 * One option table (config_table) for file, -o, command line, --help, the sample file and the tests. config_read turns
 * arguments and file into one struct that is read-only from then on and travels down as `const *`. Owns its strings.
 * Speaks to people: every error is one line that names where, which key and what is allowed. Knows no sockets and no
 * SSH.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "server/identity/algorithm_lists.h"
#include "sshecho/net.h"
#include "sshecho/options.h"

enum profile { PROFILE_AUTO, PROFILE_BENCH, PROFILE_EXPOSED };

enum auth_method {
    AUTH_NONE = 1,
    AUTH_PASSWORD = 2,
    AUTH_PUBLICKEY = 4,
    AUTH_KEYBOARD_INTERACTIVE = 8,
};

/* One for each method there is, but none. */
#define CONFIG_AUTH_STEPS_MAX 3

/* Worker processes of one generation. */
#define CONFIG_WORKERS_MAX 256

struct config {
    /* what to do */
    char *config_file;
    bool check, help, version, sample;

    /* listening */
    struct string_list listen;
    char *port_file;
    uint64_t backlog;
    uint64_t workers;              /* 0: one per core */
    struct string_list proxy_from; /* networks whose PROXY header is believed */
    char *metrics_listen;

    /* who may enter */
    struct string_list auth_methods;
    unsigned auth_mask; /* enum auth_method, derived */
    struct string_list auth_steps;
    unsigned auth_step[CONFIG_AUTH_STEPS_MAX], auth_step_count; /* enum auth_method each, derived; 0: one is enough */
    char *password_file;
    char *authorized_keys;
    bool allow_anonymous;
    char *login_banner;
    uint64_t keyboard_rounds;
    char *user;

    /* keys and algorithms */
    struct string_list host_keys;
    struct string_list host_key_types;
    unsigned algorithms;   /* enum algorithm_set */
    unsigned lists_by_set; /* 1 << enum algorithm_kind: the list is the set's, nobody wrote it */
    char *kex, *host_key_algorithms, *ciphers, *macs, *compression;
    uint64_t rekey_bytes, rekey_interval_us;

    /* limits */
    unsigned profile;         /* enum profile; AUTO is resolved by config_read */
    uint64_t max_connections; /* 0: from the fd limit */
    char *max_unauthenticated;
    uint64_t unauth_start, unauth_percent, unauth_full; /* derived from max_unauthenticated; 0,0,0: off */
    uint64_t max_per_source, handshake_rate, kex_per_turn;
    uint64_t auth_attempts, channels_per_connection, channel_open_rate, request_rate;
    uint64_t pending_bytes, memory_per_worker_bytes, address_space_bytes;
    uint64_t banner_timeout_us, kex_timeout_us, login_timeout_us, no_progress_timeout_us, idle_timeout_us,
        keepalive_interval_us, client_alive_interval_us, channel_open_delay_us, reply_delay_us, session_timeout_us,
        session_bytes, drain_timeout_us;
    uint64_t client_rekey_rate; /* key exchanges a minute a client may start; 0: any */
    bool terminal_note;         /* tell a person at a terminal what this is */
    bool may_misbehave;         /* exec words that misbehave on purpose */
    bool sandbox, batch_io, crypto_shortcuts;
    uint64_t watchdog_us, ready_timeout_us;

    /* log */
    char *report_file;
    unsigned log_level;  /* enum log_level */
    unsigned log_format; /* enum log_format */

    struct option_state given; /* which keys the user set */
};

extern const struct option_table config_table;

/* Reads arguments, then the file they name (or the standard one if it exists), the arguments winning; fills in profile
 * defaults; checks what can be checked without touching the system. Returns NULL with *error filled in. Free with
 * config_free. With check/help/version/sample set, the rest may be unchecked. */
struct config *config_read(int argc, char **argv, struct option_error *error);
void config_free(struct config *config);

/* True if every listen address is loopback: then everyone is welcome unless told otherwise. */
bool config_is_loopback_only(const struct config *config);

/* proxy-from as networks; free(*networks). metrics-listen, which is set, as an address. Both return 0, or -1 with
 * *error; config_read has tried both. */
int config_proxy_networks(const struct config *config, struct net_range **networks, size_t *count,
                          struct option_error *error);
int config_metrics_address(const struct config *config, struct net_address *address, struct option_error *error);

#endif
