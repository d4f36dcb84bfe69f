/*
 * load_results.h - inside the unit tests: results to be judged, written, merged and compared.
 *
 * After cmocka.h. The caller frees what is filled.
 */
#ifndef TEST_UNIT_LOAD_RESULTS_H
#define TEST_UNIT_LOAD_RESULTS_H

#include <stdio.h>
#include <string.h>

#include "load/result/gate.h"
#include "load/result/result.h"

/* Latencies from first_us to last_us, each once, and one error, as shard `shard` of two. */
static inline void fill(struct result *result, uint64_t shard, int64_t first_us, int64_t last_us)
{
    assert_int_equal(result_init(result), 0);
    (void)snprintf(result->mode, sizeof result->mode, "ping");
    result->shard_index = shard;
    result->shard_count = 2;
    result->threads = 1;
    result->seconds = 10.0;
    result->started_at_us = 1000000000000000 + (int64_t)shard;
    result->about = json_pack("{s:{s:i, s:i, s:s}}", "options", "connections", 10, "threads", 1, "shard", "x");
    struct tally *tally = &result->tally;
    for (int64_t us = first_us; us <= last_us; us++) {
        histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), us);
        tally->started++;
        tally->ok++;
        tally->echoes++;
        tally->bytes += 64;
    }
    tally_second_at(tally, 3500000)->echoes = 7;
    fault_note(&tally->faults, FAULT_REFUSED, shard, "no");
}

static inline bool crossed(const char *text, const struct result *result)
{
    struct gate gate;
    char error[512];
    double actual;
    assert_int_equal(gate_parse(text, &gate, error, sizeof error), 0);
    return gate_is_crossed(&gate, result, &actual);
}

/* Remarks, one behind another, into 2,000 bytes. */
static inline void collect(const char *sentence, void *data)
{
    char *all = data;
    (void)strncat(all, sentence, 2000 - strlen(all));
}

#endif
