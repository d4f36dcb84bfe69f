#include "server/login/answers.h"

#include <dlfcn.h>
#include <string.h>

#include "server/login/login.h"
#include "sshecho/libssh_log.h"
#include "sshecho/log.h"

static void (*free_message)(ssh_message message);
static bool listening, reached;

/* FNV-1a: enough to tell one error text of a session from the next. */
static uint64_t digest(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static const char *method_name(int method)
{
    switch (method) {
    case SSH_AUTH_METHOD_PASSWORD:
        return "password login";
    case SSH_AUTH_METHOD_PUBLICKEY:
        return "publickey login";
    case SSH_AUTH_METHOD_INTERACTIVE:
        return "keyboard-interactive login";
    default:
        return "login";
    }
}

static const char *channel_name(int type)
{
    switch (type) {
    case SSH_CHANNEL_DIRECT_TCPIP:
        return "direct-tcpip channel";
    case SSH_CHANNEL_FORWARDED_TCPIP:
        return "forwarded-tcpip channel";
    case SSH_CHANNEL_X11:
        return "x11 channel";
    default:
        return "channel";
    }
}

static const char *request_name(int type)
{
    switch (type) {
    case SSH_CHANNEL_REQUEST_PTY:
        return "pty-req request";
    case SSH_CHANNEL_REQUEST_EXEC:
        return "exec request";
    case SSH_CHANNEL_REQUEST_ENV:
        return "env request";
    case SSH_CHANNEL_REQUEST_SUBSYSTEM:
        return "subsystem request";
    case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
        return "window-change request";
    case SSH_CHANNEL_REQUEST_X11:
        return "x11-req request";
    default:
        return "channel request";
    }
}

static void tell(struct connection *c, const char *what)
{
    ssh_session session = c->pump.session;
    bool said = ssh_get_error_code(session) == SSH_FATAL;
    /* A peer can send any number of these: the first of a connection is worth a line, the rest one at debug. */
    enum log_level level = c->unreadable++ == 0 ? LOG_INFO : LOG_DEBUG;
    log_line(level, "unreadable", log_u64("conn", c->id), log_str("what", what),
             log_str("why", said ? ssh_get_error(session) : "libssh cannot use it"),
             log_str("client", ssh_get_clientbanner(session)));
    c->settled_error = said ? digest(ssh_get_error(session)) : 0;
}

static void refuse(struct connection *c, ssh_message message)
{
    switch (ssh_message_type(message)) {
    case SSH_REQUEST_AUTH:
        if (c->phase != PHASE_LOGIN) {
            return;
        }
        tell(c, method_name(ssh_message_subtype(message)));
        login_refused_unread(c, message);
        break;
    case SSH_REQUEST_CHANNEL_OPEN:
        if (c->phase != PHASE_OPEN) {
            return; /* before login it is an error that ends the connection */
        }
        tell(c, channel_name(ssh_message_subtype(message)));
        counters_add(&c->set->counters->channels_refused, 1);
        break;
    case SSH_REQUEST_CHANNEL:
        tell(c, request_name(ssh_message_subtype(message)));
        counters_add(&c->set->counters->requests, 1);
        counters_add(&c->set->counters->requests_refused, 1);
        (void)c->channels.host.request_allowed(c);
        break;
    default:
        return;
    }
    (void)ssh_message_reply_default(message);
}

/* Whether an answer was wanted nobody knows; sshd ends such a connection too. */
static void on_dropped(const char *what)
{
    struct pump *pump = pump_driven();
    if (pump != NULL) {
        struct connection *c = pump->owner_data;
        tell(c, what);
        connection_close(c, REASON_PROTOCOL);
    }
}

void answers_begin(void)
{
    listening = true;
    libssh_log_listen(on_dropped);
}

bool answers_reached(void)
{
    return reached;
}

bool answers_settled(const struct connection *c)
{
    return c->settled_error != 0 && c->settled_error == digest(ssh_get_error(c->pump.session));
}

/* libssh's own name: its calls arrive here. */
void ssh_message_free(ssh_message message)
{
    reached = true;
    if (free_message == NULL) {
        void *found = dlsym(RTLD_NEXT, "ssh_message_free");
        memcpy(&free_message, &found, sizeof free_message); /* ISO C has no cast for it */
    }
    struct pump *pump = listening && message != NULL ? pump_driven() : NULL;
    if (pump != NULL) {
        struct connection *c = pump->owner_data;
        bool heard = c->heard;
        c->heard = false;
        if (login_keeps(c, message)) {
            return;
        }
        if (!heard) {
            refuse(c, message);
            c->heard = false;
        }
    }
    if (free_message != NULL) {
        free_message(message);
    }
}
