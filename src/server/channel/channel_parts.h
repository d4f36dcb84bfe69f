/*
 * channel_parts.h - inside the room of channel.h: its requests, in a file of their own.
 */
#ifndef SERVER_CHANNEL_CHANNEL_PARTS_H
#define SERVER_CHANNEL_CHANNEL_PARTS_H

#include "server/channel/channel.h"

/* Adds the callbacks for requests. */
void channel_take_requests(struct ssh_channel_callbacks_struct *callbacks);

#endif
