/* Fuzzes what sshload reads back: a result file, as compare, merge and report use it. What is accepted must survive
 * being written and read again, be no worse than itself, and be refused as a second part of its own run. */
#include "fuzz_files.h"

#include "load/result/report.h"
#include "load/tools/sets.h"
#include "load/tools/tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const char *error)
{
    if (error[0] == '\0' || strpbrk(error, "\r\n\x1b") != NULL)
        abort();
}

/* `text` as a result. False, with everything freed, where it is none. */
static bool read_text(struct result *result, const char *text, size_t size)
{
    char error[256] = "";
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    if (document == NULL) {
        return false;
    }
    int rc = result_from_json(result, document, error, sizeof error);
    json_decref(document);
    if (rc != 0) {
        check_error(error);
        result_free(result);
    }
    return rc == 0;
}

static void use(struct result *result, FILE *nowhere)
{
    struct result copy;
    char reason[256] = "";
    json_t *written = result_to_json(result);
    char *text = written != NULL ? json_dumps(written, JSON_COMPACT) : NULL;
    json_decref(written);
    if (text == NULL || !read_text(&copy, text, strlen(text))) {
        abort();
    }
    free(text);
    (void)result_adds_up(result);
    (void)result_is_bad(result);
    report_print(result, nowhere);
    struct sets_rules rules = {.tolerance = 0.1};
    if (sets_compare(&(struct run_set){result, 1}, &(struct run_set){&copy, 1}, &rules, nowhere, NULL) != 0) {
        abort();
    }
    if (merge_matches(result, &copy, reason, sizeof reason)) {
        (void)merge_add(result, &copy);
    } else {
        check_error(reason);
    }
    result_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct result result;
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
    }
    if (read_text(&result, (const char *)data, size)) {
        use(&result, nowhere);
        result_free(&result);
    }
    return 0;
}
