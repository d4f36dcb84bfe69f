/* Inside the room of channel.h: what a client may ask of a channel. Callbacks of libssh; they return 0 for yes. */
#include "server/channel/channel_internal.h"

#include <libssh/server.h>
#include <string.h>

#include "server/channel/terminal.h"
#include "sshecho/log.h"

/* Common to all requests: counts, and says whether the connection may go on asking. */
static bool request_welcome(struct channel_host *host)
{
    counters_add(&host->counters->requests, 1);
    return host->request_allowed(host->data);
}

/* For those that are granted as long as the connection may ask. */
static int grant(struct channel *channel, enum record_request kind)
{
    struct channel_host *host = &channel->all->host;
    bool granted = request_welcome(host);
    record_request(host->record, channel->record, kind, granted);
    return granted ? 0 : 1;
}

/* Byte-exact echo is the rule for programs, and they tell standard output and error apart. To a person it looks broken,
 * and nothing says how to leave. Who grants next to no window is no person. */
static const char *note_for(const struct channel *channel)
{
    const struct service *service = &channel->service;
    const char *note = service->kind == SERVICE_TERMINAL ? terminal_note_terminal : terminal_note_echo;
    bool echoes = service->kind == SERVICE_TERMINAL || (service->kind == SERVICE_ECHO && service->misbehaviour == NULL);
    bool wanted = channel->terminal && echoes && channel->all->host.config->terminal_note;
    return wanted && ssh_channel_window_size(channel->ssh) >= 4 * strlen(note) ? note : NULL;
}

static enum echo_mode mode_of(const struct service *service)
{
    if (service->kind == SERVICE_DISCARD || service_generates(service)) {
        return ECHO_DISCARD;
    }
    return service->kind == SERVICE_TERMINAL ? ECHO_TERMINAL : ECHO_BYTES;
}

static int refuse(struct channel_host *host, struct service *service)
{
    service_free(service);
    counters_add(&host->counters->requests_refused, 1);
    return 1;
}

static int start_service(struct channel *channel, const char *kind, const char *words)
{
    struct channel_host *host = &channel->all->host;
    struct service service = {.kind = SERVICE_NONE};
    if (!request_welcome(host) || channel->service.kind != SERVICE_NONE || channel->finished) {
        return refuse(host, &service); /* RFC 4254, 6.5: only one of these requests can succeed per channel */
    }
    if (service_parse(words, host->config->may_misbehave, &service) != 0) {
        return 1;
    }
    if (service.misbehaviour != NULL && service.misbehaviour->refuse) {
        return refuse(host, &service);
    }
    if (service.misbehaviour != NULL && service.misbehaviour->rekey_every_bytes != 0) {
        channel->all->outputs.rekeys_on_request = true;
        host->rekey_every(host->data, service.misbehaviour->rekey_every_bytes);
    }
    channel->record->service = service_name(&service);
    if (service.kind == SERVICE_REPORT) {
        service.text = host->report(host->data, service.for_people, channel->terminal);
        if (service.text == NULL) {
            return 1;
        }
    }
    channel->service = service;
    echo_serve(&channel->echo, mode_of(&service), service.misbehaviour, note_for(channel));
    if (host->config->reply_delay_us == 0) {
        echo_open_window(&channel->echo); /* from inside of libssh's callback alone; else the first data open it */
    }
    log_line(LOG_DEBUG, "service", log_u64("conn", host->connection_id), log_str("request", kind),
             log_str("words", words));
    channel_queue(channel); /* what came before the request, or what is to be generated */
    return 0;
}

/* What was asked for is told before what came of it: a report may be the answer. */
static int ask_service(struct channel *channel, enum record_request kind, const char *words)
{
    record_window(&channel->record->window, ssh_channel_window_size(channel->ssh), false);
    unsigned number = channel->record->requests;
    record_request(channel->all->host.record, channel->record, kind, true);
    int rc = start_service(channel, record_request_names[kind], words);
    if (rc != 0) {
        record_refused(channel->record, number);
    }
    return rc;
}

static int on_shell(ssh_session session, ssh_channel ssh, void *user)
{
    (void)session;
    (void)ssh;
    return ask_service(user, RECORD_SHELL, NULL);
}

static int on_exec(ssh_session session, ssh_channel ssh, const char *command, void *user)
{
    (void)session;
    (void)ssh;
    return ask_service(user, RECORD_EXEC, command);
}

static int on_subsystem(ssh_session session, ssh_channel ssh, const char *name, void *user)
{
    (void)session;
    (void)ssh;
    return ask_service(user, RECORD_SUBSYSTEM, name);
}

static int take_terminal(struct channel *channel)
{
    channel->terminal = channel->terminal || channel->service.kind == SERVICE_NONE;
    return grant(channel, RECORD_PTY);
}

static int on_pty(ssh_session session, ssh_channel ssh, const char *term, int columns, int rows, int width, int height,
                  void *user)
{
    (void)session;
    (void)ssh;
    (void)term;
    (void)columns;
    (void)rows;
    (void)width;
    (void)height;
    return take_terminal(user);
}

static int on_window_change(ssh_session session, ssh_channel ssh, int columns, int rows, int width, int height,
                            void *user)
{
    (void)session;
    (void)ssh;
    (void)columns;
    (void)rows;
    (void)width;
    (void)height;
    return grant(user, RECORD_WINDOW_CHANGE);
}

static int on_env(ssh_session session, ssh_channel ssh, const char *name, const char *value, void *user)
{
    (void)session;
    (void)ssh;
    (void)name;
    (void)value;
    return grant(user, RECORD_ENV);
}

static void on_signal(ssh_session session, ssh_channel ssh, const char *name, void *user)
{
    (void)session;
    (void)ssh;
    (void)name;
    (void)grant(user, RECORD_SIGNAL);
}

/* ---- reply-delay: the same as messages -------------------------------------------------------------------------- */

static struct channel *find_channel(struct channels *channels, ssh_channel ssh)
{
    struct channel *channel = channels->first;
    while (channel != NULL && channel->ssh != ssh) {
        channel = channel->next;
    }
    return channel;
}

bool channels_expect(struct channels *channels, ssh_channel ssh)
{
    struct channel *channel = find_channel(channels, ssh);
    if (channel == NULL || channel->finished || channel->close_received) {
        return false;
    }
    channel->late_requests++;
    return true;
}

static int ask_by_message(struct channel *channel, ssh_message message)
{
    struct counters *counters = channel->all->host.counters;
    switch (ssh_message_subtype(message)) {
    case SSH_CHANNEL_REQUEST_PTY:
        return take_terminal(channel);
    case SSH_CHANNEL_REQUEST_SHELL:
        return ask_service(channel, RECORD_SHELL, NULL);
    case SSH_CHANNEL_REQUEST_EXEC:
        return ask_service(channel, RECORD_EXEC, ssh_message_channel_request_command(message));
    case SSH_CHANNEL_REQUEST_SUBSYSTEM:
        return ask_service(channel, RECORD_SUBSYSTEM, ssh_message_channel_request_subsystem(message));
    case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
        return grant(channel, RECORD_WINDOW_CHANGE);
    case SSH_CHANNEL_REQUEST_ENV:
        return grant(channel, RECORD_ENV);
    default:
        (void)request_welcome(&channel->all->host);
        counters_add(&counters->requests_refused, 1);
        return 1;
    }
}

void channels_answer(struct channels *channels, ssh_message message)
{
    struct channel *channel = find_channel(channels, ssh_message_channel_request_channel(message));
    if (channel == NULL) {
        return;
    }
    channel->late_requests--;
    if (channel->finished || channel->close_received) {
        return; /* behind a CLOSE comes nothing */
    }
    if (ask_by_message(channel, message) == 0) {
        (void)ssh_message_channel_request_reply_success(message);
    } else {
        (void)ssh_message_reply_default(message);
    }
    channel_queue(channel); /* its end may have waited for this */
}

void channel_take_requests(struct ssh_channel_callbacks_struct *callbacks, bool by_message)
{
    callbacks->channel_signal_function = on_signal;
    if (by_message) {
        return; /* what no callback takes comes as a message, which can be kept */
    }
    callbacks->channel_shell_request_function = on_shell;
    callbacks->channel_exec_request_function = on_exec;
    callbacks->channel_subsystem_request_function = on_subsystem;
    callbacks->channel_pty_request_function = on_pty;
    callbacks->channel_pty_window_change_function = on_window_change;
    callbacks->channel_env_request_function = on_env;
}
