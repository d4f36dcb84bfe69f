/*
 * units.h - room: sizes, counts and durations as people write them.
 *
 * One table of suffixes serves parsing and printing in both programs. Pure; owns nothing.
 * Sizes: bytes, with K, M, G (powers of 1024, as OpenSSH's RekeyLimit reads them) and kB, MB, GB (powers of 1000);
 * k, m, g and KiB, MiB, GiB, B are understood too. Counts: k, M, G are powers of 1000. Durations: us, ms, s, m, h, d; a
 * bare number is seconds. Fractions are allowed where the result is a whole number of the smallest unit ("1.5s", but
 * not "0.5us"). The word "off" and "0" both mean 0. White space around the value is ignored.
 */
#ifndef SSHECHO_UNITS_H
#define SSHECHO_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each parser returns false, and leaves *out alone, on an empty, negative, malformed or overflowing text. */
bool units_parse_size_bytes(const char *text, uint64_t *out);
bool units_parse_count(const char *text, uint64_t *out);
bool units_parse_duration_us(const char *text, uint64_t *out);

/* Each printer writes the shortest text that its parser reads back to the same value, a duration always with its unit;
 * returns `buffer` (48 bytes hold any of them). */
const char *units_print_size(char *buffer, size_t buffer_size, uint64_t bytes);
const char *units_print_count(char *buffer, size_t buffer_size, uint64_t count);
const char *units_print_duration(char *buffer, size_t buffer_size, uint64_t duration_us);

/* For reports: three significant digits and the fitting unit (us, ms, s, min, h), "1.25 ms"; "-" for what is not
 * finite. Not meant to be parsed again. */
const char *units_human_duration(char *buffer, size_t buffer_size, double duration_us);

#endif
