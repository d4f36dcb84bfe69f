#include "load/watch/exporter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_MICROHTTPD
#include "sshecho/http.h"
#include "sshecho/net.h"

#define BACKLOG 16
#define CLIENTS_MAX 16U
#define CLIENT_TIMEOUT_S 5U

struct exporter {
    const struct watched *watched;
    struct http_pages pages;
    struct MHD_Daemon *daemon; /* has the socket */
    pthread_mutex_t lock;      /* for latency */
    struct histogram *latency, *scratch;
};

static unsigned write_page(void *data, const char *path, FILE *out, const char **type)
{
    struct exporter *exporter = data;
    if (strcmp(path, "/metrics") != 0) {
        (void)fprintf(out, "no such page; try /metrics\n");
        return MHD_HTTP_NOT_FOUND;
    }
    *type = HTTP_TYPE_FIGURES;
    (void)pthread_mutex_lock(&exporter->lock);
    exporter_write(exporter->watched, exporter->latency, out);
    (void)pthread_mutex_unlock(&exporter->lock);
    return MHD_HTTP_OK;
}

static void release(struct exporter *exporter)
{
    (void)pthread_mutex_destroy(&exporter->lock);
    free(exporter->latency);
    free(exporter->scratch);
    free(exporter);
}

/* In a thread of its own, which no signal goes to. */
static struct MHD_Daemon *serve(struct exporter *exporter, int fd)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, http_on_request,
                         &exporter->pages, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, CLIENT_TIMEOUT_S, MHD_OPTION_END);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

static int listen_on(const char *text, char *error, size_t error_size)
{
    struct net_address address, bound;
    char problem[256];
    char where[NET_ADDRESS_TEXT_MAX];
    if (net_parse(text, 9223, false, &address, problem, sizeof problem) != 0) {
        (void)snprintf(error, error_size, "--metrics-listen: %s: %s", text, problem);
        return -1;
    }
    int fd = net_listen(&address, BACKLOG);
    if (fd < 0 || net_local_address(fd, &bound) != 0) {
        (void)snprintf(error, error_size, "--metrics-listen: %s: %s", text, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    (void)fprintf(stderr, "sshload: metrics at http://%s/metrics\n", net_print(&bound, where, sizeof where));
    return fd;
}

int exporter_start(struct exporter **out, const struct watched *watched, char *error, size_t error_size)
{
    const char *text = watched->settings->options.metrics_listen;
    *out = NULL;
    if (text == NULL) {
        return 0;
    }
    struct exporter *exporter = calloc(1, sizeof *exporter);
    if (exporter == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    exporter->watched = watched;
    exporter->pages = (struct http_pages){.write = write_page, .data = exporter};
    (void)pthread_mutex_init(&exporter->lock, NULL);
    exporter->latency = calloc(1, sizeof *exporter->latency);
    exporter->scratch = calloc(1, sizeof *exporter->scratch);
    if (exporter->latency == NULL || exporter->scratch == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        release(exporter);
        return -1;
    }
    histogram_reset(exporter->latency);
    int fd = listen_on(text, error, error_size);
    exporter->daemon = fd < 0 ? NULL : serve(exporter, fd);
    if (exporter->daemon == NULL) {
        if (fd >= 0) {
            (void)snprintf(error, error_size, "--metrics-listen: no HTTP server can be started");
            (void)close(fd);
        }
        release(exporter);
        return -1;
    }
    *out = exporter;
    return 0;
}

void exporter_interval(struct exporter *exporter, const struct interval *interval)
{
    if (exporter != NULL) {
        interval_unpack(interval, exporter->scratch);
        (void)pthread_mutex_lock(&exporter->lock);
        histogram_merge(exporter->latency, exporter->scratch);
        (void)pthread_mutex_unlock(&exporter->lock);
    }
}

void exporter_stop(struct exporter *exporter)
{
    if (exporter != NULL) {
        MHD_stop_daemon(exporter->daemon);
        release(exporter);
    }
}

#else

int exporter_start(struct exporter **out, const struct watched *watched, char *error, size_t error_size)
{
    *out = NULL;
    if (watched->settings->options.metrics_listen == NULL) {
        return 0;
    }
    (void)snprintf(error, error_size, "--metrics-listen: this sshload was built without libmicrohttpd (see --version)");
    return -1;
}

void exporter_interval(struct exporter *exporter, const struct interval *interval)
{
    (void)exporter;
    (void)interval;
}

void exporter_stop(struct exporter *exporter)
{
    (void)exporter;
}

#endif
