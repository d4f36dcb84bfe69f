/*
 * source.h - room: where the figures of a server can be read.
 *
 * Three kinds, one file each: the process and its descendants (source_process.c), a control group (source_group.c), the
 * page that the server gives to Prometheus (source_page.c). A reading is CPU time since whenever, never falling, and
 * memory now. A source owns what it remembers; it is used by one thread at a time.
 */
#ifndef LOAD_OBSERVE_SOURCE_H
#define LOAD_OBSERVE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct source_reading {
    double cpu_s;
    double bytes; /* negative: not known, or not asked for */
};

struct source {
    char name[192]; /* "process 123", "group /sys/...", "http://..." */
    /* 0, or -1 with a sentence. Memory may cost more than the rest: it is asked for now and then only. */
    int (*read)(struct source *source, bool with_memory, struct source_reading *out, char *error, size_t error_size);
    void (*close)(struct source *source); /* frees it */
};

/* A new source, or NULL with a sentence; nothing has been read yet. */
struct source *source_process(pid_t pid, char *error, size_t error_size);
struct source *source_group(const char *directory, char *error, size_t error_size);
struct source *source_page(const char *url, char *error, size_t error_size);

/* source_process.c: the proportional set size; 0 for one that has ended, negative: this is not for us to know. */
double source_memory_of(pid_t pid);

#endif
