#include "load/settings_parts.h"

#include "sshecho/units.h"

#include <libssh/libssh.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/timeline/timeline.h"
#include "sshecho/version.h"

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
        return settings_fail(error, "--request", "allowed: shell, exec:COMMAND, subsystem:NAME");
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
        return settings_fail(error, "sshload", "out of memory");
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

static int choose_processes(struct settings *settings, struct option_error *error)
{
    const char *text = settings->options.processes;
    uint64_t count = 0;
    bool automatic = strcmp(text, "auto") == 0;
    if (!automatic && (!units_parse_count(text, &count) || count < 1 || count > PROCESSES_MOST)) {
        return settings_fail(error, "--processes", "allowed: auto, or 1 to 256");
    }
    settings->processes = (unsigned)count;
    return 0;
}

static int check_combinations(const struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    if (settings->rate.count > 0 && (o->mode == MODE_STREAM || o->mode == MODE_HOLD)) {
        return settings_fail(error, "--rate", "means something in the modes ping and connect only");
    }
    if ((o->server_metrics != NULL) + (o->server_cgroup != NULL) + (o->server_pid > 0) > 1) {
        return settings_fail(error, "sshload", "--server-metrics, --server-pid and --server-cgroup exclude each other");
    }
    if (o->live && !isatty(STDERR_FILENO)) {
        return settings_fail(error, "--live", "needs a terminal on stderr");
    }
    if (o->count > 0 && o->mode == MODE_HOLD) {
        return settings_fail(error, "--count", "hold mode runs for a time; use --duration");
    }
    if (o->count > 0 && o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN) {
        return settings_fail(error, "--count", "a stream down has no messages to count; use --duration");
    }
    if (o->mode != MODE_STREAM && o->direction != DIRECTION_BOTH) {
        return settings_fail(error, "--direction", "means something in stream mode only");
    }
    if (o->mode == MODE_CONNECT && (o->reconnect_after > 0 || o->reconnect_every_us > 0)) {
        return settings_fail(error, "--reconnect-after", "connect mode reconnects all the time");
    }
    if (settings->connections == 0) {
        return settings_fail(error, "--shard",
                             "this shard has no connection: --connections is less than the number of shards");
    }
    if (o->connecting > 0 && o->connecting < settings->shard.count &&
        options_was_given(&load_option_table, &settings->given, "connecting")) {
        return settings_fail(error, "--connecting",
                             "is less than the number of shards; it is a cap on all of them together");
    }
    if (settings->shard.count > 1 && o->count > 0 &&
        plan_share(o->count, settings->shard.count, settings->shard.index) == 0) {
        return settings_fail(error, "--count", "is less than the number of shards");
    }
    return 0;
}

/* The profile; where it says how long it is and nobody else does, so long is the measurement. */
static int choose_rate(struct settings *settings, struct option_error *error)
{
    struct load_options *o = &settings->options;
    char problem[480];
    struct plan_rate *rate = &settings->rate;
    if (plan_rate_parse(o->rate == NULL ? "off" : o->rate, rate, problem, sizeof problem) != 0) {
        return settings_fail(error, "--rate", problem);
    }
    rate->poisson = o->arrivals == ARRIVALS_POISSON;
    rate->seed = o->seed;
    if (rate->count == 0 || o->count > 0) {
        if (rate->count > 0 && plan_rate_total(rate) != UINT64_MAX) {
            return settings_fail(error, "--count", "needs a --rate that does not end with nothing");
        }
        return 0;
    }
    uint64_t length_us = plan_rate_length_us(rate);
    if (length_us > 0 && !options_was_given(&load_option_table, &settings->given, "duration")) {
        uint64_t whole_us = length_us + (rate->open ? o->duration_us : 0);
        if (whole_us <= o->warmup_us) {
            return settings_fail(error, "--warmup", "is as long as the whole profile of --rate, which it is part of");
        }
        o->duration_us = whole_us - o->warmup_us;
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
    if (settings_resolve_targets(settings, targets, error) != 0 || choose_request(settings, error) != 0) {
        return -1;
    }
    const char *size = o->size != NULL ? o->size : o->mode == MODE_STREAM ? LIBSSH_PACKET_TEXT : "64";
    if (plan_parse_size(size, &settings->size, problem, sizeof problem) != 0) {
        return settings_fail(error, "--size", problem);
    }
    if (choose_rate(settings, error) != 0) {
        return -1;
    }
    settings->shard = (struct plan_shard){.index = 0, .count = 1};
    if (o->shard != NULL &&
        plan_parse_shard(o->shard, getenv("JOB_COMPLETION_INDEX"), &settings->shard, problem, sizeof problem) != 0) {
        return settings_fail(error, "--shard", problem);
    }
    if (choose_processes(settings, error) != 0) {
        return -1;
    }
    if (o->start_at != NULL && !plan_parse_instant(o->start_at, &settings->start_at_us)) {
        return settings_fail(error, "--start-at", "allowed: 2026-11-20T23:07:54Z, or seconds since 1970");
    }
    if (o->json != NULL || o->hlog != NULL || o->csv != NULL || o->interval_us > 0 || o->live || o->tell ||
        o->metrics_listen != NULL) {
        settings->timeline_us = o->interval_us > 0 ? (int64_t)o->interval_us : TIMELINE_LENGTH_US_DEFAULT;
    }
    if (settings_take_users(settings, error) != 0) {
        return -1;
    }
    settings->connections_total = o->connections;
    settings->connections = plan_share(o->connections, settings->shard.count, settings->shard.index);
    settings->first_connection = plan_share_start(o->connections, settings->shard.count, settings->shard.index);
    settings->connecting = plan_share(o->connecting, settings->shard.count, settings->shard.index);
    if (o->connecting > 0 && o->connecting < settings->shard.count) {
        settings->connecting = 1; /* of more shards than the default, each needs one; check_combinations knows */
    }
    settings->threads = (unsigned)(o->threads < settings->connections ? o->threads : settings->connections);
    settings->threads_in_all = settings->threads;
    if (check_combinations(settings, error) != 0 || check_algorithms(o, error) != 0 ||
        settings_take_password(settings, error) != 0 || settings_choose_auth(settings, error) != 0) {
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
    settings_free_users(settings);
    free(settings->targets);
    net_sources_free(&settings->sources);
    options_free(&load_option_table, &settings->options, &settings->given);
    settings->targets = NULL;
    settings->password = NULL;
}
