#include "server/entry/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "sshecho/log.h"

#define DEFAULT_PORT 2222

/* The first socket for this address that is not among those `taken` already: two for 127.0.0.1:0 are two. */
static int take_over(const struct listeners *keep, const struct net_address *address, const int *taken, size_t count)
{
    for (size_t i = 0; keep != NULL && i < keep->count; i++) {
        bool free = keep->items[i].fd >= 0 && net_same_address(&keep->items[i].asked, address);
        for (size_t j = 0; free && j < count; j++) {
            free = taken[j] != (int)i;
        }
        if (free) {
            return (int)i;
        }
    }
    return -1;
}

/* Sockets a service manager has opened for us (sd_listen_fds(3)); then the listen key is not used. */
static size_t take_handed(struct listeners *listeners)
{
    size_t count = 0;
#ifdef HAVE_SYSTEMD
    int handed = sd_listen_fds(1);
    for (int i = 0; i < handed && count < LISTENERS_MAX; i++) {
        struct listener *item = &listeners->items[count];
        int fd = SD_LISTEN_FDS_START + i;
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 || net_local_address(fd, &item->bound) != 0 ||
            fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
            continue;
        }
        item->fd = fd;
        item->asked = item->bound;
        item->handed = true;
        count++;
    }
#endif
    listeners->count = count;
    return count;
}

/* A socket unit decides where we listen, not who may enter: that has to be in the configuration, which has been checked
 * for its own addresses alone. */
static int check_handed(const struct listeners *listeners, const struct config *config, struct option_error *error)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct net_address *bound = &listeners->items[i].bound;
        char text[NET_ADDRESS_TEXT_MAX];
        if (!net_is_loopback(bound) && config_is_loopback_only(config)) {
            (void)option_fail(error, NULL, "listen",
                              "the service manager has handed us %s, which is not loopback: name it in listen "
                              "too, so that access and limits are decided for it",
                              net_print(bound, text, sizeof text));
            return -1;
        }
    }
    return 0;
}

static int open_one(struct listener *item, const char *text, uint64_t backlog, struct option_error *error)
{
    item->fd = net_listen(&item->asked, (int)backlog);
    if (item->fd < 0) {
        (void)option_fail(error, NULL, "listen", "%s: %s%s", text, strerror(errno),
                          errno == EADDRINUSE ? " (another program has it; port 0 takes a free one)" : "");
        return -1;
    }
    return net_local_address(item->fd, &item->bound);
}

static int copy_one(struct listener *item, const struct listener *from, struct option_error *error)
{
    char text[NET_ADDRESS_TEXT_MAX];
    *item = *from;
    item->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
    if (item->fd < 0) {
        (void)option_fail(error, NULL, "listen", "%s: %s", net_print(&from->bound, text, sizeof text), strerror(errno));
        return -1;
    }
    return 0;
}

static int copy_all(struct listeners *listeners, const struct listeners *from, struct option_error *error)
{
    for (size_t i = 0; i < from->count; i++) {
        if (copy_one(&listeners->items[i], &from->items[i], error) != 0) {
            listeners_close(listeners);
            return -1;
        }
        listeners->count++;
    }
    return 0;
}

int listeners_open(struct listeners *listeners, const struct config *config, const struct listeners *keep,
                   struct option_error *error)
{
    int taken[LISTENERS_MAX] = {0};
    *listeners = (struct listeners){0};
    if (keep == NULL && take_handed(listeners) > 0) {
        return check_handed(listeners, config, error);
    }
    if (keep != NULL && keep->count > 0 && keep->items[0].handed) {
        return check_handed(keep, config, error) != 0 ? -1 : copy_all(listeners, keep, error);
    }
    if (config->listen.count > LISTENERS_MAX) {
        (void)option_fail(error, NULL, "listen", "more than %d addresses", LISTENERS_MAX);
        return -1;
    }
    for (size_t i = 0; i < config->listen.count; i++) {
        struct listener *item = &listeners->items[listeners->count];
        char why[160];
        item->fd = -1;
        if (net_parse(config->listen.items[i], DEFAULT_PORT, false, &item->asked, why, sizeof why) != 0) {
            (void)option_fail(error, NULL, "listen", "%s: %s", config->listen.items[i], why);
            goto bad;
        }
        int found = take_over(keep, &item->asked, taken, listeners->count);
        taken[listeners->count] = found;
        if (keep != NULL && found >= 0 ? copy_one(item, &keep->items[found], error) != 0
                                       : open_one(item, config->listen.items[i], config->backlog, error) != 0) {
            goto bad;
        }
        listeners->count++;
    }
    return 0;
bad:
    listeners_close(listeners);
    return -1;
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->items[i].fd >= 0) {
            (void)close(listeners->items[i].fd);
        }
    }
    listeners->count = 0;
}

static bool is_among(const struct listener *item, const struct listeners *keep)
{
    for (size_t i = 0; keep != NULL && i < keep->count; i++) {
        if (net_same_address(&item->bound, &keep->items[i].bound)) {
            return true;
        }
    }
    return false;
}

/* The kernel looks up whose a new connection is by the device it came from, too: bound to one that cannot be, a
 * listening socket is found no more. What is on its way to being accepted has been found already. */
#define NO_DEVICE INT_MAX

void listeners_retire(const struct listeners *listeners, const struct listeners *keep)
{
    int device = NO_DEVICE;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *item = &listeners->items[i];
        if (!item->handed && !is_among(item, keep) && !listener_is_retired(item) &&
            setsockopt(item->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device) != 0) {
            log_line(LOG_WARN, "retire_failed", log_str("why", strerror(errno)),
                     log_str("note", "a connection that comes at the very end may be reset"));
        }
    }
}

bool listener_is_retired(const struct listener *listener)
{
    int device = 0;
    socklen_t size = sizeof device;
    return getsockopt(listener->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &size) == 0 && device == NO_DEVICE;
}

int listeners_write_port_file(const struct listeners *listeners, const char *path, struct option_error *error)
{
    char temporary[4096];
    char text[NET_ADDRESS_TEXT_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *file = length > 0 && (size_t)length < sizeof temporary ? fopen(temporary, "we") : NULL;
    if (file == NULL) {
        (void)option_fail(error, NULL, "port-file", "cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    for (size_t i = 0; i < listeners->count; i++) {
        (void)fprintf(file, "%s\n", net_print(&listeners->items[i].bound, text, sizeof text));
    }
    bool bad = ferror(file) != 0;
    if (fclose(file) != 0 || bad || rename(temporary, path) != 0) {
        (void)option_fail(error, NULL, "port-file", "cannot write %s: %s", path, strerror(errno));
        (void)unlink(temporary);
        return -1;
    }
    return 0;
}

int listeners_try_port_file(const char *path, struct option_error *error)
{
    char trial[4096];
    if (path == NULL) {
        return 0;
    }
    int length = snprintf(trial, sizeof trial, "%s.%ld", path, (long)getpid());
    int fd = length > 0 && (size_t)length < sizeof trial ? open(trial, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (fd < 0) {
        (void)option_fail(error, NULL, "port-file", "cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    (void)close(fd);
    (void)unlink(trial);
    return 0;
}

void listeners_log(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        char text[NET_ADDRESS_TEXT_MAX];
        log_line(LOG_INFO, "listening", log_str("address", net_print(&listeners->items[i].bound, text, sizeof text)));
    }
}
