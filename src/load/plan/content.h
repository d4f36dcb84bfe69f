/*
 * content.h - room: what is sent, and whether it came back.
 *
 * Each byte is a function of its channel's seed and its position in that channel's stream, so a lost, doubled, moved or
 * invented byte shows, and nothing that was sent has to be kept for comparing. The bytes come from a table of
 * pseudo-random values with a prime period (65521): a shift is invisible only if it is a multiple of that prime, which
 * no sum of packets of ordinary sizes is. Owns the tables, which are constant after content_prepare. Pure otherwise.
 */
#ifndef LOAD_PLAN_CONTENT_H
#define LOAD_PLAN_CONTENT_H

#include <stddef.h>
#include <stdint.h>

/* As many bytes as can be had in one piece at any position. */
#define CONTENT_RUN_MAX ((size_t)64 * 1024)

enum content_kind {
    CONTENT_BINARY, /* the table above */
    CONTENT_TEXT,   /* the same with 64 letters, digits and signs only: no line end, nothing that a shell acts on */
    CONTENT_CHARGEN /* the lines of RFC 864, which a chargen server sends */
};

/* Once, before any thread starts. */
void content_prepare(void);

/* CONTENT_RUN_MAX readable bytes: what stands at `offset` and after it. */
const uint8_t *content_at(enum content_kind kind, uint64_t seed, uint64_t offset);

/* How many of the `size` bytes at `data` agree with the content from `offset` on: `size` when all do. */
size_t content_agreeing(enum content_kind kind, uint64_t seed, uint64_t offset, const uint8_t *data, size_t size);

#endif
