/*
 * report_parts.h - inside the room of report.h: its values, before they are written.
 */
#ifndef SERVER_REPORT_REPORT_PARTS_H
#define SERVER_REPORT_REPORT_PARTS_H

#include <jansson.h>

#include "server/report/report.h"

/* A peer's words; also for what is not text at all. */
json_t *report_string(const char *text, size_t length);
json_t *report_words(const char *text); /* NULL becomes null */
/* Microseconds from accept; null where it has not come. */
json_t *report_moment(const struct record *record, mono_time at);
json_t *report_number(uint64_t number);
/* Puts a value into an object, or an array; without memory the value is missing, and the whole is thrown away. */
void report_put(json_t *object, const char *key, json_t *value);
void report_add(json_t *array, json_t *value);

json_t *report_channels(const struct report_view *view);
json_t *report_object(const struct report_view *view);

#endif
