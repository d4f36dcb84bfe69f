#include "load/result/percentiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 10

bool percentiles_parse_one(const char *text, size_t length, double *out)
{
    char copy[DIGITS_MAX + 1];
    if (length == 0 || length > DIGITS_MAX || strspn(text, "0123456789.") < length || *text == '.') {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *end = NULL;
    double value = strtod(copy, &end);
    *out = value;
    return *end == '\0' && value > 0.0 && value <= 100.0;
}

int percentiles_parse(const char *text, struct percentiles *out, char *error, size_t error_size)
{
    struct percentiles list = {.count = 0};
    const char *at = text;
    while (true) {
        at += *at == 'p' ? 1 : 0;
        size_t length = strcspn(at, ",");
        if (list.count == PERCENTILES_MAX || !percentiles_parse_one(at, length, &list.values[list.count])) {
            (void)snprintf(error, error_size,
                           "\"%s\" is no list of percentiles (allowed: up to %d, above 0 and up to 100, such as "
                           "50,95,99.99)",
                           text, PERCENTILES_MAX);
            return -1;
        }
        (void)snprintf(list.names[list.count], sizeof list.names[0], "p%.*s", (int)length, at);
        list.count++;
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    *out = list;
    return 0;
}
