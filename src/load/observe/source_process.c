/* Inside the room of source.h: a process and whatever comes of it, from /proc. */
#include "load/observe/source.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
    pid_t pid, parent;
    uint64_t started;     /* tells it from a later one of the same number */
    uint64_t own, waited; /* ticks: its own, and those of the children that it waited for */
};

struct processes {
    struct process *items;
    size_t count, capacity;
};

struct process_source {
    struct source source;
    pid_t root;
    struct processes members; /* at the last reading */
    uint64_t lost;            /* ticks of those that ended and that no member waited for */
};

/* ---- one process ---- */

static int read_stat(pid_t pid, struct process *out)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -1;
    }
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    const char *after_name = strrchr(text, ')'); /* the name may hold spaces */
    int parent = 0;
    uint64_t user, kernel;
    int64_t children_user, children_kernel;
    if (after_name == NULL || sscanf(after_name + 1,
                                     " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNd64
                                     " %" SCNd64 " %*d %*d %*d %*d %" SCNu64,
                                     &parent, &user, &kernel, &children_user, &children_kernel, &out->started) != 6) {
        return -1;
    }
    out->pid = pid;
    out->parent = (pid_t)parent;
    out->own = user + kernel;
    out->waited = (uint64_t)(children_user + children_kernel);
    return 0;
}

double source_memory_of(pid_t pid)
{
    char path[64], line[160];
    double kb = -1.0;
    (void)snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT || errno == ESRCH ? 0.0 : -1.0;
    }
    while (kb < 0.0 && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Pss: %lf", &kb) != 1) {
            kb = -1.0;
        }
    }
    int reason = ferror(file) != 0 ? errno : ESRCH;
    (void)fclose(file);
    return kb >= 0.0 ? kb * 1024.0 : reason == ESRCH ? 0.0 : -1.0;
}

/* ---- all of them ---- */

static struct process *add(struct processes *all, const struct process *process)
{
    if (all->count == all->capacity) {
        size_t capacity = all->capacity * 2 + 64;
        struct process *larger = realloc(all->items, capacity * sizeof *larger);
        if (larger == NULL) {
            return NULL;
        }
        all->items = larger;
        all->capacity = capacity;
    }
    all->items[all->count] = *process;
    return &all->items[all->count++];
}

static int by_pid(const void *a, const void *b)
{
    const struct process *left = a;
    const struct process *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

/* In a sorted list. */
static struct process *find(const struct processes *all, pid_t pid)
{
    struct process key = {.pid = pid};
    return all->count == 0 ? NULL : bsearch(&key, all->items, all->count, sizeof key, by_pid);
}

static int read_all(struct processes *all)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    int rc = directory == NULL ? -1 : 0;
    while (rc == 0 && (entry = readdir(directory)) != NULL) {
        struct process process;
        if (isdigit((unsigned char)entry->d_name[0]) && read_stat((pid_t)atol(entry->d_name), &process) == 0 &&
            add(all, &process) == NULL) {
            rc = -1;
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    if (all->count > 0) {
        qsort(all->items, all->count, sizeof *all->items, by_pid);
    }
    return rc;
}

/* Whether it was a member at the last reading. */
static const struct process *was_member(const struct process_source *own, const struct process *process)
{
    const struct process *before = find(&own->members, process->pid);
    return before != NULL && before->started == process->started ? before : NULL;
}

/* The root, what descends from it, and what did when it was last looked at (it may have lost its parent since). */
static bool belongs(const struct process_source *own, const struct processes *all, const struct process *process)
{
    for (int depth = 0; process != NULL && depth < 64; depth++) {
        if (process->pid == own->root || was_member(own, process) != NULL) {
            return true;
        }
        process = find(all, process->parent);
    }
    return false;
}

/* What those that have ended since had used, and what of it has not turned up with an ancestor that waited for them. */
static void count_lost(struct process_source *own, const struct processes *now)
{
    uint64_t ended = 0;
    uint64_t taken_over = 0;
    for (size_t i = 0; i < own->members.count; i++) {
        const struct process *before = &own->members.items[i];
        const struct process *after = find(now, before->pid);
        if (after == NULL || after->started != before->started) {
            ended += before->own + before->waited;
        } else {
            taken_over += after->waited - before->waited;
        }
    }
    own->lost += ended > taken_over ? ended - taken_over : 0;
}

static int read_processes(struct source *source, bool with_memory, struct source_reading *out, char *error,
                          size_t error_size)
{
    struct process_source *own = (struct process_source *)source;
    struct processes all = {0};
    struct processes members = {0};
    int rc = read_all(&all);
    const struct process *root = find(&all, own->root);
    if (rc == 0 && (root == NULL || (own->members.count > 0 && was_member(own, root) == NULL))) {
        (void)snprintf(error, error_size, "process %ld %s", (long)own->root,
                       own->members.count > 0 ? "has ended" : "does not exist");
        rc = 1;
    }
    uint64_t ticks = 0;
    *out = (struct source_reading){.bytes = with_memory ? 0.0 : -1.0};
    for (size_t i = 0; i < all.count && rc == 0; i++) {
        if (!belongs(own, &all, &all.items[i])) {
            continue;
        }
        ticks += all.items[i].own + all.items[i].waited;
        double bytes = with_memory && out->bytes >= 0.0 ? source_memory_of(all.items[i].pid) : -1.0;
        out->bytes = bytes < 0.0 ? -1.0 : out->bytes + bytes;
        rc = add(&members, &all.items[i]) == NULL ? -1 : 0;
    }
    if (rc < 0) {
        (void)snprintf(error, error_size, "process %ld: /proc cannot be read: %s", (long)own->root, strerror(errno));
    }
    free(all.items);
    if (rc != 0) {
        free(members.items);
        return -1;
    }
    count_lost(own, &members);
    free(own->members.items);
    own->members = members;
    out->cpu_s = (double)(ticks + own->lost) / (double)sysconf(_SC_CLK_TCK);
    return 0;
}

static void close_processes(struct source *source)
{
    struct process_source *own = (struct process_source *)source;
    free(own->members.items);
    free(own);
}

struct source *source_process(pid_t pid, char *error, size_t error_size)
{
    struct process_source *own = calloc(1, sizeof *own);
    if (own == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return NULL;
    }
    own->source = (struct source){.read = read_processes, .close = close_processes};
    (void)snprintf(own->source.name, sizeof own->source.name, "process %ld", (long)pid);
    own->root = pid;
    return &own->source;
}
