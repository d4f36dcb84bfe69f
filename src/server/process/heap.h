/*
 * heap.h - room: what a crowd has left free in the heap goes back to the system, a little in each turn of the loop.
 *
 * malloc_trim alone stands for as long as the kernel takes to have all those pages back: 100 to 200 ms after 9,000
 * sessions. So what is free is first taken from malloc in pieces, the large ones first, and the pages of each are
 * handed back while it is ours; when malloc has none left the pieces are freed, and malloc_trim finds next to nothing
 * to do. Until then new sessions have the heap grow, by what has been handed back at most.
 *
 * Touches malloc and madvise alone, knows no connections; when it is worth it, its owner says. One in each worker, by
 * value, zeroed. With another malloc than glibc's, or a heap that is not where the system put it, malloc_trim is all.
 */
#ifndef SERVER_PROCESS_HEAP_H
#define SERVER_PROCESS_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* At most so much goes back in one turn, but for single pages between what is in use: a millisecond. */
#define HEAP_TURN_BYTES ((size_t)1024 * 1024)

struct heap_piece;

struct heap {
    enum { HEAP_AT_REST, HEAP_TAKES, HEAP_FREES } doing;
    struct heap_piece *pieces; /* taken from malloc, their pages handed back */
    size_t piece_bytes;        /* what is asked for now */
};

/* Has the next turns hand back what is free; nothing new where they are at it. */
void heap_begin(struct heap *heap);

/* One turn's share. Returns whether there is more to do. */
bool heap_turn(struct heap *heap);

/* Frees what it holds, wherever it stands. */
void heap_end(struct heap *heap);

#endif
