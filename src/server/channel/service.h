/*
 * service.h - room: what a channel does for its client.
 *
 * Turns the words of an exec or subsystem request into a service: everything is the echo, but for the reserved words
 * `discard` (RFC 863), `chargen [BYTES]` (RFC 864), `report [text]`, `terminal` and, where allowed, those of
 * misbehave.h. Pure; nothing is ever executed.
 */
#ifndef SERVER_CHANNEL_SERVICE_H
#define SERVER_CHANNEL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/channel/misbehave.h"

enum service_kind {
    SERVICE_NONE,
    SERVICE_ECHO,
    SERVICE_DISCARD,
    SERVICE_CHARGEN,
    SERVICE_REPORT,
    SERVICE_TERMINAL,
    SERVICE_COMPLAIN
};

struct service {
    enum service_kind kind;
    uint64_t left_bytes;               /* CHARGEN: still to send; UINT64_MAX: for ever */
    uint64_t position_bytes;           /* CHARGEN, REPORT, COMPLAIN: sent so far */
    char *text;                        /* COMPLAIN: goes to stderr, then exit-status 2; REPORT: its owner fills it in */
    bool for_people;                   /* REPORT: not JSON */
    struct misbehaviour *misbehaviour; /* ECHO that may_misbehave, else NULL */
};

/* A reserved word with a bad argument becomes SERVICE_COMPLAIN. words may be NULL (a shell). Returns 0, or -1 out of
 * memory. End with service_free. */
int service_parse(const char *words, bool may_misbehave, struct service *out);
void service_free(struct service *service);
/* For the log and reports; static. */
const char *service_name(const struct service *service);

/* Whether it speaks by itself, and wants nothing back of what comes (generator.h). */
bool service_generates(const struct service *service);

/* The RFC 864 stream from `position`: returns a place from which at least LIBSSH_PACKET_BYTES can be read. */
const char *service_chargen_at(uint64_t position_bytes);

#endif
