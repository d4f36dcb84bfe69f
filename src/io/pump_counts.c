/* Inside the room of pump.h: what a session has taken, sent and still owes, and how it ended. */
#include "pump_internal.h"

#include <string.h>

/* libssh queues packets without a word while a key re-exchange runs. It counts a packet's payload only when it leaves
 * the queue, so what we wrote and it has not counted is what waits there. Key exchange messages count too: an error of
 * 1-2 KiB. */
static void settle_written(struct pump *pump)
{
    uint64_t counted = pump->payload.out_bytes - pump->payload_out_seen;
    pump->payload_out_seen = pump->payload.out_bytes;
    pump->written_unsent -= counted < pump->written_unsent ? counted : pump->written_unsent;
}

void pump_note_written(struct pump *pump, size_t bytes)
{
    pump->written_unsent += bytes;
    settle_written(pump);
}

/* Plain path: libssh tells only whether its output buffer is empty, so count what went in and out since it last was. */
static size_t plain_pending(struct pump *pump)
{
    if ((ssh_get_status(pump->session) & SSH_WRITE_PENDING) == 0) {
        pump->plain_payload_mark = pump->payload.out_bytes;
        pump->plain_wire_mark = pump->wire.out_bytes;
        return 0;
    }
    uint64_t in = pump->payload.out_bytes - pump->plain_payload_mark;
    uint64_t out = pump->wire.out_bytes - pump->plain_wire_mark;
    return in > out ? (size_t)(in - out) : 1;
}

size_t pump_pending_bytes(struct pump *pump)
{
    settle_written(pump);
    size_t below = pump->batched ? transport_pending_bytes(&pump->transport) : plain_pending(pump);
    return below + (size_t)pump->written_unsent;
}

uint64_t pump_cost_bytes(const struct pump *pump)
{
    return pump->wire.in_bytes + pump->payload.out_bytes + pump->payload.out_packets * PUMP_PACKET_COST_BYTES;
}

size_t pump_turn_left_bytes(const struct pump *pump)
{
    uint64_t spent = pump_cost_bytes(pump) - pump->turn_cost_mark;
    size_t budget = PUMP_TURN_BUDGET_BYTES(pump->turn_bytes);
    return spent < budget ? budget - (size_t)spent : 0;
}

uint64_t pump_packets_out(const struct pump *pump)
{
    return pump->payload.out_packets;
}

uint64_t pump_wire_in(const struct pump *pump)
{
    return pump->batched ? pump->transport.in_bytes : pump->wire.in_bytes;
}

uint64_t pump_wire_out(const struct pump *pump)
{
    return pump->batched ? pump->transport.out_bytes : pump->wire.out_bytes;
}

uint64_t pump_keyed_bytes_in(const struct pump *pump)
{
    return pump->payload.in_bytes + pump->payload.in_packets * PUMP_PACKET_OVERHEAD_BYTES;
}

uint64_t pump_keyed_bytes_out(const struct pump *pump)
{
    return pump->payload.out_bytes + pump->payload.out_packets * PUMP_PACKET_OVERHEAD_BYTES;
}

enum pump_end pump_end(const struct pump *pump)
{
    const char *error = ssh_get_error(pump->session);
    /* packet_cb.c's, socket.c's and session.c's wording: the only way libssh tells these apart */
    if ((ssh_get_status(pump->session) & SSH_CLOSED) != 0 ||
        (error != NULL && strstr(error, "Received SSH_MSG_DISCONNECT") != NULL)) {
        return PUMP_END_DISCONNECT;
    }
    if (pump->batched) { /* the transport knows */
        const struct transport *t = &pump->transport;
        return t->read_errno != 0 || t->write_errno != 0 ? PUMP_END_SOCKET
               : t->peer_eof                             ? PUMP_END_EOF
                                                         : PUMP_END_PROTOCOL;
    }
    if (error != NULL && strstr(error, "Socket error: disconnected") != NULL) {
        return PUMP_END_EOF;
    }
    if (error != NULL && (strstr(error, "Socket error") != NULL || strstr(error, "error on socket") != NULL)) {
        return PUMP_END_SOCKET;
    }
    return PUMP_END_PROTOCOL;
}
