/*
 * http.h - room: a page over HTTP, as figures are asked for.
 *
 * What every page that these programs serve has in common: GET and HEAD alone, nothing kept by anybody on the way, a
 * request's body read and forgotten. Who listens, in which thread or process and how many may come at once is for its
 * user to say (MHD_start_daemon), as is the page. Both programs link libmicrohttpd anyway; without it there is no room.
 */
#ifndef SSHECHO_HTTP_H
#define SSHECHO_HTTP_H

#ifdef HAVE_MICROHTTPD
#include <microhttpd.h>
#include <stdio.h>

#define HTTP_TYPE_TEXT "text/plain; charset=utf-8"
#define HTTP_TYPE_FIGURES "text/plain; version=0.0.4; charset=utf-8" /* as Prometheus reads them */

/* Lives as long as the server that it is given to. */
struct http_pages {
    /* Writes what is at this path, says of which type (HTTP_TYPE_TEXT where it does not) and returns the status. */
    unsigned (*write)(void *data, const char *path, FILE *out, const char **type);
    void *data;
};

/* For MHD_start_daemon, with a struct http_pages as its data. */
enum MHD_Result http_on_request(void *pages, struct MHD_Connection *connection, const char *path, const char *method,
                                const char *version, const char *body, size_t *body_bytes, void **state);
#endif

#endif
