#include "load/result/verdict.h"

#include "load/tally/printable.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Above this share of a core, over the whole run, a thread of the generator was busy enough to be the limit. */
#define CPU_BOUND 0.9
/* Of the tenths of a second, so many may be that busy before the p99 may be theirs. */
#define BUSY_WINDOWS_SHARE 0.01
/* Runnable and without a CPU; taken away by a quota; taken away by a hypervisor: shares of the time. */
#define RUN_DELAY_BOUND 0.10
#define THROTTLED_BOUND 0.01
#define STEAL_BOUND 0.05

/* A plan whose operations start this late, and no small part of the latency, is not the plan that was asked for. */
#define SLIP_BOUND_US 1000.0
#define SLIP_BOUND_SHARE 0.25

/* Lost operations; and a latency that grows steadily, by more than noise, and by more than a hiccup of one moment. */
#define LOST_MOST_ONE_IN 100 /* in whole numbers: x87 knows 0.01 better than a double does */
#define SLOPE_MOST 0.02
#define RISE_LEAST_S 0.010
#define FIT_LEAST 0.5

/* ---- the offered load ---- */

/* Least squares of the latency over the due time. *fit is the share of the variance that the line explains. */
static double slope(const struct tally_trend *t, double *fit)
{
    double n = (double)t->count;
    double sxx = t->count < 3 ? 0.0 : t->xx - t->x * t->x / n;
    double sxy = t->count < 3 ? 0.0 : t->xy - t->x * t->y / n;
    double syy = t->count < 3 ? 0.0 : t->yy - t->y * t->y / n;
    *fit = sxx > 0.0 && syy > 0.0 ? sxy * sxy / (sxx * syy) : 0.0;
    return sxx > 0.0 ? sxy / sxx : 0.0;
}

static bool is_growth(double slope, double fit, double seconds)
{
    return slope > SLOPE_MOST && fit > FIT_LEAST && slope * seconds > RISE_LEAST_S;
}

/* For how long things were due, from how far their due times lie about the middle. */
static double length_of(const struct tally_trend *t)
{
    double n = (double)t->count;
    return t->count < 3 ? 0.0 : sqrt(12.0 * fmax(t->xx - t->x * t->x / n, 0.0) / n);
}

struct verdict_offered verdict_offered(const struct result *result)
{
    const struct tally *t = &result->tally;
    struct verdict_offered v = {.sustained = true, .slice = -1};
    if (!t->rated || t->started == 0 || result->seconds <= 0.0) {
        return v;
    }
    double fit = 0.0;
    v.judged = true;
    v.per_s = (double)t->started / result->seconds;
    v.achieved_per_s = (double)t->ok_in_time / result->seconds;
    v.backlog = t->backlog;
    v.latency_slope = slope(&t->trend, &fit);
    uint64_t lost = t->failed + t->timed_out + t->unfinished;
    v.lost = (double)lost / (double)t->started;
    bool grows = false;
    if (t->slice_count == 0) {
        grows = is_growth(v.latency_slope, fit, result->seconds);
    }
    /* What a spike piles up may be gone before the end: each slice of a profile is looked at by itself. */
    for (unsigned i = 0; i < t->slice_count && !grows; i++) {
        double rise = slope(&t->slices[i], &fit);
        grows = is_growth(rise, fit, length_of(&t->slices[i]));
        v.slice = grows ? (int)i : -1;
        v.latency_slope = grows ? rise : v.latency_slope;
    }
    v.sustained = lost * LOST_MOST_ONE_IN <= t->started && !grows;
    return v;
}

/* ---- the generator ---- */

static bool is_late(const struct result *result)
{
    struct result_figures slip = result_figures_of(tally_histogram(&result->tally, HISTOGRAM_SLIP));
    struct result_figures latency = result_figures_of(tally_histogram(&result->tally, HISTOGRAM_LATENCY));
    return result->open_loop && slip.count > 0 && slip.p99 > SLIP_BOUND_US && slip.p99 > SLIP_BOUND_SHARE * latency.p99;
}

unsigned verdict_client_bound(const struct result *result, void (*say)(const char *sentence, void *data), void *data)
{
    const struct tally *t = &result->tally;
    const struct tally_pressure *p = &t->pressure;
    char text[256];
    unsigned reasons = 0;
#define REASON(holds, ...)                                                                                             \
    do {                                                                                                               \
        if (holds) {                                                                                                   \
            reasons++;                                                                                                 \
            (void)snprintf(text, sizeof text, "client-bound: " __VA_ARGS__);                                           \
            if (say != NULL) {                                                                                         \
                say(text, data);                                                                                       \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
    REASON(t->busiest_thread_cpu > CPU_BOUND,
           "a generator thread used %.0f %% of a core, so the server may be faster than this; use more threads or "
           "machines",
           t->busiest_thread_cpu * 100.0);
    REASON(t->busiest_thread_cpu <= CPU_BOUND && (double)p->busy_windows > BUSY_WINDOWS_SHARE * (double)p->windows,
           "a generator thread used up to %.0f %% of a core, in %llu of %llu tenths of a second over 90 %%, and "
           "answered late then",
           p->busiest_window_cpu * 100.0, (unsigned long long)p->busy_windows, (unsigned long long)p->windows);
    REASON(is_late(result), "operations started late (see schedule slip), so the rate was not what was asked for");
    REASON(p->run_delay > RUN_DELAY_BOUND,
           "a generator thread waited for a CPU for %.0f %% of the time; give it a core of its own",
           p->run_delay * 100.0);
    REASON(p->throttled > THROTTLED_BOUND,
           "the CPU quota of its control group held the generator back for %.0f %% of the time", p->throttled * 100.0);
    REASON(p->steal > STEAL_BOUND, "the hypervisor took %.0f %% of this machine's CPU time away", p->steal * 100.0);
#undef REASON
    return reasons;
}

/* ---- in words ---- */

/* The part of the profile that the slice belongs to, in the words of whoever asked for it. */
static const char *profile_part(const struct result *result, int slice, char buffer[96])
{
    struct plan_rate rate;
    const char *text = json_string_value(json_object_get(json_object_get(result->about, "options"), "rate"));
    if (text == NULL || plan_rate_parse(text, &rate, (char[480]){0}, 480) != 0) {
        return "?";
    }
    unsigned part = plan_rate_part_of(&rate, (unsigned)slice);
    for (; part > 0 && strchr(text, ',') != NULL; part--) {
        text = strchr(text, ',') + 1;
    }
    (void)snprintf(buffer, 96, "%s%.*s", part > 0 ? "after " : "", (int)strcspn(text + strspn(text, " "), ","),
                   text + strspn(text, " "));
    return printable_mend(buffer), buffer;
}

bool verdict_is_client_bound(const struct result *result)
{
    return verdict_client_bound(result, NULL, NULL) > 0;
}

bool verdict_is_sustained(const struct result *result)
{
    return verdict_offered(result).sustained;
}

const char *verdict_unfit(const struct result *result)
{
    if (result->tally.started == 0) {
        return "nothing was measured";
    }
    if (result->interrupted) {
        return "interrupted";
    }
    if (result->tally.unfinished > 0) {
        return "unfinished";
    }
    if (verdict_is_client_bound(result)) {
        return "client-bound";
    }
    return verdict_is_sustained(result) ? NULL : "its load was not sustained";
}

void verdict_remarks(const struct result *result, void (*say)(const char *sentence, void *data), void *data)
{
    const struct tally *t = &result->tally;
    char text[400];
    (void)verdict_client_bound(result, say, data);
    struct verdict_offered offered = verdict_offered(result);
    if (!offered.sustained) {
        char part[128] = "";
        if (offered.slice >= 0) {
            (void)snprintf(part, sizeof part, " in \"%s\"", profile_part(result, offered.slice, (char[96]){0}));
        }
        (void)snprintf(text, sizeof text,
                       "not sustained: of %.1f/s offered %.1f/s were answered in time, %.1f %% never, and the latency "
                       "grew by %.1f ms each second%s; the percentiles would be others in a longer run",
                       offered.per_s, offered.achieved_per_s, offered.lost * 100.0, offered.latency_slope * 1e3, part);
        say(text, data);
    }
    if (result_is_window_limited(result)) {
        (void)snprintf(text, sizeof text,
                       "window-limited: the channel windows allow about %.1f MB/s at this round-trip time; use more "
                       "channels or connections",
                       t->window_limit_bytes_per_s / 1e6);
        say(text, data);
    }
    if (t->faults.counts[FAULT_LOCAL_LIMIT] > 0) {
        say("local-limit: this machine ran out of file descriptors, ports or memory; raise ulimit -n, or use --bind "
            "with "
            "several addresses",
            data);
    }
    if (t->unfinished > 0) {
        (void)snprintf(text, sizeof text, "unfinished: %llu operations had no answer when the drain time was over",
                       (unsigned long long)t->unfinished);
        say(text, data);
    }
    if (t->started == 0) {
        say("nothing was measured: the run ended before any operation", data);
    }
    if (result->interrupted) {
        say("interrupted: the measurement was ended by a signal; the figures cover what ran", data);
    }
    if (!result_adds_up(result)) {
        say("inconsistent: started is not ok + failed + timed out + unfinished; please report this as a defect", data);
    }
}
