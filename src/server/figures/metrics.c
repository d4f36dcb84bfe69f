#include "server/figures/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sshecho/log.h"

#ifdef HAVE_MICROHTTPD
#include <errno.h>
#include <microhttpd.h>

#include "sshecho/net.h"

/* One or two collectors and a person; a page is short. */
#define CLIENTS_MAX 32
#define CLIENT_TIMEOUT_S 5U
#define BACKLOG 16
#define CLIENT_MEMORY_BYTES ((size_t)16 * 1024)

struct metrics {
    struct ev_loop *loop;
    metrics_look *look;
    void *data;
    char *listen; /* as the configuration had it */
    struct MHD_Daemon *daemon;
    ev_io io;
    ev_timer timeout;
    int listen_fd, epoll_fd;
    int clients[CLIENTS_MAX]; /* their fds, -1: free; for metrics_forked */
};

static const struct {
    const char *path, *type;
} pages[] = {{"/metrics", "text/plain; version=0.0.4; charset=utf-8"},
             {"/healthz", "text/plain; charset=utf-8"},
             {"/readyz", "text/plain; charset=utf-8"},
             {"/", "text/plain; charset=utf-8"}};
enum page { PAGE_METRICS, PAGE_HEALTH, PAGE_READY, PAGE_INDEX, PAGE_COUNT };

static unsigned write_answer(FILE *out, const char *why_not)
{
    (void)fprintf(out, "%s\n", why_not == NULL ? "ok" : why_not);
    return why_not == NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned write_page(const struct metrics *m, enum page page, FILE *out)
{
    struct metrics_view view;
    m->look(m->data, &view);
    switch (page) {
    case PAGE_METRICS:
        metrics_write(&view, out);
        return MHD_HTTP_OK;
    case PAGE_HEALTH:
        return write_answer(out, metrics_why_not_alive(&view));
    case PAGE_READY:
        return write_answer(out, metrics_why_not_ready(&view));
    case PAGE_INDEX:
        (void)fprintf(out, "sshechod %s\n/metrics\n/healthz\n/readyz\n", SSHECHO_VERSION);
        return MHD_HTTP_OK;
    case PAGE_COUNT:
        break;
    }
    (void)fprintf(out, "no such page; try /metrics, /healthz or /readyz\n");
    return MHD_HTTP_NOT_FOUND;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type, char *text,
                               size_t length)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* libmicrohttpd calls once when the head of a request is there, then for each piece of body, then once more. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_size, void **state)
{
    (void)version;
    (void)body;
    static char begun;
    struct metrics *m = data;
    char *text = NULL;
    size_t length = 0;
    if (*state == NULL) {
        *state = &begun;
        return MHD_YES;
    }
    if (*body_size != 0) {
        *body_size = 0; /* nobody asked for it */
        return MHD_YES;
    }
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        return MHD_NO;
    }
    enum page page = PAGE_METRICS;
    while (page < PAGE_COUNT && strcmp(url, pages[page].path) != 0) {
        page++;
    }
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        status = write_page(m, page, out);
    } else {
        (void)fprintf(out, "only GET and HEAD\n");
    }
    if (fclose(out) != 0) {
        free(text);
        return MHD_NO;
    }
    return respond(connection, status, page < PAGE_COUNT ? pages[page].type : pages[PAGE_INDEX].type, text, length);
}

static void on_client(void *data, struct MHD_Connection *connection, void **state,
                      enum MHD_ConnectionNotificationCode code)
{
    struct metrics *m = data;
    (void)state;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL) {
        return;
    }
    int wanted = code == MHD_CONNECTION_NOTIFY_STARTED ? -1 : info->connect_fd;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (m->clients[i] == wanted) {
            m->clients[i] = code == MHD_CONNECTION_NOTIFY_STARTED ? info->connect_fd : -1;
            break;
        }
    }
}

static void run(struct metrics *m)
{
    MHD_UNSIGNED_LONG_LONG left_ms = 0;
    (void)MHD_run(m->daemon);
    ev_timer_stop(m->loop, &m->timeout);
    if (MHD_get_timeout(m->daemon, &left_ms) == MHD_YES) {
        ev_timer_set(&m->timeout, (double)left_ms / 1e3, 0.0);
        ev_timer_start(m->loop, &m->timeout);
    }
}

static void on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    run(io->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    run(timer->data);
}

static int open_socket(struct metrics *m, const struct config *config, struct net_address *bound,
                       struct option_error *error)
{
    struct net_address address;
    if (config_metrics_address(config, &address, error) != 0) {
        return -1;
    }
    m->listen_fd = net_listen(&address, BACKLOG);
    if (m->listen_fd < 0 || net_local_address(m->listen_fd, bound) != 0) {
        (void)option_fail(error, NULL, "metrics-listen", "%s: %s", config->metrics_listen, strerror(errno));
        return -1;
    }
    return 0;
}

static int start_daemon(struct metrics *m, struct option_error *error)
{
    m->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, m, MHD_OPTION_LISTEN_SOCKET, m->listen_fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CLIENTS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 CLIENT_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CLIENT_MEMORY_BYTES,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_client, m, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        m->daemon != NULL ? MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (info == NULL || info->epoll_fd < 0) {
        (void)option_fail(error, NULL, "metrics-listen", "the HTTP server does not start");
        return -1;
    }
    m->epoll_fd = info->epoll_fd;
    ev_io_init(&m->io, on_ready, m->epoll_fd, EV_READ);
    m->io.data = m;
    ev_io_start(m->loop, &m->io);
    return 0;
}

struct metrics *metrics_start(struct ev_loop *loop, const struct config *config, metrics_look *look, void *data,
                              struct option_error *error)
{
    struct net_address bound;
    char text[NET_ADDRESS_TEXT_MAX];
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL || (m->listen = strdup(config->metrics_listen)) == NULL) {
        (void)option_fail(error, NULL, "metrics-listen", "out of memory");
        free(m);
        return NULL;
    }
    m->loop = loop;
    m->look = look;
    m->data = data;
    m->listen_fd = m->epoll_fd = -1;
    memset(m->clients, -1, sizeof m->clients);
    ev_timer_init(&m->timeout, on_timeout, 0.0, 0.0);
    m->timeout.data = m;
    if (open_socket(m, config, &bound, error) != 0 || start_daemon(m, error) != 0) {
        metrics_stop(m);
        return NULL;
    }
    log_line(LOG_INFO, "metrics", log_str("address", net_print(&bound, text, sizeof text)));
    return m;
}

bool metrics_fits(const struct metrics *m, const struct config *config)
{
    if (m == NULL || config->metrics_listen == NULL) {
        return m == NULL && config->metrics_listen == NULL;
    }
    return strcmp(m->listen, config->metrics_listen) == 0;
}

void metrics_stop(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    if (ev_is_active(&m->io)) {
        ev_io_stop(m->loop, &m->io);
    }
    ev_timer_stop(m->loop, &m->timeout);
    if (m->daemon != NULL) {
        MHD_stop_daemon(m->daemon); /* closes the listening socket too */
    } else if (m->listen_fd >= 0) {
        (void)close(m->listen_fd);
    }
    free(m->listen);
    free(m);
}

void metrics_forked(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    /* Not MHD_stop_daemon: it would shut down connections, and take them out of an epoll set, that the master uses. */
    if (ev_is_active(&m->io)) {
        ev_io_stop(m->loop, &m->io);
    }
    ev_timer_stop(m->loop, &m->timeout);
    (void)close(m->listen_fd);
    (void)close(m->epoll_fd);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (m->clients[i] >= 0) {
            (void)close(m->clients[i]);
        }
    }
}

#else

struct metrics *metrics_start(struct ev_loop *loop, const struct config *config, metrics_look *look, void *data,
                              struct option_error *error)
{
    (void)loop;
    (void)config;
    (void)look;
    (void)data;
    (void)option_fail(error, NULL, "metrics-listen", "this build has no libmicrohttpd: unset the key");
    return NULL;
}

bool metrics_fits(const struct metrics *metrics, const struct config *config)
{
    (void)metrics;
    return config->metrics_listen == NULL;
}

void metrics_stop(struct metrics *metrics)
{
    (void)metrics;
}

void metrics_forked(struct metrics *metrics)
{
    (void)metrics;
}
#endif
