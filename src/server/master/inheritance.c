#include "server/master/inheritance.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sshecho/version.h"

#define TITLE "sshechod leaves 1"
#define ANSWER "rehearsed "

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

static void write_address(FILE *out, const struct net_address *address)
{
    const unsigned char *bytes = (const unsigned char *)&address->storage;
    (void)fputc(' ', out);
    for (socklen_t i = 0; i < address->length; i++) {
        (void)fprintf(out, "%02x", bytes[i]);
    }
}

static void write_sockets(FILE *out, const struct generation *generation)
{
    for (size_t i = 0; i < generation->listeners.count; i++) {
        const struct listener *item = &generation->listeners.items[i];
        (void)fprintf(out, "listener %d %d", item->fd, item->handed ? 1 : 0);
        write_address(out, &item->asked);
        write_address(out, &item->bound);
        (void)fputc('\n', out);
    }
    if (generation->metrics_fd >= 0) {
        (void)fprintf(out, "metrics %d", generation->metrics_fd);
        write_address(out, &generation->metrics_asked);
        (void)fputc('\n', out);
    }
}

static void write_keys(FILE *out, const struct hostkeys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        char *text = hostkeys_export_generated(keys, i);
        if (text != NULL) {
            (void)fprintf(out, "key %zu\n%s\n", strlen(text), text);
            explicit_bzero(text, strlen(text));
            ssh_string_free_char(text);
        }
    }
}

int inheritance_write(const struct estate *estate)
{
    const struct config *config = estate->generation->config;
    int fd = memfd_create("sshechod-inheritance", MFD_CLOEXEC);
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (out == NULL) {
        goto bad;
    }
    (void)setvbuf(out, NULL, _IONBF, 0); /* no key in a buffer of libc's */
    (void)fprintf(out, TITLE "\nversion %s\nboard %d %" PRIu64 "\n", SSHECHO_VERSION, estate->board_fd,
                  (uint64_t)SCOREBOARD_LAYOUT);
    (void)fprintf(out, "limits %" PRIu64 " %" PRIu64 " %u %u\n", config->watchdog_us, config->drain_timeout_us,
                  config->log_level, config->log_format);
    if (config->port_file != NULL) {
        (void)fprintf(out, "port-file %s\n", config->port_file);
    }
    if (config->user != NULL) {
        (void)fprintf(out, "user %s\n", config->user);
    }
    (void)fprintf(out, "metrics-process %ld\n", (long)estate->metrics_pid);
    write_sockets(out, estate->generation);
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        const struct worker_process *process = &estate->workers->processes[i];
        if (process->state != PROCESS_NONE) {
            (void)fprintf(out, "worker %u %ld %d\n", i, (long)process->pid, process->state == PROCESS_LEAVING ? 1 : 0);
        }
    }
    write_keys(out, &estate->generation->keys);
    bool failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    if (failed) {
        (void)close(fd);
        return -1;
    }
    return fd;
bad:
    if (copy >= 0) {
        (void)close(copy);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

static int set_keep(int fd, bool keep)
{
    return fd < 0 ? 0 : fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

int inheritance_keep(const struct estate *estate, int fd, bool keep)
{
    int rc = set_keep(fd, keep);
    rc |= set_keep(estate->board_fd, keep);
    rc |= set_keep(estate->generation->metrics_fd, keep);
    for (size_t i = 0; i < estate->generation->listeners.count; i++) {
        rc |= set_keep(estate->generation->listeners.items[i].fd, keep);
    }
    return rc;
}

int inheritance_name(enum inheritance_kind kind, int fd)
{
    char text[64];
    if (kind == INHERITS_NOTHING) {
        return unsetenv(INHERITANCE_VARIABLE);
    }
    (void)snprintf(text, sizeof text, "%s:%d", kind == INHERITS_ALL ? "all" : "rehearsal", fd);
    return setenv(INHERITANCE_VARIABLE, text, 1);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static bool read_address(const char *hex, struct net_address *address)
{
    size_t length = strlen(hex) / 2;
    unsigned char *bytes = (unsigned char *)&address->storage;
    *address = (struct net_address){.length = (socklen_t)length};
    if (length == 0 || length > sizeof address->storage) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1) {
            return false;
        }
    }
    return true;
}

/* Ours now, and no heirloom any more; false if there is no such descriptor. */
static bool own(int fd)
{
    return fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool take_listener(struct generation *generation, const char *rest)
{
    char asked[300], bound[300];
    int fd = -1, handed = 0;
    struct listeners *listeners = &generation->listeners;
    if (listeners->count == LISTENERS_MAX ||
        sscanf(rest, "%d %d %299[0-9a-f] %299[0-9a-f]", &fd, &handed, asked, bound) != 4 || !own(fd)) {
        return false;
    }
    struct listener *item = &listeners->items[listeners->count];
    *item = (struct listener){.fd = fd, .handed = handed != 0};
    listeners->count++;
    return read_address(asked, &item->asked) && read_address(bound, &item->bound);
}

static bool take_key(struct generation *generation, const char *rest, FILE *in)
{
    size_t length = strtoul(rest, NULL, 10);
    char *text = length > 0 && length < 65536 ? calloc(1, length + 1) : NULL;
    bool good = text != NULL && fread(text, 1, length, in) == length && fgetc(in) == '\n' &&
                hostkeys_adopt_generated(&generation->keys, text) == 0;
    if (text != NULL) {
        explicit_bzero(text, length);
    }
    free(text);
    return good;
}

static bool take_line(struct inheritance *i, const char *word, const char *rest, FILE *in)
{
    struct config *config = i->generation->config;
    char address[300];
    if (strcmp(word, "listener") == 0) {
        return take_listener(i->generation, rest);
    }
    if (strcmp(word, "key") == 0) {
        return take_key(i->generation, rest, in);
    }
    if (strcmp(word, "metrics") == 0) {
        int fd = -1;
        if (sscanf(rest, "%d %299[0-9a-f]", &fd, address) != 2 || !own(fd)) {
            return false;
        }
        i->generation->metrics_fd = fd;
        return read_address(address, &i->generation->metrics_asked);
    }
    if (strcmp(word, "worker") == 0) {
        long pid = 0;
        unsigned slot = 0;
        int leaving = 0;
        if (i->worker_count == SCOREBOARD_WORKERS || sscanf(rest, "%u %ld %d", &slot, &pid, &leaving) != 3 ||
            pid <= 0 || slot >= SCOREBOARD_WORKERS) {
            return false;
        }
        i->workers[i->worker_count].leaving = leaving != 0;
        i->workers[i->worker_count].slot = slot;
        i->workers[i->worker_count++].pid = (pid_t)pid;
        return true;
    }
    if (strcmp(word, "board") == 0) {
        uint64_t layout = 0;
        int fd = -1;
        if (sscanf(rest, "%d %" SCNu64, &fd, &layout) != 2 || !own(fd)) {
            return false;
        }
        if (layout != SCOREBOARD_LAYOUT) {
            (void)close(fd);
            fd = -1;
        }
        i->board_fd = fd;
        return true;
    }
    if (strcmp(word, "limits") == 0) {
        return sscanf(rest, "%" SCNu64 " %" SCNu64 " %u %u", &config->watchdog_us, &config->drain_timeout_us,
                      &config->log_level, &config->log_format) == 4;
    }
    if (strcmp(word, "port-file") == 0) {
        config->port_file = strdup(rest);
    } else if (strcmp(word, "user") == 0) {
        config->user = strdup(rest);
    } else if (strcmp(word, "metrics-process") == 0) {
        i->metrics_pid = (pid_t)strtol(rest, NULL, 10);
    } else if (strcmp(word, "version") == 0) {
        (void)snprintf(i->version, sizeof i->version, "%s", rest);
    }
    return true;
}

static bool take_all(struct inheritance *i, FILE *in)
{
    char line[4096 + 64];
    bool good = fgets(line, sizeof line, in) != NULL && strcmp(line, TITLE "\n") == 0;
    while (good && fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = strchr(line, ' ');
        if (rest == NULL) {
            continue;
        }
        *rest++ = '\0';
        good = take_line(i, line, rest, in);
    }
    explicit_bzero(line, sizeof line);
    return good && ferror(in) == 0;
}

void inheritance_take(struct inheritance *i, struct option_error *error)
{
    *i = (struct inheritance){.fd = -1, .board_fd = -1};
    const char *text = getenv(INHERITANCE_VARIABLE);
    char kind[16];
    int fd = -1;
    FILE *in = NULL;
    if (text == NULL) {
        return;
    }
    bool good = sscanf(text, "%15[a-z]:%d", kind, &fd) == 2;
    (void)unsetenv(INHERITANCE_VARIABLE);
    struct config *config = calloc(1, sizeof *config);
    i->generation = config != NULL ? generation_adopt(config) : NULL;
    int copy = good && own(fd) && lseek(fd, 0, SEEK_SET) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    in = copy >= 0 ? fdopen(copy, "r") : NULL;
    good = i->generation != NULL && in != NULL && setvbuf(in, NULL, _IONBF, 0) == 0 && take_all(i, in);
    if (in != NULL) {
        (void)fclose(in);
    }
    if (!good) {
        inheritance_end(i);
        (void)option_fail(error, NULL, NULL, "%s names nothing that can be taken over (%s)", INHERITANCE_VARIABLE,
                          "it is set by an upgrade alone");
        return;
    }
    i->fd = fd;
    i->kind = strcmp(kind, "all") == 0 ? INHERITS_ALL : INHERITS_REHEARSAL;
}

void inheritance_end(struct inheritance *i)
{
    if (i->fd >= 0) {
        (void)close(i->fd);
    }
    if (i->board_fd >= 0) {
        (void)close(i->board_fd);
    }
    generation_free(i->generation);
    *i = (struct inheritance){.fd = -1, .board_fd = -1};
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

int inheritance_answer(int fd)
{
    static const char answer[] = ANSWER SSHECHO_VERSION "\n";
    return lseek(fd, 0, SEEK_END) >= 0 && write(fd, answer, sizeof answer - 1) == (ssize_t)(sizeof answer - 1) ? 0 : -1;
}

bool inheritance_answered(int fd, char *version, size_t size)
{
    char tail[128] = "";
    off_t end = lseek(fd, 0, SEEK_END);
    off_t start = end > (off_t)sizeof tail - 1 ? end - (off_t)sizeof tail + 1 : 0;
    ssize_t length = pread(fd, tail, sizeof tail - 1, start);
    tail[length > 0 ? length : 0] = '\0';
    if (length <= 0 || tail[length - 1] != '\n') {
        return false;
    }
    tail[length - 1] = '\0';
    const char *last = strrchr(tail, '\n');
    last = last != NULL ? last + 1 : tail;
    if (strncmp(last, ANSWER, strlen(ANSWER)) != 0) {
        return false;
    }
    (void)snprintf(version, size, "%s", last + strlen(ANSWER));
    return true;
}
