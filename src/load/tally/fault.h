/*
 * fault.h - room: what can go wrong, by name.
 *
 * The classes that errors are counted in, and how a failure as libssh or the kernel words it maps to one. Pure; a
 * fault_log belongs to its owner (one per thread, merged at the end).
 */
#ifndef LOAD_TALLY_FAULT_H
#define LOAD_TALLY_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault {
    FAULT_REFUSED,           /* the target refused the TCP connection */
    FAULT_UNREACHABLE,       /* no route, network down, reset while connecting */
    FAULT_CONNECT_TIMEOUT,   /* no TCP connection in time */
    FAULT_LOCAL_LIMIT,       /* out of file descriptors, ports or memory on this side */
    FAULT_NOT_SSH,           /* something answered, but not with an SSH 2 version string */
    FAULT_HANDSHAKE_TIMEOUT, /* TCP stood, but no usable session in time */
    FAULT_KEY_EXCHANGE,      /* no common algorithm, or the exchange failed */
    FAULT_HOST_KEY,          /* the host key is not the one that was expected */
    FAULT_AUTHENTICATION,    /* the server let nothing in that we offered */
    FAULT_CHANNEL,           /* the channel was refused */
    FAULT_REQUEST,           /* the shell, command, subsystem or terminal was refused */
    FAULT_CLOSED,            /* the peer closed the connection or the channel too early */
    FAULT_PROTOCOL,          /* the peer broke the SSH protocol: bad packet, bad MAC */
    FAULT_MISMATCH,          /* a byte came back that is not what was sent */
    FAULT_ECHO_TIMEOUT,      /* a message was not answered in time */
    FAULT_CLOSE_TIMEOUT,     /* the peer did not answer our close in time */
    FAULT_NOT_ISSUED,        /* work that was due and never sent: no session, or too much outstanding */
    FAULT_INTERNAL,          /* ours: libssh refused a call that it should not */
    FAULT_COUNT,
    FAULT_NONE = FAULT_COUNT
};

/* Which step a connection was in, for messages and for classing. */
enum fault_phase {
    PHASE_TCP,
    PHASE_BANNER,
    PHASE_KEX,
    PHASE_AUTH,
    PHASE_CHANNEL,
    PHASE_FIRST_ECHO,
    PHASE_TRAFFIC,
    PHASE_CLOSE
};

#define FAULT_EXAMPLE_MAX 512

struct fault_log {
    uint64_t counts[FAULT_COUNT];
    char first[FAULT_COUNT][FAULT_EXAMPLE_MAX]; /* the first example of each; empty when there is none */
};

/* "refused", "connect-timeout", ...: the names in reports, JSON and the manual. */
const char *fault_name(enum fault fault);
const char *fault_phase_name(enum fault_phase phase);
/* The class with this name, or FAULT_NONE. */
enum fault fault_from_name(const char *name);
/* Whether an operation that ended so counts as timed out rather than failed. */
bool fault_is_timeout(enum fault fault);

/* For a connect(2) or socket(2) that failed with `error_number`. */
enum fault fault_from_errno(int error_number);
/* For a session that ended in `phase` with libssh's error text. `greeted`: an SSH version string had been received;
 * `got_bytes`: anything had. */
enum fault fault_from_session(enum fault_phase phase, const char *text, bool greeted, bool got_bytes);

/* Counts `times` faults; keeps the text when it is the first of its class. Unprintable bytes become '?'. */
void fault_note(struct fault_log *log, enum fault fault, uint64_t times, const char *example);
void fault_merge(struct fault_log *into, const struct fault_log *from);
uint64_t fault_total(const struct fault_log *log);

#endif
