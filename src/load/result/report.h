/*
 * report.h - room: the result, for people.
 *
 * A fixed block of text, a percentile file and the files of the intervals, both from struct result alone. Every word of
 * the block is defined in sshload(1). Owns nothing.
 */
#ifndef LOAD_RESULT_REPORT_H
#define LOAD_RESULT_REPORT_H

#include "load/result/result.h"

#include <stdio.h>

void report_print(const struct result *result, FILE *out);

/* The files that were asked for (NULL: not): the latency percentiles as HdrHistogram prints them, in milliseconds, for
 * its plotters; the intervals as its log, and as comma-separated values. 0, or -1 with a sentence. */
int report_save_files(const struct result *result, const char *hdr, const char *hlog, const char *csv, char *error,
                      size_t error_size);

/* "12,345,678"; returns buffer. */
const char *report_grouped(char *buffer, size_t size, uint64_t value);

#endif
