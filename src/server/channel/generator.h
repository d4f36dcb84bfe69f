/*
 * generator.h - room: services that speak by themselves.
 *
 * RFC 864 or a report on stdout, a complaint on stderr: from where the service says it has come to, as far as the
 * channel's output goes in this turn. Keeps nothing.
 */
#ifndef SERVER_CHANNEL_GENERATOR_H
#define SERVER_CHANNEL_GENERATOR_H

#include <stdbool.h>

#include "server/channel/output.h"
#include "server/channel/service.h"

/* Outside of callbacks. Returns true when everything is out, or the client has closed. */
bool generator_run(struct service *service, struct output *output);

#endif
