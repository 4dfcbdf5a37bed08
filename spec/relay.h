/* A relay between a client and a server, on a libuv loop: it passes bytes on, and does to the
 * connections whatever networks do. It knows no protocol. */
#ifndef SPEC_RELAY_H
#define SPEC_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define RELAY_ENOUGH ((size_t)1 << 20) /* bytes that wait for one end: no more are taken in */

typedef struct relay_end {
  uv_tcp_t tcp;
  struct relay_pair *pair;
  size_t left; /* bytes that are still taken from it before both ends are cut; SIZE_MAX: all */
} relay_end;

/* One connection: ends[0] is the client's, ends[1] the server's. */
typedef struct relay_pair {
  struct relay *relay;
  struct relay_pair *next;
  relay_end ends[2];
  uv_connect_t connect;
  int open_handles;
  bool is_connected, is_stalled, is_ending;
} relay_pair;

typedef struct relay {
  uv_loop_t *loop;
  uv_tcp_t listener;
  int port;   /* its own */
  int target; /* where connections lead that come in now */
  bool refuses;
  size_t left_of_next[2]; /* what ends[].left of the next connection is; 0: SIZE_MAX */
  relay_pair *pairs;
  unsigned connections, cuts;
  uint64_t bytes;
} relay;

typedef struct relay_write {
  uv_write_t request;
  relay_end *from;
  bool is_last;
  char data[];
} relay_write;

static inline relay_end *relay_other(relay_end *end) {
  return &end->pair->ends[end == &end->pair->ends[0]];
}

static void relay_gone(uv_handle_t *handle) {
  relay_pair *pair = ((relay_end *)handle->data)->pair;
  if (--pair->open_handles > 0) return;
  relay_pair **at = &pair->relay->pairs;
  while (*at != pair)
    at = &(*at)->next;
  *at = pair->next;
  free(pair);
}

/* Ends a connection at once; abruptly: what is on its way is lost, and the peers see a reset. */
static inline void relay_cut(relay_pair *pair, bool abruptly) {
  if (pair->is_ending) return;
  pair->is_ending = true;
  pair->relay->cuts++;
  for (int i = 0; i < 2; i++) {
    uv_tcp_t *tcp = &pair->ends[i].tcp;
    if (!abruptly || uv_tcp_close_reset(tcp, relay_gone) != 0)
      uv_close((uv_handle_t *)tcp, relay_gone);
  }
}

static void relay_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);

static void relay_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle;
  static char space[65536]; /* it is copied before anybody else reads */
  (void)suggested;
  *buffer = uv_buf_init(space, sizeof space);
}

static void relay_take(relay_end *end) {
  relay_pair *pair = end->pair;
  if (pair->is_connected && !pair->is_stalled && !pair->is_ending)
    uv_read_start((uv_stream_t *)&end->tcp, relay_space, relay_read);
}

static void relay_written(uv_write_t *request, int status) {
  relay_write *write = (relay_write *)(void *)request;
  relay_end *from = write->from;
  if (write->is_last || status != 0)
    relay_cut(from->pair, false);
  else
    relay_take(from);
  free(write);
}

static void relay_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  relay_end *from = stream->data, *to = relay_other(from);
  if (size < 0) size = 0, from->left = 0;
  bool is_last = (size_t)size >= from->left;
  if (is_last) size = (ssize_t)from->left;
  relay_write *write = malloc(sizeof *write + (size_t)size);
  if (!write) abort();
  write->from = from;
  write->is_last = is_last;
  if (size > 0) memcpy(write->data, buffer->base, (size_t)size);
  if (from->left != SIZE_MAX) from->left -= (size_t)size;
  from->pair->relay->bytes += (size_t)size;
  uv_buf_t bytes = uv_buf_init(write->data, (unsigned)size);
  if (is_last || uv_stream_get_write_queue_size((uv_stream_t *)&to->tcp) > RELAY_ENOUGH)
    uv_read_stop(stream);
  if (uv_write(&write->request, (uv_stream_t *)&to->tcp, &bytes, 1, relay_written) != 0) {
    free(write);
    relay_cut(from->pair, false);
  }
}

static void relay_connected(uv_connect_t *connect, int status) {
  relay_pair *pair = connect->data;
  if (status != 0) {
    relay_cut(pair, false);
    return;
  }
  pair->is_connected = true;
  for (int i = 0; i < 2; i++)
    relay_take(&pair->ends[i]);
}

static void relay_accept(uv_stream_t *listener, int status) {
  relay *self = listener->data;
  if (status != 0) return;
  relay_pair *pair = calloc(1, sizeof *pair);
  if (!pair) abort();
  *pair = (relay_pair){.relay = self, .next = self->pairs, .open_handles = 2};
  self->pairs = pair;
  self->connections++;
  for (int i = 0; i < 2; i++) {
    pair->ends[i].pair = pair;
    pair->ends[i].left = self->left_of_next[i] ? self->left_of_next[i] : SIZE_MAX;
    self->left_of_next[i] = 0;
    uv_tcp_init(self->loop, &pair->ends[i].tcp);
    pair->ends[i].tcp.data = &pair->ends[i];
  }
  struct sockaddr_in to;
  uv_ip4_addr("127.0.0.1", self->target, &to);
  pair->connect.data = pair;
  if (uv_accept(listener, (uv_stream_t *)&pair->ends[0].tcp) != 0 || self->refuses ||
      uv_tcp_connect(&pair->connect, &pair->ends[1].tcp, (struct sockaddr *)&to, relay_connected) !=
          0)
    relay_cut(pair, true);
}

/* Listens on a port of the system's choice. */
static inline bool relay_open(relay *self, uv_loop_t *loop, int target) {
  struct sockaddr_in own;
  int size = sizeof own;
  *self = (relay){.loop = loop, .target = target};
  uv_ip4_addr("127.0.0.1", 0, &own);
  uv_tcp_init(loop, &self->listener);
  self->listener.data = self;
  if (uv_tcp_bind(&self->listener, (struct sockaddr *)&own, 0) != 0 ||
      uv_listen((uv_stream_t *)&self->listener, 128, relay_accept) != 0 ||
      uv_tcp_getsockname(&self->listener, (struct sockaddr *)&own, &size) != 0)
    return false;
  self->port = ntohs(own.sin_port);
  return true;
}

/* Cuts a connection once so many more bytes of one of its ends have passed. */
static inline void relay_cut_after(relay_pair *pair, int end, size_t bytes) {
  pair->ends[end].left = bytes;
}

/* Nothing passes any more, and nobody is told; or it does again. */
static inline void relay_stall(relay_pair *pair, bool is_stalled) {
  pair->is_stalled = is_stalled;
  for (int i = 0; i < 2 && pair->is_connected && !pair->is_ending; i++) {
    if (is_stalled)
      uv_read_stop((uv_stream_t *)&pair->ends[i].tcp);
    else
      relay_take(&pair->ends[i]);
  }
}

static inline void relay_cut_all(relay *self, bool abruptly) {
  for (relay_pair *pair = self->pairs; pair; pair = pair->next)
    relay_cut(pair, abruptly);
}

static inline void relay_close(relay *self) {
  relay_cut_all(self, false);
  uv_close((uv_handle_t *)&self->listener, NULL);
}

#endif
