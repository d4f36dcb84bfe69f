/*
 * offers.h - room: what clients offer in their KEXINIT, one copy for all who offer the same.
 *
 * A thousand connections of the same program share a kilobyte or two; what is kept in all is bounded, and who comes
 * when it is full is not kept. One table a process, which has one thread. Pure.
 */
#ifndef SERVER_REPORT_OFFERS_H
#define SERVER_REPORT_OFFERS_H

#include "sshecho/kexinit.h"

/* For a worker's clients together. */
#define OFFERS_MAX_BYTES ((size_t)4 * 1024 * 1024)

struct offer;

/* A reference to the copy of this one, see kexinit_offer; NULL when there is no room or memory for it. */
const struct offer *offer_take(struct kexinit_text offer);
/* NULL is nothing. */
void offer_drop(const struct offer *offer);

struct kexinit_text offer_text(const struct offer *offer);
/* Bytes that all of them take now. */
size_t offers_bytes(void);

#endif
