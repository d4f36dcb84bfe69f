/*
 * counters.h - room: the counters.
 *
 * One page of shared memory per worker, written by that worker alone and read by the master (totals in the log,
 * metrics, watchdog). All fields are 64-bit and accessed with relaxed atomics: a reader may see one counter a moment
 * older than another, never a torn one. Counters only grow while a worker lives; when it dies the master adds them to
 * the page of the departed. Gauges are marked.
 */
#ifndef SERVER_FIGURES_COUNTERS_H
#define SERVER_FIGURES_COUNTERS_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Why a connection ended; REASON_* in the log, the `reason` label in the metrics. */
#define CLOSE_REASONS(X)                                                                                               \
    X(CLIENT, "client")     /* the client disconnected or closed TCP in good order */                                  \
    X(RESET, "reset")       /* TCP reset or another socket error */                                                    \
    X(PROTOCOL, "protocol") /* libssh gave up on what the client sent */                                               \
    X(BANNER_TIMEOUT, "banner-timeout")                                                                                \
    X(KEX_TIMEOUT, "kex-timeout")                                                                                      \
    X(LOGIN_TIMEOUT, "login-timeout")                                                                                  \
    X(IDLE_TIMEOUT, "idle-timeout")                                                                                    \
    X(NO_PROGRESS, "no-progress")                                                                                      \
    X(SESSION_TIMEOUT, "session-timeout")                                                                              \
    X(SESSION_BYTES, "session-bytes")                                                                                  \
    X(AUTH_ATTEMPTS, "auth-attempts")                                                                                  \
    X(WINDOW_OVERRUN, "window-overrun") /* the client sent more than it was granted */                                 \
    X(RATE, "rate")                     /* opens, requests or re-keys faster than allowed */                           \
    X(DRAIN, "drain")                   /* the drain deadline of a shutdown or reload */                               \
    X(ON_REQUEST, "test-bench")         /* the client asked for it */                                                  \
    X(INTERNAL, "internal")

/* Why a connection was refused before any SSH work was done. */
#define REFUSE_REASONS(X)                                                                                              \
    X(FULL, "full")                                                                                                    \
    X(UNAUTHENTICATED, "unauthenticated")                                                                              \
    X(SOURCE, "source")                                                                                                \
    X(HELD_OFF, "held-off") /* a source that has brought workers down */                                               \
    X(MEMORY, "memory")                                                                                                \
    X(SYSTEM, "system") /* out of memory, or libssh would not take the socket */                                       \
    X(PROXY, "proxy")   /* bad or late PROXY header */

#define COUNTERS_ENUM_CLOSE(name, text) REASON_##name,
#define COUNTERS_ENUM_REFUSE(name, text) REFUSED_##name,
enum close_reason { CLOSE_REASONS(COUNTERS_ENUM_CLOSE) CLOSE_REASON_COUNT };
enum refuse_reason { REFUSE_REASONS(COUNTERS_ENUM_REFUSE) REFUSE_REASON_COUNT };

/* Upper bounds of the histogram buckets, in microseconds; the last bucket is everything above. */
#define COUNTERS_HANDSHAKE_BOUNDS_US                                                                                   \
    {                                                                                                                  \
        1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000                       \
    }
#define COUNTERS_TURN_BOUNDS_US                                                                                        \
    {                                                                                                                  \
        50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000                                       \
    }
#define COUNTERS_BUCKETS 13

struct counters_histogram {
    _Atomic uint64_t count[COUNTERS_BUCKETS];
    _Atomic uint64_t sum_us;
};

/* What one process writes on every turn must not share a cache line with what another writes; the prefetcher of the
 * usual processors fetches lines in pairs. */
#define COUNTERS_LINE_BYTES 128

struct counters {
    /* life of the worker */
    alignas(COUNTERS_LINE_BYTES) _Atomic uint64_t pid; /* gauge; 0: no worker in this slot */
    _Atomic uint64_t heartbeat_ns;                     /* gauge; monotonic instant of the last loop turn */
    _Atomic uint64_t draining;                         /* gauge; 1 while it finishes its connections */
    _Atomic uint64_t
        last_source; /* gauge; source key of the connection being served, 0 between: whom to blame for a crash */
    /* gauges */
    _Atomic uint64_t connections, unauthenticated, channels, held_bytes, pending_bytes;
    _Atomic uint64_t password_checks_waiting;
    /* counters */
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused[REFUSE_REASON_COUNT];
    _Atomic uint64_t closed[CLOSE_REASON_COUNT];
    _Atomic uint64_t logins, login_failures_none, login_failures_password, login_failures_publickey,
        login_failures_keyboard;
    _Atomic uint64_t password_checks; /* that the checker was given */
    _Atomic uint64_t handshakes;      /* key exchanges finished, one a connection */
    _Atomic uint64_t rekeys;          /* key re-exchanges finished, whoever began */
    _Atomic uint64_t channels_opened, channels_refused;
    _Atomic uint64_t requests, requests_refused;
    _Atomic uint64_t echoes;                        /* data messages echoed; a subset of what came in */
    _Atomic uint64_t bytes_in, bytes_out;           /* channel data, without SSH's overhead */
    _Atomic uint64_t wire_bytes_in, wire_bytes_out; /* of closed connections */
    _Atomic uint64_t accept_pauses;                 /* times accepting stopped for lack of fds or room */
    _Atomic uint64_t log_lines_lost;                /* that nobody took in time */
    _Atomic uint64_t reports, reports_lost;         /* of report-file */
    struct counters_histogram handshake, turn;
};

static_assert(sizeof(struct counters) % COUNTERS_LINE_BYTES == 0, "one cache line per writer");
/* Where a word needs a lock, that is one of each process alone: others would read half of a word. */
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit words that processes share without a lock");

static inline void counters_add(_Atomic uint64_t *counter, uint64_t n)
{
    /* one writer: a plain load and store, no locked instruction */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void counters_sub(_Atomic uint64_t *gauge, uint64_t n)
{
    atomic_store_explicit(gauge, atomic_load_explicit(gauge, memory_order_relaxed) - n, memory_order_relaxed);
}
static inline void counters_set(_Atomic uint64_t *gauge, uint64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}
static inline uint64_t counters_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

extern const uint64_t counters_handshake_bounds_us[COUNTERS_BUCKETS - 1];
extern const uint64_t counters_turn_bounds_us[COUNTERS_BUCKETS - 1];
void counters_observe(struct counters_histogram *h, const uint64_t bounds_us[COUNTERS_BUCKETS - 1], uint64_t value_us);

const char *counters_close_name(enum close_reason reason);
const char *counters_refuse_name(enum refuse_reason reason);

/* Adds the counters (not the gauges) of `from` to `into`: the departed keep their deeds. */
void counters_absorb(struct counters *into, const struct counters *from);
/* Adds everything, gauges too: a total over pages. */
void counters_sum(struct counters *into, const struct counters *from);
/* One log line with the totals. */
void counters_log(const struct counters *total, const char *event);

#endif
