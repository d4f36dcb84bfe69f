/* Tests of the room of channel.h: what many channels of one connection cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "server/channel/channel.h"

/* In libssh's place, which makes channels for a session that is logged in alone. */
static char any_channel;

ssh_channel ssh_channel_new(ssh_session session)
{
    (void)session;
    return (ssh_channel)(void *)&any_channel;
}

int ssh_set_channel_callbacks(ssh_channel channel, ssh_channel_callbacks callbacks)
{
    (void)channel, (void)callbacks;
    return SSH_OK;
}

int ssh_remove_channel_callbacks(ssh_channel channel, ssh_channel_callbacks callbacks)
{
    (void)channel, (void)callbacks;
    return SSH_OK;
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What it costs to let go of so many channels at once. */
static int64_t cost_of_ending_ns(unsigned count, bool wanted)
{
    struct counters counters = {0};
    struct record record;
    record_begin(&record, mono_now(), wanted);
    struct config config = {0};
    struct channel_host host = {.counters = &counters, .config = &config, .record = &record};
    struct channels channels;
    channels_begin(&channels, &host);
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(channel_create(&channels, NULL));
    }
    int64_t began = cpu_ns();
    channels_destroy_all(&channels);
    int64_t took = cpu_ns() - began;
    assert_null(channels.first);
    assert_int_equal(channels.open_count, 0);
    assert_int_equal(counters_get(&counters.channels), 0);
    record_end(&record);
    return took;
}

static int64_t least_ns(unsigned count, bool wanted)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t took = cost_of_ending_ns(count, wanted);
        least = took < least ? took : least;
    }
    return least;
}

/* Sixteen times as many cost about sixteen times as much; 256 times where each walks past the others. CPU time of this
 * process, and the least of five: a machine that is busy does not make it later. */
static void test_many_channels_end_in_linear_time(void **state)
{
    (void)state;
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30); /* what the kernel takes to have memory back is not ours */
    for (int wanted = 0; wanted <= 1; wanted++) {
        int64_t few = least_ns(1000, wanted != 0), many = least_ns(16000, wanted != 0);
        print_message("1,000 channels: %ld us, 16,000: %ld us\n", (long)(few / 1000), (long)(many / 1000));
        assert_true(many < few * 80);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_channels_end_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
