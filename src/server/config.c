#include "server/config.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sshecho/log.h"
#include "sshecho/net.h"
#include "sshecho/units.h"

#ifndef SSHECHO_PREFIX
#define SSHECHO_PREFIX "/usr/local"
#endif

#define DEFAULT_PORT 2222
#define DEFAULT_METRICS_PORT 9222
#define S(seconds) ((uint64_t)(seconds)*1000000U)
#define KIB(n) ((uint64_t)(n)*1024U)
#define AT(field) offsetof(struct config, field)

static const char *const profile_names[] = {"auto", "bench", "exposed", NULL};
static const char *const method_names[] = {"none", "password", "publickey", "keyboard-interactive", NULL};
static const char *const step_names[] = {"password", "publickey", "keyboard-interactive", NULL};
static const char *const key_type_names[] = {"auto", "ed25519", "ecdsa", "rsa", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const log_formats[] = {"kv", "json", NULL};

#define G_DO "What to do"
#define G_LISTEN "Listening"
#define G_AUTH "Who may enter"
#define G_KEYS "Keys and algorithms"
#define G_LIMITS "Limits (defaults of profile bench; --check prints the values in force)"
#define G_TIME "Deadlines"
#define G_PROCESS "Processes"
#define G_LOG "Log"

static const struct option_spec specs[] = {
    {"config", 'f', OPTION_STRING, AT(config_file), 0, 0, NULL, NULL, "FILE",
     "Read this configuration file; without it " SSHECHO_PREFIX
     "/etc/sshecho/sshechod.conf (or /etc/sshecho/sshechod.conf) is read if it exists.",
     G_DO, OPTION_COMMAND_LINE},
    {"check", 't', OPTION_BOOL, AT(check), 0, 0, NULL, NULL, NULL,
     "Check configuration and keys, print the values in force and exit.", G_DO, OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, NULL, NULL, NULL, "Print this help and exit.", G_DO,
     OPTION_COMMAND_LINE},
    {"version", 'V', OPTION_BOOL, AT(version), 0, 0, NULL, NULL, NULL,
     "Print the versions of the program and of the libraries in use and exit.", G_DO, OPTION_COMMAND_LINE},
    {"print-sample-config", 0, OPTION_BOOL, AT(sample), 0, 0, NULL, NULL, NULL,
     "Print a configuration file that holds every key at its default and exit.", G_DO, OPTION_COMMAND_LINE},
    {"port-file", 'p', OPTION_STRING, AT(port_file), 0, 0, NULL, NULL, "PATH",
     "Write the addresses that are being listened on to this file, one a line, once the server is ready.", G_LISTEN, 0},
    {"listen", 'l', OPTION_STRING_LIST, AT(listen), 0, 0, "127.0.0.1:2222", NULL, "ADDR:PORT",
     "Address to listen on (repeatable; [V6]:PORT; port 0 takes a free one).", G_LISTEN, 0},
    {"backlog", 0, OPTION_COUNT, AT(backlog), 1, 65535, "4096", NULL, "N",
     "Connections the kernel holds for us until they are accepted.", G_LISTEN, 0},
    {"proxy-from", 0, OPTION_STRING_LIST, AT(proxy_from), 0, 0, NULL, NULL, "NETWORK",
     "Networks (10.0.0.0/8, 2001:db8::/32, 192.0.2.7) whose connections must begin with a PROXY protocol header, and "
     "whose word on the client's address is believed.",
     G_LISTEN, 0},
    {"metrics-listen", 0, OPTION_STRING, AT(metrics_listen), 0, 0, NULL, NULL, "ADDR:PORT",
     "Serve /metrics (Prometheus), /healthz and /readyz over HTTP here, e.g. 127.0.0.1:9222; :PORT means loopback; "
     "without it nothing is served.",
     G_LISTEN, 0},
    {"auth-methods", 'a', OPTION_STRING_LIST, AT(auth_methods), 0, 0, "none,password,publickey,keyboard-interactive",
     method_names, "LIST", "Methods a client may log in with.", G_AUTH, 0},
    {"auth-steps", 0, OPTION_STRING_LIST, AT(auth_steps), 0, 0, NULL, step_names, "LIST",
     "Methods of which a login takes every one, in this order (RFC 4252, 5.1: partial success); only the next is "
     "offered. Without it one of auth-methods is enough.",
     G_AUTH, 0},
    {"password-file", 0, OPTION_STRING, AT(password_file), 0, 0, NULL, NULL, "FILE",
     "Lines of user:hash, the hash as crypt(3) makes it; without it any password is right. Hashes are computed by a "
     "process of its own for each worker, one at a time, the sources of connections taking turns: a costly hash delays "
     "logins, not sessions, and login-timeout goes on meanwhile.",
     G_AUTH, 0},
    {"authorized-keys", 0, OPTION_STRING, AT(authorized_keys), 0, 0, NULL, NULL, "FILE",
     "Public keys that may log in, in OpenSSH's authorized_keys form; without it any key may. Options that take "
     "forwarding, terminals or environment away (or give them back) change nothing, as nobody has those here; a line "
     "with any other option, such as from=, command= or cert-authority, is refused.",
     G_AUTH, 0},
    {"allow-anonymous", 0, OPTION_BOOL, AT(allow_anonymous), 0, 0, "no", NULL, NULL,
     "Let everyone in although an address other than loopback is listened on.", G_AUTH, 0},
    {"login-banner", 0, OPTION_STRING, AT(login_banner), 0, 0, NULL, NULL, "TEXT",
     "A line that is sent before login (RFC 4252, 5.4), with the first request.", G_AUTH, 0},
    {"keyboard-rounds", 0, OPTION_COUNT, AT(keyboard_rounds), 1, 20, "1", NULL, "N",
     "How often keyboard-interactive asks; the password is checked each time, and a wrong one ends the attempt.",
     G_AUTH, 0},
    {"auth-attempts", 0, OPTION_COUNT, AT(auth_attempts), 1, 1000, "20", NULL, "N",
     "Failed attempts to log in after which a client is disconnected (exposed: 6).", G_AUTH, 0},
    {"host-key", 'k', OPTION_STRING_LIST, AT(host_keys), 0, 0, NULL, NULL, "FILE",
     "Private host key (repeatable, one of each type); without it /etc/sshecho/ssh_host_*_key, else a throw-away key "
     "is made.",
     G_KEYS, 0},
    {"host-key-types", 0, OPTION_STRING_LIST, AT(host_key_types), 0, 0, "auto", key_type_names, "LIST",
     "Types of throw-away keys to make; auto: ed25519 with algorithms modern, else one of each (2048 bits of rsa; 3072 "
     "when named).",
     G_KEYS, 0},
    {"algorithms", 0, OPTION_CHOICE, AT(algorithms), 0, 0, "wide", algorithm_set_names, "NAME",
     "What the lists below hold where they say auto. modern: what a server on a network should offer; wide: everything "
     "that is not broken, for clients with nothing modern; legacy: whatever this libssh has, SHA-1 and CBC included "
     "(exposed: modern).",
     G_KEYS, 0},
    {"kex", 0, OPTION_STRING, AT(kex), 0, 0, "auto", NULL, "LIST", "Key exchange methods, best first.", G_KEYS, 0},
    {"host-key-algorithms", 0, OPTION_STRING, AT(host_key_algorithms), 0, 0, "auto", NULL, "LIST",
     "Host key algorithms, best first; those without a key are not offered.", G_KEYS, 0},
    {"ciphers", 'c', OPTION_STRING, AT(ciphers), 0, 0, "auto", NULL, "LIST",
     "Ciphers, best first; auto puts AES-GCM first where the CPU has AES instructions, else ChaCha20-Poly1305.", G_KEYS,
     0},
    {"macs", 'm', OPTION_STRING, AT(macs), 0, 0, "auto", NULL, "LIST",
     "Message authentication codes for ciphers without their own, best first.", G_KEYS, 0},
    {"compression", 0, OPTION_STRING, AT(compression), 0, 0, "none", NULL, "LIST",
     "Compression methods: none, zlib@openssh.com, zlib.", G_KEYS, 0},
    {"rekey-bytes", 0, OPTION_SIZE, AT(rekey_bytes), KIB(64), UINT64_MAX, "512M", NULL, "SIZE",
     "Start a key re-exchange after so many bytes in one direction; off leaves it to the cipher's limit. RFC 4253 asks "
     "for one each gigabyte; coming first spares clients that get their own wrong.",
     G_KEYS, OPTION_OFF_ALLOWED},
    {"rekey-interval", 0, OPTION_DURATION, AT(rekey_interval_us), S(1), S(86400), "off", NULL, "TIME",
     "Start a key re-exchange after so much time.", G_KEYS, OPTION_OFF_ALLOWED},
    {"profile", 'P', OPTION_CHOICE, AT(profile), 0, 0, "auto", profile_names, "NAME",
     "Set of defaults for the limits: bench distorts no measurement, exposed is for networks; auto is bench when only "
     "loopback is "
     "listened on.",
     G_LIMITS, 0},
    {"max-connections", 'n', OPTION_COUNT, AT(max_connections), 1, 10000000, "off", NULL, "N",
     "Connections held at once by all workers; off: as many as the file descriptor limit allows.", G_LIMITS,
     OPTION_OFF_ALLOWED},
    {"max-unauthenticated", 0, OPTION_STRING, AT(max_unauthenticated), 0, 0, "off", NULL, "START:RATE:FULL",
     "From START connections that have not logged in, refuse RATE percent at random, rising to all of them at FULL "
     "(exposed: 100:30:400).",
     G_LIMITS, 0},
    {"max-per-source", 0, OPTION_COUNT, AT(max_per_source), 1, 10000000, "off", NULL, "N",
     "Connections from one source address (IPv4 /32, IPv6 /64) held at once by all workers (exposed: 64).", G_LIMITS,
     OPTION_OFF_ALLOWED},
    {"handshake-rate", 0, OPTION_COUNT, AT(handshake_rate), 1, 1000000, "off", NULL, "N",
     "Connections a worker accepts per second, with bursts of as many (exposed: 200).", G_LIMITS, OPTION_OFF_ALLOWED},
    {"kex-per-turn", 0, OPTION_COUNT, AT(kex_per_turn), 1, 1024, "4", NULL, "N",
     "Connections a worker accepts in one turn of its loop: at about 0.4 ms of key exchange each, what a quiet session "
     "may wait.",
     G_LIMITS, 0},
    {"channels-per-connection", 0, OPTION_COUNT, AT(channels_per_connection), 1, 100000, "1024", NULL, "N",
     "Channels open at once on a connection, those waiting for the client's CLOSE included (exposed: 10).", G_LIMITS,
     0},
    {"channel-open-rate", 0, OPTION_COUNT, AT(channel_open_rate), 1, 1000000, "off", NULL, "N",
     "Channels a connection may open per second, with bursts of as many (exposed: 50).", G_LIMITS, OPTION_OFF_ALLOWED},
    {"request-rate", 0, OPTION_COUNT, AT(request_rate), 1, 10000000, "off", NULL, "N",
     "Requests a connection may send per second, with bursts of as many (exposed: 1000).", G_LIMITS,
     OPTION_OFF_ALLOWED},
    {"pending-bytes", 0, OPTION_SIZE, AT(pending_bytes), KIB(64), KIB(64 * 1024), "256K", NULL, "SIZE",
     "Echo written ahead of what the socket takes, per connection; beyond it bytes stay unread and the window shut.",
     G_LIMITS, 0},
    {"memory-per-worker", 0, OPTION_SIZE, AT(memory_per_worker_bytes), KIB(16 * 1024), UINT64_MAX, "off", NULL, "SIZE",
     "Echo held by one worker for all its connections, beyond which new connections are refused (exposed: 512M).",
     G_LIMITS, OPTION_OFF_ALLOWED},
    {"address-space", 0, OPTION_SIZE, AT(address_space_bytes), KIB(128 * 1024), UINT64_MAX, "off", NULL, "SIZE",
     "RLIMIT_AS of each worker: one that outgrows it is replaced (exposed: 4G).", G_LIMITS, OPTION_OFF_ALLOWED},
    {"client-rekey-rate", 0, OPTION_COUNT, AT(client_rekey_rate), 1, 1000000, "off", NULL, "N",
     "Key re-exchanges per minute that a client may cause, with bursts of as many (exposed: 30).", G_LIMITS,
     OPTION_OFF_ALLOWED},
    {"session-bytes", 0, OPTION_SIZE, AT(session_bytes), 1, UINT64_MAX, "off", NULL, "SIZE",
     "Bytes a connection may send before it is closed.", G_LIMITS, OPTION_OFF_ALLOWED},
    {"test-bench", 0, OPTION_BOOL, AT(may_misbehave), 0, 0, "yes", NULL, NULL,
     "Allow the exec words that misbehave on purpose, for testing clients (exposed: no).", G_LIMITS, 0},
    {"terminal-note", 0, OPTION_BOOL, AT(terminal_note), 0, 0, "yes", NULL, NULL,
     "Tell who asks for a terminal and an echo, once and on standard error, what this is and how to leave.", G_LIMITS,
     0},
    {"banner-timeout", 0, OPTION_DURATION, AT(banner_timeout_us), 1000, S(3600), "5s", NULL, "TIME",
     "Until the client has sent its version line.", G_TIME, OPTION_OFF_ALLOWED},
    {"kex-timeout", 0, OPTION_DURATION, AT(kex_timeout_us), 1000, S(3600), "10s", NULL, "TIME",
     "Until the first key exchange is done, from the version line; also for each re-exchange.", G_TIME,
     OPTION_OFF_ALLOWED},
    {"login-timeout", 0, OPTION_DURATION, AT(login_timeout_us), 1000, S(3600), "30s", NULL, "TIME",
     "Until the client has logged in, from accept.", G_TIME, OPTION_OFF_ALLOWED},
    {"no-progress-timeout", 0, OPTION_DURATION, AT(no_progress_timeout_us), 1000, S(86400), "60s", NULL, "TIME",
     "While something waits to be sent and none of it moves (exposed: 30s).", G_TIME, OPTION_OFF_ALLOWED},
    {"idle-timeout", 0, OPTION_DURATION, AT(idle_timeout_us), 1000, S(8640000), "off", NULL, "TIME",
     "While nothing comes from the client (exposed: 300s).", G_TIME, OPTION_OFF_ALLOWED},
    {"keepalive-interval", 0, OPTION_DURATION, AT(keepalive_interval_us), S(1), S(32767), "off", NULL, "TIME",
     "TCP keep-alive probes after so long a silence, and the time after which unacknowledged data ends the connection "
     "(exposed: 60s).",
     G_TIME, OPTION_OFF_ALLOWED},
    {"client-alive-interval", 0, OPTION_DURATION, AT(client_alive_interval_us), 1000, S(86400), "off", NULL, "TIME",
     "Ask an open session's client whether it is there (keepalive@openssh.com, a reply wanted) so often; the "
     "next waits for the reply, and none is ever given up for it. A reply is input: idle-timeout counts from it.",
     G_TIME, OPTION_OFF_ALLOWED},
    {"channel-open-delay", 0, OPTION_DURATION, AT(channel_open_delay_us), 1000, S(3600), "off", NULL, "TIME",
     "Answer a request for a session channel only after so long, to see what a client does meanwhile; of more than "
     "channels-per-connection that wait the oldest is answered early.",
     G_TIME, OPTION_OFF_ALLOWED},
    {"reply-delay", 0, OPTION_DURATION, AT(reply_delay_us), 1000, S(3600), "off", NULL, "TIME",
     "Do what a request on a channel asks for, and answer it, only after so long, in the order of arrival; of more "
     "than "
     "64 that wait on a connection the oldest is answered early.",
     G_TIME, OPTION_OFF_ALLOWED},
    {"session-timeout", 0, OPTION_DURATION, AT(session_timeout_us), 1000, S(8640000), "off", NULL, "TIME",
     "Life of a connection, whatever it does.", G_TIME, OPTION_OFF_ALLOWED},
    {"drain-timeout", 0, OPTION_DURATION, AT(drain_timeout_us), 0, S(86400), "10s", NULL, "TIME",
     "How long sessions may go on after SIGTERM, SIGINT or a reload.", G_TIME, OPTION_OFF_ALLOWED},
    {"workers", 'w', OPTION_COUNT, AT(workers), 1, CONFIG_WORKERS_MAX, "off", NULL, "N",
     "Worker processes; off: one per core.", G_PROCESS, OPTION_OFF_ALLOWED},
    {"user", 'u', OPTION_STRING, AT(user), 0, 0, "nobody", NULL, "NAME",
     "When started as root, workers (and the master, as far as it can) run as this user.", G_PROCESS, 0},
    {"sandbox", 0, OPTION_BOOL, AT(sandbox), 0, 0, "yes", NULL, NULL,
     "Confine workers to the system calls they need (where built with libseccomp).", G_PROCESS, 0},
    {"batch-io", 0, OPTION_BOOL, AT(batch_io), 0, 0, "yes", NULL, NULL,
     "Serve libssh's socket calls in batches; no leaves them to libssh.", G_PROCESS, 0},
    {"crypto-shortcuts", 0, OPTION_BOOL, AT(crypto_shortcuts), 0, 0, "yes", NULL, NULL,
     "Answer libssh in libcrypto's place where it asks for padding or builds a key again; no leaves it all to "
     "libcrypto.",
     G_PROCESS, 0},
    {"watchdog", 0, OPTION_DURATION, AT(watchdog_us), 200000, S(600), "2s", NULL, "TIME",
     "A worker whose loop has not turned for so long is replaced.", G_PROCESS, OPTION_OFF_ALLOWED},
    {"ready-timeout", 0, OPTION_DURATION, AT(ready_timeout_us), 1000000, S(3600), "20s", NULL, "TIME",
     "What new workers get to be ready at a reload or upgrade; when it is over the old ones go on.", G_PROCESS, 0},
    {"report-file", 0, OPTION_STRING, AT(report_file), 0, 0, NULL, NULL, "PATH",
     "Append a report on each connection that has ended, a line of JSON, to this regular file; it is opened anew on "
     "SIGHUP. See CONNECTION REPORTS in sshechod(8).",
     G_LOG, 0},
    {"log-level", 'v', OPTION_CHOICE, AT(log_level), 0, 0, "info", log_levels, "LEVEL", "Least level that is logged.",
     G_LOG, 0},
    {"log-format", 0, OPTION_CHOICE, AT(log_format), 0, 0, "kv", log_formats, "FORMAT",
     "kv: key=value; json: one object a line.", G_LOG, 0},
};

const struct option_table config_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshechod",
    .usage = "sshechod [--listen ADDR:PORT]... [--config FILE] [-o KEY=VALUE]... [OPTION]...",
};

/* What profile exposed changes, unless the user has set the key. */
static const struct {
    const char *key, *value;
} exposed[] = {
    {"algorithms", "modern"},       {"auth-attempts", "6"},      {"max-unauthenticated", "100:30:400"},
    {"max-per-source", "64"},       {"handshake-rate", "200"},   {"channels-per-connection", "10"},
    {"channel-open-rate", "50"},    {"request-rate", "1000"},    {"memory-per-worker", "512M"},
    {"address-space", "4G"},        {"client-rekey-rate", "30"}, {"test-bench", "no"},
    {"no-progress-timeout", "30s"}, {"idle-timeout", "300s"},    {"keepalive-interval", "60s"},
};

static int fail(struct option_error *error, const char *key, const char *format, const char *value)
{
    char detail[384];
    (void)snprintf(detail, sizeof detail, format, value);
    return option_fail(error, NULL, key, "%s", detail);
}

/* Lists may be written as several values or with commas inside one. Calls each() for every word. */
static int each_word(const struct string_list *list, int (*each)(const char *word, void *data), void *data)
{
    for (size_t i = 0; i < list->count; i++) {
        char *copy = strdup(list->items[i]);
        if (copy == NULL) {
            return -1;
        }
        char *rest = copy;
        for (char *word = strsep(&rest, ", "); word != NULL; word = strsep(&rest, ", ")) {
            if (*word != '\0' && each(word, data) != 0) {
                free(copy);
                return -1;
            }
        }
        free(copy);
    }
    return 0;
}

struct method_search {
    struct config *config;
    struct option_error *error;
};

/* 0: there is none of this name. */
static unsigned method_of(const char *word)
{
    static const struct {
        const char *name;
        unsigned bit;
    } methods[] = {{"none", AUTH_NONE},
                   {"password", AUTH_PASSWORD},
                   {"publickey", AUTH_PUBLICKEY},
                   {"keyboard-interactive", AUTH_KEYBOARD_INTERACTIVE}};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(word, methods[i].name) == 0) {
            return methods[i].bit;
        }
    }
    return 0;
}

static int add_method(const char *word, void *data)
{
    struct method_search *search = data;
    unsigned method = method_of(word);
    search->config->auth_mask |= method;
    return method != 0 ? 0
                       : fail(search->error, "auth-methods",
                              "unknown method \"%s\" (allowed: none, password, publickey, keyboard-interactive)", word);
}

static int add_step(const char *word, void *data)
{
    struct method_search *search = data;
    struct config *config = search->config;
    unsigned method = method_of(word), before = 0;
    if ((config->auth_mask & method) == 0) {
        return fail(search->error, "auth-steps", "\"%s\" is not among auth-methods", word);
    }
    for (unsigned i = 0; i < config->auth_step_count; i++) {
        before |= config->auth_step[i];
    }
    if ((before & method) != 0) {
        return fail(search->error, "auth-steps", "\"%s\" twice (allowed: once)", word);
    }
    config->auth_step[config->auth_step_count++] = method;
    return 0;
}

static int resolve_methods(struct config *config, struct option_error *error)
{
    struct method_search search = {.config = config, .error = error};
    if (each_word(&config->auth_methods, add_method, &search) != 0 ||
        each_word(&config->auth_steps, add_step, &search) != 0) {
        return -1;
    }
    if (config->auth_mask == 0) {
        return fail(error, "auth-methods", "%s", "no method left: nobody could log in");
    }
    if (config->auth_step_count > 0) {
        config->auth_mask = 0;
    }
    for (unsigned i = 0; i < config->auth_step_count; i++) {
        config->auth_mask |= config->auth_step[i];
    }
    return 0;
}

static int parse_unauthenticated(struct config *config, struct option_error *error)
{
    const char *text = config->max_unauthenticated;
    if (text == NULL || strcmp(text, "off") == 0 || strcmp(text, "0") == 0) {
        return 0;
    }
    unsigned long start = 0, percent = 0, full = 0;
    char extra = 0;
    if (sscanf(text, "%lu:%lu:%lu%c", &start, &percent, &full, &extra) != 3 || start == 0 || percent == 0 ||
        percent > 100 || full < start) {
        return fail(
            error, "max-unauthenticated",
            "\"%s\" is not START:RATE:FULL (allowed: off, or e.g. 100:30:400 with RATE 1 to 100 and FULL >= START)",
            text);
    }
    config->unauth_start = start;
    config->unauth_percent = percent;
    config->unauth_full = full;
    return 0;
}

bool config_is_loopback_only(const struct config *config)
{
    for (size_t i = 0; i < config->listen.count; i++) {
        struct net_address address;
        char error[128];
        if (net_parse(config->listen.items[i], DEFAULT_PORT, false, &address, error, sizeof error) != 0 ||
            !net_is_loopback(&address)) {
            return false;
        }
    }
    return true;
}

static int check_addresses(const struct config *config, struct option_error *error)
{
    if (config->listen.count == 0) {
        return fail(error, "listen", "%s", "no address to listen on");
    }
    for (size_t i = 0; i < config->listen.count; i++) {
        struct net_address address;
        char why[160];
        if (net_parse(config->listen.items[i], DEFAULT_PORT, false, &address, why, sizeof why) != 0) {
            (void)option_fail(error, NULL, "listen", "\"%s\": %s (allowed: ADDR:PORT, [V6]:PORT, :PORT)",
                              config->listen.items[i], why);
            return -1;
        }
    }
    return 0;
}

struct network_search {
    struct net_range *networks;
    size_t count;
    struct option_error *error;
};

static int add_network(const char *word, void *data)
{
    struct network_search *search = data;
    struct net_range network;
    if (!net_range_parse(word, &network)) {
        return fail(search->error, "proxy-from", "\"%s\" is no network (allowed: ADDRESS or ADDRESS/PREFIX-LENGTH)",
                    word);
    }
    struct net_range *more = realloc(search->networks, (search->count + 1) * sizeof network);
    if (more == NULL) {
        return fail(search->error, "proxy-from", "%s", "out of memory");
    }
    more[search->count++] = network;
    search->networks = more;
    return 0;
}

int config_proxy_networks(const struct config *config, struct net_range **networks, size_t *count,
                          struct option_error *error)
{
    struct network_search search = {.error = error};
    int rc = each_word(&config->proxy_from, add_network, &search);
    if (rc != 0) {
        free(search.networks);
        search = (struct network_search){0};
    }
    *networks = search.networks;
    *count = search.count;
    return rc;
}

int config_metrics_address(const struct config *config, struct net_address *address, struct option_error *error)
{
    const char *text = config->metrics_listen;
    char loopback[64], why[160];
    if (text[0] == ':') { /* metrics are for those who were asked in */
        (void)snprintf(loopback, sizeof loopback, "127.0.0.1%s", text);
        text = loopback;
    }
    if (net_parse(text, DEFAULT_METRICS_PORT, false, address, why, sizeof why) != 0) {
        (void)option_fail(error, NULL, "metrics-listen", "\"%s\": %s (allowed: ADDR:PORT, :PORT)", text, why);
        return -1;
    }
    return 0;
}

/* What the rooms that use it will read again, tried before anything is started. */
static int check_operations(const struct config *config, struct option_error *error)
{
    struct net_range *networks = NULL;
    struct net_address address;
    size_t count = 0;
    if (config_proxy_networks(config, &networks, &count, error) != 0) {
        return -1;
    }
    free(networks);
    return config->metrics_listen != NULL ? config_metrics_address(config, &address, error) : 0;
}

/* Anywhere but on loopback somebody has to have decided who may enter. */
static int check_entrance(const struct config *config, struct option_error *error)
{
    unsigned open = config->auth_mask & AUTH_NONE;
    if (config->password_file == NULL) {
        open |= config->auth_mask & (AUTH_PASSWORD | AUTH_KEYBOARD_INTERACTIVE);
    }
    if (config->authorized_keys == NULL) {
        open |= config->auth_mask & AUTH_PUBLICKEY;
    }
    if (config->auth_step_count > 0 && open != config->auth_mask) {
        open = 0; /* every step is taken: one that not everybody can take is enough */
    }
    if (open == 0 || config->allow_anonymous || config_is_loopback_only(config)) {
        return 0;
    }
    return fail(
        error, "listen",
        "an address other than loopback needs a decision about who may enter: set %s, or allow-anonymous=yes to let "
        "everyone in",
        "auth-methods with password-file or authorized-keys");
}

/* Lists that say auto are those of the set. */
static int resolve_lists(struct config *config, struct option_error *error)
{
    const struct {
        enum algorithm_kind kind;
        const char *key, *list;
    } all[] = {
        {ALGORITHM_KEX, "kex", config->kex},
        {ALGORITHM_HOST_KEY, "host-key-algorithms", config->host_key_algorithms},
        {ALGORITHM_CIPHER, "ciphers", config->ciphers},
        {ALGORITHM_MAC, "macs", config->macs},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].list == NULL || strcmp(all[i].list, "auto") != 0) {
            continue;
        }
        const char *list = algorithm_list(config->algorithms, all[i].kind, algorithm_cpu_has_aes());
        if (options_set(&config_table, config, &config->given, "default", all[i].key, list, error) != 0) {
            return -1;
        }
        config->lists_by_set |= 1U << all[i].kind;
    }
    return 0;
}

static int resolve(struct config *config, struct option_error *error)
{
    if (check_addresses(config, error) != 0 || check_operations(config, error) != 0) {
        return -1;
    }
    if (config->profile == PROFILE_AUTO) {
        config->profile = config_is_loopback_only(config) ? PROFILE_BENCH : PROFILE_EXPOSED;
    }
    for (size_t i = 0; config->profile == PROFILE_EXPOSED && i < sizeof exposed / sizeof exposed[0]; i++) {
        if (!options_was_given(&config_table, &config->given, exposed[i].key) &&
            options_set(&config_table, config, &config->given, "profile exposed", exposed[i].key, exposed[i].value,
                        error) != 0) {
            return -1;
        }
    }
    if (config->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        config->workers = cores > 0 ? (uint64_t)cores : 1;
        config->workers = config->workers < CONFIG_WORKERS_MAX ? config->workers : CONFIG_WORKERS_MAX;
    }
    if (resolve_lists(config, error) != 0) {
        return -1;
    }
    if (resolve_methods(config, error) != 0 || parse_unauthenticated(config, error) != 0) {
        return -1;
    }
    return check_entrance(config, error);
}

static const char *standard_file(void)
{
    static const char *const places[] = {SSHECHO_PREFIX "/etc/sshecho/sshechod.conf", "/etc/sshecho/sshechod.conf"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], F_OK) == 0) {
            return places[i];
        }
    }
    return NULL;
}

struct config *config_read(int argc, char **argv, struct option_error *error)
{
    struct string_list rest = {0};
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        (void)fail(error, "sshechod", "%s", "out of memory");
        return NULL;
    }
    if (options_init(&config_table, config, &config->given, error) != 0 ||
        options_parse_arguments(&config_table, config, &config->given, argc, argv, &rest, error) != 0) {
        goto bad;
    }
    if (rest.count > 0) {
        (void)fail(error, "sshechod", "unexpected argument \"%s\" (see --help)", rest.items[0]);
        goto bad;
    }
    if (config->help || config->version || config->sample) {
        goto out;
    }
    const char *file = config->config_file != NULL ? config->config_file : standard_file();
    /* what stands on the command line wins, whichever is read first */
    if (file != NULL && options_load_file(&config_table, config, &config->given, file, error) != 0) {
        goto bad;
    }
    if (resolve(config, error) != 0) {
        goto bad;
    }
    goto out;
bad:
    config_free(config);
    config = NULL;
out:
    free(rest.items);
    return config;
}

void config_free(struct config *config)
{
    if (config != NULL) {
        options_free(&config_table, config, &config->given);
        free(config);
    }
}
