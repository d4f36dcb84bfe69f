#include "server/channel/first_write.h"

#include "sshecho/crypto_shortcuts.h"
#include "sshecho/version.h"

/* A millisecond of empty packets; messages below this go out as one packet, as they would anyway. */
#define FIRST_BYTES 1024U

/* What libssh lets an 8-byte cipher (ChaCha20) carry before it re-keys by itself. */
#define LIBSSH_REKEY_BYTES ((uint64_t)1024 * 1024 * 1024)

/* Without the transport a write from outside of a callback may read as well, and what it reads be answered: a turn's
 * worth of requests. */
#define ANSWERS_MOST 4096U

static uint64_t refused_before; /* one thread per process, one write at a time */

static bool is_guarded(void)
{
    return version_libssh_number() < LIBSSH_VERSION_0_11 && crypto_shortcuts_are_on();
}

bool first_write_rekey_may_be_due(const struct pump *pump, const struct config *config)
{
    const struct ssh_counter_struct *carried = &pump->payload; /* since login: more than with the present keys */
    uint64_t limit = config->rekey_bytes;
    limit = limit == 0 || limit > LIBSSH_REKEY_BYTES ? LIBSSH_REKEY_BYTES : limit;
    return config->rekey_interval_us != 0 || carried->in_bytes + carried->out_bytes >= limit / 2;
}

uint32_t first_write_bytes(bool rekey_may_be_due)
{
    /* One byte: then even a re-key that falls due with this very packet is found out by its own draw. */
    return is_guarded() && rekey_may_be_due ? 1 : FIRST_BYTES;
}

void first_write_begin(const struct pump *pump, bool rekey_may_be_due, uint32_t n)
{
    if (!is_guarded()) {
        return;
    }
    if (rekey_may_be_due) {
        (void)ssh_send_ignore(pump->session, "");
    }
    refused_before = crypto_shortcuts_served().draws_refused;
    crypto_allow_draws(n + (pump->batched ? 0 : ANSWERS_MOST));
}

bool first_write_end(void)
{
    crypto_allow_draws(CRYPTO_ANY);
    return !is_guarded() || crypto_shortcuts_served().draws_refused == refused_before;
}
