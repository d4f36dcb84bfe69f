/*
 * first_write.h - room: the first bytes that go out on a channel.
 *
 * libssh 0.10 packs empty packets without end when the peer has asked for packets of at most 10 bytes, and nobody tells
 * that size. Each packet draws random bytes for its padding; so the first write on a channel is short and may draw as
 * often as it has bytes (crypto_shortcuts.h): a packet of a right channel holds one at least. A draw refused ends the
 * loop with an error of that session's, after a millisecond. A channel that has written once is not of that kind.
 *
 * While keys are re-exchanged packets are queued without padding, and the loop would go on. A re-key that is due must
 * therefore begin before, with a message of our own; then the write waits for its end as every other does.
 *
 * Without crypto_shortcuts nothing is done here, and the watchdog has the last word. Knows a session and its pump, no
 * channel.
 */
#ifndef SERVER_CHANNEL_FIRST_WRITE_H
#define SERVER_CHANNEL_FIRST_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "sshecho/pump.h"

/* Whether keys may be due for an exchange by the configuration. */
bool first_write_rekey_may_be_due(const struct pump *pump, const struct config *config);

/* How many bytes a channel whose packet size is unknown may write at once. */
uint32_t first_write_bytes(bool rekey_may_be_due);

/* Around a write of n bytes, not more than first_write_bytes. False: its packets were empty, and the session is at its
 * end. */
void first_write_begin(const struct pump *pump, bool rekey_may_be_due, uint32_t n);
bool first_write_end(void);

#endif
