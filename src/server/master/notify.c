#include "server/master/notify.h"

#ifdef HAVE_SYSTEMD
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "sshecho/clock.h"

static bool silent;
static uint64_t watchdog_us;
static mono_time last_ping;

void notify_ready(const char *status)
{
    if (!silent) {
        (void)sd_notifyf(0, "READY=1%s%s", status != NULL ? "\nSTATUS=" : "", status != NULL ? status : "");
        if (sd_watchdog_enabled(0, &watchdog_us) <= 0) {
            watchdog_us = 0;
        }
    }
}

void notify_reloading(void)
{
    if (!silent) {
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, mono_now().ns / NS_PER_US);
    }
}

void notify_stopping(void)
{
    if (!silent) {
        (void)sd_notify(0, "STOPPING=1");
    }
}

void notify_watchdog(void)
{
    mono_time now = mono_now();
    if (!silent && watchdog_us != 0 && (uint64_t)mono_us_between(last_ping, now) >= watchdog_us / 3) {
        last_ping = now;
        (void)sd_notify(0, "WATCHDOG=1");
    }
}

void notify_forked(void)
{
    silent = true;
}

bool notify_wants_priorities(void)
{
    return getenv("JOURNAL_STREAM") != NULL;
}
#else
void notify_ready(const char *status)
{
    (void)status;
}
void notify_reloading(void) {}
void notify_stopping(void) {}
void notify_watchdog(void) {}
void notify_forked(void) {}
bool notify_wants_priorities(void)
{
    return false;
}
#endif
