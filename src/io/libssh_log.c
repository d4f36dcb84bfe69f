#include "sshecho/libssh_log.h"

#include <libssh/libssh.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static void (*listener)(const char *what);
static void (*window_listener)(uint32_t number, uint32_t bytes, uint32_t window_bytes);

/* The same in 0.10, 0.11 and 0.12 (channels.c). */
static const struct {
    const char *line, *what;
} dropped[] = {
    {"Invalid MSG_CHANNEL_REQUEST", "channel request"},
    {"Invalid data packet!", "channel data"},
    {"Error getting a window adjust message: invalid packet", "window adjustment"},
};

/* messages.c says that a global request was invalid after every refusal too: only one of which nothing was said between
 * its arrival and that could not be read. */
#define GLOBAL_REQUEST_BEGINS "Received SSH_MSG_GLOBAL_REQUEST packet"
#define GLOBAL_REQUEST_FAILS "Invalid SSH_MSG_GLOBAL_REQUEST packet"

/* channels.c: bytes, our number of the channel, the peer's, and the window before. */
static const char *const window_adjusted[] = {"Adding %d bytes to channel (%d:%d) (from %d bytes)",
                                              "Adding %u bytes to channel (%u:%u) (from %u bytes)"};
/* session.c: a session's channels count from here on. */
#define FIRST_CHANNEL 43

static bool is_window_adjusted(const char *line)
{
    static const char *known; /* it is always the same one */
    if (line == known) {
        return true;
    }
    for (size_t i = 0; i < sizeof window_adjusted / sizeof window_adjusted[0]; i++) {
        if (strcmp(line, window_adjusted[i]) == 0) {
            known = line;
            return true;
        }
    }
    return false;
}

static void tell_window(va_list arguments)
{
    uint32_t bytes = va_arg(arguments, uint32_t);
    uint32_t number = va_arg(arguments, uint32_t) - (FIRST_CHANNEL - 1);
    (void)va_arg(arguments, uint32_t);
    window_listener(number, bytes, va_arg(arguments, uint32_t));
}

static const char *what_was_dropped(const char *line)
{
    static bool in_global_request;
    bool was_in_global_request = in_global_request;
    in_global_request = *line == 'R' && strcmp(line, GLOBAL_REQUEST_BEGINS) == 0;
    if (*line != 'I' && *line != 'E') {
        return NULL;
    }
    if (was_in_global_request && strcmp(line, GLOBAL_REQUEST_FAILS) == 0) {
        return "global request";
    }
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        if (strcmp(line, dropped[i].line) == 0) {
            return dropped[i].what;
        }
    }
    return NULL;
}

void libssh_log_listen(void (*hear)(const char *what))
{
    listener = hear;
}

void libssh_log_listen_windows(void (*hear)(uint32_t number, uint32_t bytes, uint32_t window_bytes))
{
    window_listener = hear;
}

/* libssh's own name: its calls arrive here. */
void _ssh_log(int verbosity, const char *function, const char *format, ...) /* NOLINT(bugprone-reserved-identifier) */
{
    if (listener != NULL) {
        const char *what = what_was_dropped(format);
        if (what != NULL) {
            listener(what);
        }
    }
    if (*format == 'A' && window_listener != NULL && is_window_adjusted(format)) {
        va_list arguments;
        va_start(arguments, format);
        tell_window(arguments);
        va_end(arguments);
    }
    if (verbosity <= ssh_get_log_level()) {
        va_list arguments;
        va_start(arguments, format);
        ssh_vlog(verbosity, function, format, &arguments);
        va_end(arguments);
    }
}
