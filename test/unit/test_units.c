/* Tests of the room of units.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "sshecho/units.h"

typedef bool (*parser)(const char *text, uint64_t *out);
typedef const char *(*printer)(char *buffer, size_t buffer_size, uint64_t value);

struct good {
    const char *text;
    uint64_t value;
};

static void check_good(parser parse, const struct good *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 77;
        if (!parse(cases[i].text, &value))
            fail_msg("'%s' was refused", cases[i].text);
        if (value != cases[i].value)
            fail_msg("'%s' was read as %llu", cases[i].text, (unsigned long long)value);
    }
}

static void check_bad(parser parse, const char *const *texts)
{
    for (; *texts; texts++) {
        uint64_t value = 77;
        if (parse(*texts, &value))
            fail_msg("'%s' was accepted as %llu", *texts, (unsigned long long)value);
        assert_int_equal(value, 77);
    }
}

#define CHECK_GOOD(parse, cases) check_good((parse), (cases), sizeof(cases) / sizeof(cases)[0])

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct good cases[] = {
        {"0", 0},
        {"off", 0},
        {"1", 1},
        {"007", 7},
        {"64K", 65536},
        {"64k", 65536},
        {"64KiB", 65536},
        {"64kB", 64000},
        {"1M", 1048576},
        {"1MB", 1000000},
        {"1.5M", 1572864},
        {"2G", UINT64_C(2147483648)},
        {"2GB", UINT64_C(2000000000)},
        {"12B", 12},
        {" \t256K \n", 262144},
        {"0.5K", 512},
        {"1.000", 1},
        {"18446744073709551615", UINT64_MAX},
        {"17179869183G", UINT64_C(17179869183) << 30},
    };
    CHECK_GOOD(units_parse_size_bytes, cases);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",        " ",
                                        "-1",      "+1",
                                        "K",       "1KK",
                                        "1 K",     "1T",
                                        "1.",      ".5K",
                                        "0.5",     "0x10",
                                        "1e3",     "1..5K",
                                        "OFF",     "of",
                                        "offf",    "1,5K",
                                        "1KB",     "12s",
                                        "0.0001K", "17179869184G",
                                        "nan",     "inf",
                                        "1\xc2",   "1.5.2",
                                        "K1",      "18446744073709551616",
                                        NULL};
    check_bad(units_parse_size_bytes, texts);
    uint64_t value = 77;
    assert_false(units_parse_size_bytes(NULL, &value));
    assert_int_equal(value, 77);
}

static void counts_are_read(void **state)
{
    (void)state;
    static const struct good cases[] = {
        {"0", 0},        {"off", 0},      {"10k", 10000},     {"10K", 10000},
        {"1.25k", 1250}, {"3M", 3000000}, {"1G", 1000000000}, {"18446744073.709551615G", UINT64_MAX},
    };
    CHECK_GOOD(units_parse_count, cases);
    static const char *const texts[] = {"1kB", "1m", "1.0005k", "1.5", "-0", "18446744073.709551616G", NULL};
    check_bad(units_parse_count, texts);
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct good cases[] = {
        {"0", 0},
        {"off", 0},
        {"1", 1000000},
        {"1.5", 1500000},
        {"250us", 250},
        {"1.5ms", 1500},
        {"30s", 30000000},
        {"5m", 300000000},
        {"1h", UINT64_C(3600000000)},
        {"1d", UINT64_C(86400000000)},
        {"0.000001", 1},
        {"0.1000000000000000000000000s", 100000},
    };
    CHECK_GOOD(units_parse_duration_us, cases);
    static const char *const texts[] = {"0.5us",     "1 s",        "1S",  "1min", "1hs",
                                        "0.0000001", "213503983d", "-1s", "s",    NULL};
    check_bad(units_parse_duration_us, texts);
}

static void check_printed(printer print, parser parse, const struct good *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[48];
        uint64_t back = 77;
        assert_ptr_equal(print(text, sizeof text, cases[i].value), text);
        assert_string_equal(text, cases[i].text);
        assert_true(parse(text, &back));
        assert_true(back == cases[i].value);
    }
}

#define CHECK_PRINTED(print, parse, cases) check_printed((print), (parse), (cases), sizeof(cases) / sizeof(cases)[0])

static void values_are_printed_short(void **state)
{
    (void)state;
    static const struct good sizes[] = {
        {"0", 0},
        {"1", 1},
        {"1023", 1023},
        {"1K", 1024},
        {"1kB", 1000},
        {"1.5M", 1572864},
        {"256K", 262144},
        {"1M", 1048576},
        {"1GB", 1000000000},
        {"1G", 1073741824},
        {"32000001", 32000001},
    };
    CHECK_PRINTED(units_print_size, units_parse_size_bytes, sizes);
    static const struct good counts[] = {{"0", 0},       {"999", 999},      {"1k", 1000},    {"10k", 10000},
                                         {"1500", 1500}, {"1.5M", 1500000}, {"1M", 1000000}, {"1G", 1000000000}};
    CHECK_PRINTED(units_print_count, units_parse_count, counts);
    static const struct good durations[] = {
        {"0", 0},
        {"1us", 1},
        {"1.5ms", 1500},
        {"250ms", 250000},
        {"30s", 30000000},
        {"1m", 60000000},
        {"90s", 90000000},
        {"1h", UINT64_C(3600000000)},
        {"1d", UINT64_C(86400000000)},
    };
    CHECK_PRINTED(units_print_duration, units_parse_duration_us, durations);
}

/* Values around powers and a pseudo-random walk over all magnitudes. */
static void every_print_reads_back(void **state)
{
    (void)state;
    static const struct {
        printer print;
        parser parse;
    } pairs[] = {
        {units_print_size, units_parse_size_bytes},
        {units_print_count, units_parse_count},
        {units_print_duration, units_parse_duration_us},
    };
    uint64_t random = 1;
    for (unsigned i = 0; i < 60000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t value = random >> (random % 64);
        if (i % 3 == 1)
            value = (value / 1000) * 1000;
        else if (i % 3 == 2)
            value &= ~UINT64_C(1023);
        for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
            char text[48];
            uint64_t back = 0;
            (void)pairs[p].print(text, sizeof text, value);
            if (!pairs[p].parse(text, &back) || back != value)
                fail_msg("%llu was printed as '%s'", (unsigned long long)value, text);
        }
    }
}

static void a_small_buffer_is_not_overrun(void **state)
{
    (void)state;
    char text[8];
    (void)memset(text, 'x', sizeof text);
    (void)units_print_count(text, 4, 1234567);
    assert_string_equal(text, "123");
    assert_memory_equal(text + 4, "xxxx", 4);
}

static void durations_for_people(void **state)
{
    (void)state;
    static const struct {
        double us;
        const char *text;
    } cases[] = {
        {0, "0 us"},         {0.25, "0.250 us"}, {1, "1.00 us"},     {12.34, "12.3 us"},  {123.4, "123 us"},
        {999.4, "999 us"},   {999.6, "1.00 ms"}, {1250, "1.25 ms"},  {9999, "10.0 ms"},   {99960, "100 ms"},
        {999600, "1.00 s"},  {1.5e6, "1.50 s"},  {90e6, "90.0 s"},   {119.4e6, "119 s"},  {119.6e6, "1.99 min"},
        {600e6, "10.0 min"}, {7200e6, "2.00 h"}, {3.6e12, "1000 h"}, {-1250, "-1.25 ms"}, {NAN, "-"},
        {INFINITY, "-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[48];
        assert_string_equal(units_human_duration(text, sizeof text, cases[i].us), cases[i].text);
    }
    char text[16];
    (void)units_human_duration(text, sizeof text, 1.7e308); /* must merely stay inside */
    assert_true(strlen(text) < sizeof text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(counts_are_read),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(values_are_printed_short),
        cmocka_unit_test(every_print_reads_back),
        cmocka_unit_test(a_small_buffer_is_not_overrun),
        cmocka_unit_test(durations_for_people),
    };
    return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
