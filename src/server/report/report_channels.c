/* Inside the room of report.h: what was observed of the channels. */
#include "server/report/report_parts.h"

static json_t *times_of(const struct record *record, const struct channel_record *channel)
{
    json_t *times = json_object();
    report_put(times, "channel", report_moment(record, channel->at.channel));
    report_put(times, "request", report_moment(record, channel->at.request));
    report_put(times, "first_data", report_moment(record, channel->at.first_data));
    report_put(times, "last_data", report_moment(record, record_last_data(channel)));
    report_put(times, "eof", report_moment(record, channel->at.eof));
    report_put(times, "close", report_moment(record, channel->at.close));
    return times;
}

static json_t *requests_of(const struct channel_record *channel)
{
    json_t *requests = json_array();
    for (unsigned i = 0; i < channel->requests && i < RECORD_REQUESTS; i++) {
        json_t *request = json_object();
        report_put(request, "name", json_string(record_request_names[channel->request[i]]));
        report_put(request, "granted", json_boolean((channel->granted & 1U << i) != 0));
        report_add(requests, request);
    }
    return requests;
}

static json_t *window_of(const struct record_window *window, mono_time now)
{
    json_t *out = json_object();
    int64_t shut_us = window->shut_us + (window->shut_at.ns != 0 ? mono_us_between(window->shut_at, now) : 0);
    if (!window->seen) {
        json_decref(out);
        return json_null();
    }
    report_put(out, "initial_bytes", report_number(window->initial));
    report_put(out, "least_bytes", report_number(window->least));
    report_put(out, "most_bytes", report_number(window->most));
    report_put(out, "adjustments", report_number(window->adjustments));
    report_put(out, "adjustments_when_empty", report_number(window->adjustments_at_empty));
    report_put(out, "adjusted_bytes", report_number(window->adjusted_bytes));
    report_put(out, "smallest_adjustment_bytes", report_number(window->smallest_adjustment));
    report_put(out, "largest_adjustment_bytes", report_number(window->largest_adjustment));
    report_put(out, "times_shut", report_number(window->shuts));
    report_put(out, "shut_us", report_number((uint64_t)shut_us));
    return out;
}

/* Only the buckets that have any. */
static json_t *sizes_of(const struct channel_record *channel)
{
    json_t *sizes = json_array();
    for (unsigned i = 0; i < RECORD_SIZES; i++) {
        if (channel->sizes[i] == 0) {
            continue;
        }
        json_t *bucket = json_object();
        report_put(bucket, "up_to_bytes",
                   i + 1 < RECORD_SIZES ? report_number(i == 0 ? 0 : UINT64_C(1) << (i - 1)) : json_null());
        report_put(bucket, "packets", report_number(channel->sizes[i]));
        report_add(sizes, bucket);
    }
    return sizes;
}

static json_t *received_of(const struct channel_record *channel)
{
    json_t *out = json_object();
    report_put(out, "bytes", report_number(channel->bytes_in));
    report_put(out, "stderr_bytes", report_number(channel->stderr_in));
    report_put(out, "packets", report_number(channel->packets_in));
    report_put(out, "sizes", sizes_of(channel));
    return out;
}

static json_t *sent_of(const struct channel_record *channel)
{
    json_t *out = json_object();
    report_put(out, "bytes", report_number(channel->bytes_out));
    report_put(out, "stderr_bytes", report_number(channel->stderr_out));
    report_put(out, "packets", report_number(channel->packets_out));
    report_put(out, "largest_packet_bytes", report_number(channel->largest_out));
    return out;
}

static json_t *channel_of(const struct report_view *view, const struct channel_record *channel)
{
    json_t *out = json_object();
    report_put(out, "number", report_number(channel->number));
    report_put(out, "service", report_words(channel->service));
    report_put(out, "when_us", times_of(view->record, channel));
    report_put(out, "requests", requests_of(channel));
    report_put(out, "requests_left_out",
               report_number(channel->requests > RECORD_REQUESTS ? channel->requests - RECORD_REQUESTS : 0));
    report_put(out, "window", window_of(&channel->window, view->now));
    report_put(out, "received", received_of(channel));
    report_put(out, "sent", sent_of(channel));
    report_put(out, "eof_received", json_boolean(channel->at.eof.ns != 0));
    report_put(out, "close_received", json_boolean(channel->at.close.ns != 0));
    report_put(out, "close_sent", json_boolean(channel->finished.ns != 0));
    report_put(out, "exit_status", channel->exit_status >= 0 ? json_integer(channel->exit_status) : json_null());
    report_put(out, "exit_signal", json_boolean(channel->killed));
    return out;
}

json_t *report_channels(const struct report_view *view)
{
    json_t *channels = json_array();
    for (const struct channel_record *channel = view->record->first; channel != NULL; channel = channel->next) {
        report_add(channels, channel_of(view, channel));
    }
    return channels;
}
