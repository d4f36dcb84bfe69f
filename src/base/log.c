#include "sshecho/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sshecho/sink.h"

static struct {
    enum log_level level;
    enum log_format format;
    int fd;
    bool priority;
} settings = {.level = LOG_INFO, .format = LOG_FORMAT_KV, .fd = STDERR_FILENO, .priority = false};

/* Only with log_never_wait; it has one thread. */
static struct {
    bool in_use;
    struct sink sink;
} queued = {.sink = SINK_NONE};

static _Atomic uint64_t lost_lines; /* without a queue; then any thread may log */

/* A line being built. Whatever does not fit is left out as a whole, so that a line never ends inside a field. */
struct line {
    char text[LOG_LINE_MAX];
    size_t length;
};

#define LINE_RESERVE 24 /* room for the mark below and the end of the line */
#define KV_CUT_MARK " truncated=true"
#define JSON_CUT_MARK ",\"truncated\":true"

/* One value in its escaped form. */
struct value {
    char text[LOG_VALUE_MAX + 3]; /* and two quotes */
    size_t length;
};

void log_setup(enum log_level level, enum log_format format, int fd, bool priority)
{
    settings.level = level;
    settings.format = format;
    settings.priority = priority;
    if (queued.in_use && fd != settings.fd) {
        sink_close(&queued.sink);
        sink_open(&queued.sink, fd, false);
    }
    settings.fd = fd;
}

void log_never_wait(void)
{
    if (!queued.in_use) {
        queued.in_use = true;
        sink_open(&queued.sink, settings.fd, false);
    }
}

void log_forked(void)
{
    sink_forget(&queued.sink);
}

bool log_enabled(enum log_level level)
{
    return level <= settings.level;
}

uint64_t log_lost_lines(void)
{
    return atomic_load_explicit(&lost_lines, memory_order_relaxed) + queued.sink.lost;
}

const char *log_level_name(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return "error";
    case LOG_WARN:
        return "warn";
    case LOG_INFO:
        return "info";
    case LOG_DEBUG:
        return "debug";
    case LOG_TRACE:
        return "trace";
    }
    return "unknown";
}

static int syslog_priority(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return 3;
    case LOG_WARN:
        return 4;
    case LOG_INFO:
        return 6;
    case LOG_DEBUG:
    case LOG_TRACE:
        break;
    }
    return 7;
}

/* Decodes one UTF-8 sequence (RFC 3629); returns its length, or 0 when the bytes are not one. */
static size_t decode_utf8(const unsigned char *bytes, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4) {
        return 0;
    }
    *code = bytes[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) { /* also stops at the NUL */
            return 0;
        }
        *code = *code << 6 | (bytes[i] & 0x3fU);
    }
    if (*code < smallest[length] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff)) {
        return 0;
    }
    return length;
}

/* Each escaper writes one unit (at most 12 bytes) into `unit` and returns how many input bytes it stands for. */
static size_t escape_kv(const unsigned char *in, char unit[16])
{
    if (*in == '"' || *in == '\\') {
        (void)snprintf(unit, 16, "\\%c", *in);
    } else if (*in == '\n') {
        (void)snprintf(unit, 16, "\\n");
    } else if (*in < 0x20 || *in >= 0x7f) {
        (void)snprintf(unit, 16, "\\x%02x", *in);
    } else {
        (void)snprintf(unit, 16, "%c", *in);
    }
    return 1;
}

static size_t escape_json(const unsigned char *in, char unit[16])
{
    if (*in == '"' || *in == '\\') {
        (void)snprintf(unit, 16, "\\%c", *in);
        return 1;
    }
    if (*in < 0x20 || *in == 0x7f) {
        (void)snprintf(unit, 16, "\\u%04x", *in);
        return 1;
    }
    if (*in < 0x7f) {
        (void)snprintf(unit, 16, "%c", *in);
        return 1;
    }
    uint32_t code;
    size_t length = decode_utf8(in, &code);
    if (length == 0) {
        (void)snprintf(unit, 16, "\\ufffd");
        return 1;
    }
    /* Even valid text stays ASCII: a peer's right-to-left marks or C1 controls have no business in a terminal. */
    if (code >= 0x10000) {
        (void)snprintf(unit, 16, "\\u%04x\\u%04x", 0xd800U + ((code - 0x10000U) >> 10), 0xdc00U + (code & 0x3ffU));
    } else {
        (void)snprintf(unit, 16, "\\u%04x", code);
    }
    return length;
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0') {
        return true;
    }
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return true;
        }
    }
    return false;
}

static void value_string(struct value *value, const char *text, bool json)
{
    if (text == NULL) {
        text = "";
    }
    bool quoted = json || needs_quotes(text);
    char body[LOG_VALUE_MAX + 1] = "";
    size_t length = 0;
    size_t cut_at = 0; /* where "..." still fits */
    const unsigned char *in = (const unsigned char *)text;
    while (*in) {
        char unit[16];
        in += json ? escape_json(in, unit) : escape_kv(in, unit);
        size_t unit_length = strlen(unit);
        if (length + unit_length > LOG_VALUE_MAX) {
            (void)memcpy(body + cut_at, "...", 4);
            length = cut_at + 3;
            break;
        }
        (void)memcpy(body + length, unit, unit_length + 1);
        length += unit_length;
        if (length <= LOG_VALUE_MAX - 3) {
            cut_at = length;
        }
    }
    value->length = 0;
    if (quoted) {
        value->text[value->length++] = '"';
    }
    (void)memcpy(value->text + value->length, body, length);
    value->length += length;
    if (quoted) {
        value->text[value->length++] = '"';
    }
}

static void value_of(struct value *value, const struct log_field *field, bool json)
{
    int length = 0;
    switch (field->kind) {
    case LOG_KIND_STR:
        value_string(value, field->value.str, json);
        return;
    case LOG_KIND_I64:
        length = snprintf(value->text, sizeof value->text, "%" PRId64, field->value.i64);
        break;
    case LOG_KIND_U64:
        length = snprintf(value->text, sizeof value->text, "%" PRIu64, field->value.u64);
        break;
    case LOG_KIND_F64:
        if (json && !isfinite(field->value.f64)) { /* JSON has no such number */
            length = snprintf(value->text, sizeof value->text, "null");
        } else {
            length = snprintf(value->text, sizeof value->text, "%.9g", field->value.f64);
        }
        break;
    case LOG_KIND_BOOL:
        length = snprintf(value->text, sizeof value->text, "%s", field->value.u64 ? "true" : "false");
        break;
    }
    value->length = (size_t)length;
}

static void append(struct line *line, const char *text, size_t length)
{
    (void)memcpy(line->text + line->length, text, length);
    line->length += length;
}

/* Appends `,"key":value` or ` key=value`; returns false if that does not fit. */
static bool append_field(struct line *line, const struct log_field *field, bool json)
{
    struct value value;
    value_of(&value, field, json);
    size_t key_length = strlen(field->key);
    if (line->length + key_length + value.length + 4 + LINE_RESERVE > sizeof line->text) {
        return false;
    }
    append(line, json ? ",\"" : " ", json ? 2 : 1);
    append(line, field->key, key_length);
    append(line, json ? "\":" : "=", json ? 2 : 1);
    append(line, value.text, value.length);
    return true;
}

static void append_head(struct line *line, enum log_level level, bool json)
{
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    char when[40];
    size_t length = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(when + length, sizeof when - length, ".%03ldZ", now.tv_nsec / 1000000);
    char head[160];
    int head_length = 0;
    if (settings.priority) {
        head_length = snprintf(head, sizeof head, "<%d>", syslog_priority(level));
    }
    head_length += snprintf(head + head_length, sizeof head - (size_t)head_length,
                            json ? "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%ld" : "time=%s level=%s pid=%ld", when,
                            log_level_name(level), (long)getpid());
    append(line, head, (size_t)head_length);
}

static void write_line(const struct line *line)
{
    ssize_t written;
    do {
        written = write(settings.fd, line->text, line->length);
    } while (written < 0 && errno == EINTR);
    /* The rest of a short write is given up: a second write could land inside somebody else's line. */
    if (written != (ssize_t)line->length) {
        (void)atomic_fetch_add_explicit(&lost_lines, 1, memory_order_relaxed);
    }
}

static void format_line(struct line *line, enum log_level level, const char *event, const struct log_field *fields,
                        unsigned count)
{
    bool json = settings.format == LOG_FORMAT_JSON;
    line->length = 0;
    append_head(line, level, json);
    const struct log_field event_field = log_str("event", event);
    bool complete = append_field(line, &event_field, json);
    for (unsigned i = 0; i < count && complete; i++) {
        complete = append_field(line, &fields[i], json);
    }
    if (!complete) {
        const char *mark = json ? JSON_CUT_MARK : KV_CUT_MARK;
        append(line, mark, strlen(mark));
    }
    append(line, json ? "}\n" : "\n", json ? 2 : 1);
}

void log_flush(void)
{
    int saved_errno = errno;
    (void)sink_flush(&queued.sink);
    errno = saved_errno;
}

void log_finish(int64_t wait_us)
{
    (void)sink_flush_within(&queued.sink, wait_us);
}

bool log_tell_lost(uint64_t lines)
{
    struct log_field field = log_u64("lines", lines);
    struct line line;
    format_line(&line, LOG_WARN, "log_lines_lost", &field, 1);
    return queued.in_use && sink_flush(&queued.sink) && sink_try(&queued.sink, line.text, line.length);
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields, unsigned count)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved_errno = errno;
    struct line line;
    format_line(&line, level, event, fields, count);
    if (queued.in_use) {
        sink_line(&queued.sink, line.text, line.length);
    } else {
        write_line(&line);
    }
    errno = saved_errno;
}
