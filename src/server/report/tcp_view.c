#include "server/report/tcp_view.h"

#include <linux/tcp.h> /* libc's own struct ends before the newer fields */
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

struct tcp_view tcp_view_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof info.tcpi_delivery_rate) {
        return (struct tcp_view){.known = false};
    }
    return (struct tcp_view){.known = true,
                             .rtt_us = info.tcpi_rtt,
                             .rtt_variation_us = info.tcpi_rttvar,
                             .least_rtt_us = info.tcpi_min_rtt,
                             .segments_in = info.tcpi_segs_in,
                             .segments_out = info.tcpi_segs_out,
                             .retransmits = info.tcpi_total_retrans,
                             .segment_bytes = info.tcpi_snd_mss,
                             .delivery_bytes_per_s = info.tcpi_delivery_rate};
}
