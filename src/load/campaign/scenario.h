/*
 * scenario.h - room: what a scenario file says.
 *
 * Lines of `key value` (or `key = value`) as in every file of the project: first what all groups have, then blocks that
 * `group NAME` begins. Keys are the options of a run, and `target`. Owns the words that it makes; touches no network.
 */
#ifndef LOAD_CAMPAIGN_SCENARIO_H
#define LOAD_CAMPAIGN_SCENARIO_H

#include "sshecho/options.h"

#include <stddef.h>

#define SCENARIO_GROUPS 32

struct scenario_group {
    char name[64];
    char **words; /* of its run: what all have, then its own; owned */
    size_t count;
    size_t targets;
};

struct scenario {
    struct scenario_group shared; /* what stands above the first group */
    struct scenario_group groups[SCENARIO_GROUPS];
    size_t count;
};

/* 0, or -1 with file, line, key and what is allowed. scenario_free in any case. */
int scenario_load(struct scenario *scenario, const char *path, struct option_error *error);
void scenario_free(struct scenario *scenario);
/* Adds a copy of the word. 0, or -1 out of memory. */
int scenario_add_word(struct scenario_group *group, const char *word);

#endif
