#include "load/watch/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void link_tell(struct link *link)
{
    struct link_figures figures = {0};
    link->events->figures(&figures, link->data);
    (void)send(link->fd, &figures, sizeof figures, MSG_NOSIGNAL); /* whether it is read, on_told sees */
}

static void on_tell(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    link_tell(timer->data);
}

static void on_told(struct ev_loop *loop, ev_io *watcher, int revents)
{
    (void)revents;
    struct link *link = watcher->data;
    struct link_go go;
    ssize_t got = recv(link->fd, &go, sizeof go, MSG_DONTWAIT);
    if (got == (ssize_t)sizeof go) {
        link->events->go(go, link->data);
    } else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        ev_io_stop(loop, watcher);
        link->events->lost(link->data);
    }
}

void link_start(struct link *link, int fd, double every_s, struct ev_loop *loop, const struct link_events *events,
                void *data)
{
    *link = (struct link){.fd = fd, .loop = loop, .events = events, .data = data};
    ev_io_init(&link->told, on_told, fd, EV_READ);
    link->told.data = link;
    ev_io_start(loop, &link->told);
    ev_timer_init(&link->tell, on_tell, every_s, every_s);
    link->tell.data = link;
    ev_timer_start(loop, &link->tell);
}

void link_stop(struct link *link)
{
    if (link->loop == NULL) {
        return;
    }
    ev_io_stop(link->loop, &link->told);
    ev_timer_stop(link->loop, &link->tell);
    (void)close(link->fd);
    *link = (struct link){.fd = -1};
}
