/* Inside the room of packed.h: the text form, HdrHistogram's V2 compressed encoding in base64. */
#include "load/timeline/packed_internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* The cookies of the encoding, and of its compressed form. */
#define COOKIE UINT32_C(0x1c849313)
#define COOKIE_COMPRESSED UINT32_C(0x1c849314)
/* cookie, payload's length, offset, significant digits (4 bytes each), lowest, highest value, ratio (8 each) */
#define HEADER_BYTES 40U
#define OUTER_BYTES 8U /* cookie and length */
#define PAYLOAD_MAX (HISTOGRAM_SLOTS * 9U)

static void put_be(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

static uint64_t get_be(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64(const uint8_t *bytes, size_t length)
{
    char *text = malloc((length + 2) / 3 * 4 + 1);
    char *out = text;
    for (size_t i = 0; text != NULL && i < length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (i + 1 < length ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < length ? bytes[i + 2] : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = i + 1 < length ? alphabet[group >> 6 & 63] : '=';
        *out++ = i + 2 < length ? alphabet[group & 63] : '=';
    }
    if (text != NULL) {
        *out = '\0';
    }
    return text;
}

/* The bytes, malloc'd; NULL if it is no base64 (with its padding). */
static uint8_t *unbase64(const char *text, size_t *length)
{
    size_t chars = strlen(text);
    size_t padding = chars > 1 && text[chars - 1] == '=' ? (text[chars - 2] == '=' ? 2 : 1) : 0;
    uint8_t *bytes = chars == 0 || chars % 4 != 0 ? NULL : calloc(chars / 4, 3);
    if (bytes == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < chars; i++) {
        const char *found = i >= chars - padding ? alphabet : strchr(alphabet, text[i]);
        if (found == NULL) {
            free(bytes);
            return NULL;
        }
        uint32_t six = (uint32_t)(found - alphabet);
        uint8_t *out = bytes + i / 4 * 3;
        switch (i % 4) {
        case 0:
            out[0] = (uint8_t)(six << 2);
            break;
        case 1:
            out[0] |= (uint8_t)(six >> 4);
            out[1] = (uint8_t)(six << 4);
            break;
        case 2:
            out[1] |= (uint8_t)(six >> 2);
            out[2] = (uint8_t)(six << 6);
            break;
        default:
            out[2] |= (uint8_t)six;
        }
    }
    *length = chars / 4 * 3 - padding;
    return bytes;
}

char *packed_to_text(const struct packed *packed)
{
    const double ratio = 1.0;
    uint64_t ratio_bits = 0;
    memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
    size_t length = HEADER_BYTES + packed->length;
    uLongf room = compressBound((uLong)length);
    uint8_t *plain = malloc(length);
    uint8_t *outer = malloc(OUTER_BYTES + room);
    char *text = NULL;
    if (plain == NULL || outer == NULL) {
        goto out;
    }
    put_be(plain, COOKIE, 4);
    put_be(plain + 4, packed->length, 4);
    put_be(plain + 8, 0, 4);
    put_be(plain + 12, 3, 4); /* significant digits */
    put_be(plain + 16, 1, 8);
    put_be(plain + 24, HISTOGRAM_MAX_VALUE, 8);
    put_be(plain + 32, ratio_bits, 8);
    memcpy(plain + HEADER_BYTES, packed->bytes, packed->length);
    if (compress2(outer + OUTER_BYTES, &room, plain, (uLong)length, Z_DEFAULT_COMPRESSION) != Z_OK) {
        goto out;
    }
    put_be(outer, COOKIE_COMPRESSED, 4);
    put_be(outer + 4, room, 4);
    text = base64(outer, OUTER_BYTES + room);
out:
    free(outer);
    free(plain);
    return text;
}

/* What the inflated bytes hold. */
static struct packed *take_plain(const uint8_t *plain, size_t length)
{
    if (length < HEADER_BYTES || get_be(plain, 4) != COOKIE || get_be(plain + 4, 4) != length - HEADER_BYTES ||
        get_be(plain + 8, 4) != 0 || get_be(plain + 12, 4) != 3 || get_be(plain + 16, 8) != 1) {
        return NULL;
    }
    struct packed *packed = malloc(sizeof *packed + length - HEADER_BYTES);
    if (packed == NULL) {
        return NULL;
    }
    *packed = (struct packed){.length = length - HEADER_BYTES};
    memcpy(packed->bytes, plain + HEADER_BYTES, packed->length);
    if (!packed_check(packed)) {
        free(packed);
        return NULL;
    }
    return packed;
}

struct packed *packed_from_text(const char *text)
{
    size_t length = 0;
    uLongf room = HEADER_BYTES + PAYLOAD_MAX; /* a larger one is none of ours */
    struct packed *packed = NULL;
    uint8_t *outer = unbase64(text, &length);
    uint8_t *plain = outer == NULL ? NULL : malloc(room);
    if (plain == NULL || length <= OUTER_BYTES || get_be(outer, 4) != COOKIE_COMPRESSED ||
        get_be(outer + 4, 4) != length - OUTER_BYTES ||
        uncompress(plain, &room, outer + OUTER_BYTES, (uLong)(length - OUTER_BYTES)) != Z_OK) {
        goto out;
    }
    packed = take_plain(plain, room);
out:
    free(plain);
    free(outer);
    return packed;
}
