/*
 * result.h - room: the outcome of a run, and its JSON.
 *
 * One struct from which everything that is said about a run is made: the report, the JSON file, the HDR file, gates,
 * comparisons, merges and plots. The owner calls result_free. Reading checks everything that it takes from a file.
 */
#ifndef LOAD_RESULT_RESULT_H
#define LOAD_RESULT_RESULT_H

#include "load/result/server_use.h"
#include "load/settings.h"
#include "load/tally/tally.h"
#include "load/timeline/timeline.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define RESULT_SCHEMA "sshload/1"
#define RESULT_SKEW_NONE INT64_MIN

struct result {
    struct tally tally;
    struct timeline timeline; /* empty: an old file, or nobody wanted it */
    char mode[16];
    bool open_loop;
    bool interrupted;
    char label[128];       /* empty: none */
    int64_t started_at_us; /* since 1970: when traffic began */
    int64_t start_skew_us; /* later than --start-at asked; RESULT_SKEW_NONE without it */
    uint64_t threads, processes;
    uint64_t shard_index, shard_count;         /* of the run; index from 1, 0 after a merge */
    uint64_t shards_merged;                    /* results in this one: 1, or more after a merge */
    double ramp_s, warmup_s, seconds, drain_s; /* lengths of the phases; seconds is the measurement */
    double wait_s;                             /* between ramp and traffic, for --start-at or for other shards */
    struct server_use server;
    json_t *about; /* owned: program, command, options, targets, environment; what no figure depends on */
};

/* A latency's figures; all but count are meaningless when count is 0. */
struct result_figures {
    uint64_t count;
    double p50, p90, p99, p99_9, max, mean;
};

int result_init(struct result *result); /* 0, or -1 out of memory */
void result_free(struct result *result);

double result_echoes_per_s(const struct result *result);
double result_mb_per_s(const struct result *result);
double result_handshakes_per_s(const struct result *result);
uint64_t result_errors(const struct result *result);
struct result_figures result_figures_of(const struct histogram *histogram);
/* Windows and round-trip time explain the throughput: nobody was busy. */
bool result_is_window_limited(const struct result *result);
/* Whether started = ok + failed + timed_out + unfinished. */
bool result_adds_up(const struct result *result);
/* Something went wrong in the run, or nothing was measured: exit code 1. */
bool result_is_bad(const struct result *result);

/* A new reference, or NULL out of memory. */
json_t *result_to_json(const struct result *result);
/* 0, or -1 with a sentence that says what is wrong with the document. result_init is done inside. */
int result_from_json(struct result *result, json_t *document, char *error, size_t error_size);

/* With the file name in the sentence; "-" is stdout. Written to a temporary file and renamed. */
int result_save(const struct result *result, const char *path, char *error, size_t error_size);
int result_save_document(json_t *document, const char *path, char *error, size_t error_size);
int result_load(struct result *result, const char *path, char *error, size_t error_size);

/* Description of this program and machine and of what was asked, for `about`. */
json_t *result_about(const struct settings *settings, int argc, char **argv);

#endif
