/*
 * by_target.h - room: what each of several targets did.
 *
 * Counts and latencies of one target, beside those of all in a tally. A thread counts into its own; they are merged as
 * the tallies are. Owned by the tally.
 */
#ifndef LOAD_TALLY_BY_TARGET_H
#define LOAD_TALLY_BY_TARGET_H

#include "sshecho/histogram.h"
#include "sshecho/net.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of more than these nobody wants a line each, and each thread would keep a histogram of each. */
#define BY_TARGET_MOST 128

struct target_count {
    char name[NET_ADDRESS_TEXT_MAX];
    uint64_t ok, echoes, bytes; /* measured */
    uint64_t connects_up, errors;
    struct histogram latency; /* us, of measured operations */
};

struct by_target {
    struct target_count *items; /* NULL: there is one target, or too many */
    size_t count;
};

/* Room for so many targets, if they are several and not too many. 0, or -1 out of memory. */
int by_target_init(struct by_target *all, size_t count);
void by_target_free(struct by_target *all);
/* Adds them, target by target; where they are not the same targets nothing is left. 0, or -1 out of memory. */
int by_target_merge(struct by_target *into, const struct by_target *from);

static inline struct target_count *by_target_at(const struct by_target *all, size_t index)
{
    return index < all->count ? &all->items[index] : NULL;
}

#endif
