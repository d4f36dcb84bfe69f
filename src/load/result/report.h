/*
 * report.h - room: the result, for people.
 *
 * A fixed block of text and a percentile file, both from struct result alone. Every word of the block is defined in
 * sshload(1). Owns nothing.
 */
#ifndef LOAD_RESULT_REPORT_H
#define LOAD_RESULT_REPORT_H

#include "load/result/result.h"

#include <stdio.h>

void report_print(const struct result *result, FILE *out);

/* The latency percentiles as HdrHistogram prints them, in milliseconds, for its plotters. 0, or -1 with a sentence. */
int report_save_hdr(const struct result *result, const char *path, char *error, size_t error_size);

/* "12,345,678"; returns buffer. */
const char *report_grouped(char *buffer, size_t size, uint64_t value);

#endif
