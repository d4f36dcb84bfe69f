/*
 * channel_internal.h - inside the room of channel.h: its requests, in a file of their own.
 */
#ifndef SERVER_CHANNEL_CHANNEL_INTERNAL_H
#define SERVER_CHANNEL_CHANNEL_INTERNAL_H

#include "server/channel/channel.h"

/* Adds the callbacks for requests: of those that libssh hands on as messages too (with reply-delay), or of the rest
 * alone. */
void channel_take_requests(struct ssh_channel_callbacks_struct *callbacks, bool by_message);

/* Puts the channel in line for the next drain. */
void channel_queue(struct channel *channel);

#endif
