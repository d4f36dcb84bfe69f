/*
 * version.h - room: what this build is and runs on.
 */
#ifndef SSHECHO_VERSION_H
#define SSHECHO_VERSION_H

#include <stdio.h>

#ifndef SSHECHO_VERSION
#define SSHECHO_VERSION "0.0.0-unknown" /* the Makefile sets it, from the VERSION file and git */
#endif

/* "PROGRAM VERSION", then one line each: libssh and libev as compiled and as running, optional libraries, build flags.
 */
void version_print(const char *program, FILE *out);
/* "0.10.6 OpenSSL ...": the running libssh's own words; static storage. */
const char *version_libssh(void);
/* Running libssh as (major << 16 | minor << 8 | micro), as SSH_VERSION_INT. */
int version_libssh_number(void);
const char *version_libev(void);

#endif
