/*
 * result_targets.h - room: the results of each target, in a result file and in the report.
 */
#ifndef LOAD_RESULT_RESULT_TARGETS_H
#define LOAD_RESULT_RESULT_TARGETS_H

#include "load/result/result.h"

#include <stdio.h>

/* NULL: there are none. */
json_t *result_targets_json(const struct result *result);
/* 0, or -1: what is there is not ours. */
int result_targets_read(struct by_target *all, json_t *document);
void result_targets_print(const struct result *result, FILE *out);

#endif
