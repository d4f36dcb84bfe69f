#include "server/entry/admission.h"

#include <string.h>

#include <stdlib.h>

#include "sshecho/log.h"

/* fds kept for what is no client: epoll, signal pipe, log, listening sockets, the metrics page. */
#define RESERVED_FDS 64

#define SUMMARY_INTERVAL_US (10 * US_PER_S)

uint64_t admission_room(uint64_t fd_limit)
{
    return fd_limit > 2 * RESERVED_FDS ? fd_limit - RESERVED_FDS : fd_limit / 2;
}

void admission_init(struct admission *admission, const struct config *config, struct scoreboard *board, unsigned slot,
                    uint64_t fd_limit)
{
    *admission = (struct admission){.config = config, .board = board, .slot = slot};
    admission->max_here = admission_room(fd_limit);
    admission->dice[0] = (unsigned short)mono_now().ns;
    token_bucket_init(&admission->handshakes, config->handshake_rate, 1);
}

bool admission_may_accept(struct admission *admission, mono_time now)
{
    const struct counters *counters = &admission->board->workers[admission->slot];
    return counters_get(&counters->connections) < admission->max_here && token_bucket_has(&admission->handshakes, now);
}

void admission_accepted(struct admission *admission, mono_time now)
{
    (void)token_bucket_take(&admission->handshakes, now);
}

/* erand48: nobody gains anything by guessing it. */
static unsigned roll_percent(struct admission *admission)
{
    return (unsigned)(erand48(admission->dice) * 100.0);
}

static bool dropped_early(struct admission *admission)
{
    const struct config *config = admission->config;
    if (config->unauth_full == 0) {
        return false;
    }
    uint64_t waiting = scoreboard_unauthenticated(admission->board);
    if (waiting < config->unauth_start) {
        return false;
    }
    if (waiting >= config->unauth_full) {
        return true;
    }
    uint64_t span = config->unauth_full - config->unauth_start;
    uint64_t percent = config->unauth_percent +
                       (100 - config->unauth_percent) * (waiting - config->unauth_start) / (span != 0 ? span : 1);
    return roll_percent(admission) < percent;
}

static int decide(struct admission *admission, const struct net_address *peer, mono_time now)
{
    const struct config *config = admission->config;
    uint64_t source = net_source_key(peer);
    if (config->profile == PROFILE_EXPOSED &&
        source_is_held_off(&admission->board->hold_offs, source, (uint64_t)now.ns)) {
        return REFUSED_HELD_OFF;
    }
    if (config->max_connections != 0 && scoreboard_connections(admission->board) >= config->max_connections) {
        return REFUSED_FULL;
    }
    const struct counters *counters = &admission->board->workers[admission->slot];
    if (config->memory_per_worker_bytes != 0 &&
        counters_get(&counters->held_bytes) + counters_get(&counters->pending_bytes) >=
            config->memory_per_worker_bytes) {
        return REFUSED_MEMORY;
    }
    if (dropped_early(admission)) {
        return REFUSED_UNAUTHENTICATED;
    }
    if (config->max_per_source != 0 && scoreboard_source_count(admission->board, source) >= config->max_per_source) {
        return REFUSED_SOURCE;
    }
    return ADMITTED;
}

int admission_check(struct admission *admission, const struct net_address *peer, mono_time now)
{
    int reason = decide(admission, peer, now);
    if (reason != ADMITTED) {
        admission_refuse(admission, (enum refuse_reason)reason, peer, now);
    }
    return reason;
}

static void log_summary(struct admission *admission, const char *event)
{
    struct log_field fields[REFUSE_REASON_COUNT];
    unsigned count = 0;
    for (unsigned i = 0; i < REFUSE_REASON_COUNT; i++) {
        if (admission->refused_unlogged[i] != 0) {
            fields[count++] = log_u64(counters_refuse_name((enum refuse_reason)i), admission->refused_unlogged[i]);
            admission->refused_unlogged[i] = 0;
        }
    }
    if (log_enabled(LOG_WARN)) {
        log_fields(LOG_WARN, event, fields, count);
    }
}

void admission_refuse(struct admission *admission, enum refuse_reason reason, const struct net_address *peer,
                      mono_time now)
{
    counters_add(&admission->board->workers[admission->slot].refused[reason], 1);
    admission->refused_unlogged[reason]++;
    if (!admission->refusing) {
        char text[NET_ADDRESS_TEXT_MAX];
        admission->refusing = true;
        admission->last_summary = now;
        admission->refused_unlogged[reason] = 0;
        log_line(LOG_WARN, "refuse", log_str("reason", counters_refuse_name(reason)),
                 log_str("peer", net_print(peer, text, sizeof text)),
                 log_str("note", "first of a row; a summary every 10 s while it lasts"));
    }
}

void admission_tick(struct admission *admission, mono_time now)
{
    if (!admission->refusing || mono_us_between(admission->last_summary, now) < SUMMARY_INTERVAL_US) {
        return;
    }
    uint64_t unlogged = 0;
    for (unsigned i = 0; i < REFUSE_REASON_COUNT; i++) {
        unlogged += admission->refused_unlogged[i];
    }
    admission->refusing = unlogged != 0;
    admission->last_summary = now;
    log_summary(admission, unlogged != 0 ? "refusals" : "refusals_over");
}
