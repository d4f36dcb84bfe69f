/*
 * result_server.h - room: what an echo, a gigabyte, a handshake, a session cost the server.
 *
 * Made of a result whose server somebody looked at, for the report, the JSON and comparisons. Owns nothing.
 */
#ifndef LOAD_RESULT_RESULT_SERVER_H
#define LOAD_RESULT_RESULT_SERVER_H

#include "load/result/result.h"

/* Negative: not known, or a run of this mode says nothing about it. */
struct server_figure {
    const char *name; /* "server CPU us/echo" */
    const char *key;  /* of the JSON */
    double (*value)(const struct result *result);
    bool of_the_ramp; /* but in connect mode */
};
enum server_figure_name { SERVER_PER_ECHO, SERVER_PER_GB, SERVER_PER_HANDSHAKE, SERVER_PER_SESSION };
extern const struct server_figure server_figures[]; /* in this order */
extern const size_t server_figure_count;

/* Two parts of one run saw the same server, each as well as it could. */
void server_use_merge(struct server_use *into, const struct server_use *from);
/* NULL: nobody looked. */
json_t *server_use_json(const struct result *result);
/* 0, or -1: what is there is not ours. */
int server_use_read(struct server_use *use, json_t *document);
void server_use_print(const struct result *result, FILE *out);

#endif
