/* Fuzzes units.h: whatever a parser accepts, the printer must write so that it reads back the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshecho/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    bool (*parse)(const char *text, uint64_t *out);
    const char *(*print)(char *buffer, size_t buffer_size, uint64_t value);
} pairs[] = {
    {units_parse_size_bytes, units_print_size},
    {units_parse_count, units_print_count},
    {units_parse_duration_us, units_print_duration},
};

static void check(size_t pair, const char *text)
{
    uint64_t value = 77;
    uint64_t back = 0;
    char printed[48];
    if (!pairs[pair].parse(text, &value)) {
        if (value != 77)
            abort(); /* refused, and yet the result was touched */
        return;
    }
    (void)pairs[pair].print(printed, sizeof printed, value);
    if (!pairs[pair].parse(printed, &back) || back != value)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        (void)memcpy(text, data, size);
    text[size] = '\0';
    uint64_t raw = 0;
    (void)memcpy(&raw, data ? data : (const uint8_t *)text, size < sizeof raw ? size : sizeof raw);
    for (size_t pair = 0; pair < sizeof pairs / sizeof pairs[0]; pair++) {
        char printed[48];
        check(pair, text);
        check(pair, pairs[pair].print(printed, sizeof printed, raw));
    }
    double duration;
    char human[48];
    (void)memcpy(&duration, &raw, sizeof duration);
    (void)units_human_duration(human, sizeof human, duration);
    if (strlen(human) < 1)
        abort();
    free(text);
    return 0;
}
