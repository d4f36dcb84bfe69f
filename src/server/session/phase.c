#include "server/session/phase.h"

const char *phase_name(enum phase phase)
{
    static const char *const names[PHASE_COUNT] = {"banner", "kex", "login", "open", "closing"};
    return names[phase];
}

bool phase_may_follow(enum phase from, enum phase to)
{
    /* bit n of entry p allows p -> n; any phase may end */
    static const unsigned allowed[PHASE_COUNT] = {
        [PHASE_BANNER] = 1U << PHASE_KEX | 1U << PHASE_CLOSING,
        [PHASE_KEX] = 1U << PHASE_LOGIN | 1U << PHASE_CLOSING,
        [PHASE_LOGIN] = 1U << PHASE_OPEN | 1U << PHASE_CLOSING,
        [PHASE_OPEN] = 1U << PHASE_CLOSING,
    };
    return (allowed[from] & 1U << to) != 0;
}
