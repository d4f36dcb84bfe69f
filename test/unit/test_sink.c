/* Tests of the room of sink.h: a pipe whose reader sleeps, comes back, goes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshecho/sink.h"

#define LINE_BYTES 100
#define ENOUGH 20000 /* lines: more than any pipe and the queue hold */

struct fixture {
    int fds[2];
    struct sink sink;
};

/* A pipe in blocking mode, as stderr is: a write too many would hang the test. */
static int setup_pipe(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL || pipe2(f->fds, O_CLOEXEC) != 0) {
        return -1;
    }
    sink_open(&f->sink, f->fds[1], false);
    *state = f;
    return 0;
}

static int setup_socket(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->fds) != 0) {
        return -1;
    }
    sink_open(&f->sink, f->fds[1], false);
    *state = f;
    return 0;
}

/* The way for those who cannot open their stderr anew. */
static int setup_polled(void **state)
{
    if (setup_pipe(state) != 0) {
        return -1;
    }
    struct fixture *f = *state;
    (void)close(f->sink.own);
    f->sink.own = -1;
    f->sink.way = SINK_POLLED;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sink_close(&f->sink);
    (void)close(f->fds[0]);
    (void)close(f->fds[1]);
    free(f);
    return 0;
}

static void put(struct sink *sink, unsigned number)
{
    char line[LINE_BYTES + 1];
    (void)snprintf(line, sizeof line, "%0*u\n", LINE_BYTES - 1, number);
    sink_line(sink, line, LINE_BYTES);
}

/* Reads whole lines until `count` are there; each must be greater than the one before. Returns the last. */
static unsigned take(int fd, unsigned count, unsigned first)
{
    char line[LINE_BYTES + 1] = "";
    unsigned last = first;
    for (unsigned i = 0; i < count; i++) {
        for (size_t got = 0; got < LINE_BYTES;) {
            ssize_t n = read(fd, line + got, LINE_BYTES - got);
            assert_true(n > 0);
            got += (size_t)n;
        }
        assert_int_equal(line[LINE_BYTES - 1], '\n');
        unsigned number = (unsigned)strtoul(line, NULL, 10);
        assert_true(i == 0 || number > last);
        last = number;
    }
    return last;
}

static void nobody_waits_for_a_reader(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < ENOUGH; i++) {
        put(&f->sink, i);
    }
    assert_int_equal(fcntl(f->fds[1], F_GETFL) & O_NONBLOCK, 0); /* the flag is not ours to set */
    assert_true(f->sink.lost > 0);
    assert_true(f->sink.length <= SINK_QUEUE_BYTES);
    assert_false(sink_try(&f->sink, "x\n", 2));
    unsigned kept = ENOUGH - (unsigned)f->sink.lost;
    unsigned in_queue = (unsigned)(f->sink.length / LINE_BYTES);
    unsigned last = take(f->fds[0], kept - in_queue - 1, 0); /* all but the one that may be there in part */
    assert_int_equal(last, kept - in_queue - 2);             /* the first ones, none missing */
    put(&f->sink, ENOUGH);                                   /* the reader is back: order is kept */
    unsigned more = in_queue + 2;
    while (more > 0) {
        bool done = sink_flush(&f->sink);
        unsigned now = done ? more : 8;
        last = take(f->fds[0], now, 0);
        more -= now;
    }
    assert_int_equal(last, ENOUGH);
    assert_int_equal(f->sink.lost, ENOUGH - kept);
    assert_true(sink_try(&f->sink, "x\n", 2));
}

static void an_end_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < ENOUGH; i++) {
        put(&f->sink, i);
    }
    assert_false(sink_flush_within(&f->sink, 20000));
    sink_forget(&f->sink);
    assert_true(sink_flush_within(&f->sink, 0));
    assert_int_equal(f->sink.lost, 0);
}

static void a_reader_that_goes_costs_the_queue(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < ENOUGH; i++) {
        put(&f->sink, i);
    }
    uint64_t before = f->sink.lost;
    uint64_t waiting = f->sink.length / LINE_BYTES;
    (void)close(f->fds[0]);
    assert_true(sink_flush(&f->sink));
    assert_true(f->sink.lost - before >= waiting);
    f->fds[0] = -1;
}

static void files_are_written_at_once(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    struct sink sink = SINK_NONE;
    sink_open(&sink, fileno(file), false);
    assert_int_equal(sink.way, SINK_PLAIN);
    put(&sink, 1);
    assert_int_equal(sink.length, 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_CUR), LINE_BYTES);
    sink_close(&sink);
    (void)fclose(file);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        {"pipe: nobody waits for a reader", nobody_waits_for_a_reader, setup_pipe, teardown, NULL},
        {"socket: nobody waits for a reader", nobody_waits_for_a_reader, setup_socket, teardown, NULL},
        {"polled: nobody waits for a reader", nobody_waits_for_a_reader, setup_polled, teardown, NULL},
        cmocka_unit_test_setup_teardown(an_end_is_bounded, setup_pipe, teardown),
        {"pipe: a reader that goes", a_reader_that_goes_costs_the_queue, setup_pipe, teardown, NULL},
        {"socket: a reader that goes", a_reader_that_goes_costs_the_queue, setup_socket, teardown, NULL},
        cmocka_unit_test(files_are_written_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
