/* Inside the room of agents.h: what the agents tell while they run, as one line of all of them. */
#include "load/campaign/agents_parts.h"
#include "load/watch/progress.h"
#include "load/watch/told.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_BYTES 65536
/* After the end of an interval, for those who have not told it. */
#define PATIENCE_US INT64_C(3000000)

/* What an agent has told. */
struct heard {
    bool any;
    int64_t index; /* of the last interval */
    uint64_t errors;
};

bool agents_progress_wanted(const struct load_options *o)
{
    return o->interval_us > 0 || (o->progress && !o->quiet && isatty(STDERR_FILENO));
}

int agents_progress_start(struct agents_progress *progress, const struct load_options *o, struct agent *agents,
                          const struct child_run *children, size_t count, int64_t start_us)
{
    *progress = (struct agents_progress){.agents = agents, .children = children, .count = count, .began = mono_now()};
    if (!agents_progress_wanted(o)) {
        return 0;
    }
    progress->heard = calloc(count, sizeof *progress->heard);
    progress->scratch = malloc(sizeof *progress->scratch);
    if (progress->heard == NULL || progress->scratch == NULL) {
        free(progress->heard);
        free(progress->scratch);
        progress->heard = NULL;
        progress->scratch = NULL;
        return -1;
    }
    progress->every_us = o->interval_us > 0 ? (int64_t)o->interval_us : TIMELINE_LENGTH_US_DEFAULT;
    progress->measure_us = start_us + (int64_t)o->warmup_us;
    progress->on_terminal = o->interval_us == 0;
    bool json = o->json != NULL && strcmp(o->json, "-") == 0;
    progress->out = progress->on_terminal || json ? stderr : stdout;
    for (size_t i = 0; i < AGENTS_PENDING; i++) {
        progress->pending[i].sum = INTERVAL_EMPTY;
    }
    return 0;
}

/* ---- the lines ---- */

static void print_first(struct agents_progress *p)
{
    struct agents_interval *first = &p->pending[0];
    char whose[64];
    size_t in_it = 0;
    uint64_t errors = 0;
    for (size_t i = 0; i < p->count; i++) {
        in_it += p->heard[i].any && p->heard[i].index >= p->next ? 1 : 0;
        errors += p->heard[i].errors;
    }
    (void)snprintf(whose, sizeof whose, "  agents=%zu/%zu", in_it, p->count);
    interval_unpack(&first->sum, p->scratch);
    int64_t covered_us = first->sum.covered_us > 0 ? first->sum.covered_us : p->every_us;
    struct progress_line line = {.at_s = mono_s_between(p->began, mono_now()),
                                 .seconds = (double)covered_us / 1e6,
                                 .load = first->load,
                                 .whose = whose,
                                 .sessions = first->sum.sessions,
                                 .handshakes = first->sum.handshakes,
                                 .echoes = first->sum.echoes,
                                 .bytes = first->sum.bytes,
                                 .errors = errors,
                                 .mean_us = -1.0,
                                 .h = first->without_latencies ? NULL : p->scratch};
    if (first->sum.echoes > 0) {
        line.mean_us = (double)first->latency_sum_us / (double)first->sum.echoes;
    }
    if (first->told) {
        progress_print(p->out, p->on_terminal, &line);
    }
    interval_free(&first->sum);
    memmove(p->pending, p->pending + 1, (AGENTS_PENDING - 1) * sizeof *first);
    p->pending[AGENTS_PENDING - 1] = (struct agents_interval){.sum = INTERVAL_EMPTY};
    p->next++;
}

/* How many of the intervals from `next` on have been told by somebody. */
static int64_t told_by_any(const struct agents_progress *p)
{
    int64_t count = 0;
    for (size_t i = 0; i < p->count; i++) {
        int64_t here = p->heard[i].any ? p->heard[i].index - p->next + 1 : 0;
        count = here > count ? here : count;
    }
    return count;
}

static bool told_by_all(const struct agents_progress *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->children[i].running && (!p->heard[i].any || p->heard[i].index < p->next)) {
            return false;
        }
    }
    return true;
}

static void print_whole(struct agents_progress *p)
{
    while (told_by_any(p) > 0) {
        int64_t late_us = p->measure_us + (p->next + 1) * p->every_us + PATIENCE_US;
        if (!told_by_all(p) && wall_us() < late_us) {
            return;
        }
        print_first(p);
    }
}

/* ---- what they tell ---- */

static void take(struct agents_progress *p, struct heard *heard, struct told *told)
{
    if (!p->any) {
        p->any = true;
        p->next = told->index;
    }
    if (told->index < p->next) {
        told->index = p->next; /* what is told late is shown late */
    }
    while (told->index - p->next >= AGENTS_PENDING && told_by_any(p) > 0) {
        print_first(p);
    }
    if (told->index - p->next >= AGENTS_PENDING) {
        p->next = told->index; /* and nothing was there between */
    }
    if (heard->any && heard->index == told->index) {
        told->interval.sessions = 0; /* are in it */
    }
    struct agents_interval *into = &p->pending[told->index - p->next];
    (void)interval_add(&into->sum, &told->interval, INTERVALS_BESIDE);
    into->latency_sum_us += told->latency_sum_us;
    into->told = true;
    into->load = into->load || told->load;
    into->without_latencies = into->without_latencies || told->interval.latency == NULL;
    *heard = (struct heard){.any = true, .index = told->index, .errors = told->errors};
}

static void keep(struct agent *agent, const char *line, size_t length)
{
    char *longer = realloc(agent->said, agent->said_length + length + 1);
    if (longer != NULL) {
        memcpy(longer + agent->said_length, line, length);
        agent->said = longer;
        agent->said_length += length;
        agent->said[agent->said_length] = '\0';
    }
}

/* A line with its end. */
static void take_line(struct agents_progress *p, size_t index, char *line, size_t length)
{
    struct told told = {.interval = INTERVAL_EMPTY};
    bool tells = length > strlen(TOLD_BEGIN) && memcmp(line, TOLD_BEGIN, strlen(TOLD_BEGIN)) == 0;
    line[length - 1] = '\0';
    if (tells && told_read(line, &told) == 0) {
        take(p, &p->heard[index], &told);
    } else {
        line[length - 1] = '\n';
        keep(&p->agents[index], line, length);
    }
    interval_free(&told.interval);
}

/* Whole lines; what is read is not kept, but for what is no progress. */
static void read_agent(struct agents_progress *p, size_t index)
{
    struct agent *agent = &p->agents[index];
    char text[LOOK_BYTES];
    ssize_t got;
    while ((got = pread(agent->complaints, text, sizeof text, agent->read_to)) > 0) {
        size_t length = (size_t)got;
        size_t at = 0;
        for (char *end; (end = memchr(text + at, '\n', length - at)) != NULL; at = (size_t)(end - text) + 1) {
            take_line(p, index, text + at, (size_t)(end - text) + 1 - at);
        }
        if (at == 0 && length == sizeof text) { /* no line of ours is so long */
            keep(agent, text, length);
            at = length;
        }
        if (at == 0) {
            break;
        }
        agent->read_to += (off_t)at;
    }
    if (agent->read_to > 0) {
        (void)fallocate(agent->complaints, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, agent->read_to);
    }
}

void agents_progress_look(void *progress)
{
    struct agents_progress *p = progress;
    for (size_t i = 0; p->heard != NULL && i < p->count; i++) {
        read_agent(p, i);
    }
    if (p->heard != NULL) {
        print_whole(p);
    }
}

void agents_progress_stop(struct agents_progress *p)
{
    if (p->heard == NULL) {
        return;
    }
    agents_progress_look(p);
    while (told_by_any(p) > 0) {
        print_first(p);
    }
    progress_print_end(p->out, p->on_terminal);
    free(p->heard);
    free(p->scratch);
    p->heard = NULL;
}
