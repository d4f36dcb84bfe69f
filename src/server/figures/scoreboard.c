#include "server/figures/scoreboard.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HOLD_OFF_FIRST_NS (UINT64_C(10) * 1000000000)
#define HOLD_OFF_MAX_NS (UINT64_C(600) * 1000000000)
#define FORGET_STRIKES_NS (UINT64_C(3600) * 1000000000)

struct scoreboard *scoreboard_create(void)
{
    int fd = scoreboard_memory();
    struct scoreboard *board = fd >= 0 ? scoreboard_map(fd) : NULL;
    if (fd >= 0) {
        (void)close(fd);
    }
    return board;
}

int scoreboard_memory(void)
{
    int fd = memfd_create("sshechod-scoreboard", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)sizeof(struct scoreboard)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

struct scoreboard *scoreboard_map(int fd)
{
    void *memory = mmap(NULL, sizeof(struct scoreboard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    struct scoreboard *board = memory; /* zeroed by the kernel */
    if (counters_get(&board->started_unix_s) == 0) {
        counters_set(&board->started_unix_s, (uint64_t)time(NULL));
    }
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
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        if (counters_get(&board->workers[i].pid) != 0) {
            counters_sum(total, &board->workers[i]);
        }
    }
}

uint64_t scoreboard_connections(const struct scoreboard *board)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        total += counters_get(&board->workers[i].connections);
    }
    return total;
}

uint64_t scoreboard_unauthenticated(const struct scoreboard *board)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        total += counters_get(&board->workers[i].unauthenticated);
    }
    return total;
}

unsigned scoreboard_slots(const struct scoreboard *board)
{
    return (unsigned)counters_get(&board->slots);
}

void scoreboard_enlist(struct scoreboard *board, unsigned slot, uint64_t pid)
{
    counters_set(&board->workers[slot].pid, pid);
    if (slot >= scoreboard_slots(board)) {
        counters_set(&board->slots, slot + 1);
    }
}

void scoreboard_bury(struct scoreboard *board, unsigned slot)
{
    counters_absorb(&board->departed, &board->workers[slot]);
    memset(&board->workers[slot], 0, sizeof board->workers[slot]);
    memset(board->sources[slot], 0, sizeof board->sources[slot]);
    for (unsigned slots = scoreboard_slots(board); slots > 0 && counters_get(&board->workers[slots - 1].pid) == 0;) {
        counters_set(&board->slots, --slots);
    }
}

static size_t home_of(uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % SCOREBOARD_SOURCES;
}

/* The place of a key in a worker's table, or NULL; *room: the first one that counts nothing. */
static struct source_slot *find_source(struct source_slot *table, uint64_t key, struct source_slot **room)
{
    for (size_t i = 0, at = home_of(key); i < SCOREBOARD_SOURCES; i++, at = (at + 1) % SCOREBOARD_SOURCES) {
        uint64_t found = counters_get(&table[at].key);
        if (found == key) {
            return &table[at];
        }
        if (*room == NULL && counters_get(&table[at].count) == 0) {
            *room = &table[at];
        }
        if (found == 0) {
            break;
        }
    }
    return NULL;
}

bool scoreboard_source_add(struct scoreboard *board, unsigned slot, uint64_t key)
{
    struct source_slot *room = NULL;
    struct source_slot *found = find_source(board->sources[slot], key, &room);
    if (found == NULL && room != NULL) {
        found = room;
        counters_set(&found->key, key);
    }
    if (found != NULL) {
        counters_add(&found->count, 1);
    }
    return found != NULL;
}

void scoreboard_source_remove(struct scoreboard *board, unsigned slot, uint64_t key)
{
    struct source_slot *room = NULL;
    struct source_slot *found = find_source(board->sources[slot], key, &room);
    if (found != NULL && counters_get(&found->count) != 0) {
        counters_sub(&found->count, 1);
    }
}

uint64_t scoreboard_source_count(const struct scoreboard *board, uint64_t key)
{
    uint64_t total = 0;
    for (unsigned slot = 0; slot < scoreboard_slots(board); slot++) {
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
