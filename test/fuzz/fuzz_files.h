/* A file that holds the input, for the fuzz targets of rooms that read files by name. */
#ifndef FUZZ_FILES_H
#define FUZZ_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sshecho/options.h"

struct fuzz_file {
    int fd;
    char path[32];
};

static inline void fuzz_file_open(struct fuzz_file *file, const void *data, size_t size)
{
    file->fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (file->fd < 0 || write(file->fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
}

/* What a person reads is one line that says something. */
static inline void fuzz_check_error(const struct option_error *error)
{
    size_t length = strnlen(error->text, sizeof error->text);
    if (length == 0 || length == sizeof error->text || strpbrk(error->text, "\r\n\x1b"))
        abort();
}

#endif
