#include "load/settings.h"

#include "sshecho/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh/libssh.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const load_mode_names[] = {"ping", "stream", "connect", "hold", NULL};
const char *const load_direction_names[] = {"both", "up", "down", NULL};
static const char *const content_names[] = {"auto", "text", "binary", NULL};
static const char *const level_names[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const format_names[] = {"kv", "json", NULL};
static const char *const auth_names[AUTH_METHODS] = {"none", "publickey", "agent", "password", "keyboard-interactive"};

#define AT(field) offsetof(struct load_options, field)
#define LOAD "Load"
#define SESSION "Session"
#define TIMEOUTS "Time-outs"
#define OUTPUT "Output"
#define MACHINES "Several machines"
#define HOUR_US UINT64_C(3600000000)

static const struct option_spec specs[] = {
    {"mode", 'm', OPTION_CHOICE, AT(mode), 0, 0, "ping", load_mode_names, "MODE",
     "What to do: ping (messages echoed), stream (bulk data), connect (whole sessions), hold (many idle sessions).",
     LOAD, 0},
    {"connections", 'c', OPTION_COUNT, AT(connections), 1, 1000000, "10", NULL, "N",
     "Connections at the same time, over all threads and shards.", LOAD, 0},
    {"channels", 'C', OPTION_COUNT, AT(channels), 1, 1000, "1", NULL, "N", "Channels per connection.", LOAD, 0},
    {"threads", 't', OPTION_COUNT, AT(threads), 1, 256, "1", NULL, "N",
     "Threads, each with its own share of the connections.", LOAD, 0},
    {"duration", 'd', OPTION_DURATION, AT(duration_us), 1000, 720 * HOUR_US, "10s", NULL, "TIME",
     "Length of the measurement (does not apply with --count).", LOAD, 0},
    {"count", 'n', OPTION_COUNT, AT(count), 1, UINT64_C(1000000000000), "off", NULL, "N",
     "Measure this many operations instead of a time: messages, or connections in connect mode.", LOAD,
     OPTION_OFF_ALLOWED},
    {"warmup", 'w', OPTION_DURATION, AT(warmup_us), 0, HOUR_US, "0", NULL, "TIME",
     "Time under load before the measurement, not counted.", LOAD, OPTION_OFF_ALLOWED},
    {"size", 's', OPTION_STRING, AT(size), 0, 0, NULL, NULL, "SIZE",
     "Message size: SIZE, LOW-HIGH, exp:MEAN or SIZE:WEIGHT,... (default 64; in stream mode 32758, which fills a "
     "packet).",
     LOAD, 0},
    {"rate", 'r', OPTION_COUNT, AT(rate), 1, 100000000, "off", NULL, "N",
     "Open loop: operations per second in total, by a fixed plan; off is closed loop.", LOAD, OPTION_OFF_ALLOWED},
    {"spin", 0, OPTION_BOOL, AT(spin), 0, 0, "no", NULL, NULL,
     "Never sleep while traffic flows: each thread takes a core, and is punctual to some microseconds.", LOAD, 0},
    {"pipeline", 0, OPTION_COUNT, AT(pipeline), 1, 4096, "1", NULL, "N",
     "Messages of one channel that may be sent and not yet answered; what is due beyond it waits.", LOAD, 0},
    {"direction", 0, OPTION_CHOICE, AT(direction), 0, 0, "both", load_direction_names, "WAY",
     "stream: both, up (the default request is then exec:discard) or down (exec:chargen).", LOAD, 0},
    {"content", 0, OPTION_CHOICE, AT(content), 0, 0, "auto", content_names, "KIND",
     "What messages hold: text (letters and digits, harmless should a real shell read them), binary (every byte value) "
     "or auto: text for --request shell, else binary.",
     LOAD, 0},
    {"ramp", 0, OPTION_DURATION, AT(ramp_us), 0, 24 * HOUR_US, "0", NULL, "TIME",
     "Spread the first connects evenly over this time.", LOAD, OPTION_OFF_ALLOWED},
    {"connecting", 0, OPTION_COUNT, AT(connecting), 1, 1000000, "8", NULL, "N",
     "Handshakes in progress at the same time during the ramp, over all threads and shards (OpenSSH's MaxStartups "
     "drops more than 10).",
     LOAD, OPTION_OFF_ALLOWED},
    {"sample", 0, OPTION_COUNT, AT(sample), 0, 1000000, "100", NULL, "N", "hold: sessions that are pinged.", LOAD,
     OPTION_OFF_ALLOWED},
    {"sample-interval", 0, OPTION_DURATION, AT(sample_interval_us), 1000, HOUR_US, "1s", NULL, "TIME",
     "hold: how often each session of the sample is pinged.", LOAD, 0},
    {"reconnect-after", 0, OPTION_COUNT, AT(reconnect_after), 1, UINT64_C(1000000000000), "off", NULL, "N",
     "Close and reconnect a connection after this many messages.", LOAD, OPTION_OFF_ALLOWED},
    {"reconnect-every", 0, OPTION_DURATION, AT(reconnect_every_us), 1000, 720 * HOUR_US, "off", NULL, "TIME",
     "Close and reconnect a connection after this time.", LOAD, OPTION_OFF_ALLOWED},
    {"retry", 0, OPTION_DURATION, AT(retry_us), 1000, HOUR_US, "off", NULL, "TIME",
     "Reconnect this long after a connection was lost or failed; off leaves it down.", LOAD, OPTION_OFF_ALLOWED},
    {"verify", 0, OPTION_BOOL, AT(verify), 0, 0, "yes", NULL, NULL, "Compare every byte that comes back.", LOAD, 0},
    {"seed", 0, OPTION_COUNT, AT(seed), 0, 0, "1", NULL, "N", "Seed of contents and random sizes.", LOAD, 0},

    {"user", 'l', OPTION_STRING, AT(user), 0, 0, NULL, NULL, "NAME",
     "User name where a target gives none (default: yours).", SESSION, 0},
    {"request", 0, OPTION_STRING, AT(request), 0, 0, NULL, NULL, "WHAT",
     "What each channel asks for: shell (default), exec:COMMAND or subsystem:NAME.", SESSION, 0},
    {"pty", 0, OPTION_BOOL, AT(pty), 0, 0, "no", NULL, NULL, "Ask for a terminal first.", SESSION, 0},
    {"insecure", 'k', OPTION_BOOL, AT(insecure), 0, 0, "no", NULL, NULL,
     "Accept any host key (on loopback the default).", SESSION, 0},
    {"known-hosts", 0, OPTION_STRING, AT(known_hosts), 0, 0, NULL, NULL, "FILE",
     "Check host keys against this file (default ~/.ssh/known_hosts).", SESSION, 0},
    {"host-key", 0, OPTION_STRING, AT(host_key), 0, 0, NULL, NULL, "FINGERPRINT",
     "Accept only the host key with this SHA256:... fingerprint.", SESSION, 0},
    {"auth", 0, OPTION_STRING_LIST, AT(auth), 0, 0, NULL, NULL, "METHOD",
     "Login methods in the order to try: none, publickey, agent, password, keyboard-interactive (default: none, then "
     "what there is material for).",
     SESSION, 0},
    {"identity", 'I', OPTION_STRING_LIST, AT(identity), 0, 0, NULL, NULL, "FILE",
     "Private key to log in with; repeatable.", SESSION, 0},
    {"password-file", 0, OPTION_STRING, AT(password_file), 0, 0, NULL, NULL, "FILE",
     "File whose first line is the password.", SESSION, 0},
    {"password-env", 0, OPTION_STRING, AT(password_env), 0, 0, NULL, NULL, "NAME",
     "Environment variable that holds the password.", SESSION, 0},
    {"ask-password", 0, OPTION_BOOL, AT(ask_password), 0, 0, "no", NULL, NULL, "Prompt for the password.", SESSION,
     OPTION_COMMAND_LINE},
    {"ciphers", 0, OPTION_STRING, AT(ciphers), 0, 0, NULL, NULL, "LIST", "Ciphers to offer, best first.", SESSION, 0},
    {"kex", 0, OPTION_STRING, AT(kex), 0, 0, NULL, NULL, "LIST", "Key exchange methods to offer.", SESSION, 0},
    {"macs", 0, OPTION_STRING, AT(macs), 0, 0, NULL, NULL, "LIST", "Message authentication codes to offer.", SESSION,
     0},
    {"host-key-algorithms", 0, OPTION_STRING, AT(host_key_algorithms), 0, 0, NULL, NULL, "LIST",
     "Host key algorithms to accept.", SESSION, 0},
    {"compression", 0, OPTION_STRING, AT(compression), 0, 0, "none", NULL, "LIST", "Compression methods to offer.",
     SESSION, 0},
    {"rekey-bytes", 0, OPTION_SIZE, AT(rekey_bytes), 1024, 0, "off", NULL, "SIZE",
     "Start a key re-exchange after this many bytes (off: as the cipher needs it).", SESSION, OPTION_OFF_ALLOWED},
    {"rekey-interval", 0, OPTION_DURATION, AT(rekey_interval_us), 1000000, 24 * HOUR_US, "off", NULL, "TIME",
     "Start a key re-exchange after this time, in whole seconds.", SESSION, OPTION_OFF_ALLOWED},
    {"bind", 'b', OPTION_STRING_LIST, AT(bind), 0, 0, NULL, NULL, "ADDR",
     "Local address to connect from; repeatable, taken in turn.", SESSION, 0},

    {"connect-timeout", 0, OPTION_DURATION, AT(connect_timeout_us), 1000, HOUR_US, "5s", NULL, "TIME",
     "For the TCP connection.", TIMEOUTS, 0},
    {"handshake-timeout", 0, OPTION_DURATION, AT(handshake_timeout_us), 1000, HOUR_US, "15s", NULL, "TIME",
     "From the TCP connection to the first echo.", TIMEOUTS, 0},
    {"timeout", 'T', OPTION_DURATION, AT(timeout_us), 1000, HOUR_US, "10s", NULL, "TIME",
     "For the echo of a message, and for the peer's answer to a close.", TIMEOUTS, 0},
    {"drain-timeout", 0, OPTION_DURATION, AT(drain_timeout_us), 0, HOUR_US, "5s", NULL, "TIME",
     "After the measurement, for what is still outstanding.", TIMEOUTS, OPTION_OFF_ALLOWED},

    {"interval", 'i', OPTION_DURATION, AT(interval_us), 1000, HOUR_US, "off", NULL, "TIME",
     "Print a line on stdout this often.", OUTPUT, OPTION_OFF_ALLOWED},
    {"progress", 0, OPTION_BOOL, AT(progress), 0, 0, "yes", NULL, NULL,
     "Keep a line about progress on stderr, if that is a terminal.", OUTPUT, 0},
    {"quiet", 'q', OPTION_BOOL, AT(quiet), 0, 0, "no", NULL, NULL, "Print no report.", OUTPUT, 0},
    {"json", 0, OPTION_STRING, AT(json), 0, 0, NULL, NULL, "FILE", "Write the result as JSON; - is stdout.", OUTPUT, 0},
    {"hdr", 0, OPTION_STRING, AT(hdr), 0, 0, NULL, NULL, "FILE",
     "Write the latency percentiles in the text form of HdrHistogram, in milliseconds.", OUTPUT, 0},
    {"label", 0, OPTION_STRING, AT(label), 0, 0, NULL, NULL, "TEXT", "A name for this run, for reports and plots.",
     OUTPUT, 0},
    {"percentiles", 0, OPTION_STRING, AT(percentiles), 0, 0, "50,90,99,99.9", NULL, "LIST",
     "Percentiles that the report shows, up to eight.", OUTPUT, 0},
    {"repeat", 0, OPTION_COUNT, AT(repeat), 1, 1000, "1", NULL, "N",
     "Run so often, and report median and 95 % interval of each figure; --json FILE then writes FILE-1, FILE-2, ...",
     OUTPUT, OPTION_COMMAND_LINE},
    {"fail-if", 0, OPTION_STRING_LIST, AT(fail_if), 0, 0, NULL, NULL, "CONDITION",
     "Exit with 99 when this holds, e.g. 'p99 > 5ms', 'errors > 0', 'rate < 1000'; repeatable.", OUTPUT, 0},
    {"log-level", 0, OPTION_CHOICE, AT(log_level), 0, 0, "warn", level_names, "LEVEL",
     "What goes to the log on stderr.", OUTPUT, 0},
    {"log-format", 0, OPTION_CHOICE, AT(log_format), 0, 0, "kv", format_names, "FORMAT", "kv or json.", OUTPUT, 0},
    {"batching", 0, OPTION_BOOL, AT(batching), 0, 0, "yes", NULL, NULL,
     "Batch the socket reads and writes of libssh; no is the plain path.", OUTPUT, 0},
    {"crypto-shortcuts", 0, OPTION_BOOL, AT(crypto_shortcuts), 0, 0, "yes", NULL, NULL,
     "Answer libssh in libcrypto's place for padding and keys built before; no leaves it all to libcrypto.", OUTPUT, 0},

    {"shard", 0, OPTION_STRING, AT(shard), 0, 0, NULL, NULL, "I/N",
     "Be part I (from 1) of N of the run; /N takes I from JOB_COMPLETION_INDEX (from 0).", MACHINES, 0},
    {"start-at", 0, OPTION_STRING, AT(start_at), 0, 0, NULL, NULL, "TIME",
     "Start the load at this instant (2026-11-20T23:07:54Z, or seconds since 1970) and report how late it was.",
     MACHINES, 0},

    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, "no", NULL, NULL, "Print this and exit.", "Help", OPTION_COMMAND_LINE},
    {"version", 'V', OPTION_BOOL, AT(version), 0, 0, "no", NULL, NULL, "Print versions and exit.", "Help",
     OPTION_COMMAND_LINE},
};

const struct option_table load_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload [OPTION]... [USER@]HOST[:PORT]...\n"
             "       sshload ab -n N [OPTION]... TARGET_A TARGET_B\n"
             "       sshload compare A.json... -- B.json... [--tolerance PERCENT]\n"
             "       sshload merge FILE.json... [--json FILE]\n"
             "       sshload plot FILE.json... -o OUT.svg|OUT.png",
};

const char *settings_auth_name(enum auth_method method)
{
    return auth_names[method];
}

int settings_read(struct settings *settings, int argc, char **argv, struct string_list *positional,
                  struct option_error *error)
{
    *settings = (struct settings){0};
    if (options_init(&load_option_table, &settings->options, &settings->given, error) != 0) {
        return -1;
    }
    return options_parse_arguments(&load_option_table, &settings->options, &settings->given, argc, argv, positional,
                                   error);
}

static int fail(struct option_error *error, const char *where, const char *what)
{
    return option_fail(error, NULL, where, "%s", what);
}

/* ---- targets ---- */

static int parse_target(const struct settings *settings, const char *text, struct target *out,
                        struct option_error *error)
{
    char problem[256];
    const char *at = strrchr(text, '@');
    if (at != NULL) {
        size_t length = (size_t)(at - text);
        if (length == 0 || length >= sizeof out->user) {
            return fail(error, text, "the user name is empty or longer than 63 bytes");
        }
        memcpy(out->user, text, length);
        out->user[length] = '\0';
    } else {
        (void)snprintf(out->user, sizeof out->user, "%s", settings->user);
    }
    const char *where = at != NULL ? at + 1 : text;
    if (*where == '\0') {
        return fail(error, text, "no host (allowed: [USER@]HOST[:PORT])");
    }
    if (net_parse(where, 22, true, &out->address, problem, sizeof problem) != 0) {
        return fail(error, text, problem);
    }
    if (net_port(&out->address) == 0) {
        return fail(error, text, "port 0 cannot be connected to");
    }
    /* The bare host, which known_hosts is asked for. */
    const char *end = where + strlen(where);
    if (*where == '[') {
        where++;
        end = strchr(where, ']');
    } else if (strchr(where, ':') == strrchr(where, ':') && strchr(where, ':') != NULL) {
        end = strchr(where, ':');
    }
    (void)snprintf(out->host, sizeof out->host, "%.*s", end == NULL ? 0 : (int)(end - where), where);
    (void)net_print(&out->address, out->text, sizeof out->text);
    const struct load_options *o = &settings->options;
    bool asked = o->known_hosts != NULL || o->host_key != NULL;
    out->insecure = o->insecure || (!asked && net_is_loopback(&out->address));
    return 0;
}

static int resolve_targets(struct settings *settings, const struct string_list *targets, struct option_error *error)
{
    if (targets->count == 0) {
        return fail(error, "sshload", "no target: say which server to load, e.g. sshload 127.0.0.1:2222 (see --help)");
    }
    settings->targets = calloc(targets->count, sizeof *settings->targets);
    settings->locals = calloc(settings->options.bind.count + 1, sizeof *settings->locals);
    if (settings->targets == NULL || settings->locals == NULL) {
        return fail(error, "sshload", "out of memory");
    }
    for (size_t i = 0; i < targets->count; i++) {
        if (parse_target(settings, targets->items[i], &settings->targets[i], error) != 0) {
            return -1;
        }
        settings->target_count++;
    }
    for (size_t i = 0; i < settings->options.bind.count; i++) {
        char problem[256];
        if (net_parse(settings->options.bind.items[i], 0, true, &settings->locals[i], problem, sizeof problem) != 0) {
            return fail(error, "--bind", problem);
        }
        settings->local_count++;
    }
    return 0;
}

/* ---- what is asked of the channel ---- */

static int choose_request(struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    settings->content = CONTENT_BINARY;
    if (o->request == NULL) {
        if (o->mode == MODE_STREAM && o->direction != DIRECTION_BOTH) {
            settings->request = REQUEST_EXEC;
            settings->request_text = o->direction == DIRECTION_UP ? "discard" : "chargen";
            settings->content = o->direction == DIRECTION_UP ? CONTENT_BINARY : CONTENT_CHARGEN;
        } else {
            settings->request = REQUEST_SHELL;
        }
    } else if (strcmp(o->request, "shell") == 0) {
        settings->request = REQUEST_SHELL;
    } else if (strncmp(o->request, "exec:", 5) == 0 && o->request[5] != '\0') {
        settings->request = REQUEST_EXEC;
        settings->request_text = o->request + 5;
        if (o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN &&
            strncmp(settings->request_text, "chargen", 7) == 0) {
            settings->content = CONTENT_CHARGEN;
        }
    } else if (strncmp(o->request, "subsystem:", 10) == 0 && o->request[10] != '\0') {
        settings->request = REQUEST_SUBSYSTEM;
        settings->request_text = o->request + 10;
    } else {
        return fail(error, "--request", "allowed: shell, exec:COMMAND, subsystem:NAME");
    }
    if (settings->content == CONTENT_BINARY &&
        (o->content == LOAD_CONTENT_TEXT || (o->content == LOAD_CONTENT_AUTO && settings->request == REQUEST_SHELL))) {
        settings->content = CONTENT_TEXT;
    }
    if (o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN && settings->content != CONTENT_CHARGEN) {
        settings->options.verify = false; /* nobody knows what another command sends */
    }
    return 0;
}

/* ---- credentials ---- */

static int take_password(struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    char line[1024] = "";
    if ((o->password_file != NULL) + (o->password_env != NULL) + o->ask_password > 1) {
        return fail(error, "sshload", "--password-file, --password-env and --ask-password exclude each other");
    }
    if (o->password_file != NULL) {
        FILE *file = fopen(o->password_file, "re");
        if (file == NULL) {
            return fail(error, o->password_file, strerror(errno));
        }
        bool got = fgets(line, sizeof line, file) != NULL;
        (void)fclose(file);
        if (!got) {
            return fail(error, o->password_file, "is empty; its first line must be the password");
        }
        line[strcspn(line, "\r\n")] = '\0';
    } else if (o->password_env != NULL) {
        const char *value = getenv(o->password_env);
        if (value == NULL) {
            return fail(error, o->password_env, "is not set in the environment (--password-env)");
        }
        (void)snprintf(line, sizeof line, "%s", value);
    } else if (o->ask_password) {
        if (ssh_getpass("Password: ", line, sizeof line, 0, 0) != 0) {
            return fail(error, "--ask-password", "no password could be read from the terminal");
        }
    } else {
        return 0;
    }
    settings->password = strdup(line);
    explicit_bzero(line, sizeof line);
    return settings->password == NULL ? fail(error, "sshload", "out of memory") : 0;
}

static int choose_auth(struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    enum auth_method *methods = settings->auth;
    size_t count = 0;
    for (size_t i = 0; i < o->auth.count; i++) {
        int method = 0;
        while (method < AUTH_METHODS && strcmp(auth_names[method], o->auth.items[i]) != 0) {
            method++;
        }
        if (method == AUTH_METHODS || count == AUTH_METHODS) {
            return fail(error, "--auth", "allowed: none, publickey, agent, password, keyboard-interactive, each once");
        }
        methods[count++] = (enum auth_method)method;
    }
    if (count == 0) {
        methods[count++] = AUTH_NONE;
        if (o->identity.count > 0) {
            methods[count++] = AUTH_PUBLICKEY;
        } else if (settings->password == NULL && getenv("SSH_AUTH_SOCK") != NULL) {
            methods[count++] = AUTH_AGENT;
        }
        if (settings->password != NULL) {
            methods[count++] = AUTH_PASSWORD;
            methods[count++] = AUTH_KEYBOARD;
        }
    }
    settings->auth_count = count;
    for (size_t i = 0; i < count; i++) {
        if (methods[i] == AUTH_PUBLICKEY && o->identity.count == 0) {
            return fail(error, "--auth", "publickey needs --identity");
        }
        if ((methods[i] == AUTH_PASSWORD || methods[i] == AUTH_KEYBOARD) && settings->password == NULL) {
            return fail(error, "--auth",
                        "password and keyboard-interactive need --password-file, --password-env or --ask-password");
        }
    }
    return 0;
}

/* ---- all together ---- */

static int check_algorithms(const struct load_options *o, struct option_error *error)
{
    const struct {
        const char *name, *value;
        enum ssh_options_e option;
    } lists[] = {
        {"--ciphers", o->ciphers, SSH_OPTIONS_CIPHERS_C_S},
        {"--kex", o->kex, SSH_OPTIONS_KEY_EXCHANGE},
        {"--macs", o->macs, SSH_OPTIONS_HMAC_C_S},
        {"--host-key-algorithms", o->host_key_algorithms, SSH_OPTIONS_HOSTKEYS},
        {"--compression", o->compression, SSH_OPTIONS_COMPRESSION},
    };
    ssh_session session = ssh_new();
    if (session == NULL) {
        return fail(error, "sshload", "out of memory");
    }
    int rc = 0;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && rc == 0; i++) {
        if (lists[i].value != NULL && ssh_options_set(session, lists[i].option, lists[i].value) != SSH_OK) {
            (void)option_fail(error, NULL, lists[i].name, "libssh knows none of \"%s\"", lists[i].value);
            rc = -1;
        }
    }
    ssh_free(session);
    return rc;
}

static int check_combinations(const struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    if (o->rate > 0 && (o->mode == MODE_STREAM || o->mode == MODE_HOLD)) {
        return fail(error, "--rate", "means something in the modes ping and connect only");
    }
    if (o->count > 0 && o->mode == MODE_HOLD) {
        return fail(error, "--count", "hold mode runs for a time; use --duration");
    }
    if (o->count > 0 && o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN) {
        return fail(error, "--count", "a stream down has no messages to count; use --duration");
    }
    if (o->mode != MODE_STREAM && o->direction != DIRECTION_BOTH) {
        return fail(error, "--direction", "means something in stream mode only");
    }
    if (o->mode == MODE_CONNECT && (o->reconnect_after > 0 || o->reconnect_every_us > 0)) {
        return fail(error, "--reconnect-after", "connect mode reconnects all the time");
    }
    if (settings->connections == 0) {
        return fail(error, "--shard", "this shard has no connection: --connections is less than the number of shards");
    }
    if (o->connecting > 0 && o->connecting < settings->shard.count &&
        options_was_given(&load_option_table, &settings->given, "connecting")) {
        return fail(error, "--connecting", "is less than the number of shards; it is a cap on all of them together");
    }
    if (settings->shard.count > 1 && o->count > 0 &&
        plan_share(o->count, settings->shard.count, settings->shard.index) == 0) {
        return fail(error, "--count", "is less than the number of shards");
    }
    return 0;
}

static void find_user(struct settings *settings)
{
    const struct passwd *entry = getpwuid(getuid());
    const char *home = entry != NULL ? entry->pw_dir : getenv("HOME");
    (void)snprintf(settings->ssh_directory, sizeof settings->ssh_directory, "%s/.ssh", home == NULL ? "" : home);
    const char *name = settings->options.user;
    if (name == NULL) {
        name = entry != NULL ? entry->pw_name : "nobody";
    }
    (void)snprintf(settings->user, sizeof settings->user, "%s", name);
}

int settings_complete(struct settings *settings, const struct string_list *targets, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    char problem[256];
    find_user(settings);
    if (resolve_targets(settings, targets, error) != 0 || choose_request(settings, error) != 0) {
        return -1;
    }
    const char *size = o->size != NULL ? o->size : o->mode == MODE_STREAM ? "32758" : "64";
    if (plan_parse_size(size, &settings->size, problem, sizeof problem) != 0) {
        return fail(error, "--size", problem);
    }
    settings->shard = (struct plan_shard){.index = 0, .count = 1};
    if (o->shard != NULL &&
        plan_parse_shard(o->shard, getenv("JOB_COMPLETION_INDEX"), &settings->shard, problem, sizeof problem) != 0) {
        return fail(error, "--shard", problem);
    }
    if (o->start_at != NULL && !plan_parse_instant(o->start_at, &settings->start_at_us)) {
        return fail(error, "--start-at", "allowed: 2026-11-20T23:07:54Z, or seconds since 1970");
    }
    settings->connections_total = o->connections;
    settings->connections = plan_share(o->connections, settings->shard.count, settings->shard.index);
    settings->first_connection = plan_share_start(o->connections, settings->shard.count, settings->shard.index);
    settings->connecting = plan_share(o->connecting, settings->shard.count, settings->shard.index);
    if (o->connecting > 0 && o->connecting < settings->shard.count) {
        settings->connecting = 1; /* of more shards than the default, each needs one; check_combinations knows */
    }
    settings->threads = (unsigned)(o->threads < settings->connections ? o->threads : settings->connections);
    if (check_combinations(settings, error) != 0 || check_algorithms(o, error) != 0 ||
        take_password(settings, error) != 0 || choose_auth(settings, error) != 0) {
        return -1;
    }
    return 0;
}

void settings_free(struct settings *settings)
{
    if (settings->password != NULL) {
        explicit_bzero(settings->password, strlen(settings->password));
        free(settings->password);
    }
    free(settings->targets);
    free(settings->locals);
    options_free(&load_option_table, &settings->options, &settings->given);
    settings->targets = NULL;
    settings->locals = NULL;
    settings->password = NULL;
}
