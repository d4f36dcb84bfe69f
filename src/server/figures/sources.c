#include "server/figures/sources.h"

#include <stddef.h>

#include "server/figures/counters.h"

#define HOLD_OFF_FIRST_NS (UINT64_C(10) * 1000000000)
#define HOLD_OFF_MAX_NS (UINT64_C(600) * 1000000000)
#define FORGET_STRIKES_NS (UINT64_C(3600) * 1000000000)

static size_t home_of(uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % SOURCES_COUNTED;
}

/* The place of a key in a worker's table, or NULL; *room: the first one that counts nothing. */
static struct source_count *find_source(struct source_counts *counts, uint64_t key, struct source_count **room)
{
    for (size_t i = 0, at = home_of(key); i < SOURCES_COUNTED; i++, at = (at + 1) % SOURCES_COUNTED) {
        uint64_t found = counters_get(&counts->slots[at].key);
        if (found == key) {
            return &counts->slots[at];
        }
        if (*room == NULL && counters_get(&counts->slots[at].connections) == 0) {
            *room = &counts->slots[at];
        }
        if (found == 0) {
            break;
        }
    }
    return NULL;
}

bool source_counts_add(struct source_counts *counts, uint64_t key)
{
    struct source_count *room = NULL;
    struct source_count *found = find_source(counts, key, &room);
    if (found == NULL && room != NULL) {
        found = room;
        counters_set(&found->key, key);
    }
    if (found != NULL) {
        counters_add(&found->connections, 1);
    }
    return found != NULL;
}

void source_counts_remove(struct source_counts *counts, uint64_t key)
{
    struct source_count *room = NULL;
    struct source_count *found = find_source(counts, key, &room);
    if (found != NULL && counters_get(&found->connections) != 0) {
        counters_sub(&found->connections, 1);
    }
}

uint64_t source_counts_of(const struct source_counts *counts, uint64_t key)
{
    for (size_t i = 0, at = home_of(key); i < SOURCES_COUNTED; i++, at = (at + 1) % SOURCES_COUNTED) {
        uint64_t found = counters_get(&counts->slots[at].key);
        if (found == key) {
            return counters_get(&counts->slots[at].connections);
        }
        if (found == 0) {
            break;
        }
    }
    return 0;
}

void source_strike(struct source_hold_offs *hold_offs, uint64_t key, uint64_t now_ns)
{
    struct source_hold_off *found = NULL;
    for (unsigned i = 0; i < SOURCES_HELD_OFF && key != 0; i++) {
        struct source_hold_off *entry = &hold_offs->entries[i];
        if (counters_get(&entry->key) == key) {
            found = entry;
            break;
        }
        if (found == NULL && counters_get(&entry->until_ns) + FORGET_STRIKES_NS < now_ns) {
            found = entry;
        }
        if (found == NULL && counters_get(&entry->key) == 0) {
            found = entry;
        }
    }
    if (found == NULL) {
        return;
    }
    if (counters_get(&found->key) != key) {
        counters_set(&found->strikes, 0);
        counters_set(&found->until_ns, now_ns);
        counters_set(&found->key, key);
    }
    uint64_t strikes = counters_get(&found->strikes) + 1;
    counters_set(&found->strikes, strikes);
    if (strikes >= 2) { /* once is an accident */
        uint64_t hold_ns = HOLD_OFF_FIRST_NS << (strikes - 2 < 6 ? strikes - 2 : 6);
        counters_set(&found->until_ns, now_ns + (hold_ns < HOLD_OFF_MAX_NS ? hold_ns : HOLD_OFF_MAX_NS));
    }
}

bool source_is_held_off(const struct source_hold_offs *hold_offs, uint64_t key, uint64_t now_ns)
{
    for (unsigned i = 0; i < SOURCES_HELD_OFF; i++) {
        uint64_t found = counters_get(&hold_offs->entries[i].key);
        if (found == key) {
            return counters_get(&hold_offs->entries[i].until_ns) > now_ns;
        }
        if (found == 0) {
            break;
        }
    }
    return false;
}
