/*
 * words.h - room: a command line of which some words are a command's own and the others those of a run.
 *
 * Owns the arrays, not the words.
 */
#ifndef LOAD_TOOLS_WORDS_H
#define LOAD_TOOLS_WORDS_H

#include "load/settings.h"
#include "sshecho/options.h"

#include <stddef.h>

struct words {
    char **items; /* ended by NULL */
    size_t count;
};

struct words_line {
    struct words ours; /* the command's name first */
    struct words runs;
};

/* Sorts argv by what the table knows. 0, or -1 out of memory; words_free in any case. */
int words_sort(const struct option_table *table, int argc, char **argv, struct words_line *out);
void words_free(struct words_line *line);

/* Reads the words of a run as a run would. `options` and `given` are to be freed with load_option_table, the items of
 * `targets` with free. 0, or -1 with a line. */
int words_read_run(const struct words *runs, struct load_options *options, struct option_state *given,
                   struct string_list *targets, struct option_error *error);

#endif
