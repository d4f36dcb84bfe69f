#include "load/campaign/find_step.h"

#include "load/result/result_server.h"
#include "load/result/verdict.h"
#include "load/tools/spawn.h"
#include "load/tools/tools.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const find_by_names[] = {"rate", "sessions", "handshakes", NULL};
const char *const find_limit_names[] = {NULL, "slo", "server", "generator"};

/* A percentile needs so many values beyond it; a step is no shorter and, unless asked for, no longer than this. */
#define VALUES_BEYOND 10.0
#define SHORTEST_S 2.0
#define LONGEST_S 30.0
#define WARMUP "1s"
/* What a server piled up for one step must not be there in the next. */
#define REST_NS 200000000L
/* A generator that was the limit may have been it by chance: it gets so many tries. */
#define TRIES 2
/* Late by less than this share of the latency; busier than this share of a core. */
#define PUNCTUAL 0.1
#define BUSY 0.9

/* How long a step at this level measures, for its percentile to be one. */
static double length_s(const struct find_question *question, uint64_t level)
{
    const struct load_options *o = question->options;
    double shortest_s = question->duration_given ? (double)o->duration_us / 1e6 : SHORTEST_S;
    double per_s = (double)level;
    if (!question->asks_percentile) {
        return shortest_s;
    }
    if (question->by == FIND_SESSIONS && (!question->mode_given || o->mode == MODE_HOLD)) {
        uint64_t sample = level < o->sample ? level : o->sample;
        per_s = (double)sample / ((double)o->sample_interval_us / 1e6);
    } else if (question->by == FIND_SESSIONS) {
        return shortest_s; /* a closed loop has as many as it gets */
    }
    double beyond = question->percentile < 100.0 ? 1.0 - question->percentile / 100.0 : 1.0;
    double needed_s = per_s > 0.0 ? ceil(VALUES_BEYOND / beyond / per_s) : shortest_s;
    needed_s = needed_s > LONGEST_S ? LONGEST_S : needed_s;
    return needed_s > shortest_s ? needed_s : shortest_s;
}

static int run_at(const struct find_question *question, uint64_t level, const char *file, int *stopped)
{
    static char quiet[] = "--quiet", calm[] = "--no-progress", once[] = "--repeat=1", json[] = "--json";
    static char never[] = "--fail-if=sustained < 0", warmup[] = "--warmup=" WARMUP;
    static char connect[] = "--mode=connect", hold[] = "--mode=hold";
    char own[2][64];
    char *path = strdup(file);
    char **words = calloc(question->runs->count + 16, sizeof *words);
    size_t count = question->runs->count;
    int code = -1;
    if (path != NULL && words != NULL) {
        memcpy(words, question->runs->items, count * sizeof *words);
        (void)snprintf(own[0], sizeof own[0], "--%s=%llu", question->by == FIND_SESSIONS ? "connections" : "rate",
                       (unsigned long long)level);
        (void)snprintf(own[1], sizeof own[1], "--duration=%.3fs", length_s(question, level));
        words[count++] = own[0];
        words[count++] = own[1];
        if (!question->warmup_given) {
            words[count++] = warmup;
        }
        if (!question->mode_given && question->by != FIND_RATE) {
            words[count++] = question->by == FIND_SESSIONS ? hold : connect;
        }
        char *const last[] = {quiet, calm, once, never, json, path};
        memcpy(words + count, last, sizeof last);
        (void)unlink(file);
        code = spawn_run(words, count + sizeof last / sizeof last[0], stopped);
    }
    free(words);
    free(path);
    return code;
}

/* ---- the verdict ---- */

static void note_sentence(const char *sentence, void *data)
{
    struct find_step *step = data;
    if (step->reason[0] == '\0') {
        (void)snprintf(step->reason, sizeof step->reason, "%.250s", sentence);
    }
}

/* Every promise is a condition that must hold; the first that does not. */
static bool keeps_promises(const struct find_question *question, const struct result *result, struct find_step *step)
{
    for (size_t i = 0; i < question->texts->count; i++) {
        double actual = NAN;
        if (!gate_is_crossed(&question->promises[i], result, &actual) || isnan(actual)) {
            (void)snprintf(step->reason, sizeof step->reason, "not %.60s: it is %.6g%s", question->texts->items[i],
                           actual, question->promises[i].figure == GATE_PERCENTILE ? " us" : "");
            return false;
        }
    }
    return true;
}

static bool carries(const struct find_question *question, const struct result *result, struct find_step *step)
{
    struct verdict_offered offered = verdict_offered(result);
    const struct tally *t = &result->tally;
    if (t->started == 0) {
        (void)snprintf(step->reason, sizeof step->reason, "nothing was measured");
        return false;
    }
    if (!offered.sustained) {
        (void)snprintf(step->reason, sizeof step->reason,
                       "not sustained: %.1f %% never answered, latency %+.1f ms each second", offered.lost * 100.0,
                       offered.latency_slope * 1e3);
        return false;
    }
    if (question->by == FIND_SESSIONS && t->sessions_up < step->level) {
        (void)snprintf(step->reason, sizeof step->reason, "%llu of %llu sessions stood at the end",
                       (unsigned long long)t->sessions_up, (unsigned long long)step->level);
        return false;
    }
    return true;
}

/* Whether the generator may have broken it. What keeps a thread from reading answers in time keeps it from sending in
 * time as well: where it was punctual, measured by the latency, and had CPU to spare (what it waited for counts as
 * used), it was not its doing. */
static bool is_to_blame(const struct result *result)
{
    const struct tally *t = &result->tally;
    const struct histogram *slip = tally_histogram(t, HISTOGRAM_SLIP);
    const struct histogram *latency = tally_histogram(t, HISTOGRAM_LATENCY);
    bool punctual = slip->total > 0 &&
                    (double)histogram_percentile(slip, 99.0) < PUNCTUAL * (double)histogram_percentile(latency, 99.0);
    bool busy = t->busiest_thread_cpu + t->pressure.run_delay > BUSY || t->pressure.busy_windows > 0;
    return t->faults.counts[FAULT_LOCAL_LIMIT] > 0 || (verdict_is_client_bound(result) && (busy || !punctual));
}

/* What a generator that was late, or short of CPU, adds to a latency only makes it look worse: a promise that was kept
 * all the same was kept. One that was broken says nothing about the server then. */
static void judge(const struct find_question *question, const struct result *result, struct find_step *step)
{
    step->reason[0] = '\0';
    step->client_bound = verdict_is_client_bound(result) || result->tally.faults.counts[FAULT_LOCAL_LIMIT] > 0;
    bool carried = carries(question, result, step);
    step->kept = carried && keeps_promises(question, result, step);
    step->limit = step->kept            ? FIND_LIMIT_NONE
                  : is_to_blame(result) ? FIND_LIMIT_GENERATOR
                  : !carried            ? FIND_LIMIT_SERVER
                                        : FIND_LIMIT_SLO;
    if (step->limit == FIND_LIMIT_GENERATOR) {
        step->reason[0] = '\0';
        (void)verdict_client_bound(result, note_sentence, step);
        note_sentence("this machine ran out of file descriptors, ports or memory", step);
    }
}

/* The whole result but for what is long. */
static json_t *summary_of(const struct result *result)
{
    json_t *document = result_to_json(result);
    for (const char *const *name = (const char *const[]){"histograms", "series", "intervals", "about", NULL};
         *name != NULL; name++) {
        (void)json_object_del(document, *name);
    }
    return document;
}

const struct server_figure *find_server_figure(const struct find_question *question)
{
    bool connects =
        question->by == FIND_HANDSHAKES || (question->mode_given && question->options->mode == MODE_CONNECT);
    return &server_figures[question->by == FIND_SESSIONS ? SERVER_PER_SESSION
                           : connects                    ? SERVER_PER_HANDSHAKE
                                                         : SERVER_PER_ECHO];
}

static void measure(const struct find_question *question, const struct result *result, struct find_step *step)
{
    const struct histogram *h = tally_histogram(&result->tally, question->histogram);
    struct verdict_offered offered = verdict_offered(result);
    step->samples = h->total;
    step->latency_us = h->total > 0 ? (double)histogram_percentile(h, question->percentile) : NAN;
    step->seconds = result->seconds;
    step->offered_per_s = offered.per_s;
    step->achieved_per_s = offered.judged ? offered.achieved_per_s : result_echoes_per_s(result);
    step->server_cost = find_server_figure(question)->value(result);
    json_decref(step->result);
    step->result = summary_of(result);
}

static int complain_nobody(const struct result *result)
{
    char text[512];
    const char *first = NULL;
    for (int i = 0; i < FAULT_COUNT && first == NULL; i++) { /* causes come before what follows from them */
        first = result->tally.faults.counts[i] > 0 ? result->tally.faults.first[i] : NULL;
    }
    (void)snprintf(text, sizeof text, "find: no session came up: %.400s",
                   first != NULL ? first : "no connection was tried");
    (void)tools_complain(TOOLS_WRONG, text);
    return -1;
}

int find_step_run(const struct find_question *question, struct find_step *step)
{
    char file[512];
    char error[512];
    (void)snprintf(file, sizeof file, "%s/step.json", question->directory);
    for (int i = 0; i < TRIES; i++) {
        struct result result;
        int stopped = 0;
        int code = run_at(question, step->level, file, &stopped);
        if (stopped != 0) {
            return 1;
        }
        if (code < 0 || code == TOOLS_USAGE || access(file, R_OK) != 0) {
            return -1; /* it has said why */
        }
        if (result_load(&result, file, error, sizeof error) != 0) {
            result_free(&result);
            (void)tools_complain(TOOLS_WRONG, error);
            return -1;
        }
        judge(question, &result, step);
        measure(question, &result, step);
        int rc = result.tally.connects_up == 0 ? complain_nobody(&result) : 0;
        result_free(&result);
        (void)unlink(file);
        if (rc != 0) {
            return rc;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
        if (step->limit != FIND_LIMIT_GENERATOR) {
            break;
        }
    }
    return 0;
}
