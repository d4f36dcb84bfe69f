/*
 * tcp_view.h - room: how the kernel saw a TCP connection (TCP_INFO). Reads; owns nothing.
 */
#ifndef SERVER_REPORT_TCP_VIEW_H
#define SERVER_REPORT_TCP_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_view {
    bool known;
    uint32_t rtt_us, rtt_variation_us, least_rtt_us;
    uint32_t segments_in, segments_out, retransmits;
    uint32_t segment_bytes; /* what one from us holds */
    uint64_t delivery_bytes_per_s;
};

/* Unknown where the kernel does not say. */
struct tcp_view tcp_view_of(int fd);

#endif
