/*
 * tools.h - room: the commands that work on finished results.
 *
 * compare, merge and plot, each in a file of its own; this header is what main sees and what they share.
 */
#ifndef LOAD_TOOLS_TOOLS_H
#define LOAD_TOOLS_TOOLS_H

#include "load/result/result.h"
#include "sshecho/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TOOLS_OK = 0, TOOLS_WRONG = 1, TOOLS_USAGE = 2, TOOLS_REGRESSION = 99 };

bool tools_is_command(const char *word);
/* argv[0] is the command. Returns the exit code. */
int tools_run(int argc, char **argv);

/* The option tables of the three, for --help and the tests. */
extern const struct option_table compare_option_table;
extern const struct option_table merge_option_table;
extern const struct option_table plot_option_table;

/* Each takes the parsed values of its table and the files named. Returns the exit code. */
int compare_run(const void *values, const struct string_list *files);
int merge_run(const void *values, const struct string_list *files);
int plot_run(const void *values, const struct string_list *files);

/* compare.c: prints A beside B and returns how many figures of B are worse by more than `tolerance` (0.1 is 10 %). */
unsigned compare_results(const struct result *a, const struct result *b, double tolerance, FILE *out);
/* merge.c: whether `next` belongs to the same run as `into`; false with a sentence. */
bool merge_matches(const struct result *into, const struct result *next, char *reason, size_t reason_size);
/* merge.c: adds it. 0, or -1 out of memory. */
int merge_add(struct result *into, const struct result *next);

/* One line on stderr; returns code. */
int tools_complain(int code, const char *text);

#endif
