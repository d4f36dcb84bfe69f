/*
 * disturb.h - room: what misbehaviour on request asks of a whole connection.
 *
 * A TCP reset, key re-exchanges when the client likes, a turn of the pump at a given time. Keeps a timer for the
 * latter; knows the pump, not the connection, which decides what becomes of it.
 */
#ifndef SERVER_SESSION_DISTURB_H
#define SERVER_SESSION_DISTURB_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "sshecho/pump.h"

struct disturb {
    struct pump *pump;
    ev_timer wake;              /* a turn is due */
    uint64_t rekey_interval_us; /* of the configuration */
    bool woken;                 /* since disturb_woken was asked */
    bool rekey_forced;          /* the interval is to be put back after the next re-exchange */
};

void disturb_init(struct disturb *disturb, struct pump *pump, uint64_t rekey_interval_us);
void disturb_end(struct disturb *disturb);

/* The socket, when it is closed, resets. */
void disturb_reset(struct disturb *disturb);
/* Keys are re-exchanged now, and after so many bytes. */
void disturb_rekey_every(struct disturb *disturb, uint64_t bytes);
/* A key re-exchange has ended. */
void disturb_after_rekey(struct disturb *disturb);
/* A turn of the pump after so long at the latest. */
void disturb_wake_after(struct disturb *disturb, int64_t us);
/* Whether such a turn has come since the last time of asking. */
bool disturb_woken(struct disturb *disturb);

#endif
