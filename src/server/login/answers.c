#include "server/login/answers.h"

#include <dlfcn.h>
#include <string.h>

#include "sshecho/libssh_log.h"
#include "sshecho/log.h"

static void (*free_message)(ssh_message message);
static struct answers *(*answers_of)(struct pump *pump);
static bool reached;

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

/* What a message asks for; NULL where libssh needs no help with it. */
static const char *name_of(ssh_message message)
{
    switch (ssh_message_type(message)) {
    case SSH_REQUEST_AUTH:
        return method_name(ssh_message_subtype(message));
    case SSH_REQUEST_CHANNEL_OPEN:
        return channel_name(ssh_message_subtype(message));
    case SSH_REQUEST_CHANNEL:
        return request_name(ssh_message_subtype(message));
    default:
        return NULL;
    }
}

static void tell(struct answers *answers, const char *what)
{
    ssh_session session = answers->pump->session;
    bool said = ssh_get_error_code(session) == SSH_FATAL;
    /* A peer can send any number of these: the first of a connection is worth a line, the rest one at debug. */
    enum log_level level = answers->unreadable++ == 0 ? LOG_INFO : LOG_DEBUG;
    log_line(level, "unreadable", log_u64("conn", answers->connection_id), log_str("what", what),
             log_str("why", said ? ssh_get_error(session) : "libssh cannot use it"),
             log_str("client", ssh_get_clientbanner(session)));
    answers->settled_error = said ? digest(ssh_get_error(session)) : 0;
}

static void refuse(struct answers *answers, ssh_message message)
{
    const char *what = name_of(message);
    if (what != NULL && answers->refused(answers->data, message)) {
        tell(answers, what);
        (void)ssh_message_reply_default(message);
    }
}

/* Whether an answer was wanted nobody knows; sshd ends such a connection too. */
static void on_dropped(const char *what)
{
    struct pump *pump = pump_driven();
    if (pump != NULL) {
        struct answers *answers = answers_of(pump);
        tell(answers, what);
        answers->close(answers->data, REASON_PROTOCOL);
    }
}

void answers_listen(struct answers *(*of)(struct pump *pump))
{
    answers_of = of;
    libssh_log_listen(on_dropped);
}

bool answers_reached(void)
{
    return reached;
}

void answers_heard(struct answers *answers)
{
    answers->heard = true;
}

void answers_keep(struct answers *answers, ssh_message message)
{
    answers->kept = message;
}

bool answers_settled(const struct answers *answers)
{
    return answers->settled_error != 0 && answers->settled_error == digest(ssh_get_error(answers->pump->session));
}

/* libssh's own name: its calls arrive here. */
void ssh_message_free(ssh_message message)
{
    reached = true;
    if (free_message == NULL) {
        void *found = dlsym(RTLD_NEXT, "ssh_message_free");
        memcpy(&free_message, &found, sizeof free_message); /* ISO C has no cast for it */
    }
    struct pump *pump = answers_of != NULL && message != NULL ? pump_driven() : NULL;
    if (pump != NULL) {
        struct answers *answers = answers_of(pump);
        bool heard = answers->heard, kept = answers->kept == message;
        answers->heard = false;
        answers->kept = NULL;
        if (kept) {
            return;
        }
        if (!heard) {
            refuse(answers, message);
            answers->heard = false;
        }
    }
    if (free_message != NULL) {
        free_message(message);
    }
}
