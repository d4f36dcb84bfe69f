#include "server/report/report_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sshecho/log.h"

int report_file_make(const char *path, struct option_error *error)
{
    struct stat st;
    /* O_NONBLOCK: to open a FIFO would wait for its reader */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        (void)option_fail(error, NULL, "report-file", "%s: %s", path,
                          errno == ENXIO ? "not a regular file" : strerror(errno)); /* that: a FIFO or socket */
        return -1;
    }
    if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))) {
        (void)option_fail(error, NULL, "report-file", "%s: not a regular file", path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

void report_file_begin(struct report_file *file, int fd, struct counters *counters)
{
    *file = (struct report_file){.sink = SINK_NONE, .counters = counters};
    if (fd >= 0) {
        sink_open(&file->sink, fd, false);
    }
}

bool report_file_is_open(const struct report_file *file)
{
    return file->sink.fd >= 0;
}

static void count_lost(struct report_file *file, uint64_t more)
{
    file->lost += more;
    counters_add(&file->counters->reports_lost, more);
}

void report_file_write(struct report_file *file, char *line)
{
    uint64_t before = file->sink.lost;
    if (line == NULL) {
        count_lost(file, 1);
        return;
    }
    sink_line(&file->sink, line, strlen(line));
    count_lost(file, file->sink.lost - before);
    counters_add(&file->counters->reports, 1);
    free(line);
}

void report_file_look(struct report_file *file)
{
    if (!report_file_is_open(file)) {
        return;
    }
    uint64_t before = file->sink.lost;
    (void)sink_flush(&file->sink);
    count_lost(file, file->sink.lost - before);
    if (file->lost > file->lost_told) {
        log_line(LOG_WARN, "reports_lost", log_u64("reports", file->lost - file->lost_told),
                 log_str("note", "report-file would not take them: is the disk full?"));
        file->lost_told = file->lost;
    }
}

void report_file_end(struct report_file *file)
{
    report_file_look(file);
    sink_close(&file->sink);
}
