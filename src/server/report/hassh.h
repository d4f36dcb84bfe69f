/*
 * hassh.h - room: the HASSH fingerprint of a client.
 *
 * MD5 of "kex;encryption;mac;compression" as it offers them towards the server, in hexadecimal, as published. Needs
 * libcrypto in the build; without it, or where that will not compute MD5, there is none.
 */
#ifndef SERVER_REPORT_HASSH_H
#define SERVER_REPORT_HASSH_H

#include <stdbool.h>

#include "sshecho/kexinit.h"

#define HASSH_CHARACTERS 32

/* offer: see kexinit_offer. */
bool hassh_of(struct kexinit_text offer, char out[HASSH_CHARACTERS + 1]);

#endif
