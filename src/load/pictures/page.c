/* Inside the room of pictures.h: `sshload report`, one self-contained page of HTML about one run or several. */
#include "load/pictures/chart.h"
#include "load/pictures/page_internal.h"
#include "load/pictures/picture_options.h"
#include "load/pictures/pictures.h"
#include "load/result/verdict.h"
#include "load/tally/printable.h"
#include "load/tools/tools.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct option_table page_option_table = {
    .specs = picture_specs,
    .count = PICTURE_SPECS,
    .program = "sshload",
    .usage = "sshload report FILE.json... -o OUT.html",
};

static const char style[] =
    "<style>\n"
    ":root{--back:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d8dee4;--panel:#f6f8fa;--good:#1a7f37;--bad:#b42318;"
    "--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#57606a}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#0d1117;--ink:#e6edf3;--soft:#9da7b1;--rule:#30363d;"
    "--panel:#161b22;--good:#4ac26b;--bad:#ff7b72;--c0:#58a6ff;--c1:#f0883e;--c2:#56d364;--c3:#bc8cff;--c4:#f778ba;"
    "--c5:#9da7b1}}\n"
    "body{margin:0 auto;max-width:62rem;padding:1rem;background:var(--back);color:var(--ink);"
    "font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}p{margin:.3rem 0}\n"
    ".soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}\n"
    ".verdict{border-left:.4rem solid;padding:.3rem .8rem;background:var(--panel);overflow-wrap:anywhere}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;margin:."
    "4rem 0}\n"
    "th,td{text-align:right;padding:.15rem .45rem;border-bottom:1px solid var(--rule);white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left;padding-left:0}\n"
    "th{white-space:normal}th[scope=row]{overflow-wrap:anywhere;min-width:7rem;max-width:16rem}\n"
    "td.words{white-space:normal;min-width:5.5rem}td.text{text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    ".verdict p{color:var(--ink)}.verdict .bad{color:var(--bad)}.verdict .soft{color:var(--soft)}\n"
    "caption{text-align:left;color:var(--soft)}summary{cursor:pointer;color:var(--soft)}\n"
    "code{overflow-wrap:anywhere}svg{width:100%;height:auto;display:block}\n"
    ".chart{min-width:32rem;font:12px system-ui,sans-serif}.chart text{fill:var(--ink)}.chart .grid{stroke:var(--rule)}"
    ".chart .axis{stroke:var(--soft)}.chart .line{fill:none;stroke-width:2}.chart .dashed{stroke-dasharray:5 4}\n"
    ".s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}"
    ".s5{stroke:var(--c5)}\n"
    ".h0{fill:var(--c0);fill-opacity:.2}.h1{fill:var(--c0);fill-opacity:.32}.h2{fill:var(--c0);fill-opacity:.44}"
    ".h3{fill:var(--c0);fill-opacity:.57}.h4{fill:var(--c0);fill-opacity:.71}.h5{fill:var(--c0);fill-opacity:.85}"
    ".h6{fill:var(--c0)}\n"
    "@media print{:root{--back:#fff;--ink:#000;--soft:#444;--rule:#ccc;--panel:#fff;--good:#1a7f37;--bad:#b42318;"
    "--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#57606a}details{display:none}"
    "section{break-inside:avoid}body{max-width:none;padding:0}.wide{overflow:visible}table{font-size:.62rem}"
    "th,td{padding:.1rem .25rem}th[scope=row]{min-width:5rem}td.words{min-width:4rem}*{print-color-adjust:exact}}\n"
    "</style>\n";

/* ---- verdict and summary ----------------------------------------------------------------------------------------- */

static void remark(const char *sentence, void *data)
{
    const struct page *page = data;
    (void)fputs("<p class=\"bad\">", page->out);
    page_text(page, sentence);
    (void)fputs("</p>\n", page->out);
}

static const char *about_text(const struct result *result, const char *section, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(result->about, section), key));
    return text == NULL ? "?" : text;
}

void page_word(const struct page *page, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@^_";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        page_text(page, word);
        return;
    }
    page_text(page, "'");
    for (const char *quote; (quote = strchr(word, '\'')) != NULL; word = quote + 1) {
        char *before = strndup(word, (size_t)(quote - word));
        page_text(page, before == NULL ? "?" : before);
        page_text(page, "'\\''");
        free(before);
    }
    page_text(page, word);
    page_text(page, "'");
}

static void put_command(const struct page *page, const struct result *result)
{
    json_t *words = json_object_get(result->about, "command");
    (void)fputs("<code>", page->out);
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        page_text(page, i > 0 ? " " : "");
        page_word(page, word == NULL ? "?" : word);
    }
    (void)fputs("</code>", page->out);
}

static void put_verdict(struct page *page, size_t index)
{
    const struct result *result = &page->results[index];
    bool good = !result_is_bad(result) && !verdict_is_client_bound(result);
    struct verdict_offered offered = verdict_offered(result);
    (void)fprintf(page->out, "<div class=\"verdict %s\"><p><strong>", good ? "good" : "bad");
    page_text(page, page->names[index]);
    (void)fprintf(page->out, "</strong>: %s</p>\n",
                  good ? "ran without an error, and the generator was not the limit"
                       : "is not to be taken at its word, see below");
    if (offered.judged) {
        (void)fprintf(page->out, "<p>Offered %.1f a second, answered in time %.1f a second: %ssustained.</p>\n",
                      offered.per_s, offered.achieved_per_s, offered.sustained ? "" : "not ");
    }
    verdict_remarks(result, remark, page);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        if (result->tally.faults.counts[fault] > 0) {
            char text[512];
            (void)snprintf(text, sizeof text, "%s: %" PRIu64 ", first: %s", fault_name((enum fault)fault),
                           result->tally.faults.counts[fault], result->tally.faults.first[fault]);
            remark(text, page);
        }
    }
    (void)fputs("<p class=\"soft\">", page->out);
    put_command(page, result);
    (void)fputs("</p></div>\n", page->out);
}

static void put_summary(const struct page *page)
{
    static const char *const words[] = {
        "run",       "mode",       "echoes", "a second",         "MB/s",  "handshakes/s", "sessions up", "failed",
        "timed out", "unfinished", "errors", "generator CPU, s", "pinged"};
    bool held = false;
    for (size_t i = 0; i < page->count; i++) {
        held = held || page->results[i].tally.sessions_held > 0;
    }
    (void)fputs("<section><h2>Summary</h2>\n", page->out);
    page_table(page, "What was done in the measured time", words, sizeof words / sizeof words[0] - (held ? 0 : 1));
    for (size_t i = 0; i < page->count; i++) {
        const struct result *r = &page->results[i];
        (void)fputs("<tr>", page->out);
        page_cell(page, "th scope=\"row\"", page->names[i]);
        char mode[64];
        (void)snprintf(mode, sizeof mode, "%s, %s loop", r->mode, r->open_loop ? "open" : "closed");
        page_cell(page, "td class=\"words\"", mode);
        page_number(page, "%.0f", (double)r->tally.echoes);
        page_number(page, "%.1f", result_echoes_per_s(r));
        page_number(page, "%.3f", result_mb_per_s(r));
        page_number(page, "%.1f", result_handshakes_per_s(r));
        page_number(page, "%.0f", (double)r->tally.sessions_up);
        page_number(page, "%.0f", (double)r->tally.failed);
        page_number(page, "%.0f", (double)r->tally.timed_out);
        page_number(page, "%.0f", (double)r->tally.unfinished);
        page_number(page, "%.0f", (double)result_errors(r));
        page_number(page, "%.2f", r->tally.cpu_s);
        if (held) {
            char pinged[64] = "-";
            if (r->tally.sessions_held > 0) {
                (void)snprintf(pinged, sizeof pinged, "%llu of %llu", (unsigned long long)r->tally.sessions_pinged,
                               (unsigned long long)r->tally.sessions_held);
            }
            page_cell(page, "td", pinged);
        }
        (void)fputs("</tr>\n", page->out);
    }
    page_end_table(page);
    (void)fputs("</section>\n", page->out);
}

/* ---- handshakes, algorithms, where it ran ------------------------------------------------------------------------ */

static void put_handshakes(const struct page *page)
{
    static const char *const parts[] = {"TCP", "banner + key exchange", "login", "channel", "first echo"};
    (void)fputs("<section><h2>Handshake</h2>\n", page->out);
    page_percentiles(page, HISTOGRAM_HANDSHAKE, "In all, every session that came up");
    (void)fputs("<details><summary>By phase</summary>\n", page->out);
    for (int part = 0; part < TALLY_PHASES; part++) {
        page_percentiles(page, (enum tally_histogram)(HISTOGRAM_HANDSHAKE_PARTS + part), parts[part]);
    }
    (void)fputs("</details></section>\n", page->out);
}

static void fact(const struct page *page, const char *name, const char *text)
{
    (void)fputs("<tr>", page->out);
    page_cell(page, "th scope=\"row\"", name);
    (void)fputs("<td class=\"text\">", page->out);
    page_text(page, text[0] != '\0' ? text : "-");
    (void)fputs("</td></tr>\n", page->out);
}

static void put_facts(const struct page *page, size_t index)
{
    const struct result *r = &page->results[index];
    const struct tally_negotiated *n = &r->tally.negotiated;
    char text[256];
    (void)fputs("<section><h2>Where it ran: ", page->out);
    page_text(page, page->names[index]);
    (void)fputs("</h2>\n<div class=\"wide\" tabindex=\"0\"><table><tbody>\n", page->out);
    fact(page, "server", n->banner);
    fact(page, "key exchange", n->kex);
    fact(page, "host key", n->host_key);
    fact(page, "ciphers (out, in)", (snprintf(text, sizeof text, "%s, %s", n->cipher_out, n->cipher_in), text));
    fact(page, "MACs (out, in)", (snprintf(text, sizeof text, "%s, %s", n->mac_out, n->mac_in), text));
    fact(page, "machine of sshload", about_text(r, "environment", "cpu"));
    (void)snprintf(text, sizeof text, "%s %s, %s", about_text(r, "environment", "system"),
                   about_text(r, "environment", "kernel"), about_text(r, "environment", "machine"));
    fact(page, "system", text);
    (void)snprintf(text, sizeof text, "sshload %s, libssh %s", about_text(r, "program", "version"),
                   about_text(r, "program", "libssh"));
    fact(page, "versions", text);
    (void)snprintf(text, sizeof text, "ramp %.2f s, warm-up %.2f s, measured %.2f s, drain %.2f s", r->ramp_s,
                   r->warmup_s, r->seconds, r->drain_s);
    fact(page, "phases", text);
    page_end_table(page);
    (void)fputs("</section>\n", page->out);
}

static int put_runs(struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        put_verdict(page, i);
    }
    put_summary(page);
    if (page_sets(page) != 0 || page_pictures(page) != 0 || page_time(page) != 0) {
        return -1;
    }
    put_handshakes(page);
    for (size_t i = 0; i < page->count; i++) {
        put_facts(page, i);
    }
    return 0;
}

static int put_page(struct page *page, const char *title)
{
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                "'unsafe-inline'\">\n<meta name=\"color-scheme\" content=\"light dark\"><title>",
                page->out);
    page_text(page, title);
    (void)fprintf(page->out, "</title>\n%s</head><body><main>\n<h1>", style);
    page_text(page, title);
    (void)fputs("</h1>\n", page->out);
    if (page->find != NULL ? page_find(page) != 0 : put_runs(page) != 0) {
        return -1;
    }
    (void)fputs("</main></body></html>\n", page->out);
    return 0;
}

/* The label of a run, else the name of its file. */
static void name_run(char name[128], const struct result *result, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(name, 128, "%s", result->label[0] != '\0' ? result->label : slash != NULL ? slash + 1 : path);
    printable_mend(name);
}

/* Of runs that have one name each gets its number. */
static void number_runs(char (*names)[128], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[128];
        unsigned number = 1;
        memcpy(name, names[i], sizeof name);
        for (size_t j = i + 1; j < count; j++) {
            if (strcmp(names[j], name) == 0) {
                (void)snprintf(names[j], sizeof names[j], "%.110s (%u)", name, ++number);
            }
        }
        if (number > 1) {
            (void)snprintf(names[i], sizeof names[i], "%.110s (1)", name);
        }
    }
}

static int write_page(struct page *page, const struct picture_options *options)
{
    char text[512];
    char title[256];
    (void)snprintf(title, sizeof title, "%s", options->title != NULL ? options->title : "sshload");
    page->out = fopen(options->output, "we");
    if (page->out == NULL) {
        (void)snprintf(text, sizeof text, "report: %s: %s", options->output, strerror(errno));
        return tools_complain(TOOLS_WRONG, text);
    }
    int rc = put_page(page, title);
    bool written = ferror(page->out) == 0;
    written = fclose(page->out) == 0 && written;
    if (rc != 0 || !written) {
        (void)remove(options->output); /* half a page must not pass for one */
        (void)snprintf(text, sizeof text, "report: %s: %s", options->output,
                       rc != 0 ? "out of memory" : strerror(errno));
        return tools_complain(TOOLS_WRONG, text);
    }
    return TOOLS_OK;
}

int page_run(const void *values, const struct string_list *files)
{
    const struct picture_options *options = values;
    if (options->output == NULL) {
        return tools_complain(TOOLS_USAGE, "report: -o must name the page to write");
    }
    struct result *results = NULL;
    json_t *find = files->count == 1 ? page_find_load(files->items[0]) : NULL;
    if (find != NULL) {
        struct page page = {.find = find};
        int code = write_page(&page, options);
        json_decref(find);
        return code;
    }
    int code = tools_load(files, "report", &results);
    char(*names)[128] = code == TOOLS_OK ? calloc(files->count, sizeof *names) : NULL;
    if (code == TOOLS_OK && names == NULL) {
        code = tools_complain(TOOLS_WRONG, "out of memory");
    }
    if (code == TOOLS_OK && names != NULL) {
        for (size_t i = 0; i < files->count; i++) {
            name_run(names[i], &results[i], files->items[i]);
        }
        number_runs(names, files->count);
        struct page page = {.results = results, .names = names, .count = files->count};
        code = write_page(&page, options);
    }
    free(names);
    tools_free(results, files->count);
    return code;
}
