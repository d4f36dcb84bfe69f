/*
 * report.h - room: the report on one client, as JSON (schema sshechod-report/1) and for people.
 *
 * Puts record, remarks and what libssh and the kernel know into words. Takes what it tells as arguments; keeps nothing.
 * What cannot be known is null, never guessed. Whatever a peer has sent becomes ASCII without control characters.
 */
#ifndef SERVER_REPORT_REPORT_H
#define SERVER_REPORT_REPORT_H

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/report/record.h"
#include "server/report/tcp_view.h"
#include "sshecho/net.h"

struct report_view {
    const struct record *record;
    ssh_session session;
    uint64_t id;
    const struct net_address *peer;
    const char *version_line;            /* NULL: has not come */
    const char *user, *method;           /* NULL: nobody has logged in */
    const char *host_keys, *compression; /* that the server offers */
    const char *phase;
    const char *reason;       /* of the end; NULL while it is open */
    const char *error;        /* NULL or empty: nothing went wrong */
    bool by_client, by_reset; /* it ended TCP; with a reset */
    bool overran_window;
    int64_t newkeys_us, login_us; /* -1: did not come so far */
    mono_time now;
    uint64_t channel_bytes_in, channel_bytes_out; /* data of all channels */
    uint64_t wire_bytes_in, wire_bytes_out;
    uint64_t bytes_under_key_in;
    struct tcp_view tcp;
};

/* One line of JSON, its end included; NULL without memory. To be freed. */
char *report_json(const struct report_view *view);
/* The same for people: lines that end in CR LF if `terminal`, else in LF. */
char *report_text(const struct report_view *view, bool terminal);

#endif
