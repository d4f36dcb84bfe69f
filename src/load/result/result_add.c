#include "load/result/result_add.h"

#include "load/result/result_server.h"

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The series of both count from the same instant: the start of what began first. */
static int align(struct result *into, struct result *next)
{
    int64_t later_us = next->started_at_us - into->started_at_us;
    struct result *late = later_us > 0 ? next : into;
    uint64_t apart_us = (uint64_t)(later_us > 0 ? later_us : -later_us);
    return tally_delay(&late->tally, (size_t)((apart_us + US_PER_S / 2) / US_PER_S));
}

/* From the first start to the last end. */
static double measured_together_s(const struct result *a, const struct result *b)
{
    double later_s = (double)(b->started_at_us - a->started_at_us) / 1e6;
    double end_s = larger(a->seconds, later_s + b->seconds);
    return end_s - (later_s < 0.0 ? later_s : 0.0);
}

int result_add(struct result *into, struct result *next)
{
    if (timeline_merge(&into->timeline, &next->timeline, next->started_at_us - into->started_at_us) != 0 ||
        align(into, next) != 0) {
        return -1;
    }
    into->threads += next->threads;
    into->processes += next->processes;
    into->ramp_s = larger(into->ramp_s, next->ramp_s);
    into->wait_s = larger(into->wait_s, next->wait_s);
    into->warmup_s = larger(into->warmup_s, next->warmup_s);
    into->seconds = measured_together_s(into, next);
    into->drain_s = larger(into->drain_s, next->drain_s);
    into->interrupted = into->interrupted || next->interrupted;
    if (next->start_skew_us != RESULT_SKEW_NONE && next->start_skew_us > into->start_skew_us) {
        into->start_skew_us = next->start_skew_us;
    }
    if (next->started_at_us < into->started_at_us) {
        into->started_at_us = next->started_at_us;
    }
    server_use_merge(&into->server, &next->server);
    return tally_merge(&into->tally, &next->tally);
}
