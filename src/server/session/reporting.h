/*
 * reporting.h - room: what a report is made of, from what a connection has.
 *
 * Gathers for report.h what stands in record, pump and farewell; takes all of it as arguments, keeps nothing.
 */
#ifndef SERVER_SESSION_REPORTING_H
#define SERVER_SESSION_REPORTING_H

#include "server/report/report.h"
#include "server/session/farewell.h"
#include "server/session/rekey.h"

struct reporting {
    const struct record *record;
    const struct pump *pump;
    const struct rekey *rekey;
    const char *host_keys, *compression; /* that the server offers */
    bool over;                           /* the connection is being closed */
    bool left;                           /* the client has ended TCP, or said that it would */
};

/* To be freed; NULL without memory. */
char *reporting_json(const struct farewell *facts, const struct reporting *reporting);
char *reporting_text(const struct farewell *facts, const struct reporting *reporting, bool terminal);

#endif
