/*
 * tools.h - room: the commands that work on finished results.
 *
 * compare, merge and ab, each in a file of its own; this header is what commands.h sees and what they share.
 */
#ifndef LOAD_TOOLS_TOOLS_H
#define LOAD_TOOLS_TOOLS_H

#include "load/result/result.h"
#include "sshecho/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TOOLS_OK = 0, TOOLS_WRONG = 1, TOOLS_USAGE = 2, TOOLS_REGRESSION = 99 };

/* The option tables of each, for --help and the tests. */
extern const struct option_table compare_option_table;
extern const struct option_table merge_option_table;

/* ab.c: takes the command line itself, since most of its words belong to the runs. */
extern const struct option_table ab_option_table;
int ab_run(int argc, char **argv);
/* ab.c: --repeat; argv is that of the whole program. Prints median and interval of each figure. Returns the exit code,
 * the worst of the runs. */
int repeat_run(const struct load_options *options, int argc, char **argv);

/* Each takes the parsed values of its table and the files named. Returns the exit code. */
int compare_run(const void *values, const struct string_list *files);
int merge_run(const void *values, const struct string_list *files);

/* Stands in a list of files where the command line has "--". */
#define TOOLS_BORDER "//--//"

/* compare.c: a set of runs, and how two of them are judged. */
struct compare_set {
    struct result *results; /* [count], owned */
    const char **names;     /* [count], for messages; the texts are the caller's */
    size_t count;
};
struct compare_rules {
    double tolerance;
    bool paired, differing, force;
    const char *json; /* NULL: none */
};
/* Returns an exit code, having complained; the set is to be freed in any case. */
int compare_set_load(struct compare_set *set, char *const *files, size_t count);
void compare_set_free(struct compare_set *set);
/* Prints B beside A. Runs that say little are dropped from the sets unless forced. Returns the exit code. */
int compare_judge(struct compare_set *a, struct compare_set *b, const struct compare_rules *rules);
/* "5%" or "5": 0.05. */
bool compare_parse_tolerance(const char *text, double *out);

/* merge.c: whether the options of two runs agree but for those in `apart` (NULL-terminated); false with a sentence. */
bool tools_options_match(const struct result *a, const struct result *b, const char *const *apart, char *reason,
                         size_t reason_size);

/* merge.c: whether `next` belongs to the same run as `into`; false with a sentence. */
bool merge_matches(const struct result *into, const struct result *next, char *reason, size_t reason_size);
/* merge.c: adds it, its series moved to where they began by the clock. 0, or -1 out of memory. */
int merge_add(struct result *into, struct result *next);

/* Reads the results, all of one mode. TOOLS_OK, or the exit code after a complaint; *out (tools_free) is set in any
 * case. */
int tools_load(const struct string_list *files, const char *command, struct result **out);
void tools_free(struct result *results, size_t count);

/* One line on stderr; returns code. */
int tools_complain(int code, const char *text);

#endif
