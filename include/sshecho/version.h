/*
 * version.h - room: what this build is and runs on.
 */
#ifndef SSHECHO_VERSION_H
#define SSHECHO_VERSION_H

#include <stdio.h>

#ifndef SSHECHO_VERSION
#define SSHECHO_VERSION "0.0.0-unknown" /* the Makefile sets it, from the VERSION file and git */
#endif

/* From here on libssh looks after the window that it grants, and has other sizes. */
#define LIBSSH_VERSION_0_11 (0 << 16 | 11 << 8)

/* What libssh 0.10 puts into one packet for a peer that takes packets of 32 KiB, as nearly all do: it leaves ten bytes
 * for headers. 32 KiB go out as two packets, the second of ten bytes, at nearly the cost of the first. */
#define LIBSSH_PACKET_BYTES 32758U
#define LIBSSH_PACKET_TEXT "32758"

/* "PROGRAM VERSION", then one line each: libssh and libev as compiled and as running, optional libraries, build flags.
 */
void version_print(const char *program, FILE *out);
/* "0.10.6 OpenSSL ...": the running libssh's own words; static storage. */
const char *version_libssh(void);
/* Running libssh as (major << 16 | minor << 8 | micro), as SSH_VERSION_INT. */
int version_libssh_number(void);
const char *version_libev(void);

#endif
