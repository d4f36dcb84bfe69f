#include "server/entry/proxy_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshecho/log.h"

struct proxy_waiting {
    struct proxy_wait *gate;
    struct proxy_waiting *next, *previous;
    ev_io readable;
    ev_timer deadline;
    int fd;
    struct net_address peer;
    size_t have;
    uint8_t bytes[PROXY_HEADER_MAX];
};

static void release(struct proxy_waiting *w)
{
    struct proxy_wait *gate = w->gate;
    ev_io_stop(gate->loop, &w->readable);
    ev_timer_stop(gate->loop, &w->deadline);
    if (w->previous != NULL) {
        w->previous->next = w->next;
    } else {
        gate->first = w->next;
    }
    if (w->next != NULL) {
        w->next->previous = w->previous;
    }
    gate->waiting_count--;
    free(w);
}

static void turn_away(struct proxy_waiting *w)
{
    struct proxy_wait *gate = w->gate;
    struct net_address peer = w->peer;
    (void)close(w->fd);
    release(w);
    gate->owner->refused(gate->data, &peer);
}

static void let_in(struct proxy_waiting *w, const struct proxy_header *header)
{
    struct proxy_wait *gate = w->gate;
    struct net_address client = header->has_source ? header->source : w->peer;
    int fd = w->fd;
    if (log_enabled(LOG_DEBUG)) {
        char text[NET_ADDRESS_TEXT_MAX], via[NET_ADDRESS_TEXT_MAX];
        log_line(LOG_DEBUG, "proxied", log_str("peer", net_print(&client, text, sizeof text)),
                 log_str("via", net_print(&w->peer, via, sizeof via)), log_bool("local", !header->has_source));
    }
    release(w);
    gate->owner->arrived(gate->data, fd, &client);
}

/* Looks first and takes afterwards, so that exactly the header is taken. */
static void look(struct proxy_waiting *w)
{
    struct proxy_header header;
    ssize_t seen = recv(w->fd, w->bytes + w->have, sizeof w->bytes - w->have, MSG_PEEK);
    if (seen < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (seen <= 0) {
        turn_away(w);
        return;
    }
    int length = proxy_header_parse(w->bytes, w->have + (size_t)seen, &header);
    if (length == PROXY_BAD || (length == PROXY_MORE && w->have + (size_t)seen == sizeof w->bytes)) {
        turn_away(w);
        return;
    }
    size_t take = length == PROXY_MORE ? (size_t)seen : (size_t)length - w->have;
    if (recv(w->fd, w->bytes + w->have, take, 0) != (ssize_t)take) {
        turn_away(w); /* cannot be: we have just seen them */
        return;
    }
    w->have += take;
    if (length != PROXY_MORE) {
        let_in(w, &header);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    look(io->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    turn_away(timer->data);
}

int proxy_wait_init(struct proxy_wait *gate, struct ev_loop *loop, const struct config *config,
                    const struct proxy_wait_owner *owner, void *data)
{
    struct option_error error;
    *gate = (struct proxy_wait){.loop = loop, .owner = owner, .data = data};
    return config_proxy_networks(config, &gate->networks, &gate->network_count, &error);
}

void proxy_wait_destroy(struct proxy_wait *gate)
{
    struct proxy_waiting *next = NULL;
    for (struct proxy_waiting *w = gate->first; w != NULL; w = next) {
        next = w->next;
        (void)close(w->fd);
        release(w);
    }
    free(gate->networks);
    gate->networks = NULL;
    gate->network_count = 0;
}

bool proxy_wait_guards(const struct proxy_wait *gate, const struct net_address *peer)
{
    for (size_t i = 0; i < gate->network_count; i++) {
        if (net_range_contains(&gate->networks[i], peer)) {
            return true;
        }
    }
    return false;
}

void proxy_wait_enter(struct proxy_wait *gate, int fd, const struct net_address *peer)
{
    struct proxy_waiting *w = calloc(1, sizeof *w);
    if (w == NULL) {
        (void)close(fd);
        gate->owner->refused(gate->data, peer);
        return;
    }
    w->gate = gate;
    w->fd = fd;
    w->peer = *peer;
    w->next = gate->first;
    if (gate->first != NULL) {
        gate->first->previous = w;
    }
    gate->first = w;
    gate->waiting_count++;
    ev_io_init(&w->readable, on_readable, fd, EV_READ);
    ev_timer_init(&w->deadline, on_deadline, PROXY_WAIT_S, 0.0);
    w->readable.data = w->deadline.data = w;
    ev_io_start(gate->loop, &w->readable);
    ev_timer_start(gate->loop, &w->deadline);
    look(w); /* often it has come along with the connection */
}
