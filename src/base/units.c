#include "sshecho/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sshecho/wide.h"

struct suffix {
    const char *text;
    uint64_t factor;
    bool printed; /* false: another spelling, understood but never written */
};

static const struct suffix size_suffixes[] = {
    {"", 1, true},
    {"K", UINT64_C(1) << 10, true},
    {"M", UINT64_C(1) << 20, true},
    {"G", UINT64_C(1) << 30, true},
    {"kB", 1000, true},
    {"MB", 1000000, true},
    {"GB", 1000000000, true},
    {"B", 1, false},
    {"k", UINT64_C(1) << 10, false},
    {"m", UINT64_C(1) << 20, false},
    {"g", UINT64_C(1) << 30, false},
    {"KiB", UINT64_C(1) << 10, false},
    {"MiB", UINT64_C(1) << 20, false},
    {"GiB", UINT64_C(1) << 30, false},
    {NULL, 0, false},
};

static const struct suffix count_suffixes[] = {
    {"", 1, true},           {"k", 1000, true},  {"M", 1000000, true},
    {"G", 1000000000, true}, {"K", 1000, false}, {NULL, 0, false},
};

static const struct suffix duration_suffixes[] = {
    {"us", 1, true},
    {"ms", UINT64_C(1000), true},
    {"s", UINT64_C(1000000), true},
    {"m", UINT64_C(60000000), true},
    {"h", UINT64_C(3600000000), true},
    {"d", UINT64_C(86400000000), true},
    {"", UINT64_C(1000000), false},
    {NULL, 0, false},
};

#define FRACTION_DIGITS_MAX 18 /* 10^18 fits 64 bits */

struct decimal {
    uint64_t whole;
    uint64_t fraction; /* of fraction_scale */
    uint64_t fraction_scale;
};

/* Reads DIGITS[.DIGITS] and returns what follows, or NULL. */
static const char *parse_decimal(const char *text, struct decimal *out)
{
    if (!isdigit((unsigned char)*text)) {
        return NULL;
    }
    *out = (struct decimal){.whole = 0, .fraction = 0, .fraction_scale = 1};
    for (; isdigit((unsigned char)*text); text++) {
        if (__builtin_mul_overflow(out->whole, 10U, &out->whole) ||
            __builtin_add_overflow(out->whole, (uint64_t)(*text - '0'), &out->whole)) {
            return NULL;
        }
    }
    if (*text != '.') {
        return text;
    }
    text++;
    size_t digits = strspn(text, "0123456789");
    const char *end = text + digits;
    if (digits == 0) {
        return NULL;
    }
    while (digits > 0 && text[digits - 1] == '0') {
        digits--;
    }
    if (digits > FRACTION_DIGITS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < digits; i++) {
        out->fraction = out->fraction * 10 + (uint64_t)(text[i] - '0');
        out->fraction_scale *= 10;
    }
    return end;
}

static const struct suffix *find_suffix(const struct suffix *table, const char *text, size_t length)
{
    for (; table->text; table++) {
        if (strlen(table->text) == length && memcmp(table->text, text, length) == 0) {
            return table;
        }
    }
    return NULL;
}

static bool parse_with(const struct suffix *table, const char *text, uint64_t *out)
{
    if (text == NULL) {
        return false;
    }
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        length--;
    }
    if (length == 3 && memcmp(text, "off", 3) == 0) {
        *out = 0;
        return true;
    }
    struct decimal number;
    const char *rest = parse_decimal(text, &number);
    if (rest == NULL) {
        return false;
    }
    const struct suffix *suffix = find_suffix(table, rest, (size_t)(text + length - rest));
    if (suffix == NULL) {
        return false;
    }
    uint64_t left_over;
    wide part = wide_divided(wide_times(number.fraction, suffix->factor), number.fraction_scale, &left_over);
    if (left_over != 0) {
        return false; /* "0.5" of the smallest unit: rounding would invent a value */
    }
    wide value = wide_plus(wide_times(number.whole, suffix->factor), part);
    if (!wide_fits_64(value)) {
        return false;
    }
    *out = wide_low(value);
    return true;
}

bool units_parse_size_bytes(const char *text, uint64_t *out)
{
    return parse_with(size_suffixes, text, out);
}

bool units_parse_count(const char *text, uint64_t *out)
{
    return parse_with(count_suffixes, text, out);
}

bool units_parse_duration_us(const char *text, uint64_t *out)
{
    return parse_with(duration_suffixes, text, out);
}

/* Writes value/factor exactly, with the suffix; returns false where that takes too many digits. */
static bool print_candidate(char text[64], uint64_t value, const struct suffix *suffix)
{
    char fraction[FRACTION_DIGITS_MAX + 2] = "";
    size_t digits = 0;
    uint64_t rest = value % suffix->factor;
    while (rest != 0 && digits < FRACTION_DIGITS_MAX) {
        uint64_t scaled = rest * 10; /* no factor is near 2^60 */
        fraction[++digits] = (char)('0' + (int)(scaled / suffix->factor));
        rest = scaled % suffix->factor;
    }
    if (rest != 0) {
        return false;
    }
    if (digits > 0) {
        fraction[0] = '.';
    }
    (void)snprintf(text, 64, "%" PRIu64 "%s%s", value / suffix->factor, fraction, suffix->text);
    return true;
}

static const char *print_with(const struct suffix *table, char *buffer, size_t buffer_size, uint64_t value)
{
    char best[64] = "0";
    if (value != 0) {
        best[0] = '\0';
        for (; table->text; table++) {
            char text[64];
            if (!table->printed || !print_candidate(text, value, table)) {
                continue;
            }
            if (best[0] == '\0' || strlen(text) < strlen(best)) {
                (void)memcpy(best, text, sizeof best);
            }
        }
    }
    (void)snprintf(buffer, buffer_size, "%s", best);
    return buffer;
}

const char *units_print_size(char *buffer, size_t buffer_size, uint64_t bytes)
{
    return print_with(size_suffixes, buffer, buffer_size, bytes);
}

const char *units_print_count(char *buffer, size_t buffer_size, uint64_t count)
{
    return print_with(count_suffixes, buffer, buffer_size, count);
}

const char *units_print_duration(char *buffer, size_t buffer_size, uint64_t duration_us)
{
    return print_with(duration_suffixes, buffer, buffer_size, duration_us);
}

const char *units_human_duration(char *buffer, size_t buffer_size, double duration_us)
{
    /* `limit` is where the next unit begins, in this unit, after rounding to three digits. */
    static const struct {
        const char *text;
        double factor_us;
        double limit;
    } units[] = {{"us", 1, 1000}, {"ms", 1e3, 1000}, {"s", 1e6, 120}, {"min", 60e6, 120}, {"h", 3600e6, INFINITY}};
    if (!isfinite(duration_us)) {
        (void)snprintf(buffer, buffer_size, "-");
        return buffer;
    }
    double magnitude = fabs(duration_us);
    const char *sign = duration_us < 0 ? "-" : "";
    if (magnitude < 0.0005) {
        (void)snprintf(buffer, buffer_size, "0 us");
        return buffer;
    }
    size_t unit = 0;
    char text[400]; /* DBL_MAX in hours still has 300 digits */
    for (;; unit++) {
        double value = magnitude / units[unit].factor_us;
        int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
        if (value < 0.9995) {
            decimals = 3;
        }
        (void)snprintf(text, sizeof text, "%.*f", decimals, value);
        if (value + (value < 99.95 ? 0.05 : 0.5) < units[unit].limit) {
            break;
        }
    }
    (void)snprintf(buffer, buffer_size, "%s%s %s", sign, text, units[unit].text);
    return buffer;
}
