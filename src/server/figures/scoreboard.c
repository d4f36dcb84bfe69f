#include "server/figures/scoreboard.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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
    memset(&board->sources[slot], 0, sizeof board->sources[slot]);
    for (unsigned slots = scoreboard_slots(board); slots > 0 && counters_get(&board->workers[slots - 1].pid) == 0;) {
        counters_set(&board->slots, --slots);
    }
}

uint64_t scoreboard_source_count(const struct scoreboard *board, uint64_t key)
{
    uint64_t total = 0;
    for (unsigned slot = 0; slot < scoreboard_slots(board); slot++) {
        if (counters_get(&board->workers[slot].pid) != 0) {
            total += source_counts_of(&board->sources[slot], key);
        }
    }
    return total;
}
