#include "server/report/offers.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 256

struct offer {
    struct offer *next;
    uint64_t hash;
    uint32_t users;
    uint32_t size;
    char bytes[];
};

static struct offer *buckets[BUCKETS];
static size_t kept_bytes;

/* Eight bytes at a time: it only has to tell apart, and each client pays for it. */
static uint64_t hash_of(struct kexinit_text text)
{
    uint64_t hash = text.length;
    for (size_t at = 0; at < text.length; at += sizeof hash) {
        uint64_t word = 0;
        size_t left = text.length - at;
        memcpy(&word, text.start + at, left < sizeof word ? left : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

const struct offer *offer_take(struct kexinit_text text)
{
    uint64_t hash = hash_of(text);
    struct offer **bucket = &buckets[hash % BUCKETS];
    for (struct offer *offer = *bucket; offer != NULL; offer = offer->next) {
        if (offer->hash == hash && offer->size == text.length && memcmp(offer->bytes, text.start, text.length) == 0) {
            offer->users++;
            return offer;
        }
    }
    size_t bytes = sizeof(struct offer) + text.length;
    struct offer *offer = kept_bytes + bytes <= OFFERS_MAX_BYTES ? malloc(bytes) : NULL;
    if (offer == NULL) {
        return NULL;
    }
    *offer = (struct offer){.next = *bucket, .hash = hash, .users = 1, .size = (uint32_t)text.length};
    memcpy(offer->bytes, text.start, text.length);
    *bucket = offer;
    kept_bytes += bytes;
    return offer;
}

void offer_drop(const struct offer *offer)
{
    if (offer == NULL) {
        return;
    }
    struct offer **link = &buckets[offer->hash % BUCKETS];
    while (*link != offer) {
        link = &(*link)->next;
    }
    struct offer *found = *link;
    if (--found->users == 0) {
        *link = found->next;
        kept_bytes -= sizeof *found + found->size;
        free(found);
    }
}

struct kexinit_text offer_text(const struct offer *offer)
{
    return (struct kexinit_text){offer->bytes, offer->size};
}

size_t offers_bytes(void)
{
    return kept_bytes;
}
