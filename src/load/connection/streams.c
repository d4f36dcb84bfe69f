#include "load/connection/streams.h"

#include <stdio.h>

bool streams_all_closed(const struct stream *streams, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (streams[i].handle != NULL && !streams[i].remote_closed) {
            return false;
        }
    }
    return true;
}

bool streams_are_silent(const struct stream *streams, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (streams[i].unsent != streams[i].head || streams[i].unsent_left > 0) {
            return false;
        }
    }
    return true;
}

bool streams_wait(const struct stream *streams, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (stream_waiting(&streams[i]) > 0) {
            return true;
        }
    }
    return false;
}

enum fault streams_find_fault(const struct stream *streams, uint64_t count, bool patient, char *text, size_t size)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct stream *stream = &streams[i];
        if (stream->mismatch) {
            (void)snprintf(text, size, "%s", stream->complaint != NULL ? stream->complaint : "wrong content");
            return FAULT_MISMATCH;
        }
        if (stream->remote_closed || (!patient && stream->remote_eof && !stream->one_way)) {
            (void)snprintf(text, size, "the peer ended channel %llu (exit status %d)",
                           (unsigned long long)stream->number, stream->exit_status);
            return FAULT_CLOSED;
        }
    }
    return FAULT_NONE;
}

enum fault streams_find_late(const struct stream *streams, uint64_t count, int64_t now_ns, int64_t allowed_ns,
                             char *text, size_t size)
{
    for (uint64_t i = 0; i < count; i++) {
        int64_t oldest_ns = stream_oldest_ns(&streams[i]);
        if (oldest_ns != INT64_MAX && now_ns - oldest_ns > allowed_ns) {
            (void)snprintf(text, size, "no echo on channel %llu for %.1f s", (unsigned long long)streams[i].number,
                           (double)(now_ns - oldest_ns) / (double)NS_PER_S);
            return FAULT_ECHO_TIMEOUT;
        }
    }
    return FAULT_NONE;
}

const struct heard *streams_heard(const struct stream *streams, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (streams[i].heard.words != NULL && !stream_has_echoed(&streams[i])) {
            return &streams[i].heard;
        }
    }
    return NULL;
}

bool streams_all_done(const struct stream *streams, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct stream *stream = &streams[i];
        if (stream->handle != NULL && !stream->remote_closed && !stream->remote_eof && stream->exit_status < 0) {
            return false;
        }
    }
    return true;
}

int streams_exit_status(const struct stream *streams, uint64_t count)
{
    int status = -1;
    for (uint64_t i = 0; i < count; i++) {
        status = streams[i].exit_status >= 0 ? streams[i].exit_status : status;
    }
    return status;
}

uint64_t streams_messages_answered(const struct stream *streams, uint64_t count)
{
    uint64_t messages = 0;
    for (uint64_t i = 0; i < count; i++) {
        messages += streams[i].completed;
    }
    return messages;
}

uint64_t streams_messages(const struct stream *streams, uint64_t count)
{
    uint64_t messages = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct stream *stream = &streams[i];
        messages += stream->completed + (stream->unsent - stream->head) + (stream->unsent_left > 0 ? 1 : 0);
    }
    return messages;
}
