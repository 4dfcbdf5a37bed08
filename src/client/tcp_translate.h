/* Between conversations and EventStore's TCP protocol: requests to frames, frames to replies. The
 * only place in the client that knows messages. */
#ifndef PUMP_CLIENT_TCP_TRANSLATE_H
#define PUMP_CLIENT_TCP_TRANSLATE_H

#include "conversation/conversation.h"
#include "wire/tcp/frame.h"

/* A whole frame. PUMP_ENOMEM, PUMP_ETOOLARGE. */
int pump_tcp_encode_request(pump_buffer *out, const pump_request *request,
                            const pump_tcp_correlation *correlation);

int pump_tcp_encode_answer(pump_buffer *out, const pump_conversation *conversation,
                           const pump_answer *answer, const pump_tcp_correlation *correlation);

/* What a frame says to a conversation of this kind. A frame that is no answer to it, or cannot be
 * read, is an outcome too. Texts are views into the frame; the page is the caller's. */
void pump_tcp_translate(const pump_tcp_frame *frame, pump_block *block, pump_kind kind,
                        pump_reply *reply);
/* Where a CheckpointReached says that the server is; -1, -1 where it can't be read. */
pump_position pump_tcp_translate_checkpoint(pump_bytes body);

#endif
