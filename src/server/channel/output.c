#include "server/channel/output.h"

#include <string.h>

#include "server/channel/first_write.h"

/* Room below this is none: packets of a few bytes cost as much as full ones. */
#define LEAST_ROOM_BYTES 4096

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The cap on pending output, and what is left below it. */
static uint64_t room_below_cap(const struct channel_host *host)
{
    size_t pending = pump_pending_bytes(host->pump);
    uint64_t cap = host->config->pending_bytes;
    return pending + LEAST_ROOM_BYTES > cap ? 0 : cap - pending;
}

bool outputs_have_room(const struct outputs *all)
{
    return pump_turn_left_bytes(all->host->pump) > 0 && room_below_cap(all->host) > 0;
}

bool output_is_free(const struct output *output)
{
    return !output->writing && !output->all->waiting_for_room;
}

static bool rekey_may_be_due(const struct outputs *all)
{
    return all->rekeys_on_request || first_write_rekey_may_be_due(all->host->pump, all->host->config);
}

/* How many bytes this turn's budget still pays for, in whole packets of this channel's: a peer may take packets of one
 * byte, and each costs as much time as kilobytes of a full one. */
static uint64_t room_in_turn(const struct output *output)
{
    size_t left = pump_turn_left_bytes(output->all->host->pump);
    if (left == 0) {
        return 0;
    }
    if (output->packet_bytes == 0) {
        return first_write_bytes(rekey_may_be_due(output->all));
    }
    return (left / (output->packet_bytes + PUMP_PACKET_COST_BYTES) + 1) * output->packet_bytes;
}

uint32_t output_allows(struct output *output, uint64_t want)
{
    struct outputs *all = output->all;
    uint32_t window = ssh_channel_window_size(output->ssh);
    record_window(&output->record->window, window, want > 0);
    uint64_t n = least(want, window);
    n = least(n, output->portion_bytes);
    if (n == 0 || (output->packet_bytes == 0 && all->writes_wait)) {
        return 0;
    }
    n = least(n, least(room_below_cap(all->host), room_in_turn(output)));
    all->waiting_for_room = all->waiting_for_room || n == 0;
    return (uint32_t)n;
}

/* Learns from one write how large this channel's packets may be. */
static void learn_packet_size(struct output *output, uint32_t written, uint64_t packets)
{
    if (packets > 0 && written / packets > output->packet_bytes) {
        output->packet_bytes = (uint32_t)(written / packets);
    } else if (packets > 0 && output->packet_bytes == 0) {
        output->packet_bytes = 1;
    }
}

int64_t output_write(struct output *output, const void *data, uint32_t n, bool is_stderr)
{
    struct outputs *all = output->all;
    struct channel_host *host = all->host;
    bool first = output->packet_bytes == 0;
    if (first) {
        first_write_begin(host->pump, rekey_may_be_due(all), n);
    }
    uint64_t packets_before = pump_packets_out(host->pump);
    int written = is_stderr ? ssh_channel_write_stderr(output->ssh, data, n) : ssh_channel_write(output->ssh, data, n);
    if (first && !first_write_end()) {
        host->close(host->data, REASON_PROTOCOL);
    }
    if (written > 0) {
        pump_note_written(host->pump, (size_t)written);
        uint64_t packets = pump_packets_out(host->pump) - packets_before;
        learn_packet_size(output, (uint32_t)written, packets);
        all->writes_wait = all->writes_wait || packets == 0;
        record_written(output->record, (uint32_t)written, packets, is_stderr);
        output->portion_bytes -= output->portion_bytes == OUTPUT_ALL ? 0 : (uint32_t)written;
        host->totals.bytes_out += (uint64_t)written;
        counters_add(&host->counters->bytes_out, (uint64_t)written);
    }
    return written == SSH_AGAIN ? 0 : written;
}

int64_t output_write_outside(struct output *output, const void *data, uint32_t n, bool is_stderr)
{
    output->writing = true;
    int64_t written = output_write(output, data, n, is_stderr);
    output->writing = false;
    return written;
}

const char *output_write_text(struct output *output, const char *text, bool is_stderr)
{
    while (*text != '\0') {
        uint32_t n = output_allows(output, strlen(text));
        int64_t written = n > 0 ? output_write_outside(output, text, n, is_stderr) : 0;
        if (written <= 0) {
            return written < 0 ? NULL : text;
        }
        text += written;
    }
    return NULL;
}
