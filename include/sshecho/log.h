/*
 * log.h - room: the log.
 *
 * One line per event on stderr (or the fd given), `key=value` or JSON, written with one write(2) so that lines of
 * several processes never mix. Owns the process's log settings (level, format, fd, program name). Everything that came
 * from a peer is passed as a string value and comes out escaped and cut to LOG_VALUE_MAX bytes; a peer can neither
 * forge a line nor fill a disk with one. A failing write (disk full, closed pipe) is counted and otherwise ignored.
 * A process with an event loop asks that its log never wait for the reader (sink.h).
 *
 * Usage: log_line(LOG_INFO, "accept", log_u64("conn", id), log_str("peer", addr));
 * key=value form: time=2026-11-20T23:07:54.123Z level=info pid=12 event=accept conn=17 peer=127.0.0.1:4022
 */
#ifndef SSHECHO_LOG_H
#define SSHECHO_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_VALUE_MAX 256 /* bytes of one value after escaping; longer ones end in "..." */
#define LOG_LINE_MAX 4096 /* <= PIPE_BUF, so that a line written to a pipe is atomic */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_FORMAT_KV, LOG_FORMAT_JSON };

enum log_kind { LOG_KIND_STR, LOG_KIND_I64, LOG_KIND_U64, LOG_KIND_F64, LOG_KIND_BOOL };

struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        const char *str; /* NULL prints as an empty string */
        int64_t i64;
        uint64_t u64;
        double f64;
    } value;
};

static inline struct log_field log_str(const char *key, const char *value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_STR, .value = {.str = value}};
}
static inline struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_I64, .value = {.i64 = value}};
}
static inline struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_U64, .value = {.u64 = value}};
}
static inline struct log_field log_f64(const char *key, double value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_F64, .value = {.f64 = value}};
}
static inline struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BOOL, .value = {.u64 = value ? 1 : 0}};
}

/* Sets the process's log. fd is borrowed. With `priority` each line starts with sd-daemon's "<N>" (journald levels). */
void log_setup(enum log_level level, enum log_format format, int fd, bool priority);
bool log_enabled(enum log_level level);

/* Writes one line. `event` and keys are ours (literals), values may be a peer's. fields: array of `count`. */
void log_fields(enum log_level level, const char *event, const struct log_field *fields, unsigned count);

#define log_line(level, event, ...)                                                                                    \
    do {                                                                                                               \
        if (log_enabled(level)) {                                                                                      \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                                      \
            log_fields((level), (event), log_fields_, (unsigned)(sizeof log_fields_ / sizeof log_fields_[0]));         \
        }                                                                                                              \
    } while (0)

/* From now on a line whose reader does not take it waits in a bounded queue; log_flush, called now and then, writes it.
 * What the queue cannot hold is lost and counted. One thread only. */
void log_never_wait(void);
void log_flush(void);
/* "So many lines were lost": true if the reader was there to take it; else nothing is kept of it. */
bool log_tell_lost(uint64_t lines);
/* Before the end of the process: gives the reader at most so long. */
void log_finish(int64_t wait_us);
/* In a forked child: the queue is the parent's to write. */
void log_forked(void);

/* Lines that could not be written since start, or the last log_forked. */
uint64_t log_lost_lines(void);

const char *log_level_name(enum log_level level);

#endif
