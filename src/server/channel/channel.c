#include "server/channel/channel.h"

#include <libssh/server.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel/channel_parts.h"
#include "server/channel/echo.h"

/* What a channel may write while others wait for their turn: two full packets. */
#define PORTION_BYTES (64U * 1024)

void channel_queue(struct channel *channel)
{
    struct channel_host *host = channel->host;
    if (channel->queued) {
        return;
    }
    channel->queued = true;
    channel->next_queued = NULL;
    channel->previous_queued = host->last_queued;
    if (host->last_queued != NULL) {
        host->last_queued->next_queued = channel;
    } else {
        host->first_queued = channel;
    }
    host->last_queued = channel;
}

/* ---- callbacks of libssh: take, echo, mark; never free --------------------------------------------------------- */

static void on_eof(ssh_session session, ssh_channel ssh, void *user)
{
    (void)session;
    (void)ssh;
    struct channel *channel = user;
    channel->eof_received = true;
    channel->record->at.eof = mono_now();
    channel->record->eof = true;
    channel_queue(channel);
}

static void on_close(ssh_session session, ssh_channel ssh, void *user)
{
    (void)session;
    (void)ssh;
    struct channel *channel = user;
    channel->close_received = true;
    channel->record->at.close = mono_now();
    channel->record->close_without_eof = !channel->finished && !channel->eof_received;
    channel_queue(channel);
}

/* ---- residue --------------------------------------------------------------------------------------------------- */

/* RFC 4254, 5.3 and 6.10: everything echoed, then exit-status, EOF, CLOSE. */
static void finish(struct channel *channel)
{
    channel->finished = true;
    channel->record->finished = mono_now();
    channel->host->unclosed_count++;
    const struct misbehaviour *misbehaviour = channel->service.misbehaviour;
    if (misbehaviour != NULL && misbehaviour->exit_signal[0] != '\0') {
        channel->record->killed = true;
        (void)ssh_channel_request_send_exit_signal(channel->ssh, misbehaviour->exit_signal, 0, "as you asked", "");
    } else if (channel->service.kind != SERVICE_NONE) {
        int status = channel->service.kind == SERVICE_COMPLAIN ? 2
                     : misbehaviour != NULL                    ? misbehaviour->exit_status
                                                               : 0;
        channel->record->exit_status = (int16_t)status;
        (void)ssh_channel_request_send_exit_status(channel->ssh, status);
    }
    (void)ssh_channel_send_eof(channel->ssh);
    (void)ssh_channel_close(channel->ssh);
}

/* Test bench: an end that needs no input. */
static void look_at_time(struct channel *channel)
{
    int64_t wait_us = 0;
    if (channel->service.misbehaviour == NULL) {
        return;
    }
    if (misbehave_over(channel->service.misbehaviour, mono_now(), &wait_us)) {
        channel->exit_now = true;
    } else if (wait_us > 0) {
        channel->host->wake_after(channel->host->data, wait_us);
    }
}

void channels_wake(struct channel_host *host)
{
    for (struct channel *channel = host->first; channel != NULL; channel = channel->next) {
        if (channel->service.misbehaviour != NULL) {
            channel_queue(channel);
        }
    }
}

/* Returns true while there is something left to do on this channel. */
static bool channel_drain(struct channel *channel)
{
    bool generated = false;
    if (channel->finished || channel->close_received) {
        return false;
    }
    switch (channel->service.kind) {
    case SERVICE_NONE:
        if (!channel->eof_received) {
            return true;
        }
        break;
    case SERVICE_ECHO:
    case SERVICE_TERMINAL:
        echo_held(channel);
        look_at_time(channel);
        break;
    case SERVICE_DISCARD:
        echo_discard(channel); /* what came before the request */
        break;
    case SERVICE_CHARGEN:
    case SERVICE_REPORT:
    case SERVICE_COMPLAIN:
        echo_discard(channel);
        generated = echo_generate(channel);
        if (!generated) {
            return true;
        }
        break;
    }
    if (generated || channel->exit_now || (channel->eof_received && echo_is_complete(channel)) ||
        (channel->eof_received && channel->service.kind == SERVICE_NONE)) {
        finish(channel);
        return false;
    }
    return !echo_is_complete(channel) || channel->note != NULL;
}

static void leave_queue(struct channel *channel)
{
    struct channel_host *host = channel->host;
    if (channel->previous_queued != NULL) {
        channel->previous_queued->next_queued = channel->next_queued;
    } else {
        host->first_queued = channel->next_queued;
    }
    if (channel->next_queued != NULL) {
        channel->next_queued->previous_queued = channel->previous_queued;
    } else {
        host->last_queued = channel->previous_queued;
    }
    channel->queued = false;
}

bool channels_drain(struct channel_host *host)
{
    struct channel *end = host->last_queued;
    bool portions_used = false;
    host->waiting_for_room = false;
    while (host->first_queued != NULL) {
        if (host->waiting_for_room || !echo_has_room(host)) {
            host->waiting_for_room = true; /* who is first now is first in the next turn */
            break;
        }
        struct channel *channel = host->first_queued;
        leave_queue(channel);
        bool last = channel == end;
        channel->portion_bytes = host->first_queued != NULL ? PORTION_BYTES : UINT32_MAX;
        bool unfinished = channel_drain(channel);
        portions_used = portions_used || channel->portion_bytes == 0;
        channel->portion_bytes = UINT32_MAX;
        if (channel->close_received) {
            channel_destroy(channel);
        } else if (unfinished) {
            channel_queue(channel); /* behind the others: they come first next time */
        }
        if (last) {
            break;
        }
    }
    return host->waiting_for_room || portions_used;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

struct channel *channel_create(struct channel_host *host, ssh_session session)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return NULL;
    }
    channel->host = host;
    channel->portion_bytes = UINT32_MAX;
    channel->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = channel,
        .channel_data_function = echo_on_data,
        .channel_eof_function = on_eof,
        .channel_close_function = on_close,
    };
    channel_take_requests(&channel->callbacks);
    ssh_callbacks_init(&channel->callbacks);
    channel->record = record_channel(host->record, mono_now());
    if (channel->record == NULL) {
        free(channel);
        return NULL;
    }
    channel->ssh = ssh_channel_new(session);
    if (channel->ssh == NULL || ssh_set_channel_callbacks(channel->ssh, &channel->callbacks) != SSH_OK) {
        ssh_channel_free(channel->ssh);
        record_channel_gone(host->record, channel->record);
        free(channel);
        return NULL;
    }
    channel->next = host->first;
    if (host->first != NULL) {
        host->first->previous = channel;
    }
    host->first = channel;
    host->open_count++;
    host->opened_count++;
    counters_add(&host->counters->channels, 1);
    counters_add(&host->counters->channels_opened, 1);
    return channel;
}

static void unlink_channel(struct channel *channel)
{
    struct channel_host *host = channel->host;
    if (channel->queued) {
        leave_queue(channel);
    }
    if (channel->previous != NULL) {
        channel->previous->next = channel->next;
    } else {
        host->first = channel->next;
    }
    if (channel->next != NULL) {
        channel->next->previous = channel->previous;
    }
    host->open_count--;
    host->unclosed_count -= channel->finished ? 1 : 0;
    counters_sub(&host->counters->channels, 1);
    record_channel_gone(host->record, channel->record);
}

void channel_destroy(struct channel *channel)
{
    unlink_channel(channel);
    (void)ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
    ssh_channel_free(channel->ssh);
    service_free(&channel->service);
    free(channel);
}

void channels_destroy_all(struct channel_host *host)
{
    struct channel *next = NULL;
    for (struct channel *channel = host->first; channel != NULL; channel = next) {
        next = channel->next;
        unlink_channel(channel);
        (void)ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
        service_free(&channel->service);
        free(channel); /* the ssh_channel goes with its session */
    }
}

bool channels_all_closed(const struct channel_host *host)
{
    const struct channel *channel = host->first;
    while (channel != NULL && channel->close_received) {
        channel = channel->next;
    }
    return channel == NULL;
}

uint64_t channels_held_bytes(const struct channel_host *host)
{
    uint64_t held = 0;
    for (const struct channel *channel = host->first; channel != NULL; channel = channel->next) {
        held += channel->streams[0].held_bytes + channel->streams[1].held_bytes;
    }
    return held;
}
