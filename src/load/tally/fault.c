#include "load/tally/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[FAULT_COUNT] = {
    [FAULT_REFUSED] = "refused",
    [FAULT_UNREACHABLE] = "unreachable",
    [FAULT_CONNECT_TIMEOUT] = "connect-timeout",
    [FAULT_LOCAL_LIMIT] = "local-limit",
    [FAULT_NOT_SSH] = "not-ssh",
    [FAULT_HANDSHAKE_TIMEOUT] = "handshake-timeout",
    [FAULT_KEY_EXCHANGE] = "key-exchange",
    [FAULT_HOST_KEY] = "host-key",
    [FAULT_AUTHENTICATION] = "authentication",
    [FAULT_CHANNEL] = "channel-refused",
    [FAULT_REQUEST] = "request-refused",
    [FAULT_CLOSED] = "closed",
    [FAULT_PROTOCOL] = "protocol",
    [FAULT_MISMATCH] = "mismatch",
    [FAULT_ECHO_TIMEOUT] = "echo-timeout",
    [FAULT_CLOSE_TIMEOUT] = "close-timeout",
    [FAULT_NOT_ISSUED] = "not-issued",
    [FAULT_INTERNAL] = "internal",
};

static const char *const phase_names[] = {
    [PHASE_TCP] = "TCP connect", [PHASE_BANNER] = "banner",         [PHASE_KEX] = "key exchange",
    [PHASE_AUTH] = "login",      [PHASE_CHANNEL] = "channel",       [PHASE_FIRST_ECHO] = "first echo",
    [PHASE_TRAFFIC] = "traffic", [PHASE_CLOSE] = "channel closing",
};

const char *fault_name(enum fault fault)
{
    return fault < FAULT_COUNT ? names[fault] : "none";
}

const char *fault_phase_name(enum fault_phase phase)
{
    return phase_names[phase];
}

enum fault fault_from_name(const char *name)
{
    int i = 0;
    while (i < FAULT_COUNT && strcmp(names[i], name) != 0) {
        i++;
    }
    return (enum fault)i;
}

bool fault_is_timeout(enum fault fault)
{
    return fault == FAULT_CONNECT_TIMEOUT || fault == FAULT_HANDSHAKE_TIMEOUT || fault == FAULT_ECHO_TIMEOUT ||
           fault == FAULT_CLOSE_TIMEOUT;
}

enum fault fault_from_errno(int error_number)
{
    switch (error_number) {
    case ECONNREFUSED:
        return FAULT_REFUSED;
    case ETIMEDOUT:
        return FAULT_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EADDRINUSE:
        return FAULT_LOCAL_LIMIT;
    default:
        return FAULT_UNREACHABLE;
    }
}

static bool contains_any(const char *text, const char *const *parts)
{
    for (; *parts != NULL; parts++) {
        if (strstr(text, *parts) != NULL) {
            return true;
        }
    }
    return false;
}

enum fault fault_from_session(enum fault_phase phase, const char *text, bool greeted, bool got_bytes)
{
    /* Fragments of libssh's messages, the same in 0.10 to 0.12. */
    static const char *const not_ssh[] = {"too large banner", "No version of SSH protocol", "callback_receive_banner",
                                          NULL};
    static const char *const ended[] = {"SSH_MSG_DISCONNECT",
                                        "disconnected",
                                        "Connection reset",
                                        "Broken pipe",
                                        "error on socket",
                                        "Remote channel is closed",
                                        NULL};
    static const char *const broken[] = {"HMAC", "acket", "ecrypt", "padding", "nvalid", "MAC", NULL};

    if (contains_any(text, not_ssh)) {
        return FAULT_NOT_SSH;
    }
    if (!greeted && phase <= PHASE_BANNER) {
        return got_bytes ? FAULT_NOT_SSH : FAULT_CLOSED;
    }
    if (phase == PHASE_KEX) {
        /* Servers that find nothing in common just hang up, most of them without a word. */
        return contains_any(text, broken) && strstr(text, "ignature") == NULL ? FAULT_PROTOCOL : FAULT_KEY_EXCHANGE;
    }
    if (contains_any(text, ended)) {
        return FAULT_CLOSED;
    }
    if (contains_any(text, broken)) {
        return FAULT_PROTOCOL;
    }
    switch (phase) {
    case PHASE_AUTH:
        return FAULT_AUTHENTICATION;
    case PHASE_CHANNEL:
        return strstr(text, "opening failure") != NULL ? FAULT_CHANNEL : FAULT_REQUEST;
    default:
        return FAULT_CLOSED;
    }
}

void fault_note(struct fault_log *log, enum fault fault, uint64_t times, const char *example)
{
    if (fault >= FAULT_COUNT || times == 0) {
        return;
    }
    if (log->counts[fault] == 0) {
        size_t i = 0;
        for (; example[i] != '\0' && i < FAULT_EXAMPLE_MAX - 1; i++) {
            unsigned char c = (unsigned char)example[i];
            log->first[fault][i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
        }
        log->first[fault][i] = '\0';
    }
    log->counts[fault] += times;
}

void fault_merge(struct fault_log *into, const struct fault_log *from)
{
    for (int i = 0; i < FAULT_COUNT; i++) {
        fault_note(into, (enum fault)i, from->counts[i], from->first[i]);
    }
}

uint64_t fault_total(const struct fault_log *log)
{
    uint64_t total = 0;
    for (int i = 0; i < FAULT_COUNT; i++) {
        total += log->counts[i];
    }
    return total;
}
