/*
 * service.h - room: what a channel does for its client.
 *
 * Turns the words of an exec request into a service: everything is the echo, but for the reserved words `discard` (RFC
 * 863) and `chargen [BYTES]` (RFC 864). Pure. A service is a value; nothing is ever executed.
 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum service_kind { SERVICE_NONE, SERVICE_ECHO, SERVICE_DISCARD, SERVICE_CHARGEN, SERVICE_COMPLAIN };

struct service {
    enum service_kind kind;
    uint64_t left_bytes;     /* CHARGEN: still to send */
    uint64_t position_bytes; /* CHARGEN: sent so far; COMPLAIN: of the complaint */
    const char *complaint;   /* COMPLAIN: goes to stderr, then exit-status 2; static storage */
};

/* Never fails: a reserved word with a bad argument becomes SERVICE_COMPLAIN. */
void service_parse(const char *command, struct service *out);

/* The RFC 864 stream from `position`: returns a place from which at least SERVICE_CHUNK_BYTES can be read. */
#define SERVICE_CHUNK_BYTES ((size_t)32 * 1024)
const char *service_chargen_at(uint64_t position_bytes);

#endif
