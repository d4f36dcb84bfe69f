#include "load/tally/printable.h"

#include <stdio.h>
#include <string.h>

const char *printable_copy(char *out, size_t size, const char *text)
{
    size_t at = 0;
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        char unit[8];
        int length = byte >= 0x20 && byte < 0x7f ? snprintf(unit, sizeof unit, "%c", byte)
                                                 : snprintf(unit, sizeof unit, "\\x%02x", byte);
        if (at + (size_t)length >= size) {
            break;
        }
        memcpy(out + at, unit, (size_t)length);
        at += (size_t)length;
    }
    out[at] = '\0';
    return out;
}

/* How many bytes at `in` stand for something that a terminal obeys: 0 for what may be shown. */
static size_t obeyed(const unsigned char *in)
{
    if (in[0] < 0x20 || in[0] == 0x7f) {
        return 1;
    }
    if (in[0] == 0xc2 && in[1] >= 0x80 && in[1] < 0xa0) {
        return 2; /* U+0080..U+009F */
    }
    if (in[0] == 0xe2 && ((in[1] == 0x80 && (in[2] == 0x8e || in[2] == 0x8f || (in[2] >= 0xa8 && in[2] <= 0xae))) ||
                          (in[1] == 0x81 && in[2] >= 0xa6 && in[2] <= 0xa9))) {
        return 3; /* U+200E, U+200F, U+2028..U+202E, U+2066..U+2069 */
    }
    return 0;
}

void printable_mend(char *text)
{
    const unsigned char *in = (const unsigned char *)text;
    char *out = text;
    while (*in != '\0') {
        size_t length = obeyed(in);
        *out++ = length > 0 ? '?' : (char)*in;
        in += length > 0 ? length : 1;
    }
    *out = '\0';
}
