/*
 * tcp_echo.c - room: the floor of the benchmarks, a TCP echo server without SSH.
 *
 * One process, one libev loop on epoll, one watcher per connection, level triggered: the shape of sshechod's worker
 * with everything above TCP taken away. What a byte, an echo or a connection costs here, no SSH server on this loop can
 * beat.
 *
 *   tcp-echo PORT_FILE      listens on 127.0.0.1 and writes ADDR:PORT to the file when it is ready; ends on SIGTERM
 */
#include "sshecho/net.h"

#include <errno.h>
#include <ev.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One read per turn, as much as the batched transport of the real server asks for. */
#define TURN_BYTES (256 * 1024)
#define ACCEPTS_PER_TURN 4

struct echo {
    ev_io io;
    char *rest; /* read and not yet written; NULL when there is none, and only then more is read */
    size_t rest_at, rest_length;
};

static char turn[TURN_BYTES];

static void echo_free(struct ev_loop *loop, struct echo *echo)
{
    ev_io_stop(loop, &echo->io);
    (void)close(echo->io.fd);
    free(echo->rest);
    free(echo);
}

static void echo_watch(struct ev_loop *loop, struct echo *echo, int events)
{
    ev_io_stop(loop, &echo->io);
    ev_io_set(&echo->io, echo->io.fd, events);
    ev_io_start(loop, &echo->io);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* False when the connection is over. */
static bool write_rest(struct ev_loop *loop, struct echo *echo)
{
    ssize_t sent = send(echo->io.fd, echo->rest + echo->rest_at, echo->rest_length - echo->rest_at, MSG_NOSIGNAL);
    if (sent < 0) {
        return would_block();
    }
    echo->rest_at += (size_t)sent;
    if (echo->rest_at == echo->rest_length) {
        free(echo->rest);
        echo->rest = NULL;
        echo_watch(loop, echo, EV_READ);
    }
    return true;
}

static bool echo_turn(struct ev_loop *loop, struct echo *echo)
{
    ssize_t got = recv(echo->io.fd, turn, sizeof turn, 0);
    if (got <= 0) {
        return got < 0 && would_block();
    }
    ssize_t sent = send(echo->io.fd, turn, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && !would_block()) {
        return false;
    }
    sent = sent < 0 ? 0 : sent;
    if (sent < got) {
        echo->rest_at = 0;
        echo->rest_length = (size_t)(got - sent);
        echo->rest = malloc(echo->rest_length);
        if (echo->rest == NULL) {
            return false;
        }
        memcpy(echo->rest, turn + sent, echo->rest_length);
        echo_watch(loop, echo, EV_WRITE);
    }
    return true;
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct echo *echo = io->data;
    (void)events;
    if (!(echo->rest != NULL ? write_rest(loop, echo) : echo_turn(loop, echo))) {
        echo_free(loop, echo);
    }
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct echo *echo = fd < 0 ? NULL : calloc(1, sizeof *echo);
        if (fd >= 0 && echo == NULL) {
            (void)close(fd);
        }
        if (echo == NULL) {
            return;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ev_io_init(&echo->io, on_ready, fd, EV_READ);
        echo->io.data = echo;
        ev_io_start(loop, &echo->io);
    }
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)signal;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static int publish(int listener, const char *path)
{
    struct net_address bound;
    char text[NET_ADDRESS_TEXT_MAX], temporary[4096];
    int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof temporary || net_local_address(listener, &bound) != 0) {
        return -1;
    }
    FILE *file = fopen(temporary, "we");
    if (file == NULL) {
        return -1;
    }
    bool good = fprintf(file, "%s\n", net_print(&bound, text, sizeof text)) > 0;
    return fclose(file) == 0 && good ? rename(temporary, path) : -1;
}

int main(int argc, char **argv)
{
    struct net_address address;
    char error[256];
    if (argc != 2) {
        (void)fputs("usage: tcp-echo PORT_FILE\n", stderr);
        return 2;
    }
    (void)net_raise_fd_limit();
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
    int listener =
        net_parse("127.0.0.1:0", 0, false, &address, error, sizeof error) == 0 ? net_listen(&address, 4096) : -1;
    if (loop == NULL || listener < 0 || publish(listener, argv[1]) != 0) {
        (void)fprintf(stderr, "tcp-echo: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    ev_io accepting;
    ev_io_init(&accepting, on_accept, listener, EV_READ);
    ev_io_start(loop, &accepting);
    ev_signal stop[2];
    ev_signal_init(&stop[0], on_signal, SIGTERM);
    ev_signal_init(&stop[1], on_signal, SIGINT);
    ev_signal_start(loop, &stop[0]);
    ev_signal_start(loop, &stop[1]);
    ev_run(loop, 0);
    return 0;
}
