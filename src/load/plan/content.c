#include "load/plan/content.h"

#include "load/plan/plan.h"

#include <string.h>

#define SEEDED_PERIOD 65521U

/* RFC 864: lines of 72 of the 95 printing characters, each line starting one further; then CR LF. */
#define CHARGEN_LINE 72U
#define CHARGEN_CHARACTERS 95U
#define CHARGEN_PERIOD ((CHARGEN_LINE + 2U) * CHARGEN_CHARACTERS)

static uint8_t binary[SEEDED_PERIOD + CONTENT_RUN_MAX];
static uint8_t text[SEEDED_PERIOD + CONTENT_RUN_MAX];
static uint8_t chargen[CHARGEN_PERIOD + CONTENT_RUN_MAX];

void content_prepare(void)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
    for (size_t i = 0; i < sizeof binary; i++) {
        binary[i] = (uint8_t)plan_mix(i % SEEDED_PERIOD);
        text[i] = (uint8_t)letters[binary[i] % (sizeof letters - 1)];
    }
    for (size_t i = 0; i < sizeof chargen; i++) {
        size_t line = i % CHARGEN_PERIOD / (CHARGEN_LINE + 2);
        size_t column = i % (CHARGEN_LINE + 2);
        if (column < CHARGEN_LINE) {
            chargen[i] = (uint8_t)(' ' + (line + column) % CHARGEN_CHARACTERS);
        } else {
            chargen[i] = column == CHARGEN_LINE ? '\r' : '\n';
        }
    }
}

const uint8_t *content_at(enum content_kind kind, uint64_t seed, uint64_t offset)
{
    if (kind == CONTENT_CHARGEN) {
        return chargen + offset % CHARGEN_PERIOD;
    }
    return (kind == CONTENT_TEXT ? text : binary) + (seed % SEEDED_PERIOD + offset) % SEEDED_PERIOD;
}

size_t content_agreeing(enum content_kind kind, uint64_t seed, uint64_t offset, const uint8_t *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t run = size - done < CONTENT_RUN_MAX ? size - done : CONTENT_RUN_MAX;
        const uint8_t *expected = content_at(kind, seed, offset + done);
        if (memcmp(data + done, expected, run) != 0) {
            size_t i = 0;
            while (data[done + i] == expected[i]) {
                i++;
            }
            return done + i;
        }
        done += run;
    }
    return size;
}
