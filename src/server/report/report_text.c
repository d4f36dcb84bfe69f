/* Inside the room of report.h: the same values for people, a line each. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/report/report_parts.h"

#define NAME_COLUMNS 36
#define INDENT_COLUMNS 2

struct page {
    FILE *out;
    const char *line_end;
};

static void print_value(const struct page *page, const char *name, const json_t *value, int depth);

static void print_heading(const struct page *page, const char *name, int depth)
{
    (void)fprintf(page->out, "%*s", depth * INDENT_COLUMNS, "");
    for (const char *at = name; *at != '\0'; at++) {
        (void)fputc(*at == '_' ? ' ' : *at, page->out);
    }
}

/* With room for a value behind it. */
static void print_name(const struct page *page, const char *name, int depth)
{
    int columns = NAME_COLUMNS - depth * INDENT_COLUMNS - (int)strlen(name);
    print_heading(page, name, depth);
    (void)fprintf(page->out, "%*s", columns > 2 ? columns : 2, "");
}

static void print_scalar(const struct page *page, const json_t *value)
{
    if (json_is_string(value)) {
        (void)fputs(json_string_value(value), page->out);
    } else if (json_is_integer(value)) {
        (void)fprintf(page->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        (void)fputs(json_is_true(value) ? "yes" : "no", page->out);
    } else {
        (void)fputs("-", page->out);
    }
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the report that we made ourselves */
static void print_members(const struct page *page, const json_t *object, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        print_value(page, key, value, depth);
    }
}

/* An object of scalars takes one line: "name: value, name: value". */
static bool is_flat(const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_object(value) || json_is_array(value)) {
            return false;
        }
    }
    return json_object_size(object) <= 5;
}

static void print_flat(const struct page *page, const json_t *object)
{
    const char *key, *comma = "";
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_null(value)) {
            (void)fprintf(page->out, "%s%s: ", comma, key);
            print_scalar(page, value);
            comma = ", ";
        }
    }
    (void)fputs(page->line_end, page->out);
}

static void print_array(const struct page *page, const char *name, const json_t *array, int depth)
{
    size_t count = json_array_size(array);
    if (count == 0 || !json_is_object(json_array_get(array, 0))) {
        print_name(page, name, depth);
        for (size_t i = 0; i < count; i++) {
            (void)fputs(i > 0 ? " " : "", page->out);
            print_scalar(page, json_array_get(array, i));
        }
        (void)fprintf(page->out, "%s%s", count == 0 ? "-" : "", page->line_end);
        return;
    }
    print_heading(page, name, depth);
    (void)fputs(page->line_end, page->out);
    for (size_t i = 0; i < count; i++) {
        const json_t *each = json_array_get(array, i);
        (void)fprintf(page->out, "%*s-", (depth + 1) * INDENT_COLUMNS, "");
        if (is_flat(each)) {
            (void)fputc(' ', page->out);
            print_flat(page, each);
        } else {
            (void)fputs(page->line_end, page->out);
            print_members(page, each, depth + 2);
        }
    }
}

/* What there is nothing to say of is left out. */
static void print_value(const struct page *page, const char *name, const json_t *value, int depth)
{
    if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0)) {
        return;
    }
    if (json_is_array(value)) {
        print_array(page, name, value, depth);
    } else if (json_is_object(value)) {
        print_heading(page, name, depth);
        (void)fputs(page->line_end, page->out);
        print_members(page, value, depth + 1);
    } else {
        print_name(page, name, depth);
        print_scalar(page, value);
        (void)fputs(page->line_end, page->out);
    }
}
/* NOLINTEND(misc-no-recursion) */

/* What somebody has to read first comes last, above the prompt. */
static void print_remarks(const struct page *page, const json_t *remarks)
{
    size_t count = json_array_size(remarks);
    (void)fprintf(page->out, "%s%s%s", page->line_end, count > 0 ? "Remarks" : "No remarks.", page->line_end);
    for (size_t i = 0; i < count; i++) {
        const json_t *each = json_array_get(remarks, i), *channel = json_object_get(each, "channel");
        (void)fprintf(page->out, "  %s", json_string_value(json_object_get(each, "name")));
        if (json_is_integer(channel)) {
            (void)fprintf(page->out, ", channel %" JSON_INTEGER_FORMAT, json_integer_value(channel));
        }
        (void)fprintf(page->out, ": %s (%s)%s", json_string_value(json_object_get(each, "why")),
                      json_string_value(json_object_get(each, "clause")), page->line_end);
    }
}

char *report_text(const struct report_view *view, bool terminal)
{
    char *text = NULL;
    size_t size = 0;
    struct page page = {.out = open_memstream(&text, &size), .line_end = terminal ? "\r\n" : "\n"};
    json_t *object = report_object(view);
    json_t *remarks = object != NULL ? json_incref(json_object_get(object, "remarks")) : NULL;
    if (page.out == NULL || remarks == NULL) {
        goto out;
    }
    (void)json_object_del(object, "remarks");
    (void)json_object_del(object, "schema");
    print_members(&page, object, 0);
    print_remarks(&page, remarks);
out:
    if (page.out != NULL && fclose(page.out) != 0) {
        free(text);
        text = NULL;
    }
    json_decref(remarks);
    json_decref(object);
    return text;
}
