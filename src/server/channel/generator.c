#include "server/channel/generator.h"

#include <string.h>

#include "sshecho/version.h"

bool generator_run(struct service *service, struct output *output)
{
    bool complain = service->kind == SERVICE_COMPLAIN, text = complain || service->kind == SERVICE_REPORT;
    for (;;) {
        uint64_t left = text ? strlen(service->text) - service->position_bytes : service->left_bytes;
        if (left == 0) {
            return true;
        }
        if (output->all->quiet) {
            return false;
        }
        uint32_t n = output_allows(output, left < LIBSSH_PACKET_BYTES ? left : LIBSSH_PACKET_BYTES);
        if (n == 0) {
            return false;
        }
        const char *from = text ? service->text + service->position_bytes : service_chargen_at(service->position_bytes);
        int64_t written = output_write_outside(output, from, n, complain);
        if (written <= 0) {
            return written < 0;
        }
        service->position_bytes += (uint64_t)written;
        if (!text && service->left_bytes != UINT64_MAX) {
            service->left_bytes -= (uint64_t)written;
        }
    }
}
