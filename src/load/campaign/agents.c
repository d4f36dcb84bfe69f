#include "load/campaign/agents.h"

#include "load/campaign/agents_parts.h"
#include "load/campaign/children.h"
#include "load/tools/tools.h"
#include "load/tools/words.h"
#include "sshecho/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Beside --ramp and twice what it took to reach them: the sessions stand then. */
#define START_IN_US INT64_C(1500000)
#define LATE_US INT64_C(60000000) /* beyond all its time-outs: an agent that still runs is lost */
#define LOOK_EVERY_US INT64_C(200000)
#define RAN_LAST 1 /* exit codes of a run that was one, and left a result: 0 and this */

/* Options that are the whole run's and not an agent's. */
static const char *const own_names[] = {"agents", "agent-ssh", "agent-command", "json",     "hdr",      "hlog", "csv",
                                        "quiet",  "fail-if",   "live",          "progress", "start-at", "tell"};
#define OWN_NAMES (sizeof own_names / sizeof own_names[0])
/* What cannot be asked of several machines at once, or not without a terminal. */
static const char *const refused[] = {"shard",          "repeat",     "live",          "metrics-listen",
                                      "server-metrics", "server-pid", "server-cgroup", "ask-password"};

static int start_list(struct agent *agents, size_t *count, char *hosts, char *ssh, struct option_error *error)
{
    char *rest = NULL;
    size_t words = 0;
    char *found[AGENTS_SSH_WORDS];
    for (char *word = strtok_r(ssh, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (words == AGENTS_SSH_WORDS) {
            return option_fail(error, NULL, "--agent-ssh", "allowed: up to 64 words");
        }
        found[words++] = word;
    }
    if (words == 0) {
        return option_fail(error, NULL, "--agent-ssh", "allowed: a command and its words");
    }
    *count = 0;
    for (char *host = strsep(&hosts, ","); host != NULL; host = strsep(&hosts, ",")) {
        if (host[0] == '\0' || host[0] == '-' || strpbrk(host, " \t\r\n") != NULL || *count == AGENTS_MOST) {
            return option_fail(error, NULL, "--agents", "allowed: 1 to 256 hosts as ssh takes them, joined by commas");
        }
        /* No question can be answered, and a peer that has vanished is noticed. */
        static char batch[] = "-oBatchMode=yes", alive[] = "-oServerAliveInterval=5", no_terminal[] = "-T",
                    end[] = "--";
        struct agent *agent = &agents[(*count)++];
        *agent = (struct agent){.host = host, .output = -1, .complaints = -1};
        memcpy(agent->ssh, found, words * sizeof *found);
        agent->ssh_count = words;
        char *const ours[] = {no_terminal, batch, alive, host, end};
        memcpy(agent->ssh + words, ours, sizeof ours);
        agent->ssh_count += sizeof ours / sizeof ours[0];
        agent->output = memfd_create("result", MFD_CLOEXEC);
        agent->complaints = memfd_create("complaints", MFD_CLOEXEC);
        if (agent->output < 0 || agent->complaints < 0) {
            return option_fail(error, NULL, "--agents", "no file in memory can be made");
        }
    }
    return 0;
}

static int check(const struct settings *settings, struct option_error *error)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (options_was_given(&load_option_table, &settings->given, refused[i])) {
            return option_fail(error, NULL, "--agents", "--%s has no meaning with agents", refused[i]);
        }
    }
    return 0;
}

/* The shell there keeps an eye on its input, whose end says stop (or that ssh has gone), while sshload runs: nothing is
 * left running on a host that nobody listens to. */
static int build_command(struct agent *agent, const char *const *words, size_t count)
{
    static const char watch[] = "exec 3<&0; \"$@\" 3<&- </dev/null & run=$!; "
                                "(read -r line; kill -TERM $run) <&3 >/dev/null 2>&1 & watch=$!; "
                                "wait $run; code=$?; kill $watch 2>/dev/null; exit $code";
    const char *const shell[] = {"sh", "-c", watch, "sshload-agent"};
    int rc = 0;
    for (size_t i = 0; i < sizeof shell / sizeof shell[0]; i++) {
        rc |= agents_quote(&agent->command, shell[i]);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc |= agents_quote(&agent->command, words[i]);
    }
    agent->ssh[agent->ssh_count] = agent->command;
    return rc;
}

/* The words of the run, with those of a shard before a "--" that may be among them. */
static int complete_words(struct agent *agent, const struct load_options *o, const struct words *runs, size_t index,
                          size_t count, const char *start_at)
{
    char shard[48];
    const char **words = calloc(runs->count + 16, sizeof *words);
    size_t used = 0;
    size_t i = 0;
    if (words == NULL) {
        return -1;
    }
    (void)snprintf(shard, sizeof shard, "%zu/%zu", index + 1, count);
    words[used++] = o->agent_command;
    for (; i < runs->count && strcmp(runs->items[i], "--") != 0; i++) {
        words[used++] = runs->items[i];
    }
    const char *const ours[] = {"--shard", shard, "--start-at", start_at, "--json", "-", "--quiet", "--no-progress"};
    for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++) {
        words[used++] = ours[k];
    }
    if (agents_progress_wanted(o)) {
        words[used++] = "--tell";
    }
    for (; i < runs->count; i++) {
        words[used++] = runs->items[i];
    }
    int rc = build_command(agent, words, used);
    free(words);
    return rc;
}

static int lose(const struct agent *agent, int code, const char *why)
{
    char words[256];
    char how[64] = "ssh was ended by a signal";
    agents_last_words(agent, words, sizeof words);
    if (code >= 0) {
        (void)snprintf(how, sizeof how, "exit code %d", code);
    }
    (void)fprintf(stderr, "sshload: agent %s is lost (%s): %s\n", agent->host, how, words[0] != '\0' ? words : why);
    return code == TOOLS_USAGE ? TOOLS_USAGE : TOOLS_WRONG;
}

/* Adds what an agent sent. */
static int take_result(const struct agent *agent, int code, struct result *merged, bool *any)
{
    char path[64];
    char error[512];
    char reason[256];
    struct result next;
    if (code < 0 || code > RAN_LAST) {
        return lose(agent, code, "it said nothing");
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", agent->output);
    struct result *into = *any ? &next : merged;
    if (result_load(into, path, error, sizeof error) != 0) {
        result_free(into);
        return lose(agent, code, "it left no result");
    }
    agents_print_complaints(agent);
    if (!*any) {
        *any = true;
        return TOOLS_OK;
    }
    int rc = TOOLS_OK;
    if (!merge_matches(merged, &next, reason, sizeof reason)) {
        (void)fprintf(stderr, "sshload: agent %s does not match the others: %s\n", agent->host, reason);
        rc = TOOLS_WRONG;
    } else if (merge_add(merged, &next) != 0) {
        rc = tools_complain(TOOLS_WRONG, "out of memory");
    }
    result_free(&next);
    return rc;
}

static int prepare(struct agent *agents, struct child_run *children, size_t count, const struct load_options *o,
                   const struct words *runs, int64_t start_us)
{
    char start_at[64];
    (void)snprintf(start_at, sizeof start_at, "%lld.%06lld", (long long)(start_us / 1000000),
                   (long long)(start_us % 1000000));
    for (size_t i = 0; i < count; i++) {
        if (complete_words(&agents[i], o, runs, i, count, start_at) != 0 || ftruncate(agents[i].complaints, 0) != 0) {
            return -1;
        }
        (void)lseek(agents[i].complaints, 0, SEEK_SET);
        children[i] = (struct child_run){.words = agents[i].ssh,
                                         .count = agents[i].ssh_count + 1,
                                         .foreign = true,
                                         .output = agents[i].output,
                                         .complaints = agents[i].complaints,
                                         .input = -1};
    }
    return 0;
}

/* Runs them to their ends and merges what they leave. */
static int run_all(const struct settings *settings, struct agent *agents, size_t count, const struct words *runs,
                   int64_t reach_us, struct result *merged, bool *any)
{
    const struct load_options *o = &settings->options;
    struct child_run *children = calloc(count, sizeof *children);
    struct agents_progress progress;
    int64_t start_us = settings->start_at_us;
    start_us = start_us > 0 ? start_us : wall_us() + (int64_t)o->ramp_us + START_IN_US + 2 * reach_us;
    int64_t late_us =
        LATE_US + (int64_t)(o->connect_timeout_us + o->handshake_timeout_us + o->timeout_us + o->drain_timeout_us);
    struct children_limits limits = {
        .grace_us = late_us, .look_every_us = LOOK_EVERY_US, .look = agents_progress_look, .data = &progress};
    int code = TOOLS_OK;
    if (o->count == 0) {
        limits.deadline_us = start_us + (int64_t)(o->warmup_us + o->duration_us) + late_us;
    }
    if (children == NULL || prepare(agents, children, count, o, runs, start_us) != 0 ||
        agents_progress_start(&progress, o, agents, children, count, start_us) != 0) {
        free(children);
        return tools_complain(TOOLS_WRONG, "out of memory");
    }
    (void)children_run(children, count, &limits);
    agents_progress_stop(&progress);
    for (size_t i = 0; i < count; i++) {
        int rc = take_result(&agents[i], children[i].code, merged, any);
        code = rc > code ? rc : code;
    }
    if (*any && merged->shards_merged < count) {
        (void)fprintf(stderr, "sshload: note: %llu of %zu agents are in the figures\n",
                      (unsigned long long)merged->shards_merged, count);
    }
    free(children);
    return code;
}

int agents_run(const struct settings *settings, int argc, char **argv, struct result *merged, bool *any)
{
    const struct load_options *o = &settings->options;
    struct option_spec specs[OWN_NAMES];
    const struct option_table table = {.specs = specs, .count = OWN_NAMES, .program = "sshload"};
    struct words_line line = {0};
    struct option_error error = {.text = ""};
    struct agent *agents = calloc(AGENTS_MOST, sizeof *agents);
    char *hosts = strdup(o->agents);
    char *ssh = strdup(o->agent_ssh);
    size_t count = 0;
    int64_t reach_us = 0;
    int code;
    *any = false;
    for (size_t i = 0; i < OWN_NAMES; i++) {
        specs[i] = *options_find(&load_option_table, own_names[i]);
    }
    if (agents == NULL || hosts == NULL || ssh == NULL || words_sort(&table, argc, argv, &line) != 0) {
        code = tools_complain(TOOLS_WRONG, "out of memory");
    } else if (check(settings, &error) != 0 || start_list(agents, &count, hosts, ssh, &error) != 0) {
        code = tools_complain(TOOLS_USAGE, error.text);
    } else {
        code = agents_measure_clocks(agents, count, o, &reach_us);
        code = code == TOOLS_OK ? run_all(settings, agents, count, &line.runs, reach_us, merged, any) : code;
    }
    for (size_t i = 0; i < count; i++) {
        (void)close(agents[i].output);
        (void)close(agents[i].complaints);
        free(agents[i].command);
        free(agents[i].said);
    }
    words_free(&line);
    free(agents);
    free(hosts);
    free(ssh);
    return code;
}
