/*
 * libssh_log.h - room: what libssh says to its log, overheard.
 *
 * libssh drops some messages that it cannot read (a channel request that ends before it says whether an answer is
 * wanted, say) and tells nobody but its log. That goes through a function of its public interface: this room serves the
 * symbol, as transport.h does, recognises those few lines and passes the rest on. Of window adjustments it tells nobody
 * either but its log, before it applies each. Recognising costs a look at the first letter; nothing is formatted that
 * libssh would not have formatted.
 *
 * Knows libssh alone. Where libssh does not come here (a static libssh, -Bsymbolic) it has no effect.
 */
#ifndef SSHECHO_LIBSSH_LOG_H
#define SSHECHO_LIBSSH_LOG_H

#include <stdint.h>

/* From now on `hear` is called, from within libssh, whenever it has dropped a message of the peer's; `what` names the
 * kind and is static. One for the process. */
void libssh_log_listen(void (*hear)(const char *what));

/* From now on `hear` is called for each window adjustment that the peer sends, before it is applied. `number`: the
 * channel's in its session, 1 for the first that was opened; window_bytes: what is left of its window. One for the
 * process. */
void libssh_log_listen_windows(void (*hear)(uint32_t number, uint32_t bytes, uint32_t window_bytes));

#endif
