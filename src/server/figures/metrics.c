#include "server/figures/metrics.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sshecho/log.h"

#ifdef HAVE_MICROHTTPD
#include <errno.h>

#include "sshecho/http.h"
#include "sshecho/net.h"

/* One or two collectors and a person; a page is short. */
#define CLIENTS_MAX 32
#define CLIENT_TIMEOUT_S 5U
#define BACKLOG 16

/* libmicrohttpd takes its socket out of its epoll set while it has clients enough, and does not put it back when they
 * end but when it is next called. */
#define LOOK_MS 1000

#define CLIENT_MEMORY_BYTES ((size_t)16 * 1024)

struct metrics {
    const struct scoreboard *board;
    struct http_pages pages;
    struct MHD_Daemon *daemon;
    int epoll_fd;
};

static unsigned write_answer(FILE *out, const char *why_not)
{
    (void)fprintf(out, "%s\n", why_not == NULL ? "ok" : why_not);
    return why_not == NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned write_page(void *data, const char *path, FILE *out, const char **type)
{
    const struct metrics *m = data;
    if (strcmp(path, "/metrics") == 0) {
        *type = HTTP_TYPE_FIGURES;
        metrics_write(m->board, out);
        return MHD_HTTP_OK;
    }
    if (strcmp(path, "/healthz") == 0) {
        return write_answer(out, metrics_why_not_alive(m->board));
    }
    if (strcmp(path, "/readyz") == 0) {
        return write_answer(out, metrics_why_not_ready(m->board));
    }
    if (strcmp(path, "/") == 0) {
        (void)fprintf(out, "sshechod %s\n/metrics\n/healthz\n/readyz\n", SSHECHO_VERSION);
        return MHD_HTTP_OK;
    }
    (void)fprintf(out, "no such page; try /metrics, /healthz or /readyz\n");
    return MHD_HTTP_NOT_FOUND;
}

int metrics_open(const struct config *config, int kept_fd, const struct net_address *kept, struct net_address *asked,
                 struct option_error *error)
{
    struct net_address bound;
    char text[NET_ADDRESS_TEXT_MAX];
    if (config_metrics_address(config, asked, error) != 0) {
        return -1;
    }
    bool keeps = kept_fd >= 0 && net_same_address(asked, kept);
    int fd = keeps ? fcntl(kept_fd, F_DUPFD_CLOEXEC, 0) : net_listen(asked, BACKLOG);
    if (fd < 0 || net_local_address(fd, &bound) != 0) {
        (void)option_fail(error, NULL, "metrics-listen", "%s: %s", config->metrics_listen, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    if (!keeps) {
        log_line(LOG_INFO, "metrics", log_str("address", net_print(&bound, text, sizeof text)));
    }
    return fd;
}

struct metrics *metrics_start(int fd, const struct scoreboard *board)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->board = board;
    m->pages = (struct http_pages){.write = write_page, .data = m};
    m->daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, http_on_request, &m->pages, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CLIENTS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                         CLIENT_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CLIENT_MEMORY_BYTES, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        m->daemon != NULL ? MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (info == NULL || info->epoll_fd < 0) {
        free(m);
        return NULL;
    }
    m->epoll_fd = info->epoll_fd;
    return m;
}

void metrics_run(struct metrics *m)
{
    struct pollfd wait = {.fd = m->epoll_fd, .events = POLLIN};
    for (;;) {
        MHD_UNSIGNED_LONG_LONG left_ms = 0;
        (void)MHD_run(m->daemon);
        bool timed = MHD_get_timeout(m->daemon, &left_ms) == MHD_YES;
        (void)poll(&wait, 1, timed && left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
    }
}

#else

int metrics_open(const struct config *config, int kept_fd, const struct net_address *kept, struct net_address *asked,
                 struct option_error *error)
{
    (void)config;
    (void)kept_fd;
    (void)kept;
    (void)asked;
    (void)option_fail(error, NULL, "metrics-listen", "this build has no libmicrohttpd: unset the key");
    return -1;
}

struct metrics *metrics_start(int fd, const struct scoreboard *board)
{
    (void)fd;
    (void)board;
    return NULL;
}

void metrics_run(struct metrics *metrics)
{
    (void)metrics;
    _exit(1);
}
#endif
