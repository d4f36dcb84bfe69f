#include "server/figures/scoreboard.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define HOLD_OFF_FIRST_NS (UINT64_C(10) * 1000000000)
#define HOLD_OFF_MAX_NS (UINT64_C(600) * 1000000000)
#define FORGET_STRIKES_NS (UINT64_C(3600) * 1000000000)

struct scoreboard *scoreboard_create(void)
{
    void *memory = mmap(NULL, sizeof(struct scoreboard), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    struct scoreboard *board = memory; /* zeroed by the kernel */
    counters_set(&board->started_unix_s, (uint64_t)time(NULL));
    return board;
}

void scoreboard_destroy(struct scoreboard *board)
{
    if (board != NULL) {
        (void)munmap(board, sizeof *board);
    }
}

void scoreboard_total(const struct scoreboard *board, struct counters *total)
{
    memset(total, 0, sizeof *total);
    counters_sum(total, &board->departed);
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        if (counters_get(&board->workers[i].pid) != 0) {
            counters_sum(total, &board->workers[i]);
        }
    }
}

uint64_t scoreboard_connections(const struct scoreboard *board)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        total += counters_get(&board->workers[i].connections);
    }
    return total;
}

uint64_t scoreboard_unauthenticated(const struct scoreboard *board)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        total += counters_get(&board->workers[i].unauthenticated);
    }
    return total;
}

void scoreboard_bury(struct scoreboard *board, unsigned slot)
{
    counters_absorb(&board->departed, &board->workers[slot]);
    memset(&board->workers[slot], 0, sizeof board->workers[slot]);
    memset(board->sources[slot], 0, sizeof board->sources[slot]);
}

static size_t home_of(uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % SCOREBOARD_SOURCES;
}

bool scoreboard_source_add(struct scoreboard *board, unsigned slot, uint64_t key, int delta)
{
    struct source_slot *table = board->sources[slot];
    struct source_slot *empty = NULL; /* first that counts nothing */
    for (size_t i = 0, at = home_of(key); i < SCOREBOARD_SOURCES; i++, at = (at + 1) % SCOREBOARD_SOURCES) {
        uint64_t found = counters_get(&table[at].key);
        if (found == key) {
            counters_add(&table[at].count, (uint64_t)(int64_t)delta);
            return true;
        }
        if (empty == NULL && counters_get(&table[at].count) == 0) {
            empty = &table[at];
        }
        if (found == 0) {
            break;
        }
    }
    if (empty == NULL || delta <= 0) {
        return false;
    }
    counters_set(&empty->key, key);
    counters_set(&empty->count, (uint64_t)delta);
    return true;
}

uint64_t scoreboard_source_count(const struct scoreboard *board, uint64_t key)
{
    uint64_t total = 0;
    for (unsigned slot = 0; slot < SCOREBOARD_WORKERS; slot++) {
        if (counters_get(&board->workers[slot].pid) == 0) {
            continue;
        }
        const struct source_slot *table = board->sources[slot];
        for (size_t i = 0, at = home_of(key); i < SCOREBOARD_SOURCES; i++, at = (at + 1) % SCOREBOARD_SOURCES) {
            uint64_t found = counters_get(&table[at].key);
            if (found == key) {
                total += counters_get(&table[at].count);
                break;
            }
            if (found == 0) {
                break;
            }
        }
    }
    return total;
}

void scoreboard_strike(struct scoreboard *board, uint64_t key, uint64_t now_ns)
{
    struct held_off *found = NULL;
    for (unsigned i = 0; i < SCOREBOARD_HELD_OFF && key != 0; i++) {
        struct held_off *entry = &board->held_off[i];
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

bool scoreboard_is_held_off(const struct scoreboard *board, uint64_t key, uint64_t now_ns)
{
    for (unsigned i = 0; i < SCOREBOARD_HELD_OFF; i++) {
        uint64_t found = counters_get(&board->held_off[i].key);
        if (found == key) {
            return counters_get(&board->held_off[i].until_ns) > now_ns;
        }
        if (found == 0) {
            break;
        }
    }
    return false;
}
