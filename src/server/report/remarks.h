/*
 * remarks.h - room: what of a client's behaviour is worth a remark.
 *
 * A short list of findings, each by a rule over what was measured (record.h) that a well-behaved client does not meet,
 * however slow it, its user or its network may be. Says what was measured and which clause speaks of it. Pure.
 */
#ifndef SERVER_REPORT_REMARKS_H
#define SERVER_REPORT_REMARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "server/report/record.h"

#define REMARK_TEXT_MAX 320

struct remark {
    const char *name; /* of remark_names */
    const char *clause;
    char why[REMARK_TEXT_MAX];
    unsigned channel; /* its number; 0: the connection's */
};

/* What the record does not hold. */
struct remark_facts {
    bool over;           /* the connection has ended */
    bool cut;            /* by the client, without SSH_MSG_DISCONNECT */
    bool overran_window; /* for this the server ended it */
    mono_time now;
    uint64_t bytes_under_key; /* from the client, with the keys in use */
};

/* All there are, ending in NULL. */
extern const char *const remark_names[];

/* Fills in at most `most`; returns how many there are. */
size_t remarks_find(const struct record *record, const struct remark_facts *facts, struct remark *out, size_t most);

/* Whether ssh-audit fails this name: a key exchange, host key algorithm, cipher or MAC. */
bool remarks_is_weak(struct kexinit_text name);

#endif
