/*
 * agents_parts.h - inside the room of agents.h: what its files share.
 */
#ifndef LOAD_CAMPAIGN_AGENTS_PARTS_H
#define LOAD_CAMPAIGN_AGENTS_PARTS_H

#include "load/campaign/children.h"
#include "load/settings.h"
#include "load/timeline/timeline.h"
#include "sshecho/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define AGENTS_MOST 256
#define AGENTS_SSH_WORDS 64

struct agent {
    const char *host;
    int output, complaints; /* files without a name; -1: none */
    char *said;             /* what was read of its complaints, but for its progress; owned; NULL: nothing */
    size_t said_length;
    off_t read_to;                   /* how far into its complaints */
    char *ssh[AGENTS_SSH_WORDS + 8]; /* what reaches it, ended by NULL: the texts are another's, but for the last */
    size_t ssh_count;
    char *command; /* the last of those words, for its shell; owned */
};

/* ---- words (agents_words.c) ---- */

/* Appends the word to the text (owned, NULL: empty) as a shell reads one word. 0, or -1 out of memory. */
int agents_quote(char **text, const char *word);
/* Puts the last line that ssh or the agent complained with into out; empty if there is none. */
void agents_last_words(const struct agent *agent, char *out, size_t size);
/* Prints what it complained with, the host before each line. */
void agents_print_complaints(const struct agent *agent);

/* ---- clocks (agents_clock.c) ---- */

/* Asks each for the time; *reach_us is how long it took to reach them all. 0; or an exit code, having said which does
 * not answer, or whose clock is off. */
int agents_measure_clocks(struct agent *agents, size_t count, const struct load_options *o, int64_t *reach_us);

/* ---- progress, while they run (agents_progress.c) ---- */

/* Intervals that some have told and not all. */
#define AGENTS_PENDING 32

struct agents_interval {
    struct interval sum;
    uint64_t latency_sum_us;
    bool told;                    /* by anybody: an index may be passed over */
    bool load, without_latencies; /* of any of them */
};

struct agents_progress {
    struct agent *agents;
    const struct child_run *children; /* [count], of the agents */
    struct heard *heard;              /* [count]; owned; NULL: nobody looks on */
    size_t count;
    struct agents_interval pending[AGENTS_PENDING]; /* of the intervals from `next` on */
    struct histogram *scratch;                      /* owned */
    int64_t next;
    bool any;                     /* has been told, so that `next` is known */
    int64_t every_us, measure_us; /* since 1970 */
    mono_time began;
    FILE *out;
    bool on_terminal;
};

/* Whether somebody wants to see it: the agents have to tell it then. */
bool agents_progress_wanted(const struct load_options *o);
/* 0, or -1 out of memory. */
int agents_progress_start(struct agents_progress *progress, const struct load_options *o, struct agent *agents,
                          const struct child_run *children, size_t count, int64_t start_us);
/* Takes what they have told, and prints what all have told. */
void agents_progress_look(void *progress);
/* Prints what is left, whoever has told it. */
void agents_progress_stop(struct agents_progress *progress);

#endif
