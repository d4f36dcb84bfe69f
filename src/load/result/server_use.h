/*
 * server_use.h - room: what was seen of the server's side of a run.
 *
 * CPU time and memory, as a run holds them. A figure that is not known is negative. A struct alone; what is made of it
 * is in result_server.h.
 */
#ifndef LOAD_RESULT_SERVER_USE_H
#define LOAD_RESULT_SERVER_USE_H

struct server_use {
    char source[192];    /* empty: nobody looked */
    double cpu_s;        /* in the measured time */
    double ramp_cpu_s;   /* while the first sessions came up */
    double bytes_before; /* memory before the first session */
    double bytes;        /* memory at the end of the measured time */
    char complaint[256]; /* why some of it is not known; empty: all is */
};

#define SERVER_USE_NONE ((struct server_use){.cpu_s = -1.0, .ramp_cpu_s = -1.0, .bytes_before = -1.0, .bytes = -1.0})

#endif
