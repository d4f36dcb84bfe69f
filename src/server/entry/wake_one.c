#include "server/entry/wake_one.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/entry/listener.h"

struct place {
    int fd;
    int epoll_fd; /* libev's, once it has asked */
    bool always;
    bool in_line;
    struct epoll_event asked;
};

static struct place places[LISTENERS_MAX];
static size_t place_count;

static struct place *find(int fd)
{
    for (size_t i = 0; i < place_count; i++) {
        if (places[i].fd == fd) {
            return &places[i];
        }
    }
    return NULL;
}

static int kernel(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

static void leave(struct place *place)
{
    if (place->in_line) {
        (void)kernel(place->epoll_fd, EPOLL_CTL_DEL, place->fd, &place->asked);
        place->in_line = false;
    }
}

/* Level-triggered, so that who waits in the queue meanwhile is told. */
static int enter(struct place *place)
{
    struct epoll_event event = place->asked;
    leave(place);
    event.events |= place->always ? 0 : (uint32_t)EPOLLEXCLUSIVE;
    int rc = kernel(place->epoll_fd, EPOLL_CTL_ADD, place->fd, &event);
    if (rc != 0 && errno == EINVAL) { /* before Linux 4.5 */
        rc = kernel(place->epoll_fd, EPOLL_CTL_ADD, place->fd, &place->asked);
    }
    place->in_line = rc == 0;
    return rc;
}

void wake_one_watch(int fd, bool always)
{
    struct place *place = find(fd);
    if (place == NULL && place_count < LISTENERS_MAX) {
        place = &places[place_count++];
        *place = (struct place){.fd = fd, .epoll_fd = -1};
    }
    if (place != NULL) {
        place->always = always;
        if (place->in_line) {
            (void)enter(place);
        }
    }
}

void wake_one_leave(int fd)
{
    struct place *place = find(fd);
    if (place != NULL) {
        leave(place);
    }
}

void wake_one_forget(int fd)
{
    struct place *place = find(fd);
    if (place != NULL) {
        leave(place);
        *place = places[--place_count];
    }
}

/* What libev calls. */
int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct place *place = place_count > 0 ? find(fd) : NULL;
    if (place == NULL) {
        return kernel(epoll_fd, operation, fd, event);
    }
    if (operation == EPOLL_CTL_DEL) {
        place->in_line = false;
        return kernel(epoll_fd, operation, fd, event);
    }
    place->epoll_fd = epoll_fd;
    place->asked = *event;
    return enter(place);
}
