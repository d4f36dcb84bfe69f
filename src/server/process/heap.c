#include "server/process/heap.h"

#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A large piece costs little per byte; in 8 KiB there is a whole page wherever they begin. */
#define LARGEST_BYTES HEAP_TURN_BYTES
#define SMALLEST_BYTES ((size_t)8 * 1024)

/* So many pieces are taken, or freed, in a turn: each costs a system call or a few hundred nanoseconds. */
#define TURN_PIECES 256

struct heap_piece {
    struct heap_piece *next;
};

extern char end[]; /* of the program's own data: the heap that sbrk makes lies behind it (end(3)) */

/* NULL: nothing so large is free, malloc would have to ask the system for it. */
static struct heap_piece *take(size_t bytes)
{
    uintptr_t heap_ends = (uintptr_t)sbrk(0);
    struct heap_piece *piece = malloc(bytes);
    uintptr_t at = (uintptr_t)piece;
    if ((uintptr_t)sbrk(0) != heap_ends || at < (uintptr_t)end || at + bytes > heap_ends) {
        free(piece);
        return NULL;
    }
    return piece;
}

/* All whole pages in it but the one that begins it, which holds the struct. */
static void hand_back(struct heap_piece *piece, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t to_next_page = page - (uintptr_t)piece % page;
    if (to_next_page < sizeof *piece) {
        to_next_page += page;
    }
    if (bytes >= to_next_page + page) {
        (void)madvise((char *)piece + to_next_page, (bytes - to_next_page) / page * page, MADV_DONTNEED);
    }
}

static void take_pieces(struct heap *heap)
{
    size_t bytes = 0;
    for (int pieces = 0; pieces < TURN_PIECES && bytes < HEAP_TURN_BYTES; pieces++) {
        struct heap_piece *piece = take(heap->piece_bytes);
        if (piece != NULL) {
            hand_back(piece, heap->piece_bytes);
            bytes += heap->piece_bytes;
            piece->next = heap->pieces;
            heap->pieces = piece;
        } else if (heap->piece_bytes / 2 >= SMALLEST_BYTES) {
            heap->piece_bytes /= 2;
        } else {
            heap->doing = HEAP_FREES;
            return;
        }
    }
}

static void free_pieces(struct heap *heap, unsigned most)
{
    for (unsigned pieces = 0; heap->pieces != NULL && pieces < most; pieces++) {
        struct heap_piece *piece = heap->pieces;
        heap->pieces = piece->next;
        free(piece);
    }
}

void heap_begin(struct heap *heap)
{
    if (heap->doing == HEAP_AT_REST) {
        heap->doing = HEAP_TAKES;
        heap->piece_bytes = LARGEST_BYTES;
    }
}

bool heap_turn(struct heap *heap)
{
    if (heap->doing == HEAP_TAKES) {
        take_pieces(heap);
    } else if (heap->pieces != NULL) {
        free_pieces(heap, TURN_PIECES);
    } else if (heap->doing == HEAP_FREES) {
        heap->doing = HEAP_AT_REST;
        (void)malloc_trim(0);
    }
    return heap->doing != HEAP_AT_REST;
}

void heap_end(struct heap *heap)
{
    free_pieces(heap, UINT_MAX);
    heap->doing = HEAP_AT_REST;
}
