#include "server/channel/channel.h"

#include <libssh/server.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel/channel_internal.h"
#include "server/channel/generator.h"

/* What a channel may write while others wait for their turn: two full packets. */
#define PORTION_BYTES (64U * 1024)

/* Among how many the one is looked for whose window a client opens: any number of them cost it nothing. */
#define WINDOW_SEARCH_CHANNELS 64

void channel_queue(struct channel *channel)
{
    struct channels *all = channel->all;
    if (channel->queued) {
        return;
    }
    channel->queued = true;
    channel->next_queued = NULL;
    channel->previous_queued = all->last_queued;
    if (all->last_queued != NULL) {
        all->last_queued->next_queued = channel;
    } else {
        all->first_queued = channel;
    }
    all->last_queued = channel;
}

/* ---- callbacks of libssh: take, echo, mark; never free --------------------------------------------------------- */

static int on_data(ssh_session session, ssh_channel ssh, void *data, uint32_t length, int is_stderr, void *user)
{
    (void)session;
    (void)ssh;
    struct channel *channel = user;
    struct channel_host *host = &channel->all->host;
    uint32_t consumed = 0;
    switch (echo_take(&channel->echo, data, length, is_stderr != 0, &consumed)) {
    case ECHO_DONE:
        break;
    case ECHO_HELD:
        channel_queue(channel);
        break;
    case ECHO_OVERRUN:
        host->close(host->data, REASON_WINDOW_OVERRUN);
        break;
    }
    return (int)consumed;
}

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
    echo_serve(&channel->echo, ECHO_CLOSED, NULL, NULL);
    channel->record->finished = mono_now();
    channel->all->unclosed_count++;
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

void channels_wake(struct channels *channels)
{
    for (struct channel *channel = channels->first; channel != NULL; channel = channel->next) {
        if (channel->service.misbehaviour != NULL) {
            channel_queue(channel);
        }
    }
}

void channels_hush(struct channels *channels)
{
    channels->outputs.quiet = true;
}

void channels_rekeyed(struct channels *channels)
{
    channels->outputs.writes_wait = false;
    if (channels->outputs.quiet) {
        channels->outputs.quiet = false;
        for (struct channel *channel = channels->first; channel != NULL; channel = channel->next) {
            channel_queue(channel); /* what was kept back goes in the next drain */
        }
    }
}

/* Returns true while there is something left to do on this channel. */
static bool channel_drain(struct channel *channel)
{
    struct echo *echo = &channel->echo;
    bool generates = service_generates(&channel->service), none = channel->service.kind == SERVICE_NONE;
    if (channel->finished || channel->close_received) {
        return false;
    }
    if (channel->eof_received) {
        echo_forget_note(echo);
    }
    echo_drain(echo);
    bool complete = (none || echo_is_complete(echo)) && channel->late_requests == 0;
    bool ends =
        generates ? generator_run(&channel->service, &echo->output) : echo->over || (channel->eof_received && complete);
    if (ends) {
        finish(channel);
        return false;
    }
    return generates || none || !complete || echo->note != NULL;
}

static void leave_queue(struct channel *channel)
{
    struct channels *all = channel->all;
    if (channel->previous_queued != NULL) {
        channel->previous_queued->next_queued = channel->next_queued;
    } else {
        all->first_queued = channel->next_queued;
    }
    if (channel->next_queued != NULL) {
        channel->next_queued->previous_queued = channel->previous_queued;
    } else {
        all->last_queued = channel->previous_queued;
    }
    channel->queued = false;
}

static void unlink_channel(struct channel *channel)
{
    struct channels *all = channel->all;
    struct channel_host *host = &all->host;
    if (channel->late_requests > 0) {
        host->goes(host->data, channel->ssh);
    }
    if (channel->queued) {
        leave_queue(channel);
    }
    if (channel->previous != NULL) {
        channel->previous->next = channel->next;
    } else {
        all->first = channel->next;
    }
    if (channel->next != NULL) {
        channel->next->previous = channel->previous;
    }
    all->open_count--;
    all->unclosed_count -= channel->finished ? 1 : 0;
    counters_sub(&host->counters->channels, 1);
    record_channel_gone(host->record, channel->record);
}

static void channel_destroy(struct channel *channel)
{
    unlink_channel(channel);
    (void)ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
    ssh_channel_free(channel->ssh);
    service_free(&channel->service);
    free(channel);
}

bool channels_drain(struct channels *channels)
{
    struct channel *end = channels->last_queued;
    struct outputs *outputs = &channels->outputs;
    bool portions_used = false;
    outputs->waiting_for_room = false;
    while (channels->first_queued != NULL) {
        if (outputs->waiting_for_room || !outputs_have_room(outputs)) {
            outputs->waiting_for_room = true; /* who is first now is first in the next turn */
            break;
        }
        struct channel *channel = channels->first_queued;
        struct output *output = &channel->echo.output;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who is destroyed below has left the queue here */
        leave_queue(channel);
        bool last = channel == end;
        output->portion_bytes = channels->first_queued != NULL ? PORTION_BYTES : OUTPUT_ALL;
        bool unfinished = channel_drain(channel);
        portions_used = portions_used || output->portion_bytes == 0;
        output->portion_bytes = OUTPUT_ALL;
        if (channel->close_received) {
            channel_destroy(channel);
        } else if (unfinished) {
            channel_queue(channel); /* behind the others: they come first next time */
        }
        if (last) {
            break;
        }
    }
    return outputs->waiting_for_room || portions_used;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

void channels_begin(struct channels *channels, const struct channel_host *host)
{
    *channels = (struct channels){.host = *host, .outputs = {.host = &channels->host}};
}

struct channel *channel_create(struct channels *channels, ssh_session session)
{
    struct channel_host *host = &channels->host;
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return NULL;
    }
    channel->all = channels;
    channel->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = channel,
        .channel_data_function = on_data,
        .channel_eof_function = on_eof,
        .channel_close_function = on_close,
    };
    channel_take_requests(&channel->callbacks, host->config->reply_delay_us != 0);
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
    echo_begin(&channel->echo, &channels->outputs, channel->ssh, channel->record);
    channel->next = channels->first;
    if (channels->first != NULL) {
        channels->first->previous = channel;
    }
    channels->first = channel;
    channels->open_count++;
    host->totals.opened++;
    counters_add(&host->counters->channels, 1);
    counters_add(&host->counters->channels_opened, 1);
    return channel;
}

void channels_window(struct channels *channels, uint32_t number, uint32_t left, uint32_t bytes)
{
    struct channel *channel = channels->first;
    for (unsigned i = 0; channel != NULL && channel->record->number != number && i < WINDOW_SEARCH_CHANNELS; i++) {
        channel = channel->next;
    }
    if (channel != NULL && channel->record->number == number && ssh_channel_window_size(channel->ssh) == left) {
        record_window_adjusted(&channel->record->window, left, bytes);
    }
}

void channels_destroy_all(struct channels *channels)
{
    struct channel *next = NULL;
    for (struct channel *channel = channels->first; channel != NULL; channel = next) {
        next = channel->next;
        unlink_channel(channel);
        (void)ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
        service_free(&channel->service);
        free(channel); /* the ssh_channel goes with its session */
    }
}

bool channels_all_closed(const struct channels *channels)
{
    const struct channel *channel = channels->first;
    while (channel != NULL && channel->close_received) {
        channel = channel->next;
    }
    return channel == NULL;
}

bool channels_wait(const struct channels *channels)
{
    return channels->first_queued != NULL || channels->unclosed_count > 0;
}

uint64_t channels_held_bytes(const struct channels *channels)
{
    uint64_t held = 0;
    for (const struct channel *channel = channels->first; channel != NULL; channel = channel->next) {
        held += echo_held_bytes(&channel->echo);
    }
    return held;
}
