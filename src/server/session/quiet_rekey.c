#include "server/session/quiet_rekey.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* How long before the limit the quiet is looked for, and how far behind it libssh would begin by itself: some windows
 * of libssh's (2 MiB at most). */
#define MARGIN_BYTES ((uint64_t)8 * 1024 * 1024)

/* A client whose window is shut sends nothing for as long; one that waits for a CPU may do so too, so it is not short:
 * with 50 ms a session was lost on a machine with load 25. */
#define PAUSE_LEAST_US (200 * US_PER_MS)
#define PAUSE_MOST_US US_PER_S

/* asyncssh begins one itself after an hour, with its next message right behind it. */
#define INTERVAL_MOST_US (50 * 60 * US_PER_S)

/* Who always has something small to say is not waited for any longer. */
#define PATIENCE_US (30 * US_PER_S)

void quiet_rekey_adopt(struct quiet_rekey *quiet, ssh_session session, const struct config *config)
{
    uint64_t far_bytes = config->rekey_bytes + MARGIN_BYTES;
    uint32_t never = 0;
    if (config->rekey_bytes == 0 || ssh_options_set(session, SSH_OPTIONS_REKEY_DATA, &far_bytes) != SSH_OK ||
        ssh_options_set(session, SSH_OPTIONS_REKEY_TIME, &never) != SSH_OK) {
        return;
    }
    *quiet = (struct quiet_rekey){.adopted = true};
}

/* Until keys are too old. */
static int64_t left_by_time_us(const struct rekey *rekey, mono_time now)
{
    int64_t interval_us = INTERVAL_MOST_US;
    if (rekey->interval_us != 0 && (int64_t)rekey->interval_us < interval_us) {
        interval_us = (int64_t)rekey->interval_us;
    }
    return interval_us - mono_us_between(rekey->keys_at, now);
}

static bool is_near(const struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out)
{
    uint64_t in = bytes_in - rekey->bytes_in_mark;
    uint64_t out = bytes_out - rekey->bytes_out_mark;
    uint64_t limit = rekey->limit_bytes;
    uint64_t from = limit > 2 * MARGIN_BYTES ? limit - MARGIN_BYTES : limit / 2;
    return (in > out ? in : out) >= from;
}

/* What is on its way is twice a round trip away at most. */
static int64_t pause_of(ssh_session session)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int64_t us = PAUSE_LEAST_US;
    if (getsockopt(ssh_get_fd(session), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && 2 * (int64_t)info.tcpi_rtt > us) {
        us = 2 * (int64_t)info.tcpi_rtt;
    }
    return us < PAUSE_MOST_US ? us : PAUSE_MOST_US;
}

/* libssh has no call for it, but looks at the interval with every packet; one that has never been set is long over. It
 * is taken back before the new keys, which would set it. */
static void begin(ssh_session session)
{
    uint32_t second = 1, never = 0;
    (void)ssh_options_set(session, SSH_OPTIONS_REKEY_TIME, &second);
    (void)ssh_send_ignore(session, "");
    (void)ssh_options_set(session, SSH_OPTIONS_REKEY_TIME, &never);
}

int64_t quiet_rekey_turned(struct quiet_rekey *quiet, struct rekey *rekey, ssh_session session, uint64_t bytes_in,
                           uint64_t bytes_out, bool came, mono_time now)
{
    int64_t until_due_us = left_by_time_us(rekey, now);
    if (!quiet->adopted || quiet->begun) {
        return 0;
    }
    if (until_due_us > 0 && !is_near(rekey, bytes_in, bytes_out)) {
        return until_due_us;
    }
    if (!quiet->hushed) {
        quiet->hushed = true;
        quiet->quiet_from = now;
        quiet->pause_us = pause_of(session);
        came = true;
    }
    if (came) {
        quiet->heard_at = now;
    }
    int64_t left_us = quiet->pause_us - mono_us_between(quiet->heard_at, now);
    int64_t patience_us = PATIENCE_US - mono_us_between(quiet->quiet_from, now);
    left_us = left_us < patience_us ? left_us : patience_us;
    if (left_us > 0) {
        return left_us + 1;
    }
    quiet->begun = true;
    rekey_asked_for(rekey);
    begin(session);
    return 0;
}

void quiet_rekey_done(struct quiet_rekey *quiet)
{
    quiet->hushed = quiet->begun = false;
}
