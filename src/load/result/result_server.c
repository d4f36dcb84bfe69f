#include "load/result/result_server.h"

#include "load/tally/printable.h"

#include <math.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static double share(double of, double count, double unit)
{
    return of < 0.0 || !(count > 0.0) ? -1.0 : of * unit / count;
}

static bool is_mode(const struct result *result, const char *mode)
{
    return strcmp(result->mode, mode) == 0;
}

/* In the other modes echoes are a handshake's, a ping's of a quiet session, or pieces of a stream. */
static double us_per_echo(const struct result *result)
{
    return is_mode(result, "ping") ? share(result->server.cpu_s, (double)result->tally.echoes, 1e6) : -1.0;
}

static double s_per_gb(const struct result *result)
{
    return is_mode(result, "stream") ? share(result->server.cpu_s, (double)result->tally.bytes, 1e9) : -1.0;
}

static double ms_per_handshake(const struct result *result)
{
    return is_mode(result, "connect") ? share(result->server.cpu_s, (double)result->tally.connects_in_measure, 1e3)
                                      : share(result->server.ramp_cpu_s, (double)result->tally.connects_in_ramp, 1e3);
}

static double kib_per_session(const struct result *result)
{
    const struct server_use *use = &result->server;
    if (is_mode(result, "connect") || use->bytes < 0.0 || use->bytes_before < 0.0) {
        return -1.0;
    }
    double grown = use->bytes > use->bytes_before ? use->bytes - use->bytes_before : 0.0;
    return share(grown, (double)result->tally.sessions_up, 1.0 / 1024.0);
}

const struct server_figure server_figures[] = {
    [SERVER_PER_ECHO] = {"server CPU us/echo", "cpu_us_per_echo", us_per_echo, false},
    [SERVER_PER_GB] = {"server CPU s/GB", "cpu_s_per_gb", s_per_gb, false},
    [SERVER_PER_HANDSHAKE] = {"server CPU ms/login", "cpu_ms_per_handshake", ms_per_handshake, true},
    [SERVER_PER_SESSION] = {"server KiB/session", "kib_per_session", kib_per_session, false},
};
const size_t server_figure_count = sizeof server_figures / sizeof server_figures[0];

static double larger(double a, double b)
{
    return a > b ? a : b;
}

void server_use_merge(struct server_use *into, const struct server_use *from)
{
    if (from->source[0] == '\0') {
        return;
    }
    if (into->source[0] == '\0') {
        *into = *from;
        return;
    }
    into->cpu_s = larger(into->cpu_s, from->cpu_s);
    into->ramp_cpu_s = larger(into->ramp_cpu_s, from->ramp_cpu_s);
    into->bytes = larger(into->bytes, from->bytes);
    if (into->bytes_before < 0.0 || (from->bytes_before >= 0.0 && from->bytes_before < into->bytes_before)) {
        into->bytes_before = from->bytes_before;
    }
    if (into->complaint[0] == '\0') {
        memcpy(into->complaint, from->complaint, sizeof into->complaint);
    }
}

/* ---- JSON ---- */

static const struct {
    const char *key;
    size_t offset;
} fields[] = {
    {"cpu_s", offsetof(struct server_use, cpu_s)},
    {"ramp_cpu_s", offsetof(struct server_use, ramp_cpu_s)},
    {"bytes_before", offsetof(struct server_use, bytes_before)},
    {"bytes", offsetof(struct server_use, bytes)},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static double *field(struct server_use *use, size_t i)
{
    return (double *)(void *)((char *)use + fields[i].offset);
}

static json_t *known(double value)
{
    return value < 0.0 ? json_null() : json_real(round(value * 1e6) / 1e6);
}

static json_t *text_json(const char *text)
{
    json_t *value = json_string(text); /* NULL for what is not UTF-8 */
    return value != NULL ? value : json_string("?");
}

json_t *server_use_json(const struct result *result)
{
    struct server_use use = result->server;
    if (use.source[0] == '\0') {
        return NULL;
    }
    json_t *all = json_object();
    (void)json_object_set_new(all, "source", text_json(use.source));
    for (size_t i = 0; i < FIELDS; i++) {
        (void)json_object_set_new(all, fields[i].key, known(*field(&use, i)));
    }
    for (size_t i = 0; i < server_figure_count; i++) {
        (void)json_object_set_new(all, server_figures[i].key, known(server_figures[i].value(result)));
    }
    (void)json_object_set_new(all, "complaint", use.complaint[0] == '\0' ? json_null() : text_json(use.complaint));
    return all;
}

static bool take_text(json_t *document, const char *key, char *out, size_t size)
{
    json_t *value = json_object_get(document, key);
    const char *text = json_string_value(value);
    if (value != NULL && !json_is_null(value) && text == NULL) {
        return false;
    }
    (void)printable_copy(out, size, text == NULL ? "" : text);
    return true;
}

int server_use_read(struct server_use *use, json_t *document)
{
    *use = SERVER_USE_NONE;
    if (document == NULL) {
        return 0;
    }
    bool good = take_text(document, "source", use->source, sizeof use->source) && use->source[0] != '\0' &&
                take_text(document, "complaint", use->complaint, sizeof use->complaint);
    for (size_t i = 0; i < FIELDS && good; i++) {
        json_t *value = json_object_get(document, fields[i].key);
        good = json_is_null(value) || (json_is_number(value) && json_number_value(value) >= 0.0);
        *field(use, i) = good && !json_is_null(value) ? json_number_value(value) : -1.0;
    }
    return good ? 0 : -1;
}

/* ---- in words ---- */

void server_use_print(const struct result *result, FILE *out)
{
    static const struct {
        const char *text;
        double (*value)(const struct result *result);
    } words[] = {{"us an echo", us_per_echo},
                 {"s a GB", s_per_gb},
                 {"ms a handshake", ms_per_handshake},
                 {"KiB a session", kib_per_session}};
    const struct server_use *use = &result->server;
    if (use->source[0] == '\0') {
        return;
    }
    (void)fprintf(out, "Server       ");
    if (use->cpu_s >= 0.0) {
        (void)fprintf(out, "%.2f s CPU", use->cpu_s);
    } else {
        (void)fprintf(out, "CPU not known");
    }
    if (use->bytes >= 0.0) {
        (void)fprintf(out, ", %.1f MiB", use->bytes / MIB);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        double value = words[i].value(result);
        if (value >= 0.0) {
            (void)fprintf(out, ", %.*f %s", value < 10.0 ? 2 : 1, value, words[i].text);
        }
    }
    (void)fprintf(out, "  (%s)\n", use->source);
    if (use->complaint[0] != '\0') {
        (void)fprintf(out, "Note         of the server something is not known: %s\n", use->complaint);
    }
}
