/*
 * percentiles.h - room: which percentiles a reader wants.
 *
 * "50,90,99,99.9" as a list of numbers, and "p99.9" as one. Pure.
 */
#ifndef LOAD_RESULT_PERCENTILES_H
#define LOAD_RESULT_PERCENTILES_H

#include <stdbool.h>
#include <stddef.h>

#define PERCENTILES_MAX 8
#define PERCENTILES_DEFAULT "50,90,99,99.9"

struct percentiles {
    size_t count;
    double values[PERCENTILES_MAX];
    char names[PERCENTILES_MAX][12]; /* "p99.9" */
};

/* The first `length` bytes of `text` as a percentile above 0 and up to 100, in plain decimals: "99.99". */
bool percentiles_parse_one(const char *text, size_t length, double *out);
/* A list of up to PERCENTILES_MAX; a 'p' before each is allowed. 0, or -1 with a sentence. */
int percentiles_parse(const char *text, struct percentiles *out, char *error, size_t error_size);

#endif
