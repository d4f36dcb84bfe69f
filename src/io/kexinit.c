#include "sshecho/kexinit.h"

#include <stdlib.h>
#include <string.h>

/* RFC 4253, 6.1: what an implementation has to take, and the longest version line. */
#define PACKET_MAX_BYTES 35000
#define LINE_MAX_BYTES 255
#define COPY_MAX_BYTES (LINE_MAX_BYTES + 4 + PACKET_MAX_BYTES)

#define MESSAGE_KEXINIT 20
#define COOKIE_BYTES 16
#define HEAD_BYTES 6 /* packet length, padding length, message */

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool append(struct kexinit *kexinit, const uint8_t *bytes, size_t size)
{
    size_t wanted = kexinit->size + size;
    if (wanted > kexinit->capacity) {
        size_t capacity = kexinit->capacity == 0 ? 2048 : kexinit->capacity;
        while (capacity < wanted) {
            capacity *= 2;
        }
        uint8_t *larger = realloc(kexinit->bytes, capacity);
        if (larger == NULL) {
            return false;
        }
        kexinit->bytes = larger;
        kexinit->capacity = capacity;
    }
    memcpy(kexinit->bytes + kexinit->size, bytes, size);
    kexinit->size = wanted;
    return true;
}

static enum kexinit_state judge(struct kexinit *kexinit)
{
    if (kexinit->line_bytes == 0) {
        const uint8_t *end = memchr(kexinit->bytes, '\n', kexinit->size);
        if (end == NULL) {
            return kexinit->size > LINE_MAX_BYTES ? KEXINIT_NONE : KEXINIT_MORE;
        }
        kexinit->line_bytes = (size_t)(end - kexinit->bytes) + 1;
    }
    const uint8_t *packet = kexinit->bytes + kexinit->line_bytes;
    size_t have = kexinit->size - kexinit->line_bytes;
    if (have < HEAD_BYTES) {
        return KEXINIT_MORE;
    }
    if (number(packet) > PACKET_MAX_BYTES || packet[5] != MESSAGE_KEXINIT) {
        return KEXINIT_NONE;
    }
    return have >= 4 + (size_t)number(packet) ? KEXINIT_COMPLETE : KEXINIT_MORE;
}

enum kexinit_state kexinit_feed(struct kexinit *kexinit, const uint8_t *bytes, size_t size)
{
    if (kexinit->state != KEXINIT_MORE || size == 0) {
        return kexinit->state;
    }
    size_t room = COPY_MAX_BYTES - kexinit->size;
    kexinit->state = append(kexinit, bytes, size < room ? size : room) ? judge(kexinit) : KEXINIT_NONE;
    if (kexinit->state == KEXINIT_MORE && kexinit->size == COPY_MAX_BYTES) {
        kexinit->state = KEXINIT_NONE;
    }
    return kexinit->state;
}

bool kexinit_offer(const struct kexinit *kexinit, struct kexinit_text *offer)
{
    if (kexinit->state != KEXINIT_COMPLETE) {
        return false;
    }
    const uint8_t *packet = kexinit->bytes + kexinit->line_bytes;
    size_t length = number(packet), padding = packet[4];
    size_t around = HEAD_BYTES - 4 + COOKIE_BYTES + padding; /* of what the length counts */
    if (length < around) {
        return false;
    }
    *offer = (struct kexinit_text){(const char *)packet + HEAD_BYTES + COOKIE_BYTES, length - around};
    return true;
}

bool kexinit_offer_list(struct kexinit_text offer, enum kexinit_list which, struct kexinit_text *list)
{
    const uint8_t *at = (const uint8_t *)offer.start, *end = at + offer.length;
    for (int i = 0; end - at >= 4; i++) {
        size_t length = number(at);
        at += 4;
        if (length > (size_t)(end - at)) {
            return false;
        }
        if (i == (int)which) {
            *list = (struct kexinit_text){.start = (const char *)at, .length = length};
            return true;
        }
        at += length;
    }
    return false;
}

bool kexinit_offer_guesses(struct kexinit_text offer)
{
    struct kexinit_text last;
    if (!kexinit_offer_list(offer, KEXINIT_LISTS - 1, &last)) {
        return false;
    }
    const char *flag = last.start + last.length;
    return flag < offer.start + offer.length && *flag != 0;
}

bool kexinit_list(const struct kexinit *kexinit, enum kexinit_list which, struct kexinit_text *list)
{
    struct kexinit_text offer;
    return kexinit_offer(kexinit, &offer) && kexinit_offer_list(offer, which, list);
}

void kexinit_end(struct kexinit *kexinit)
{
    free(kexinit->bytes);
    *kexinit = (struct kexinit){.state = KEXINIT_NONE};
}

struct kexinit_text kexinit_next_name(struct kexinit_text *list)
{
    const char *comma = memchr(list->start, ',', list->length);
    struct kexinit_text name = {list->start, comma != NULL ? (size_t)(comma - list->start) : list->length};
    size_t used = name.length + (comma != NULL ? 1 : 0);
    *list = (struct kexinit_text){list->start + used, list->length - used};
    return name;
}

struct kexinit_text kexinit_first_common(struct kexinit_text wanted, struct kexinit_text offered)
{
    while (wanted.length > 0) {
        struct kexinit_text name = kexinit_next_name(&wanted);
        for (struct kexinit_text rest = offered; rest.length > 0 && name.length > 0;) {
            struct kexinit_text other = kexinit_next_name(&rest);
            if (other.length == name.length && memcmp(other.start, name.start, name.length) == 0) {
                return name;
            }
        }
    }
    return (struct kexinit_text){"", 0};
}
