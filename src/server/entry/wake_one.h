/*
 * wake_one.h - room: a new connection wakes one worker, not all.
 *
 * Every process that watches a listening socket is woken for each connection, and all but one go to sleep again. epoll
 * wakes one alone if asked (EPOLLEXCLUSIVE, epoll_ctl(2)): the first in line that waits. libev cannot ask: this room
 * answers its epoll_ctl for the sockets named here, by symbol interposition as transport.h, and is plain epoll_ctl for
 * all others. Where libev does not come here (linked statically with local binding), all are woken, as without it.
 *
 * Who is woken alone and takes nothing tells nobody: what it leaves waits for the next arrival, or for itself. Owns
 * what libev asked for last, by fd; for one thread. The fd stays its owner's.
 */
#ifndef SERVER_ENTRY_WAKE_ONE_H
#define SERVER_ENTRY_WAKE_ONE_H

#include <stdbool.h>

/* How this socket is watched from now on: in line, at its end, or (`always`) beside it, woken by every connection. One
 * that libev watches already is watched so at once. At most LISTENERS_MAX sockets; more are watched as ever. */
void wake_one_watch(int fd, bool always);
/* Out of the line until libev starts to watch it again: for after ev_io_stop, which leaves it to epoll. */
void wake_one_leave(int fd);
/* The same for good, before the fd is closed: other processes' copies would keep its place. */
void wake_one_forget(int fd);

#endif
