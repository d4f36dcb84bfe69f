/*
 * page_internal.h - inside the room of pictures.h: what page.c, page_find.c, page_pictures.c and page_time.c
 * share of `sshload
 * report`.
 *
 * Everything writes to page->out; text becomes text, never markup.
 */
#ifndef LOAD_PICTURES_PAGE_INTERNAL_H
#define LOAD_PICTURES_PAGE_INTERNAL_H

#include "load/result/result.h"

#include <stdio.h>

struct page {
    const struct result *results;
    char (*names)[128]; /* one a result */
    size_t count;
    json_t *find; /* the answer of a find, instead of results */
    FILE *out;
};

void page_text(const struct page *page, const char *text);
/* As a shell reads a word, so that it can be copied. */
void page_word(const struct page *page, const char *word);
/* `tag` is "td", or "th" with attributes. */
void page_cell(const struct page *page, const char *tag, const char *text);
void page_duration(const struct page *page, double us);
void page_number(const struct page *page, const char *format, double value);
void page_table(const struct page *page, const char *caption, const char *const *words, size_t count);
void page_end_table(const struct page *page);
/* A table of percentiles, a row a run. */
void page_percentiles(const struct page *page, enum tally_histogram which, const char *caption);

/* page_find.c: the answer of a find. 0, or -1 for one that is out of all measure, or out of memory. */
int page_find(const struct page *page);
/* The document if the file holds such an answer, else NULL. */
json_t *page_find_load(const char *path);

/* page_time.c: the heat map of each run, the server's side, sessions over time. 0, or -1 out of memory. */
int page_time(const struct page *page);
/* page_pictures.c: what the intervals hold beside latencies; `observed`: the server's CPU and memory too. */
int page_intervals(const struct page *page, bool observed);
/* page_time.c: median and interval of runs that have one label. 0, or -1 out of memory. */
int page_sets(const struct page *page);

/* The curves, each with its table. 0, or -1 out of memory. */
int page_pictures(const struct page *page);

#endif
