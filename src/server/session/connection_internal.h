/*
 * connection_internal.h - inside the room of connection.h: its life, what it is told, and its turns are files each.
 */
#ifndef SERVER_SESSION_CONNECTION_INTERNAL_H
#define SERVER_SESSION_CONNECTION_INTERNAL_H

#include "server/session/connection.h"
#include "server/session/farewell.h"
#include "server/session/reporting.h"

/* The one setter. Returns false, and changes nothing, for a transition that cannot be. */
bool connection_set_phase(struct connection *c, enum phase phase);

/* What its end, or a report, tells of it. */
struct farewell connection_facts(struct connection *c);
struct reporting connection_reporting(struct connection *c);

/* connection_events.c: gives the rooms of a connection what they may know and whom to tell, and libssh its callbacks.
 */
void connection_begin_rooms(struct connection *c);
void connection_set_callbacks(struct connection *c);

/* connection_turns.c */
extern const struct pump_owner connection_pump_owner;

#endif
