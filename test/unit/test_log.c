/* Tests of the room of log.h. JSON lines are read back with jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sshecho/log.h"

/* A pipe that the log writes into; its read end does not block. */
struct fixture {
    int read_fd;
    int write_fd;
    char text[4 * LOG_LINE_MAX];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    int fds[2];
    if (!fixture || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return -1;
    fixture->read_fd = fds[0];
    fixture->write_fd = fds[1];
    log_setup(LOG_INFO, LOG_FORMAT_KV, fixture->write_fd, false);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    log_setup(LOG_INFO, LOG_FORMAT_KV, STDERR_FILENO, false);
    (void)close(fixture->read_fd);
    (void)close(fixture->write_fd);
    free(fixture);
    return 0;
}

/* Everything written so far; checks that it ends in exactly one line break and has no other. */
static const char *take_line(struct fixture *fixture)
{
    ssize_t length = read(fixture->read_fd, fixture->text, sizeof fixture->text - 1);
    if (length <= 0)
        return NULL;
    fixture->text[length] = '\0';
    assert_true(length <= LOG_LINE_MAX);
    assert_ptr_equal(strchr(fixture->text, '\n'), fixture->text + length - 1);
    fixture->text[length - 1] = '\0';
    return fixture->text;
}

/* The part of a key=value line after "event=NAME". */
static const char *take_fields(struct fixture *fixture)
{
    const char *line = take_line(fixture);
    assert_non_null(line);
    const char *event = strstr(line, " event=");
    assert_non_null(event);
    return event + strcspn(event + 1, " ") + 1;
}

static void a_line_has_time_level_pid_and_event(void **state)
{
    struct fixture *fixture = *state;
    log_line(LOG_INFO, "accept", log_u64("conn", 17), log_str("peer", "127.0.0.1:4022"));
    const char *line = take_line(fixture);
    assert_non_null(line);
    int year, month, day, hour, minute, second, milli, end = 0;
    long pid = 0;
    int read = sscanf(line, "time=%4d-%2d-%2dT%2d:%2d:%2d.%3dZ level=info pid=%ld event=accept%n", &year, &month, &day,
                      &hour, &minute, &second, &milli, &pid, &end);
    assert_int_equal(read, 8);
    assert_true(year >= 2024 && month <= 12 && day <= 31 && hour < 24 && minute < 60 && second <= 60);
    assert_int_equal(pid, getpid());
    assert_string_equal(line + end, " conn=17 peer=127.0.0.1:4022");
}

static void every_kind_is_printed(void **state)
{
    struct fixture *fixture = *state;
    log_line(LOG_ERROR, "kinds", log_i64("a", INT64_MIN), log_u64("b", UINT64_MAX), log_f64("c", 1.5),
             log_bool("d", true), log_bool("e", false), log_str("f", NULL), log_f64("g", NAN));
    assert_string_equal(take_fields(fixture),
                        " a=-9223372036854775808 b=18446744073709551615 c=1.5 d=true e=false f=\"\" g=nan");
}

static void levels_are_filtered(void **state)
{
    struct fixture *fixture = *state;
    log_line(LOG_DEBUG, "hidden", log_bool("x", true));
    assert_null(take_line(fixture));
    const struct log_field field = log_bool("x", true);
    log_fields(LOG_DEBUG, "hidden", &field, 1);
    assert_null(take_line(fixture));
    log_setup(LOG_TRACE, LOG_FORMAT_KV, fixture->write_fd, false);
    for (enum log_level level = LOG_ERROR; level <= LOG_TRACE; level++) {
        char expected[32];
        assert_true(log_enabled(level));
        log_fields(level, "shown", NULL, 0);
        (void)snprintf(expected, sizeof expected, " level=%s ", log_level_name(level));
        const char *line = take_line(fixture);
        assert_non_null(line);
        assert_non_null(strstr(line, expected));
    }
    log_setup(LOG_ERROR, LOG_FORMAT_KV, fixture->write_fd, false);
    assert_false(log_enabled(LOG_WARN));
    assert_true(log_enabled(LOG_ERROR));
}

static void a_peer_cannot_forge_a_line(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *value;
        const char *printed;
    } cases[] = {
        {"plain-1.2_3:/@", "plain-1.2_3:/@"},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"x\ntime=2026 level=error event=forged", "\"x\\ntime=2026 level=error event=forged\""},
        {"quote\" end", "\"quote\\\" end\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"\x1b[31mred\x7f\r", "\"\\x1b[31mred\\x7f\\x0d\""},
        {"j\xc3\xbcrgen", "\"j\\xc3\\xbcrgen\""},
        {"\xc2\x9b"
         "31m",
         "\"\\xc2\\x9b31m\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[256];
        log_line(LOG_INFO, "auth", log_str("user", cases[i].value), log_bool("ok", false));
        (void)snprintf(expected, sizeof expected, " user=%s ok=false", cases[i].printed);
        assert_string_equal(take_fields(fixture), expected);
    }
}

static void long_values_are_cut_between_escapes(void **state)
{
    struct fixture *fixture = *state;
    char value[2000];
    (void)memset(value, 'a', sizeof value);
    value[LOG_VALUE_MAX] = '\0'; /* exactly fits */
    log_line(LOG_INFO, "cut", log_str("v", value));
    const char *printed = strstr(take_fields(fixture), "v=") + 2;
    assert_int_equal(strlen(printed), LOG_VALUE_MAX);
    assert_null(strstr(printed, "..."));

    value[LOG_VALUE_MAX] = 'a';
    value[sizeof value - 1] = '\0';
    log_line(LOG_INFO, "cut", log_str("v", value));
    printed = strstr(take_fields(fixture), "v=") + 2;
    assert_int_equal(strlen(printed), LOG_VALUE_MAX);
    assert_string_equal(printed + LOG_VALUE_MAX - 5, "aa...");

    for (size_t shift = 0; shift < 4; shift++) {
        (void)memset(value, 'a', shift);
        (void)memset(value + shift, '\1', sizeof value - 1 - shift);
        log_line(LOG_INFO, "cut", log_str("v", value));
        printed = strstr(take_fields(fixture), "v=\"") + 3;
        assert_true(strlen(printed) <= LOG_VALUE_MAX + 1);
        assert_string_equal(printed + strlen(printed) - 8, "\\x01...\"");
    }
}

static void json_lines_read_back(void **state)
{
    struct fixture *fixture = *state;
    log_setup(LOG_INFO, LOG_FORMAT_JSON, fixture->write_fd, false);
    static const char nasty[] = "a\"b\\c\n\x01\x7f=\xc3\xbc \xf0\x9f\x98\x80 end";
    log_line(LOG_WARN, "auth", log_str("user", nasty), log_i64("i", -5), log_u64("u", 5), log_f64("f", 0.25),
             log_f64("bad", INFINITY), log_bool("ok", true), log_str("none", NULL));
    const char *line = take_line(fixture);
    assert_non_null(line);
    for (const char *c = line; *c; c++)
        assert_true(*c >= 0x20 && *c < 0x7f);
    json_t *root = json_loads(line, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "event")), "auth");
    assert_string_equal(json_string_value(json_object_get(root, "level")), "warn");
    assert_int_equal(json_integer_value(json_object_get(root, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(root, "user")), nasty);
    assert_int_equal(json_integer_value(json_object_get(root, "i")), -5);
    assert_int_equal(json_integer_value(json_object_get(root, "u")), 5);
    assert_true(json_real_value(json_object_get(root, "f")) == 0.25);
    assert_true(json_is_null(json_object_get(root, "bad")));
    assert_true(json_is_true(json_object_get(root, "ok")));
    assert_string_equal(json_string_value(json_object_get(root, "none")), "");
    json_decref(root);
}

/* Bytes that are no UTF-8 must not make the line invalid JSON. */
static void json_survives_any_bytes(void **state)
{
    struct fixture *fixture = *state;
    log_setup(LOG_INFO, LOG_FORMAT_JSON, fixture->write_fd, false);
    static const char *const broken[] = {
        "\xc3",         "\xc0\x80",     "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf8\x88\x80", "\x80\xbf\xff", "\xe2\x82",     "\xf0\x9f\x98", "\xc3("};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        log_line(LOG_INFO, "bytes", log_str("v", broken[i]));
        json_t *root = json_loads(take_line(fixture), 0, NULL);
        assert_non_null(root);
        const char *value = json_string_value(json_object_get(root, "v"));
        assert_non_null(value);
        assert_non_null(strstr(value, "\xef\xbf\xbd"));
        json_decref(root);
    }
    uint64_t random = 3;
    for (int round = 0; round < 2000; round++) {
        char bytes[600];
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[i] = (char)(random >> 56);
        }
        bytes[(size_t)(random >> 33) % sizeof bytes] = '\0';
        bytes[sizeof bytes - 1] = '\0';
        log_line(LOG_INFO, "bytes", log_str("v", bytes));
        json_t *root = json_loads(take_line(fixture), 0, NULL);
        assert_non_null(root);
        json_decref(root);
    }
}

static void a_line_never_grows_past_its_limit(void **state)
{
    struct fixture *fixture = *state;
    struct log_field fields[40];
    char value[LOG_VALUE_MAX + 1];
    (void)memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t filler = 1; filler < LOG_VALUE_MAX; filler++) {
        fields[0] = log_str("filler", value + filler); /* every alignment of the end */
        for (size_t i = 1; i < 40; i++)
            fields[i] = log_str("key", value);
        log_setup(LOG_INFO, LOG_FORMAT_KV, fixture->write_fd, true);
        log_fields(LOG_INFO, "long", fields, 40);
        const char *line = take_line(fixture);
        assert_non_null(line);
        assert_string_equal(line + strlen(line) - 15, " truncated=true");
        log_setup(LOG_INFO, LOG_FORMAT_JSON, fixture->write_fd, false);
        log_fields(LOG_INFO, "long", fields, 40);
        json_t *root = json_loads(take_line(fixture), 0, NULL);
        assert_non_null(root);
        assert_true(json_is_true(json_object_get(root, "truncated")));
        json_decref(root);
    }
    assert_true(LOG_LINE_MAX <= PIPE_BUF);
}

static void journald_gets_a_priority(void **state)
{
    struct fixture *fixture = *state;
    static const char *const prefixes[] = {"<3>time=", "<4>time=", "<6>time=", "<7>time=", "<7>time="};
    log_setup(LOG_TRACE, LOG_FORMAT_KV, fixture->write_fd, true);
    for (enum log_level level = LOG_ERROR; level <= LOG_TRACE; level++) {
        log_line(level, "x", log_bool("y", true));
        const char *line = take_line(fixture);
        assert_non_null(line);
        assert_memory_equal(line, prefixes[level], 8);
    }
}

static void lines_that_cannot_be_written_are_counted(void **state)
{
    struct fixture *fixture = *state;
    uint64_t before = log_lost_lines();
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    log_setup(LOG_INFO, LOG_FORMAT_KV, full, false);
    errno = 1234;
    log_line(LOG_INFO, "lost", log_bool("x", true));
    assert_int_equal(errno, 1234); /* logging never disturbs the error being handled */
    assert_int_equal(log_lost_lines(), before + 1);
    (void)close(full);
    log_setup(LOG_INFO, LOG_FORMAT_KV, full, false); /* a closed fd */
    log_line(LOG_INFO, "lost", log_bool("x", true));
    assert_int_equal(log_lost_lines(), before + 2);
    log_setup(LOG_INFO, LOG_FORMAT_KV, fixture->write_fd, false);
    log_line(LOG_INFO, "kept", log_bool("x", true));
    assert_non_null(take_line(fixture));
    assert_int_equal(log_lost_lines(), before + 2);
}

/* Two processes on one file: lines stay whole. */
static void lines_of_processes_do_not_mix(void **state)
{
    (void)state;
    enum { LINES = 2000 };
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fcntl(fileno(file), F_SETFL, O_APPEND), 0);
    log_setup(LOG_INFO, LOG_FORMAT_KV, fileno(file), false);
    pid_t child = fork();
    assert_true(child >= 0);
    for (unsigned i = 0; i < LINES; i++)
        log_line(LOG_INFO, child == 0 ? "child" : "parent", log_u64("i", i), log_str("end", "here"));
    if (child == 0)
        _exit(0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    rewind(file);
    char line[512];
    unsigned next[2] = {0, 0};
    while (fgets(line, sizeof line, file)) {
        char event[16];
        unsigned i = 0;
        int end = 0;
        assert_int_equal(sscanf(line, "time=%*s level=info pid=%*d event=%15s i=%u end=here%n", event, &i, &end), 2);
        assert_string_equal(line + end, "\n");
        unsigned *expected = &next[strcmp(event, "child") == 0 ? 1 : 0];
        assert_int_equal(i, *expected);
        (*expected)++;
    }
    assert_int_equal(next[0], LINES);
    assert_int_equal(next[1], LINES);
    (void)fclose(file);
}

#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PIPE(a_line_has_time_level_pid_and_event),
        WITH_PIPE(every_kind_is_printed),
        WITH_PIPE(levels_are_filtered),
        WITH_PIPE(a_peer_cannot_forge_a_line),
        WITH_PIPE(long_values_are_cut_between_escapes),
        WITH_PIPE(json_lines_read_back),
        WITH_PIPE(json_survives_any_bytes),
        WITH_PIPE(a_line_never_grows_past_its_limit),
        WITH_PIPE(journald_gets_a_priority),
        WITH_PIPE(lines_that_cannot_be_written_are_counted),
        WITH_PIPE(lines_of_processes_do_not_mix),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
