#include "server/master/sampler.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshecho/clock.h"

static uint64_t cpu_us(uint64_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0;
    (void)snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    (void)fclose(file);
    const char *after_name = strrchr(text, ')'); /* the name may hold spaces */
    if (after_name == NULL ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) {
        return 0;
    }
    return (uint64_t)(user + kernel) * (uint64_t)US_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t resident_bytes(uint64_t pid)
{
    char path[64];
    unsigned long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%" PRIu64 "/statm", pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %lu", &pages) != 1) {
            pages = 0;
        }
        (void)fclose(file);
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Accept queues: for a listening socket Linux keeps their length and bound in these fields of TCP_INFO. */
static void sample_queues(struct scoreboard *board, const struct listeners *listeners)
{
    uint64_t half = 1 - counters_get(&board->queues_half); /* a reader looks at the other one */
    uint64_t count = 0;
    for (size_t i = 0; i < listeners->count && count < SCOREBOARD_QUEUES; i++) {
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        struct accept_queue *queue = &board->queues[half].queues[count];
        if (getsockopt(listeners->items[i].fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
            queue->bound = listeners->items[i].bound;
            queue->length = info.tcpi_unacked;
            queue->max = info.tcpi_sacked;
            count++;
        }
    }
    board->queues[half].count = count;
    atomic_store_explicit(&board->queues_half, half, memory_order_release);
}

void sampler_take(struct scoreboard *board, const struct listeners *listeners)
{
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        uint64_t pid = counters_get(&board->workers[i].pid);
        if (pid != 0) {
            counters_set(&board->samples[i].cpu_us, cpu_us(pid));
            counters_set(&board->samples[i].resident_bytes, resident_bytes(pid));
        }
    }
    sample_queues(board, listeners);
}
