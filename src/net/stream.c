#include "net/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A look-up of a name cannot always be cancelled. It stands alone, so that a stream that is closed
 * meanwhile need not wait for it. */
typedef struct lookup {
  uv_getaddrinfo_t request;
  pump_stream *stream; /* NULL: nobody wants to know any more */
} lookup;

struct pump_stream {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } socket;
  uv_loop_t *loop;
  bool is_open; /* the socket is a libuv handle that has to be closed */
  bool is_closing;
  lookup *lookup;
  struct addrinfo *addresses, *next_address;
  struct sockaddr_storage literal; /* a host that needed no look-up */
  uv_connect_t connect;
  uv_timer_t later; /* reports what failed at once, outside of the call */
  uv_write_t write;
  const pump_stream_events *events;
  void *ud;
  int open_handles;
  char message[256];
  void (*closed)(void *ud);
  void *closed_ud;
};

#define of(pointer, member)                                                                        \
  ((pump_stream *)(void *)((char *)(pointer)-offsetof(pump_stream, member)))

static void try_next(pump_stream *stream);

/* ---- Reading ------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  pump_stream *stream = of(handle, socket);
  uint8_t *to;
  size_t size;
  (void)suggested;
  *buffer = uv_buf_init(NULL, 0); /* libuv turns this into UV_ENOBUFS */
  if (stream->events->space(stream->ud, &to, &size) == 0)
    *buffer = uv_buf_init((char *)to, size > INT32_MAX ? INT32_MAX : (unsigned)size);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer) {
  pump_stream *stream = of(handle, socket);
  (void)buffer;
  if (size > 0) {
    stream->events->filled(stream->ud, (size_t)size);
  } else if (size < 0) {
    uv_read_stop(handle);
    const char *reason =
        size == UV_EOF ? "the server closed the connection" : uv_strerror((int)size);
    stream->events->ended(stream->ud, reason);
  }
}

static void start(pump_stream *stream) {
  int code = uv_read_start(&stream->socket.stream, on_alloc, on_read);
  stream->events->connected(stream->ud, code == 0 ? 0 : PUMP_ECONNECT,
                            code == 0 ? "" : uv_strerror(code));
}

/* ---- Connecting --------------------------------------------------------------------------- */

static void fail(pump_stream *stream) {
  stream->events->connected(stream->ud, PUMP_ECONNECT, stream->message);
}

static void remember(pump_stream *stream, int code) {
  snprintf(stream->message, sizeof stream->message, "%s", uv_strerror(code));
}

static void on_attempt_closed(uv_handle_t *handle) {
  pump_stream *stream = of(handle, socket);
  stream->is_open = false;
  if (!stream->is_closing) {
    try_next(stream);
  } else if (--stream->open_handles == 0) {
    stream->closed(stream->closed_ud);
    free(stream);
  }
}

static void on_connect(uv_connect_t *request, int code) {
  pump_stream *stream = of(request, connect);
  if (stream->is_closing) return;
  if (code == 0) {
    uv_tcp_nodelay(&stream->socket.tcp, 1);
    start(stream);
    return;
  }
  remember(stream, code);
  uv_close(&stream->socket.handle, on_attempt_closed);
}

static void attempt(pump_stream *stream, const struct sockaddr *address) {
  int code = uv_tcp_init(stream->loop, &stream->socket.tcp);
  if (code == 0) {
    stream->is_open = true;
    stream->socket.handle.data = NULL;
    code = uv_tcp_connect(&stream->connect, &stream->socket.tcp, address, on_connect);
  }
  if (code == 0) return;
  remember(stream, code);
  if (stream->is_open)
    uv_close(&stream->socket.handle, on_attempt_closed);
  else
    fail(stream);
}

static void try_next(pump_stream *stream) {
  struct addrinfo *address = stream->next_address;
  if (!address) {
    fail(stream);
    return;
  }
  stream->next_address = address->ai_next;
  attempt(stream, address->ai_addr);
}

static void on_lookup(uv_getaddrinfo_t *request, int code, struct addrinfo *addresses) {
  lookup *done = (lookup *)(void *)request;
  pump_stream *stream = done->stream;
  free(done);
  if (!stream) {
    uv_freeaddrinfo(addresses);
    return;
  }
  stream->lookup = NULL;
  if (code != 0) remember(stream, code);
  stream->addresses = stream->next_address = addresses;
  try_next(stream);
}

static void on_later(uv_timer_t *timer) {
  pump_stream *stream = of(timer, later);
  if (stream->literal.ss_family != 0)
    attempt(stream, (const struct sockaddr *)&stream->literal);
  else if (stream->is_open)
    start(stream);
  else
    fail(stream);
}

static int look_up(pump_stream *stream, const char *host, int port) {
  char service[16];
  snprintf(service, sizeof service, "%d", port);
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  stream->lookup = calloc(1, sizeof *stream->lookup);
  if (!stream->lookup) return UV_ENOMEM;
  stream->lookup->stream = stream;
  int code =
      uv_getaddrinfo(stream->loop, &stream->lookup->request, on_lookup, host, service, &hints);
  if (code != 0) {
    free(stream->lookup);
    stream->lookup = NULL;
  }
  return code;
}

static pump_stream *make(uv_loop_t *loop, const pump_stream_events *events, void *ud) {
  pump_stream *stream = calloc(1, sizeof *stream);
  if (!stream) return NULL;
  stream->loop = loop;
  stream->events = events;
  stream->ud = ud;
  uv_timer_init(loop, &stream->later);
  return stream;
}

int pump_stream_connect(pump_stream **out, uv_loop_t *loop, const char *host, int port,
                        const pump_stream_events *events, void *ud) {
  pump_stream *stream = *out = make(loop, events, ud);
  if (!stream) return PUMP_ENOMEM;
  int code = 0;
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)&stream->literal) != 0 &&
      uv_ip6_addr(host, port, (struct sockaddr_in6 *)&stream->literal) != 0) {
    stream->literal.ss_family = 0;
    code = look_up(stream, host, port);
    if (code == 0) return 0;
  }
  if (code != 0) remember(stream, code);
  uv_timer_start(&stream->later, on_later, 0, 0);
  return 0;
}

int pump_stream_open(pump_stream **out, uv_loop_t *loop, int fd, const pump_stream_events *events,
                     void *ud) {
  pump_stream *stream = *out = make(loop, events, ud);
  if (!stream) return PUMP_ENOMEM;
  uv_pipe_init(loop, &stream->socket.pipe, 0);
  stream->is_open = true;
  if (uv_pipe_open(&stream->socket.pipe, fd) != 0) close(fd); /* reading will fail and say so */
  uv_timer_start(&stream->later, on_later, 0, 0);
  return 0;
}

/* ---- Writing and closing ------------------------------------------------------------------ */

static void on_write(uv_write_t *request, int code) {
  pump_stream *stream = of(request, write);
  if (stream->is_closing) return;
  /* A failed write is followed by a failed read, which says why. */
  if (code == 0) stream->events->written(stream->ud);
}

/* What the kernel takes at once needs no request: that would cost libuv two more system calls. */
int pump_stream_write(pump_stream *stream, const void *data, size_t size) {
  uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)data, (unsigned)size);
  int taken = uv_try_write(&stream->socket.stream, &buffer, 1);
  if (taken > 0) {
    buffer.base += taken;
    buffer.len -= (size_t)taken;
    if (buffer.len == 0) return 0;
  }
  int code = uv_write(&stream->write, &stream->socket.stream, &buffer, 1, on_write);
  return code == 0 ? 1 : PUMP_ECLOSED;
}

static void on_timer_closed(uv_handle_t *handle) {
  pump_stream *stream = of(handle, later);
  if (--stream->open_handles == 0) {
    stream->closed(stream->closed_ud);
    free(stream);
  }
}

void pump_stream_close(pump_stream *stream, void (*closed)(void *ud), void *ud) {
  stream->is_closing = true;
  stream->closed = closed;
  stream->closed_ud = ud;
  if (stream->lookup) {
    stream->lookup->stream = NULL;
    uv_cancel((uv_req_t *)&stream->lookup->request);
  }
  uv_freeaddrinfo(stream->addresses);
  stream->addresses = stream->next_address = NULL;
  stream->open_handles = 1;
  uv_close((uv_handle_t *)&stream->later, on_timer_closed);
  if (stream->is_open) {
    stream->open_handles++;
    if (!uv_is_closing(&stream->socket.handle)) uv_close(&stream->socket.handle, on_attempt_closed);
  }
}
