#include "load/watch/watched.h"

#include <time.h>

static uint64_t live(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

void watched_count(const struct watched *watched, struct watched_counts *out)
{
    *out = (struct watched_counts){0};
    for (unsigned i = 0; i < watched->live_count; i++) {
        const struct tally_live *l = watched->lives[i];
        out->sessions += live(&l->sessions_up);
        out->handshakes += live(&l->handshakes);
        out->echoes += live(&l->echoes);
        out->bytes += live(&l->bytes);
        out->latency_sum_us += live(&l->latency_sum_us);
        out->errors += live(&l->errors);
        for (int fault = 0; fault < FAULT_COUNT; fault++) {
            out->faults[fault] += live(&l->faults[fault]);
        }
    }
}

static void put(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

void watched_tell(struct tally_live *live, const struct watched_counts *counts)
{
    put(&live->sessions_up, counts->sessions);
    put(&live->handshakes, counts->handshakes);
    put(&live->echoes, counts->echoes);
    put(&live->bytes, counts->bytes);
    put(&live->latency_sum_us, counts->latency_sum_us);
    put(&live->errors, counts->errors);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        put(&live->faults[fault], counts->faults[fault]);
    }
}

int64_t watched_measure_from_ns(const struct watched *watched)
{
    int64_t gate_ns = atomic_load((_Atomic int64_t *)watched->gate_ns);
    return gate_ns == 0 ? 0 : gate_ns + (int64_t)watched->settings->options.warmup_us * NS_PER_US;
}

double watched_cpu_s(const struct watched *watched)
{
    struct timespec used = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    double below_s = watched->cpu_us_below == NULL ? 0.0 : (double)live(watched->cpu_us_below) / 1e6;
    return below_s + (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}
