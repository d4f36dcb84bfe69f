#include "server/report/record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 255

const char *const record_methods[] = {"none",  "password", "publickey", "keyboard-interactive", "gssapi-with-mic",
                                      "other", NULL};
#define METHOD_OTHER 5

const char *const record_request_names[RECORD_REQUEST_KINDS] = {"pty-req",   "env",           "shell",  "exec",
                                                                "subsystem", "window-change", "signal", "other"};

void record_begin(struct record *record, mono_time accepted_at, bool wanted)
{
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    *record = (struct record){.accepted_at = accepted_at,
                              .accepted_wall_us = (int64_t)wall.tv_sec * US_PER_S + wall.tv_nsec / NS_PER_US,
                              .least_rekey_bytes = UINT64_MAX,
                              .wanted = wanted};
}

void record_end(struct record *record)
{
    for (struct channel_record *channel = record->first, *next = NULL; channel != NULL; channel = next) {
        next = channel->next;
        free(channel);
    }
    record->first = record->last = record->first_gone = record->last_gone = NULL;
    free(record->rekeys);
    record->rekeys = NULL;
    offer_drop(record->offer);
    record->offer = NULL;
}

void record_progress(struct record *record, float status)
{
    if (record->version_line.ns == 0 && status >= 0.45F) {
        record->version_line = mono_now();
    }
    if (record->kexinit.ns == 0 && status >= 0.55F) {
        record->kexinit = mono_now();
    }
}

void record_arrived(struct record *record, const struct kexinit *kexinit)
{
    struct kexinit_text offer;
    if (kexinit->line_bytes > 0) {
        record->version_seen = true;
        record->version_faults = (uint8_t)record_version_faults((const char *)kexinit->bytes, kexinit->line_bytes);
    }
    if (record->offer == NULL && kexinit_offer(kexinit, &offer)) {
        record->offer = offer_take(offer);
    }
}

/* RFC 4253, 4.2: SSH-protoversion-softwareversion SP comments CR LF. */
unsigned record_version_faults(const char *line, size_t size)
{
    static const char head[] = "SSH-2.0-";
    unsigned faults = size > LINE_MAX_BYTES ? VERSION_LONG : 0;
    size_t length = size;
    if (length > 0 && line[length - 1] == '\n') {
        length--;
    }
    if (length > 0 && line[length - 1] == '\r') {
        length--;
    } else {
        faults |= VERSION_NO_CR;
    }
    if (length < sizeof head - 1 || memcmp(line, head, sizeof head - 1) != 0) {
        return faults | VERSION_PROTOCOL;
    }
    bool in_version = true;
    for (size_t i = sizeof head - 1; i < length; i++) {
        in_version = in_version && line[i] != ' ';
        if (line[i] < ' ' || line[i] > '~') {
            faults |= VERSION_CHARACTERS;
        } else if (in_version && line[i] == '-') {
            faults |= VERSION_MINUS;
        }
    }
    if (length == sizeof head - 1 || line[sizeof head - 1] == ' ') {
        faults |= VERSION_EMPTY;
    }
    return faults;
}

/* ---- login ------------------------------------------------------------------------------------------------------- */

void record_login_key(struct record *record, int key_type, bool is_signed)
{
    record->key = (int8_t)key_type;
    record->is_signed = is_signed;
}

void record_login(struct record *record, const char *method, enum record_outcome outcome)
{
    unsigned at = 0;
    while (at < METHOD_OTHER && strcmp(record_methods[at], method) != 0) {
        at++;
    }
    record->none_tried = record->none_tried || at == 0;
    record->keys_refused += record->key != 0 && outcome == RECORD_REFUSED ? 1 : 0;
    if (record->try_count < RECORD_TRIES) {
        record->tries[record->try_count] = (struct record_try){
            .method = (uint8_t)at, .key = record->key, .outcome = (uint8_t)outcome, .is_signed = record->is_signed};
    }
    record->try_count++;
    record->key = 0;
    record->is_signed = false;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

void record_rekey_begins(struct record *record, mono_time now)
{
    record->rekey_began = now;
}

void record_rekey_done(struct record *record, bool ours, uint64_t bytes_in, uint64_t bytes_out, mono_time now)
{
    if (record->rekeys == NULL) {
        record->rekeys = calloc(RECORD_REKEYS, sizeof *record->rekeys);
    }
    if (record->rekeys != NULL && record->rekey_count < RECORD_REKEYS) {
        record->rekeys[record->rekey_count] =
            (struct record_rekey){.at = record->rekey_began,
                                  .bytes_in = bytes_in,
                                  .bytes_out = bytes_out,
                                  .took_us = mono_us_between(record->rekey_began, now),
                                  .ours = ours};
    }
    record->rekey_count++;
    if (!ours) {
        record->client_rekeys++;
        if (bytes_in + bytes_out < record->least_rekey_bytes) {
            record->least_rekey_bytes = bytes_in + bytes_out;
            record->least_rekey_us = mono_us_between(record->keys_at, record->rekey_began);
        }
    }
    if (bytes_in > record->most_bytes_under_key) {
        record->most_bytes_under_key = bytes_in;
    }
    record->keys_at = now;
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

void record_turned(struct record *record, uint64_t wire_in, uint64_t packets_in, uint64_t wire_in_before)
{
    bool completed = packets_in != record->packets_mark;
    record->packets_mark = packets_in;
    if (wire_in == wire_in_before) {
        return;
    }
    if (completed) {
        if (record->piece_at.ns != 0 && wire_in - record->piece_mark <= RECORD_PIECES_BYTES) {
            int64_t wait_us = mono_us_between(record->piece_at, mono_now());
            if (wait_us >= RECORD_PIECES_WAIT_US) {
                record->pieces++;
                record->pieces_wait_us += wait_us;
            }
        }
        record->piece_at.ns = 0;
    } else if (record->piece_at.ns == 0 && wire_in - wire_in_before <= RECORD_PIECES_BYTES) {
        record->piece_at = mono_now();
        record->piece_mark = wire_in_before;
    }
}

/* ---- channels ---------------------------------------------------------------------------------------------------- */

struct channel_record *record_channel(struct record *record, mono_time now)
{
    struct channel_record *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return NULL;
    }
    channel->number = ++record->channels;
    channel->exit_status = -1;
    channel->at.channel = now;
    if (record->at.channel.ns == 0) {
        record->at.channel = now;
    }
    channel->previous = record->last;
    if (record->last != NULL) {
        record->last->next = channel;
    } else {
        record->first = channel;
    }
    record->last = channel;
    return channel;
}

static mono_time later(mono_time a, mono_time b)
{
    return a.ns > b.ns ? a : b;
}

static mono_time earlier(mono_time a, mono_time b)
{
    return b.ns == 0 || (a.ns != 0 && a.ns < b.ns) ? a : b;
}

/* In constant time: a peer that opens many channels has them all end together. */
static void drop_first_gone(struct record *record)
{
    struct channel_record *channel = record->first_gone;
    record->first_gone = channel->next_gone;
    if (channel->previous != NULL) {
        channel->previous->next = channel->next;
    } else {
        record->first = channel->next;
    }
    if (channel->next != NULL) {
        channel->next->previous = channel->previous;
    } else {
        record->last = channel->previous;
    }
    record->closed_kept--;
    record->channels_left_out++;
    free(channel);
}

void record_channel_gone(struct record *record, struct channel_record *channel)
{
    record->at.first_data = earlier(record->at.first_data, channel->at.first_data);
    record->at.last_data = later(record->at.last_data, record_last_data(channel));
    record->at.eof = later(record->at.eof, channel->at.eof);
    record->at.close = later(record->at.close, channel->at.close);
    if (record->first_gone == NULL) {
        record->first_gone = channel;
    } else {
        record->last_gone->next_gone = channel;
    }
    record->last_gone = channel;
    record->closed_kept++;
    if (record->closed_kept > (record->wanted ? RECORD_CLOSED_WANTED : RECORD_CLOSED)) {
        drop_first_gone(record);
    }
}

void record_request(struct record *record, struct channel_record *channel, enum record_request kind, bool granted)
{
    bool service = kind == RECORD_SHELL || kind == RECORD_EXEC || kind == RECORD_SUBSYSTEM;
    if (channel->requests < RECORD_REQUESTS) {
        channel->request[channel->requests] = (uint8_t)kind;
        channel->granted = (uint16_t)(channel->granted | (granted ? 1U << channel->requests : 0U));
    }
    channel->requests++;
    if (service && channel->at.request.ns == 0) {
        channel->at.request = mono_now();
        if (record->at.request.ns == 0) {
            record->at.request = channel->at.request;
        }
    }
}

void record_refused(struct channel_record *channel, unsigned number)
{
    if (number < RECORD_REQUESTS) {
        channel->granted = (uint16_t)(channel->granted & ~(1U << number));
    }
}

static void count_adjustment(struct record_window *window, uint32_t left, uint32_t by)
{
    window->smallest_adjustment =
        window->adjustments == 0 || by < window->smallest_adjustment ? by : window->smallest_adjustment;
    window->largest_adjustment = by > window->largest_adjustment ? by : window->largest_adjustment;
    window->adjustments++;
    window->adjustments_at_empty += left == 0 ? 1 : 0;
    window->adjusted_bytes += by;
    window->now = left + by; /* wraps where libssh's does */
    window->most = window->now > window->most ? window->now : window->most;
    if (window->shut_at.ns != 0 && by > 0) {
        window->shut_us += mono_us_between(window->shut_at, mono_now());
        window->shut_at.ns = 0;
    }
}

void record_window_grew(struct record_window *window, uint32_t bytes)
{
    if (window->seen && bytes > window->now) {
        count_adjustment(window, window->now, bytes - window->now);
        return;
    }
    if (!window->seen) {
        window->seen = true;
        window->initial = window->least = window->most = bytes;
    }
    window->now = bytes;
    window->least = bytes < window->least ? bytes : window->least;
}

void record_window_adjusted(struct record_window *window, uint32_t left, uint32_t by)
{
    if (left != window->now || !window->seen) {
        record_window_grew(window, left);
    }
    count_adjustment(window, left, by);
}

void record_turn_over(struct channel_record *channel)
{
    if (channel->turn_bytes >= RECORD_BULK_TURN_BYTES && channel->turn_packets >= RECORD_BULK_TURN_PACKETS) {
        channel->bulk_bytes += channel->turn_bytes;
        channel->bulk_packets += channel->turn_packets;
    }
    if (channel->packets_in == 0) {
        channel->at.first_data = mono_now();
    }
}

/* By the turn of the loop, which began before the first of it came. */
mono_time record_last_data(const struct channel_record *channel)
{
    return channel->turn.ns > channel->at.first_data.ns ? channel->turn : channel->at.first_data;
}
