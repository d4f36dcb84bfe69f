#include "sshecho/http.h"

#ifdef HAVE_MICROHTTPD
#include <stdlib.h>
#include <string.h>

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
enum MHD_Result http_on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
                                const char *version, const char *body, size_t *body_bytes, void **state)
{
    (void)version;
    (void)body;
    static char begun;
    const struct http_pages *pages = data;
    if (*state == NULL || *body_bytes != 0) {
        *state = &begun;
        *body_bytes = 0; /* nobody asked for it */
        return MHD_YES;
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        return MHD_NO;
    }
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    const char *type = HTTP_TYPE_TEXT;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        status = pages->write(pages->data, path, out, &type);
    } else {
        (void)fprintf(out, "only GET and HEAD\n");
    }
    if (fclose(out) != 0) {
        free(text);
        return MHD_NO;
    }
    return respond(connection, status, type, text, length);
}
#endif
