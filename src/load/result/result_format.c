#include "load/result/result_format.h"

const char *const result_histogram_names[HISTOGRAM_COUNT] = {
    [HISTOGRAM_LATENCY] = "latency_us",
    [HISTOGRAM_UNCORRECTED] = "latency_uncorrected_us",
    [HISTOGRAM_SLIP] = "schedule_slip_us",
    [HISTOGRAM_CONNECTION_KB] = "connection_kb",
    [HISTOGRAM_HANDSHAKE] = "handshake_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_TCP] = "handshake_tcp_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_BANNER_KEX] = "handshake_banner_kex_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_AUTH] = "handshake_auth_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_CHANNEL] = "handshake_channel_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_FIRST_ECHO] = "handshake_first_echo_us",
};

const char *const result_phase_names[TALLY_PHASES] = {"tcp", "banner_kex", "auth", "channel", "first_echo"};

#define COUNTER(field)                                                                                                 \
    {                                                                                                                  \
        .name = #field, .offset = offsetof(struct tally, field)                                                        \
    }
#define LATER(field)                                                                                                   \
    {                                                                                                                  \
        .name = #field, .offset = offsetof(struct tally, field), .optional = true                                      \
    }
const struct result_counter result_counters[] = {
    COUNTER(started),          COUNTER(ok),
    COUNTER(failed),           COUNTER(timed_out),
    COUNTER(unfinished),       LATER(censored),
    COUNTER(echoes),           COUNTER(bytes),
    COUNTER(sessions_up),      COUNTER(sessions_lost),
    COUNTER(connects_tried),   COUNTER(connects_up),
    COUNTER(connects_in_ramp), COUNTER(connects_in_measure),
    COUNTER(sessions_up_max),  COUNTER(messages_rekeyed),
    COUNTER(stops_at_window),  COUNTER(stops_at_output),
    LATER(sessions_held),      LATER(sessions_pinged),
};
const size_t result_counter_count = sizeof result_counters / sizeof result_counters[0];

#define TEXT(field)                                                                                                    \
    {                                                                                                                  \
#field, offsetof(struct tally_negotiated, field), sizeof((struct tally_negotiated *)0)->field                  \
    }
const struct result_text result_texts[] = {TEXT(banner),    TEXT(kex),     TEXT(host_key), TEXT(cipher_out),
                                           TEXT(cipher_in), TEXT(mac_out), TEXT(mac_in)};
const size_t result_text_count = sizeof result_texts / sizeof result_texts[0];
