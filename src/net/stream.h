/* One connected stream of bytes on libuv: a TCP connection, or one end of a socket pair.
 *
 * It resolves, connects, reads into the space that it is given and writes what it is told, in
 * TLS where it has one. It knows no other protocol. */
#ifndef PUMP_NET_STREAM_H
#define PUMP_NET_STREAM_H

#include <pump.h>
#include <uv.h>

#include "net/tls.h"

typedef struct pump_stream pump_stream;

/* Called from the loop, never from inside a function of this header. */
typedef struct pump_stream_events {
  /* Connected; or not, and then message says why and only close may follow. */
  void (*connected)(void *ud, int status, const char *message);
  /* Where to read to. An error ends the stream. */
  int (*space)(void *ud, uint8_t **to, size_t *size);
  void (*filled)(void *ud, size_t size);
  /* A write that took longer is done, its bytes are the caller's again. */
  void (*written)(void *ud);
  /* The peer or the network ended it; only close may follow. Called once. PUMP_ECLOSED,
   * PUMP_ETLS */
  void (*ended)(void *ud, int code, const char *reason);
} pump_stream_events;

/* Starts to resolve and to connect, trying the addresses of the name in turn: those behind `after`
 * first, if it is one of them. PUMP_ENOMEM. */
int pump_stream_connect(pump_stream **stream, uv_loop_t *loop, const char *host, int port,
                        const struct sockaddr_storage *after, const pump_stream_events *events,
                        void *ud);
/* Takes over a connected socket, whatever it returns. */
int pump_stream_open(pump_stream **stream, uv_loop_t *loop, int fd,
                     const pump_stream_events *events, void *ud);
/* One that could not be: it only reports so, as `connected` does. */
int pump_stream_refuse(pump_stream **stream, uv_loop_t *loop, int code, const char *message,
                       const pump_stream_events *events, void *ud);
/* Right after one of these: speaks TLS, which is the stream's from then on; it is connected when
 * the handshake is done. */
void pump_stream_secure(pump_stream *stream, pump_tls *tls);
/* Whether it waits for the end of a handshake. */
bool pump_stream_is_securing(const pump_stream *stream);
/* Whether it waits for the addresses of its host's name. */
bool pump_stream_is_resolving(const pump_stream *stream);
/* Where it leads, as far as it has come; false: there was no choice. */
bool pump_stream_address(const pump_stream *stream, struct sockaddr_storage *address);
/* Whether no more came than is read in one turn of the loop. */
bool pump_stream_is_drained(const pump_stream *stream);
/* Sends. 0: the bytes are gone. 1: they must stay until `written`, and nothing else may be sent
 * before that. PUMP_ECLOSED. */
int pump_stream_write(pump_stream *stream, const void *data, size_t size);
/* Ends it, whatever it is doing. No event follows but `closed`, after which it is freed. */
void pump_stream_close(pump_stream *stream, void (*closed)(void *ud), void *ud);

#endif
