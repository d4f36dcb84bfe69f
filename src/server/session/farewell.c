#include "server/session/farewell.h"

#include <string.h>

#include "sshecho/log.h"

/* What libssh says where first_write.h has ended its loop; it leaves half a message behind, which takes no other. */
static bool takes_no_data(ssh_session session)
{
    return strcmp(ssh_get_error(session), "PRNG error") == 0;
}

const char *farewell_error(const struct farewell *farewell)
{
    const char *error = ssh_get_error(farewell->session);
    if (farewell->reason != REASON_PROTOCOL && farewell->reason != REASON_RESET) {
        return "";
    }
    if (takes_no_data(farewell->session)) {
        return "a channel whose packets may have no data: maximum packet size 10, which libssh 0.10 cannot serve";
    }
    if (farewell->disagreement != NULL) {
        return farewell->disagreement;
    }
    if (farewell->reason == REASON_PROTOCOL && strncmp(error, "Socket error", 12) == 0) {
        /* libssh closes the socket and then complains about that instead of the cause */
        return "refused by libssh: malformed message, or no algorithm in common";
    }
    return error;
}

void farewell_log(const struct farewell *farewell)
{
    ssh_session session = farewell->session;
    const struct channel_totals *totals = farewell->totals;
    const char *banner = farewell->client_version != NULL ? farewell->client_version : ssh_get_clientbanner(session);
    char text[NET_ADDRESS_TEXT_MAX];
    log_line(
        LOG_INFO, "close", log_u64("conn", farewell->id), log_str("peer", net_print(farewell->peer, text, sizeof text)),
        log_str("reason", counters_close_name(farewell->reason)), log_str("phase", phase_name(farewell->phase)),
        log_f64("duration_s", mono_s_between(farewell->accepted_at, mono_now())),
        log_f64("kex_ms", farewell->kex_us < 0 ? -1.0 : (double)farewell->kex_us / 1000.0),
        log_f64("handshake_ms", farewell->login_us < 0 ? -1.0 : (double)farewell->login_us / 1000.0),
        log_u64("bytes_in", totals->bytes_in), log_u64("bytes_out", totals->bytes_out),
        log_u64("echoes", totals->echoes), log_u64("channels", totals->opened), log_u64("rekeys", farewell->rekeys),
        log_str("user", farewell->user), log_str("method", farewell->method), log_str("client", banner),
        log_str("kex", ssh_get_kex_algo(session)), log_str("cipher", ssh_get_cipher_in(session)),
        log_str("mac", ssh_get_hmac_in(session)), log_str("error", farewell_error(farewell)));
}

/* Our own last word, RFC 4253 section 11.1; libssh closes right behind it. */
void farewell_say(struct pump *pump, enum close_reason reason, const char *disagreement)
{
    static const char *const words[CLOSE_REASON_COUNT] = {
        [REASON_PROTOCOL] = "protocol error",
        [REASON_BANNER_TIMEOUT] = "no version line in time",
        [REASON_KEX_TIMEOUT] = "key exchange took too long",
        [REASON_LOGIN_TIMEOUT] = "login took too long",
        [REASON_IDLE_TIMEOUT] = "idle for too long",
        [REASON_NO_PROGRESS] = "output was not taken for too long",
        [REASON_SESSION_TIMEOUT] = "time limit of a session reached",
        [REASON_SESSION_BYTES] = "byte limit of a session reached",
        [REASON_AUTH_ATTEMPTS] = "too many authentication failures",
        [REASON_WINDOW_OVERRUN] = "more data than the window allows",
        [REASON_RATE] = "requests faster than allowed",
        [REASON_DRAIN] = "server is shutting down",
        [REASON_ON_REQUEST] = "as you asked",
        [REASON_INTERNAL] = "internal error",
    };
    if (words[reason] == NULL || !pump_is_alive(pump) || takes_no_data(pump->session) || !pump_enter(pump)) {
        return;
    }
    (void)ssh_session_set_disconnect_message(pump->session, disagreement != NULL ? disagreement : words[reason]);
    ssh_disconnect(pump->session);
    pump_leave(pump);
}
