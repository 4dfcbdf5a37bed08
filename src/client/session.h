/* A session: one established connection, from its handshake to its end, without its socket.
 *
 * Bytes and the time go in, bytes and finished conversations come out; it does no I/O. It owns
 * what belongs to one connection: the handshake, heartbeats, the registry of conversations that
 * wait for an answer. It dies with its connection and is never used again; conversations survive
 * it.
 *
 * This header knows no protocol. tcp_session.c implements it for EventStore's TCP protocol; a
 * gRPC session is a second implementation behind the same functions. */
#ifndef PUMP_CLIENT_SESSION_H
#define PUMP_CLIENT_SESSION_H

#include "conversation/conversation.h"

typedef struct pump_session pump_session;

typedef struct pump_session_options {
  pump_bytes name;
  pump_bytes username; /* data NULL: anonymous */
  pump_bytes password;
  uint64_t heartbeat_interval;
  uint64_t heartbeat_timeout;
  bool is_secure;   /* a leader is wanted at its TLS port */
  uint8_t seed[16]; /* random: makes its correlation ids differ from every other session's */
  void (*log)(void *ud, int level, const char *line, const pump_log_fields *fields);
  void *log_ud;
  bool traces;         /* tells the log of every frame */
  uint64_t *frames_in; /* is counted up */
} pump_session_options;

/* Starts with the handshake already in its output. The options are copied. */
int pump_session_new(pump_session **session, const pump_session_options *options, uint64_t now);
/* Gives up the session. Conversations in its registry are not its own: take them out before. */
void pump_session_free(pump_session *session);

/* Where the socket may read to, and that it did. PUMP_EPROTOCOL: the peer broke the framing or
 * said that we did; the connection is of no more use, see pump_session_words. */
int pump_session_space(pump_session *session, uint8_t **to, size_t *size);
int pump_session_filled(pump_session *session, size_t size, uint64_t now);

/* What is to be sent. The caller may take the bytes by swapping the buffer for an empty one. */
pump_buffer *pump_session_output(pump_session *session);

/* Whether a login is in the output since it was asked the last time: whoever takes the bytes wipes
 * them when they are sent. */
bool pump_session_has_login(pump_session *session);

/* To be called when all of it is about to be sent: how many frames that is. */
uint64_t pump_session_sends(const pump_session *session);

/* PUMP_DONE once the handshake has succeeded or failed: *status says how, pump_session_words why.
 * PUMP_RETRY while it goes on. */
pump_decision pump_session_handshake(const pump_session *session, int *status);

/* Asks. A subscription stays in the registry after its confirmation (PUMP_GO_ON), and comes out
 * of pump_session_next whenever something was pushed to it. The conversation stays the caller's;
 * the session refers to it until it comes out of pump_session_next or is taken out with
 * pump_session_forget. PUMP_ENOMEM, PUMP_ETOOLARGE. */
int pump_session_submit(pump_session *session, pump_conversation *conversation);
/* What a consumer says of some events, over the conversation that was confirmed. PUMP_ENOMEM. */
int pump_session_answer(pump_session *session, const pump_conversation *conversation,
                        const pump_answer *answer);
/* Takes it out, answered or not. A subscription is ended at the server, which is not waited for. */
void pump_session_forget(pump_session *session, pump_conversation *conversation);
/* One conversation that has been answered; its decision and result are set. NULL: none is left.
 * A subscription's was_confirmed and pushes are new too, and come before its result. */
pump_conversation *pump_session_next(pump_session *session);
/* Any conversation that waits for an answer, NULL for none: to empty a dead session. */
pump_conversation *pump_session_waiting(pump_session *session);

/* Heartbeats. PUMP_ECLOSED: the peer is dead. */
int pump_session_tick(pump_session *session, uint64_t now);
uint64_t pump_session_due(const pump_session *session);

/* Why it ended, in one line. */
const char *pump_session_words(const pump_session *session);

#endif
