/*
 * stream_internal.h - inside the room of stream.h: what its files know of one another.
 *
 * stream.c queues and sends; stream_arrivals.c takes what comes back.
 */
#ifndef LOAD_CONNECTION_STREAM_INTERNAL_H
#define LOAD_CONNECTION_STREAM_INTERNAL_H

#include "load/connection/stream.h"

static inline struct stream_message *stream_message_at(const struct stream *stream, uint32_t sequence)
{
    return &stream->ring[sequence & (stream->ring_size - 1)];
}

/* Bytes have come back (or gone, where nothing comes back). */
void stream_count_bytes(struct stream *stream, int64_t now_ns, uint64_t bytes);
/* The last byte of this message has. */
void stream_complete(struct stream *stream, const struct stream_message *message, int64_t now_ns);
/* What libssh is to call for this channel. */
void stream_set_callbacks(struct stream *stream);

#endif
