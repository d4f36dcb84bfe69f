#include "server/session/reporting.h"

#include <libssh/server.h>

/* The socket is still that of this connection: on the plain path libssh closes it at once, and the number may be
 * another's by now. */
static bool has_socket(const struct pump *pump)
{
    return pump->batched ? pump->transport.fd >= 0 : pump_is_alive(pump);
}

static struct report_view view_of(const struct farewell *facts, const struct reporting *reporting)
{
    const struct pump *pump = reporting->pump;
    return (struct report_view){.record = reporting->record,
                                .session = facts->session,
                                .id = facts->id,
                                .peer = facts->peer,
                                .version_line = facts->client_version != NULL ? facts->client_version
                                                                              : ssh_get_clientbanner(facts->session),
                                .user = facts->user,
                                .method = facts->method,
                                .host_keys = reporting->host_keys,
                                .compression = reporting->compression,
                                .phase = phase_name(facts->phase),
                                .reason = reporting->over ? counters_close_name(facts->reason) : NULL,
                                .error = reporting->over ? farewell_error(facts) : NULL,
                                .by_client = reporting->left,
                                .by_reset = reporting->left && facts->reason == REASON_RESET,
                                .overran_window = reporting->over && facts->reason == REASON_WINDOW_OVERRUN,
                                .newkeys_us = facts->kex_us,
                                .login_us = facts->login_us,
                                .now = mono_now(),
                                .channel_bytes_in = facts->totals->bytes_in,
                                .channel_bytes_out = facts->totals->bytes_out,
                                .wire_bytes_in = pump_wire_in(pump),
                                .wire_bytes_out = pump_wire_out(pump),
                                .bytes_under_key_in = pump_keyed_bytes_in(pump) - reporting->rekey->bytes_in_mark,
                                .tcp = has_socket(pump) ? tcp_view_of(pump->fd) : (struct tcp_view){.known = false}};
}

char *reporting_json(const struct farewell *facts, const struct reporting *reporting)
{
    struct report_view view = view_of(facts, reporting);
    return report_json(&view);
}

char *reporting_text(const struct farewell *facts, const struct reporting *reporting, bool terminal)
{
    struct report_view view = view_of(facts, reporting);
    return report_text(&view, terminal);
}
