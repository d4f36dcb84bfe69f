/*
 * find_step.h - inside the room of campaign.h: one step of a find, a run at one level, and what is said of all of them.
 *
 * find.c asks, find_step.c runs and judges, find_answer.c says what came of it.
 */
#ifndef LOAD_CAMPAIGN_FIND_STEP_H
#define LOAD_CAMPAIGN_FIND_STEP_H

#include "load/campaign/search.h"
#include "load/result/gate.h"
#include "load/result/result.h"
#include "load/tools/words.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum find_by { FIND_RATE, FIND_SESSIONS, FIND_HANDSHAKES };
enum find_limit { FIND_LIMIT_NONE, FIND_LIMIT_SLO, FIND_LIMIT_SERVER, FIND_LIMIT_GENERATOR };
extern const char *const find_by_names[];    /* ends with NULL */
extern const char *const find_limit_names[]; /* NULL for none */

#define FIND_PROMISES 16

struct find_question {
    enum find_by by;
    struct gate promises[FIND_PROMISES];
    const struct string_list *texts; /* of the promises */
    double percentile;               /* that is shown, */
    bool asks_percentile;            /* and, if a promise is about it, that a step must be long enough for */
    enum tally_histogram histogram;  /* it is of */
    const struct words *runs;
    const struct load_options *options; /* of the runs, for what they do not leave to us */
    bool duration_given, warmup_given, mode_given;
    const char *directory;
};

struct find_step {
    uint64_t level;
    enum search_purpose purpose;
    bool kept;
    enum find_limit limit; /* why not */
    char reason[256];      /* in words; empty when kept */
    double latency_us;     /* NAN: none was measured */
    double seconds, offered_per_s, achieved_per_s;
    uint64_t samples;
    bool client_bound;
    double server_cost; /* of find_server_figure; negative: not known */
    json_t *result;     /* its summary; owned */
};

/* Runs at step->level. 0; 1: told to stop; -1: nothing can be found (a line has been said). */
int find_step_run(const struct find_question *question, struct find_step *step);

/* What of the server's side belongs to the question: CPU per echo or handshake, memory per session. */
const struct server_figure *find_server_figure(const struct find_question *question);

struct find_answer {
    const struct find_question *question;
    const struct search *search;
    const struct find_step *steps;
    size_t count;
    bool interrupted;
};

/* Sentence, table and curve; and the same for programs, a new document. */
void find_answer_print(const struct find_answer *answer, FILE *out);
json_t *find_answer_json(const struct find_answer *answer);

#endif
