#include "server/session/windows.h"

#include "server/session/connection.h"
#include "sshecho/libssh_log.h"

static void on_adjusted(uint32_t number, uint32_t bytes, uint32_t window_bytes)
{
    struct pump *pump = pump_driven();
    if (pump != NULL) {
        struct connection *c = pump->owner_data;
        channels_window(&c->channels, number, window_bytes, bytes);
    }
}

void windows_begin(void)
{
    libssh_log_listen_windows(on_adjusted);
}
