/*
 * settings.h - room: what the user asked for.
 *
 * The option table of sshload, its values, and what follows from them (targets resolved, sizes parsed, defaults that
 * depend on the mode, checks across options). Filled once in main, then read-only for everybody, from every thread.
 */
#ifndef LOAD_SETTINGS_H
#define LOAD_SETTINGS_H

#include "load/plan/content.h"
#include "load/plan/plan.h"
#include "load/plan/rate.h"
#include "sshecho/net.h"
#include "sshecho/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCESSES_MOST 256

enum load_mode { MODE_PING, MODE_STREAM, MODE_CONNECT, MODE_HOLD };
enum load_content { LOAD_CONTENT_AUTO, LOAD_CONTENT_TEXT, LOAD_CONTENT_BINARY };
enum load_arrivals { ARRIVALS_EVEN, ARRIVALS_POISSON };
enum load_direction { DIRECTION_BOTH, DIRECTION_UP, DIRECTION_DOWN };

/* The values of the option table, in its order; see settings_table.c for what each means. */
struct load_options {
    unsigned mode;
    uint64_t connections, channels, threads;
    uint64_t duration_us, count, warmup_us;
    char *size;
    char *rate;
    unsigned arrivals;
    uint64_t pipeline;
    bool spin;
    unsigned direction, content;
    uint64_t ramp_us, connecting, sample, sample_interval_us;
    bool final_ping;
    uint64_t reconnect_after, reconnect_every_us, retry_us;
    bool verify;
    uint64_t seed;

    char *user, *users, *request;
    bool pty, insecure;
    char *known_hosts, *host_key;
    struct string_list auth, identity;
    char *password_file, *password_env;
    bool ask_password;
    char *ciphers, *kex, *macs, *host_key_algorithms, *compression;
    uint64_t rekey_bytes, rekey_interval_us;
    struct string_list bind;

    uint64_t connect_timeout_us, handshake_timeout_us, timeout_us, drain_timeout_us;

    uint64_t interval_us;
    bool progress, live, quiet;
    char *metrics_listen;
    char *json, *hdr, *hlog, *csv, *label, *percentiles;
    uint64_t repeat;
    struct string_list fail_if;
    unsigned log_level, log_format;
    char *server_metrics, *server_cgroup;
    uint64_t server_pid;
    bool batching, crypto_shortcuts;

    char *processes, *shard, *start_at;
    bool tell;
    char *agents, *agent_ssh, *agent_command;
    bool help, version;
};

struct target {
    struct net_address address;
    char user[64]; /* empty: the --user option, else the name of the local user */
    char host[256];
    char text[NET_ADDRESS_TEXT_MAX];
    bool insecure; /* its host key is not checked: asked for, or loopback */
};

/* A line of --users. */
struct load_user {
    char name[64];
    char *password, *identity; /* one of them; the other is NULL */
};

enum request_kind { REQUEST_SHELL, REQUEST_EXEC, REQUEST_SUBSYSTEM };
enum auth_method { AUTH_NONE, AUTH_PUBLICKEY, AUTH_AGENT, AUTH_PASSWORD, AUTH_KEYBOARD };
#define AUTH_METHODS 5

struct settings {
    struct load_options options;
    struct option_state given;

    struct target *targets;
    size_t target_count;
    struct load_user *users; /* --users: each connection to a target takes the next */
    size_t user_count;
    struct net_sources sources; /* --bind */

    enum request_kind request;
    const char *request_text; /* command or subsystem name; into options.request or a literal */
    enum content_kind content;
    struct plan_size size;
    struct plan_rate rate;
    struct plan_shard shard;
    int64_t timeline_us; /* length of the intervals that are kept; 0: nobody wants them */
    int64_t start_at_us; /* since 1970; 0: at once */
    enum auth_method auth[AUTH_METHODS];
    size_t auth_count;
    char *password; /* NULL: none; wiped and freed by settings_free */
    char user[64];
    char ssh_directory[512]; /* ~/.ssh, looked up once: libssh would read the password file for every session */

    unsigned processes;         /* asked for; 0: as many as the descriptors of one make necessary */
    unsigned threads;           /* of this process */
    unsigned threads_in_all;    /* of all processes of this shard */
    unsigned first_thread;      /* number of this process's first one */
    uint64_t connections;       /* of this shard */
    uint64_t connections_total; /* of all shards */
    uint64_t first_connection;  /* number of this shard's first */
    uint64_t connecting;        /* of this shard: handshakes at the same time during the ramp; 0: any number */
};

extern const struct option_table load_option_table;
extern const char *const load_mode_names[];
extern const char *const load_direction_names[];

/* From the command line; the values of settings->options are set. Returns 0, or -1 with one line in error. */
int settings_read(struct settings *settings, int argc, char **argv, struct string_list *positional,
                  struct option_error *error);
/* Everything that follows from the options and the targets; asks for a password when told to. 0 or -1 as above. */
int settings_complete(struct settings *settings, const struct string_list *targets, struct option_error *error);
void settings_free(struct settings *settings);

#endif
