/* A server that does what a spec says: it takes one connection after another on a loop, the next
 * one in place of the one before, keeps what comes, and lets a function of the spec answer each
 * frame or each chunk of bytes. */
#ifndef SPEC_FAKE_SERVER_H
#define SPEC_FAKE_SERVER_H

#include <pump.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "slow.h"
#include "tap.h"
#include "wire/tcp/command.h"
#include "wire/tcp/frame.h"

enum { FAKE_PEERS = 8 }; /* with those that are being closed */

typedef struct fake_server fake_server;
struct fake_server {
  uv_tcp_t listener, peers[FAKE_PEERS];
  uv_tcp_t *peer;
  int port;
  bool has_peer;
  int frames; /* taken out of the current connection */
  pump_tcp_reader reader;
  pump_buffer out;
  /* Called when a connection comes, and for each frame; may write to server->out, which is sent
   * afterwards, and hang up. NULL: accept and say nothing. */
  void (*on_connection)(fake_server *server);
  void (*on_frame)(fake_server *server, const pump_tcp_frame *frame);
  bool hang_up;
  uv_write_t write;
};

static inline void fake_reply(fake_server *server, const pump_tcp_frame *frame, uint8_t command,
                              const char *body, size_t size) {
  pump_tcp_frame_write(&server->out, command, &frame->correlation, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){body, size});
}

/* The answers that every client needs before it is connected. False: it was another frame. */
static inline bool fake_handshake(fake_server *server, const pump_tcp_frame *frame) {
  if (frame->command == PUMP_TCP_IDENTIFY_CLIENT)
    fake_reply(server, frame, PUMP_TCP_CLIENT_IDENTIFIED, NULL, 0);
  else if (frame->command == PUMP_TCP_AUTHENTICATE)
    fake_reply(server, frame, PUMP_TCP_AUTHENTICATED, NULL, 0);
  else if (frame->command == PUMP_TCP_HEARTBEAT_REQUEST)
    fake_reply(server, frame, PUMP_TCP_HEARTBEAT_RESPONSE, NULL, 0);
  else
    return false;
  return true;
}

static inline void fake_gone(uv_handle_t *handle) {
  handle->data = NULL;
}

static inline void fake_hang_up(fake_server *server) {
  server->hang_up = false;
  if (server->has_peer) uv_close((uv_handle_t *)server->peer, fake_gone);
  server->has_peer = false;
}

static inline void fake_flush(fake_server *server) {
  if (server->has_peer && server->out.size > 0) {
    uv_buf_t bytes = uv_buf_init((char *)server->out.data, (unsigned)server->out.size);
    int sent = 0;
    while (sent >= 0 && bytes.len > 0) { /* loopback takes what specs send */
      sent = uv_try_write((uv_stream_t *)server->peer, &bytes, 1);
      if (sent > 0) {
        bytes.base += sent;
        bytes.len -= (size_t)sent;
      }
    }
  }
  pump_buffer_clear(&server->out);
  if (server->hang_up) fake_hang_up(server);
}

static inline void fake_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  fake_server *server = handle->data;
  uint8_t *to = NULL;
  size_t size = 0;
  (void)suggested;
  pump_tcp_reader_space(&server->reader, &to, &size);
  *buffer = uv_buf_init((char *)to, (unsigned)size);
}

static inline void fake_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer) {
  fake_server *server = handle->data;
  pump_tcp_frame frame;
  (void)buffer;
  if (size < 0) {
    fake_hang_up(server);
    return;
  }
  pump_tcp_reader_filled(&server->reader, (size_t)size);
  while (server->on_frame && pump_tcp_reader_next(&server->reader, &frame) == 1) {
    server->frames++;
    server->on_frame(server, &frame);
  }
  fake_flush(server);
}

static inline void fake_accept(uv_stream_t *listener, int status) {
  fake_server *server = (fake_server *)((char *)listener - offsetof(fake_server, listener));
  (void)status;
  fake_hang_up(server);
  for (server->peer = server->peers; server->peer->data;)
    server->peer++;
  uv_tcp_init(listener->loop, server->peer);
  server->peer->data = server;
  uv_accept(listener, (uv_stream_t *)server->peer);
  uv_tcp_nodelay(server->peer, 1);
  server->has_peer = true;
  server->frames = 0;
  pump_tcp_reader_free(&server->reader);
  pump_tcp_reader_init(&server->reader, PUMP_MAX_FRAME);
  uv_read_start((uv_stream_t *)server->peer, fake_alloc, fake_read);
  if (server->on_connection) server->on_connection(server);
  fake_flush(server);
}

static inline void fake_start(fake_server *server, uv_loop_t *loop) {
  struct sockaddr_in address;
  int size = sizeof address;
  memset(server, 0, sizeof *server);
  pump_tcp_reader_init(&server->reader, PUMP_MAX_FRAME);
  uv_tcp_init(loop, &server->listener);
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
  uv_listen((uv_stream_t *)&server->listener, 8, fake_accept);
  uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size);
  server->port = ntohs(address.sin_port);
}

/* Nobody can connect any more. */
static inline void fake_refuse(fake_server *server) {
  uv_handle_t *listener = (uv_handle_t *)&server->listener;
  if (!uv_is_closing(listener)) uv_close(listener, NULL);
}

static inline void fake_stop(fake_server *server) {
  fake_hang_up(server);
  fake_refuse(server);
  pump_tcp_reader_free(&server->reader);
  pump_buffer_free(&server->out);
}

static inline void fake_client_closed(void *ud) {
  *(bool *)ud = true;
}

/* Closes a client, which may be NULL, behind its servers: nothing is left open. */
static inline void fake_finish(uv_loop_t *loop, pump_client *client) {
  bool is_closed = !client;
  if (client) pump_client_close(client, fake_client_closed, &is_closed);
  uv_run(loop, UV_RUN_DEFAULT);
  if (!is_closed || uv_loop_alive(loop)) tap_ok(false, "closing leaves nothing open");
}

/* Turns the loop until something was counted so often, or half a minute is over. */
static inline bool fake_until(uv_loop_t *loop, const int *count, int wanted) {
  uint64_t deadline = uv_hrtime() + (uint64_t)slowness() * UINT64_C(30000000000);
  while (*count < wanted && uv_hrtime() < deadline)
    uv_run(loop, UV_RUN_ONCE);
  return *count >= wanted;
}

static inline void fake_on_time(uv_timer_t *timer) {
  *(bool *)timer->data = true;
}

/* Turns the loop for so many ms, and often enough for both sides to say what they have to: on a busy
 * machine the time may be over in one turn. */
static inline void fake_turn(uv_loop_t *loop, uint64_t ms) {
  uv_timer_t timer;
  bool over = false;
  uv_timer_init(loop, &timer);
  timer.data = &over;
  uv_update_time(loop);
  uv_timer_start(&timer, fake_on_time, ms, 0);
  for (int turns = 0; !over || turns < 20; turns++)
    uv_run(loop, over ? UV_RUN_NOWAIT : UV_RUN_ONCE);
  timer.data = NULL;
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(loop, UV_RUN_NOWAIT);
}

#endif
