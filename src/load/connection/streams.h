/*
 * streams.h - room: all channels of one connection, asked together.
 *
 * Questions to an array of streams whose answer concerns the connection: is it well, is it done, is it late. Owns
 * nothing, changes nothing.
 */
#ifndef LOAD_CONNECTION_STREAMS_H
#define LOAD_CONNECTION_STREAMS_H

#include "load/connection/stream.h"
#include "load/tally/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the peer has closed every channel that was opened. */
bool streams_all_closed(const struct stream *streams, uint64_t count);
/* Whether no message is on its way, wholly or in part. */
bool streams_are_silent(const struct stream *streams, uint64_t count);
/* Whether a message has no answer yet, be it sent or not. */
bool streams_wait(const struct stream *streams, uint64_t count);
/* What the data callbacks found: FAULT_NONE, or what is wrong with one of them, with the words in `text`. An EOF alone
 * gets some patience if asked: exit status and CLOSE follow it as a rule, and tell more. */
enum fault streams_find_fault(const struct stream *streams, uint64_t count, bool patient, char *text, size_t size);
/* FAULT_ECHO_TIMEOUT and the words when the oldest message of one has waited longer than allowed, else FAULT_NONE. */
enum fault streams_find_late(const struct stream *streams, uint64_t count, int64_t now_ns, int64_t allowed_ns,
                             char *text, size_t size);
/* The first channel whose peer wrote something else where the first echo was due; NULL: none. */
const struct heard *streams_heard(const struct stream *streams, uint64_t count);
/* Each has said that it is done: by a CLOSE or, where it ended the connection before that, by EOF or exit status. */
bool streams_all_done(const struct stream *streams, uint64_t count);
/* The last exit status that a channel reported; -1: none. */
int streams_exit_status(const struct stream *streams, uint64_t count);
/* Messages of this connection that have been answered. */
uint64_t streams_messages_answered(const struct stream *streams, uint64_t count);
/* Messages of this connection that have been answered, or begun to be sent. */
uint64_t streams_messages(const struct stream *streams, uint64_t count);

#endif
