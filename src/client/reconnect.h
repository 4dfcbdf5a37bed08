/* What a client does whose connection was lost: it looks for a server again, waiting longer from
 * one attempt to the next, and asks again what may be asked again. */
#ifndef PUMP_CLIENT_RECONNECT_H
#define PUMP_CLIENT_RECONNECT_H

#include "net/stream.h"

typedef struct pump_reconnect {
  unsigned attempts; /* since a connection that lasted */
  uint64_t due;      /* when the next one begins; 0: none is waited for */
  uint64_t began;    /* when the one before began, or the connection that came of it */
  pump_reconnecting_cb cb;
  void *ud;
} pump_reconnect;

/* How long the client waits at most in front of an attempt, counted from 1 (0: not at all). Really
 * it waits for some time between nothing and that, so that not all clients of a server come back at
 * once. */
uint64_t pump_reconnect_limit(const pump_options *options, unsigned attempt);

/* The established connection is lost; client->message says why. False: that is the end. */
bool pump_reconnect_begin(pump_client *client, int code);
/* The connection is no older than that. */
bool pump_reconnect_is_soon(const pump_client *client);
/* Leaves the connection, whatever it is good for, for one to the leader that has just been made;
 * client->message says so. */
void pump_reconnect_move(pump_client *client, pump_stream *stream);
/* The attempt failed; client->message says why, or says that it was the last. Likewise. */
bool pump_reconnect_again(pump_client *client, int code);
/* The time for an attempt has come. */
void pump_reconnect_attempt(pump_client *client);
/* There is a connection, the first one or another one. */
void pump_reconnect_settle(pump_client *client);

#endif
