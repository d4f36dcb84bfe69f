#include "load/connection/stream_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stream_init(struct stream *stream, struct stream_shared *shared, uint64_t number)
{
    *stream = (struct stream){.shared = shared, .number = number, .exit_status = -1};
}

void stream_free(struct stream *stream)
{
    free(stream->ring);
    free(stream->complaint);
    heard_forget(&stream->heard);
    stream->ring = NULL;
    stream->complaint = NULL;
}

/* ---- life ---- */

int stream_attach(struct stream *stream, struct pump *pump, ssh_channel handle, uint64_t generation)
{
    const struct load_options *o = &stream->shared->settings->options;
    stream->handle = handle;
    stream->pump = pump;
    stream->seed = plan_mix(o->seed ^ plan_mix(stream->number ^ (generation << 40)));
    stream->written = stream->read = stream->most_in_flight = 0;
    stream->head_left = stream->unsent_left = 0;
    stream->completed = 0;
    stream->progress_ns = mono_now().ns;
    stream->greeted = stream->remote_closed = stream->remote_eof = stream->mismatch = false;
    stream->exit_status = -1;
    stream->one_way = o->mode == MODE_STREAM && o->direction == DIRECTION_UP;
    free(stream->complaint);
    stream->complaint = NULL;
    heard_forget(&stream->heard);
    stream_set_callbacks(stream);
    ssh_callbacks_init(&stream->callbacks);
    return ssh_set_channel_callbacks(handle, &stream->callbacks) == SSH_OK ? 0 : -1;
}

static void count_lost(struct stream *stream, const struct stream_message *message, enum fault fault)
{
    struct tally *tally = stream->shared->tally;
    if (!message->measured || !stream->shared->messages_are_operations) {
        return;
    }
    if (fault_is_timeout(fault)) {
        tally->timed_out++;
    } else {
        tally->failed++;
    }
}

void stream_detach(struct stream *stream, enum fault fault, bool keep_unsent)
{
    stream->handle = NULL;
    stream->pump = NULL;
    if (stream->unsent_left > 0) {
        stream->unsent++; /* partly sent: the peer may have seen it */
        stream->unsent_left = 0;
    }
    for (; stream->head != stream->unsent; stream->head++) {
        count_lost(stream, stream_message_at(stream, stream->head), fault);
    }
    stream->head_left = 0;
    if (keep_unsent) {
        return;
    }
    for (; stream->head != stream->tail; stream->head++) {
        const struct stream_message *message = stream_message_at(stream, stream->head);
        count_lost(stream, message, FAULT_NOT_ISSUED);
        if (message->measured && stream->shared->messages_are_operations) {
            fault_note(&stream->shared->tally->faults, FAULT_NOT_ISSUED, 1,
                       "a message was due and its connection was gone");
        }
    }
    stream->unsent = stream->tail;
}

void stream_give_up(struct stream *stream)
{
    const struct stream_shared *shared = stream->shared;
    int64_t now_ns = mono_now().ns;
    for (; stream->head != stream->tail; stream->head++) {
        const struct stream_message *message = stream_message_at(stream, stream->head);
        if (message->measured && shared->messages_are_operations) {
            tally_give_up(shared->tally, message->due_ns, now_ns, shared->settings->rate.count > 0);
        }
    }
    stream->unsent = stream->tail;
    stream->head_left = stream->unsent_left = 0;
}

int64_t stream_oldest_ns(const struct stream *stream)
{
    if (stream->head == stream->tail) {
        return INT64_MAX;
    }
    const struct stream_message *message = stream_message_at(stream, stream->head);
    if (message->sent_ns != 0) {
        return message->sent_ns;
    }
    return message->due_ns > stream->progress_ns ? message->due_ns : stream->progress_ns;
}

/* ---- what goes out ---- */

bool stream_has_room(struct stream *stream)
{
    uint32_t waiting = stream_waiting(stream);
    if (waiting < stream->ring_size) {
        return true;
    }
    uint32_t size = stream->ring_size == 0 ? 1 : stream->ring_size * 2;
    if (size > STREAM_MESSAGES_MAX) {
        return false;
    }
    struct stream_message *larger = calloc(size, sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    for (uint32_t i = stream->head; i != stream->tail; i++) {
        larger[i & (size - 1)] = *stream_message_at(stream, i);
    }
    free(stream->ring);
    stream->ring = larger;
    stream->ring_size = size;
    return true;
}

bool stream_queue(struct stream *stream, int64_t due_ns, bool measured, bool greeting)
{
    if (!stream_has_room(stream)) {
        return false;
    }
    const struct settings *settings = stream->shared->settings;
    *stream_message_at(stream, stream->tail) = (struct stream_message){
        .due_ns = due_ns,
        .size = plan_size_of(&settings->size, settings->options.seed ^ stream->number, stream->issued),
        .measured = measured,
        .greeting = greeting,
    };
    stream->tail++;
    if (!greeting) {
        stream->issued++;
    }
    if (measured && stream->shared->messages_are_operations) {
        stream->shared->tally->started++;
    }
    return true;
}

/* Hands `size` bytes of the first unsent message to libssh. The books are made up before the call, since libssh may
 * read, and run our data callback, inside it. Returns how many were taken. */
static uint32_t write_part(struct stream *stream, uint32_t size)
{
    struct stream_message *message = stream_message_at(stream, stream->unsent);
    const struct settings *settings = stream->shared->settings;
    uint32_t before = stream->unsent_left;
    if (before == 0) {
        before = message->size;
        message->sent_ns = mono_now().ns;
    }
    const uint8_t *data = content_at(settings->content, stream->seed, stream->written);
    stream->unsent_left = before - size;
    stream->written += size;
    bool last = stream->unsent_left == 0;
    if (last) {
        stream->unsent++;
    }
    int rc = ssh_channel_write(stream->handle, data, size);
    uint32_t taken = rc > 0 ? (uint32_t)rc : 0;
    if (taken < size) {
        if (last) {
            stream->unsent--;
        }
        stream->unsent_left += size - taken;
        stream->written -= size - taken;
        if (stream->unsent_left == message->size) {
            stream->unsent_left = 0; /* not begun after all */
            message->sent_ns = 0;
        }
    }
    if (taken > 0) {
        pump_note_written(stream->pump, taken);
    }
    return taken;
}

static void finish_one_way(struct stream *stream, uint32_t taken)
{
    int64_t now_ns = mono_now().ns;
    stream_count_bytes(stream, now_ns, taken);
    while (stream->head != stream->unsent) {
        stream_complete(stream, stream_message_at(stream, stream->head), now_ns);
        stream->head++;
    }
}

static bool send_some(struct stream *stream, bool only_begun)
{
    struct tally *tally = stream->shared->tally;
    while (stream->unsent != stream->tail && stream->handle != NULL && !stream->mismatch) {
        if (only_begun && stream->unsent_left == 0) {
            return false;
        }
        if (stream->unsent_left == 0 && stream->unsent - stream->head >= stream->shared->outstanding_most) {
            return false; /* an answer makes room */
        }
        if (pump_pending_bytes(stream->pump) >= STREAM_OUTPUT_CAP) {
            tally->stops_at_output++;
            return true;
        }
        uint32_t window = ssh_channel_window_size(stream->handle);
        if (window == 0) {
            tally->stops_at_window++;
            return false;
        }
        uint32_t size = stream->unsent_left > 0 ? stream->unsent_left : stream_message_at(stream, stream->unsent)->size;
        size = size < window ? size : window;
        size = size < CONTENT_RUN_MAX ? size : (uint32_t)CONTENT_RUN_MAX;
        uint32_t taken = write_part(stream, size);
        if (stream->one_way && taken > 0) {
            finish_one_way(stream, taken);
        }
        if (stream->written - stream->read > stream->most_in_flight) {
            stream->most_in_flight = stream->written - stream->read;
        }
        if (taken < size) {
            tally->messages_rekeyed++;
            return false;
        }
    }
    return false;
}

bool stream_send(struct stream *stream)
{
    return send_some(stream, false);
}

bool stream_send_begun(struct stream *stream)
{
    return send_some(stream, true);
}
