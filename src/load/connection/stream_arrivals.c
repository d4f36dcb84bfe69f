/* Inside the room of stream.h: what comes back, verified, timed and counted. */
#include "load/connection/stream_internal.h"

#include <stdio.h>
#include <string.h>

static bool in_measure(const struct stream_shared *shared, int64_t at_ns)
{
    return at_ns >= shared->measure_from_ns && at_ns < shared->measure_to_ns;
}

void stream_count_bytes(struct stream *stream, int64_t now_ns, uint64_t bytes)
{
    struct tally *tally = stream->shared->tally;
    tally_live_add(&tally->live.bytes, bytes);
    if (in_measure(stream->shared, now_ns)) {
        tally->bytes += bytes;
        stream->measured_bytes += bytes;
        if (stream->target != NULL) {
            stream->target->bytes += bytes;
        }
    }
    struct tally_second *second = tally_second_at(tally, (now_ns - stream->shared->measure_from_ns) / NS_PER_US);
    if (second != NULL) {
        second->bytes += bytes;
    }
}

static void count_for_target(struct stream *stream, const struct stream_message *message, int64_t now_ns)
{
    struct target_count *target = stream->target;
    target->echoes += in_measure(stream->shared, now_ns) ? 1 : 0;
    if (message->measured) {
        target->ok += stream->shared->messages_are_operations ? 1 : 0;
        if (!stream->one_way) {
            histogram_record(&target->latency, (now_ns - message->due_ns) / NS_PER_US);
        }
    }
}

void stream_complete(struct stream *stream, const struct stream_message *message, int64_t now_ns)
{
    stream->progress_ns = now_ns;
    if (message->greeting) {
        stream->greeted = true;
        return;
    }
    stream->completed++;
    if (stream->target != NULL) {
        count_for_target(stream, message, now_ns);
    }
    struct tally *tally = stream->shared->tally;
    const struct settings *settings = stream->shared->settings;
    int64_t latency_us = (now_ns - message->due_ns) / NS_PER_US;
    tally_live_add(&tally->live.echoes, 1);
    tally_live_add(&tally->live.latency_sum_us, (uint64_t)latency_us);
    if (message->measured) {
        tally->ok += stream->shared->messages_are_operations ? 1 : 0;
        tally_note_trend(tally, &settings->rate, (message->due_ns - stream->shared->measure_from_ns) / NS_PER_US,
                         (int64_t)settings->options.warmup_us, latency_us);
        if (!stream->one_way) {
            histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), latency_us);
            histogram_record(tally_histogram(tally, HISTOGRAM_UNCORRECTED), (now_ns - message->sent_ns) / NS_PER_US);
        }
    }
    if (in_measure(stream->shared, now_ns)) {
        tally->echoes++;
    }
    struct tally_second *second = tally_second_at(tally, (now_ns - stream->shared->measure_from_ns) / NS_PER_US);
    if (second != NULL) {
        second->echoes++;
        second->latency_sum_us += (uint64_t)latency_us;
        if ((uint64_t)latency_us > second->latency_max_us) {
            second->latency_max_us = (uint64_t)latency_us;
        }
    }
}

static void complain(struct stream *stream, const char *text)
{
    stream->mismatch = true;
    if (stream->complaint == NULL) {
        stream->complaint = strdup(text);
    }
}

static bool verify(struct stream *stream, const uint8_t *data, uint32_t size, bool bounded)
{
    const struct settings *settings = stream->shared->settings;
    char text[FAULT_EXAMPLE_MAX];
    if (bounded && stream->read + size > stream->written) {
        (void)snprintf(text, sizeof text,
                       "channel %llu: %llu bytes came back at offset %llu, where only %llu were sent",
                       (unsigned long long)stream->number, (unsigned long long)(stream->read + size),
                       (unsigned long long)stream->read, (unsigned long long)stream->written);
        complain(stream, text);
        return false;
    }
    if (!settings->options.verify) {
        return true;
    }
    size_t good = content_agreeing(settings->content, stream->seed, stream->read, data, size);
    if (good == size) {
        return true;
    }
    (void)snprintf(text, sizeof text, "channel %llu: offset %llu, expected 0x%02x, got 0x%02x",
                   (unsigned long long)stream->number, (unsigned long long)(stream->read + good),
                   *content_at(settings->content, stream->seed, stream->read + good), data[good]);
    complain(stream, text);
    return false;
}

static void take_messages(struct stream *stream, uint32_t size, int64_t now_ns)
{
    while (size > 0 && stream->head != stream->tail) {
        if (stream->head_left == 0) {
            stream->head_left = stream_message_at(stream, stream->head)->size;
        }
        uint32_t part = size < stream->head_left ? size : stream->head_left;
        stream->head_left -= part;
        size -= part;
        if (stream->head_left == 0) {
            const struct stream_message *message = stream_message_at(stream, stream->head);
            stream->head++;
            stream_complete(stream, message, now_ns);
        }
    }
}

static int on_data(ssh_session session, ssh_channel handle, void *data, uint32_t size, int is_stderr, void *userdata)
{
    (void)session;
    (void)handle;
    struct stream *stream = userdata;
    if (is_stderr != 0 && !stream_has_echoed(stream)) {
        heard_add(&stream->heard, data, size, mono_now().ns);
    }
    if (is_stderr != 0 || stream->mismatch) {
        return (int)size; /* the channel is finished anyway; a server's words on stderr are not the echo */
    }
    const struct load_options *o = &stream->shared->settings->options;
    bool down = o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN;
    if (stream->one_way) {
        return (int)size;
    }
    if (!verify(stream, data, size, !down)) {
        if (!stream_has_echoed(stream)) {
            heard_add(&stream->heard, data, size, mono_now().ns);
        }
        return (int)size;
    }
    stream->read += size;
    int64_t now_ns = mono_now().ns;
    stream_count_bytes(stream, now_ns, size);
    take_messages(stream, size, now_ns);
    return (int)size;
}

static void on_eof(ssh_session session, ssh_channel handle, void *userdata)
{
    (void)session;
    (void)handle;
    ((struct stream *)userdata)->remote_eof = true;
}

static void on_close(ssh_session session, ssh_channel handle, void *userdata)
{
    (void)session;
    (void)handle;
    ((struct stream *)userdata)->remote_closed = true;
}

static void on_exit_status(ssh_session session, ssh_channel handle, int status, void *userdata)
{
    (void)session;
    (void)handle;
    ((struct stream *)userdata)->exit_status = status;
}

void stream_set_callbacks(struct stream *stream)
{
    stream->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = stream,
        .channel_data_function = on_data,
        .channel_eof_function = on_eof,
        .channel_close_function = on_close,
        .channel_exit_status_function = on_exit_status,
    };
}
