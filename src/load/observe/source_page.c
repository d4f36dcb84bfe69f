/* Inside the room of source.h: the page of figures that a server gives to Prometheus, fetched by libcurl. */
#include "load/observe/source.h"

#include <stdio.h>

#ifndef HAVE_CURL

struct source *source_page(const char *url, char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "%.200s: this sshload was built without libcurl (see --version)", url);
    return NULL;
}

#else

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES_MOST (4U << 20)
#define PATIENCE_MS 2000L

struct page_source {
    struct source source;
    CURL *curl;
    char *text; /* of the last page, ended by a zero */
    size_t length;
    double cpu_s, lost_s; /* as last seen; of workers that are gone */
};

static size_t take(char *data, size_t size, size_t count, void *user)
{
    struct page_source *own = user;
    size_t length = size * count;
    char *larger = length > PAGE_BYTES_MOST - own->length ? NULL : realloc(own->text, own->length + length + 1);
    if (larger == NULL) {
        return 0; /* curl gives up */
    }
    memcpy(larger + own->length, data, length);
    own->text = larger;
    own->length += length;
    own->text[own->length] = '\0';
    return length;
}

/* The sum over all labels of the first of the names that is there; negative: none is. */
static double sum_of(const char *text, const char *const *names)
{
    double sum = -1.0;
    for (; *names != NULL && sum < 0.0; names++) {
        size_t length = strlen(*names);
        for (const char *line = text; line != NULL && *line != '\0';) {
            if (strncmp(line, *names, length) == 0 && (line[length] == ' ' || line[length] == '{')) {
                const char *labels_end = line[length] == '{' ? strchr(line, '}') : line + length;
                double value = labels_end == NULL ? 0.0 : strtod(labels_end + 1, NULL);
                sum = (sum < 0.0 ? 0.0 : sum) + (value > 0.0 ? value : 0.0);
            }
            line = strchr(line, '\n');
            line = line == NULL ? NULL : line + 1;
        }
    }
    return sum;
}

static int read_page(struct source *source, bool with_memory, struct source_reading *out, char *error,
                     size_t error_size)
{
    static const char *const cpu[] = {"sshechod_worker_cpu_seconds_total", "process_cpu_seconds_total", NULL};
    static const char *const memory[] = {"sshechod_worker_resident_memory_bytes", "process_resident_memory_bytes",
                                         NULL};
    struct page_source *own = (struct page_source *)source;
    own->length = 0;
    CURLcode rc = curl_easy_perform(own->curl);
    if (rc != CURLE_OK) {
        (void)snprintf(error, error_size, "%s: %s", source->name, curl_easy_strerror(rc));
        return -1;
    }
    double cpu_s = own->length == 0 ? -1.0 : sum_of(own->text, cpu);
    if (cpu_s < 0.0) {
        (void)snprintf(error, error_size, "%s: names no %s and no %s", source->name, cpu[0], cpu[1]);
        return -1;
    }
    own->lost_s += cpu_s < own->cpu_s ? own->cpu_s - cpu_s : 0.0; /* a worker was replaced */
    own->cpu_s = cpu_s;
    *out = (struct source_reading){.cpu_s = cpu_s + own->lost_s, .bytes = with_memory ? sum_of(own->text, memory) : -1};
    return 0;
}

static void close_page(struct source *source)
{
    struct page_source *own = (struct page_source *)source;
    curl_easy_cleanup(own->curl);
    free(own->text);
    free(own);
    curl_global_cleanup();
}

struct source *source_page(const char *url, char *error, size_t error_size)
{
    struct page_source *own = calloc(1, sizeof *own);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* counts its calls */
    CURL *curl = own == NULL ? NULL : curl_easy_init();
    if (curl == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        free(own);
        curl_global_cleanup();
        return NULL;
    }
    own->source = (struct source){.read = read_page, .close = close_page};
    own->curl = curl;
    (void)snprintf(own->source.name, sizeof own->source.name, "%s", url);
    CURLcode rc = curl_easy_setopt(curl, CURLOPT_URL, url);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, PATIENCE_MS);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, CURLOPT_WRITEDATA, own);
    if (rc != CURLE_OK) {
        (void)snprintf(error, error_size, "%s: %s", own->source.name, curl_easy_strerror(rc));
        close_page(&own->source);
        return NULL;
    }
    return &own->source;
}

#endif
