#include "server/session/farewell.h"

#include <string.h>

#include "sshecho/log.h"

void farewell_log(struct connection *c)
{
    const char *error = ssh_get_error(c->pump.session);
    char text[NET_ADDRESS_TEXT_MAX];
    const char *banner = c->client_version;
    ssh_session session = c->pump.session;
    if (banner == NULL) {
        banner = ssh_get_clientbanner(session);
    }
    bool failed = c->reason == REASON_PROTOCOL || c->reason == REASON_RESET;
    if (c->reason == REASON_PROTOCOL && strncmp(error, "Socket error", 12) == 0) {
        /* libssh closes the socket and then complains about that instead of the cause */
        error = "refused by libssh: malformed message, or no algorithm in common";
    }
    log_line(LOG_INFO, "close", log_u64("conn", c->id), log_str("peer", net_print(&c->peer, text, sizeof text)),
             log_str("reason", counters_close_name(c->reason)), log_str("phase", phase_name(c->phase_before_close)),
             log_f64("duration_s", mono_s_between(c->accepted_at, mono_now())),
             log_f64("kex_ms", c->kex_us < 0 ? -1.0 : (double)c->kex_us / 1000.0),
             log_f64("handshake_ms", c->login_us < 0 ? -1.0 : (double)c->login_us / 1000.0),
             log_u64("bytes_in", c->host.bytes_in), log_u64("bytes_out", c->host.bytes_out),
             log_u64("echoes", c->host.echoes), log_u64("channels", c->host.opened_count),
             log_u64("rekeys", c->rekey.count), log_str("user", c->user), log_str("method", c->method),
             log_str("client", banner), log_str("kex", ssh_get_kex_algo(session)),
             log_str("cipher", ssh_get_cipher_in(session)), log_str("mac", ssh_get_hmac_in(session)),
             log_str("error", failed ? error : ""));
}

/* Our own last word, RFC 4253 section 11.1; libssh closes right behind it. */
void farewell_say(struct connection *c)
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
        [REASON_TEST_BENCH] = "as you asked",
        [REASON_INTERNAL] = "internal error",
    };
    if (c->no_farewell || words[c->reason] == NULL || !pump_is_alive(&c->pump) || !pump_enter(&c->pump)) {
        return;
    }
    (void)ssh_session_set_disconnect_message(c->pump.session, words[c->reason]);
    ssh_disconnect(c->pump.session);
    pump_leave(&c->pump);
}
