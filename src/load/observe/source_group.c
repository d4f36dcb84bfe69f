/* Inside the room of source.h: a control group, version 1 (cpuacct) or 2. It counts also processes that have ended. */
#include "load/observe/source.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MOST 8

struct group_source {
    struct source source;
    char directory[4096];
    bool is_v1;
};

static FILE *open_in(const char *directory, const char *name)
{
    char path[4400];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return fopen(path, "re");
}

static bool read_cpu_s(const struct group_source *own, double *cpu_s)
{
    char line[128];
    uint64_t value = 0;
    bool found = false;
    FILE *file = open_in(own->directory, own->is_v1 ? "cpuacct.usage" : "cpu.stat");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = sscanf(line, own->is_v1 ? "%" SCNu64 : "usage_usec %" SCNu64, &value) == 1;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    *cpu_s = (double)value / (own->is_v1 ? 1e9 : 1e6);
    return found;
}

/* Of its processes and those of the groups in it; negative: one of them is not for us to know. */
static double memory_in(const char *directory, int depth) /* NOLINT(misc-no-recursion): no deeper than DEPTH_MOST */
{
    double bytes = 0.0;
    long pid = 0;
    FILE *file = open_in(directory, "cgroup.procs");
    while (file != NULL && bytes >= 0.0 && fscanf(file, "%ld", &pid) == 1) {
        double of_one = source_memory_of((pid_t)pid);
        bytes = of_one < 0.0 ? -1.0 : bytes + of_one;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    DIR *inner = depth < DEPTH_MOST ? opendir(directory) : NULL;
    struct dirent *entry;
    while (inner != NULL && bytes >= 0.0 && (entry = readdir(inner)) != NULL) {
        char path[4400];
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path) {
            double of_inner = memory_in(path, depth + 1);
            bytes = of_inner < 0.0 ? -1.0 : bytes + of_inner;
        }
    }
    if (inner != NULL) {
        (void)closedir(inner);
    }
    return bytes;
}

static int read_group(struct source *source, bool with_memory, struct source_reading *out, char *error,
                      size_t error_size)
{
    const struct group_source *own = (const struct group_source *)source;
    *out = (struct source_reading){.bytes = -1.0};
    if (!read_cpu_s(own, &out->cpu_s)) {
        (void)snprintf(error, error_size, "%s: its CPU time cannot be read", source->name);
        return -1;
    }
    out->bytes = with_memory ? memory_in(own->directory, 0) : -1.0;
    return 0;
}

static void close_group(struct source *source)
{
    free(source);
}

struct source *source_group(const char *directory, char *error, size_t error_size)
{
    struct group_source *own = calloc(1, sizeof *own);
    double cpu_s;
    if (own == NULL || snprintf(own->directory, sizeof own->directory, "%s", directory) >= (int)sizeof own->directory) {
        (void)snprintf(error, error_size, own == NULL ? "out of memory" : "the path is too long");
        free(own);
        return NULL;
    }
    own->source = (struct source){.read = read_group, .close = close_group};
    (void)snprintf(own->source.name, sizeof own->source.name, "group %s", directory);
    own->is_v1 = true;
    if (!read_cpu_s(own, &cpu_s)) {
        own->is_v1 = false;
        if (!read_cpu_s(own, &cpu_s)) {
            (void)snprintf(error, error_size,
                           "%s: no control group that counts CPU time (neither cpuacct.usage nor cpu.stat)", directory);
            free(own);
            return NULL;
        }
    }
    return &own->source;
}
