/* What the store's commands mean: requests become calls of the store, and what it says becomes
 * frames, in the words and numbers of a 5.0 server. */
#ifndef PUMP_NODE_ANSWER_H
#define PUMP_NODE_ANSWER_H

#include "node/peer.h"
#include "wire/tcp/message.h"

/* Whether the command is one for the store, and one that writes. */
bool pump_answer_knows(uint8_t command, bool *is_write);
/* Into peer->out: the outcome of a write, or what was to be read. */
void pump_answer(pump_peer *peer, const pump_request *request);
/* A frame with this reply into peer->out. */
void pump_answer_with(pump_peer *peer, uint8_t command, const pump_tcp_correlation *correlation,
                      ProtobufCMessage *reply);
/* An event as field `number` of a body for this peer. */
void pump_answer_put_event(const pump_peer *peer, pump_buffer *out, uint32_t number,
                           const pump_event *event, bool with_position);
/* An event number as the peer can count: old ones do in 32 bits. */
int64_t pump_answer_number(const pump_peer *peer, int64_t number);
/* What a server says to what it does not understand. */
void pump_answer_not_understood(pump_peer *peer, uint8_t command,
                                const pump_tcp_correlation *correlation);

#endif
