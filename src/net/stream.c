#include "net/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/localhost.h"
#include "net/lookup.h"
#include "net/send.h"

/* ms that an address may take as long as there is another one to try: behind a network that
 * swallows what it does not forward, the first of them would use up all the time there is. */
#define PATIENCE 1000

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
  pump_lookup *lookup;
  struct sockaddr_storage *addresses; /* of the name */
  size_t address_count;
  size_t first_address, tried;     /* where it begins, and how many it has come to */
  struct sockaddr_storage after;   /* to begin behind that one */
  struct sockaddr_storage literal; /* a host that needs no look-up */
  uv_connect_t connect;
  uv_timer_t later; /* reports what failed at once, outside of the call; ends an attempt */
  uv_write_t write;
  pump_tls *tls;
  pump_buffer cipher; /* what of TLS is being written */
  bool is_writing;    /* that */
  bool owes_written;  /* the caller was told to wait */
  bool is_securing;   /* the handshake goes on */
  bool is_connected;  /* and has said so, until it ended */
  bool has_heard;
  size_t burst; /* bytes that came without a pause */
  bool rests;   /* until the next turn of the loop */
  const pump_stream_events *events;
  void *ud;
  int open_handles;
  int code; /* of what failed */
  char message[512];
  void (*closed)(void *ud);
  void *closed_ud;
};

#define of(pointer, member)                                                                        \
  ((pump_stream *)(void *)((char *)(pointer)-offsetof(pump_stream, member)))

static void try_next(pump_stream *stream);

/* ---- TLS ---------------------------------------------------------------------------------- */

static void connected(pump_stream *stream, int code, const char *message) {
  stream->is_connected = code == 0;
  stream->is_securing = false;
  stream->events->connected(stream->ud, code, message);
}

/* Before it was connected, or after. */
static void end(pump_stream *stream, int code, const char *reason) {
  uv_read_stop(&stream->socket.stream);
  if (!stream->is_connected) {
    connected(stream, code == PUMP_ETLS ? code : PUMP_ECONNECT, reason);
    return;
  }
  stream->is_connected = false;
  stream->events->ended(stream->ud, code, reason);
}

static void on_cipher_written(uv_write_t *request, int code);

/* Sends what TLS has to say. Returns false while some of it is on its way. */
static bool send_cipher(pump_stream *stream) {
  pump_buffer *output = pump_tls_output(stream->tls);
  if (stream->is_writing) return false;
  if (output->size == 0) return true;
  uv_buf_t buffer = uv_buf_init((char *)output->data, (unsigned)output->size);
  int taken = pump_try_send(&stream->socket.stream, &buffer);
  /* Where nothing can be written any more, reading fails and says why. */
  if (taken == (int)output->size || (taken < 0 && taken != UV_EAGAIN)) {
    pump_buffer_clear(output);
    return true;
  }
  pump_buffer spare = stream->cipher;
  stream->cipher = *output;
  *output = spare;
  pump_buffer_clear(output);
  if (taken > 0) {
    buffer.base += taken;
    buffer.len -= (size_t)taken;
  }
  stream->is_writing =
      uv_write(&stream->write, &stream->socket.stream, &buffer, 1, on_cipher_written) == 0;
  return false;
}

static void on_cipher_written(uv_write_t *request, int code) {
  pump_stream *stream = of(request, write);
  stream->is_writing = false;
  /* A failed write is followed by a failed read, which says why. */
  if (stream->is_closing || code != 0 || !send_cipher(stream) || !stream->owes_written) return;
  stream->owes_written = false;
  stream->events->written(stream->ud);
}

static bool shake_hands(pump_stream *stream) {
  int code = pump_tls_handshake(stream->tls);
  send_cipher(stream);
  if (code < 0) end(stream, code, pump_tls_words(stream->tls));
  if (code <= 0) return false;
  connected(stream, 0, "");
  return !stream->is_closing;
}

/* Decrypts into the caller's space until there is no more. */
static void decrypt(pump_stream *stream, size_t size) {
  int code = pump_tls_filled(stream->tls, size);
  if (code == 0 && !stream->is_connected && !shake_hands(stream)) return;
  while (code == 0) {
    uint8_t *to;
    size_t got;
    code = stream->events->space(stream->ud, &to, &size);
    if (code == 0) code = pump_tls_read(stream->tls, to, size, &got);
    if (code != 0 || got == 0) break;
    stream->events->filled(stream->ud, got);
    if (stream->is_closing) return;
  }
  send_cipher(stream);
  if (code == PUMP_ETLS || code == PUMP_ECLOSED)
    end(stream, code, pump_tls_words(stream->tls));
  else if (code != 0)
    end(stream, PUMP_ECLOSED, pump_error_sentence(code));
}

static int write_cipher(pump_stream *stream, const void *data, size_t size) {
  if (pump_tls_write(stream->tls, data, size) != 0) return PUMP_ECLOSED;
  stream->owes_written = !send_cipher(stream);
  return stream->owes_written;
}

/* If it can be said now. */
static void say_goodbye(pump_stream *stream) {
  const pump_buffer *output = pump_tls_output(stream->tls);
  pump_tls_end(stream->tls);
  uv_buf_t buffer = uv_buf_init((char *)output->data, (unsigned)output->size);
  if (!stream->is_writing && output->size > 0) pump_try_send(&stream->socket.stream, &buffer);
}

void pump_stream_secure(pump_stream *stream, pump_tls *tls) {
  stream->tls = tls;
}

bool pump_stream_is_securing(const pump_stream *stream) {
  return stream->is_securing;
}

bool pump_stream_is_resolving(const pump_stream *stream) {
  return stream->lookup != NULL;
}

/* ---- Reading ------------------------------------------------------------------------------ */

/* libuv reads up to 32 times before anybody can look at what came: after so much it is told that
 * there is no room for now, so that pages are used while they are in the processor's cache. */
#define BURST ((size_t)256 * 1024)

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  pump_stream *stream = of(handle, socket);
  uint8_t *to;
  size_t size;
  (void)suggested;
  *buffer = uv_buf_init(NULL, 0); /* libuv turns this into UV_ENOBUFS */
  stream->rests = stream->burst >= BURST;
  if (stream->rests) return;
  if (stream->tls) {
    pump_tls_space(stream->tls, &to, &size);
    *buffer = uv_buf_init((char *)to, (unsigned)size);
  } else if (stream->events->space(stream->ud, &to, &size) == 0)
    *buffer = uv_buf_init((char *)to, size > INT32_MAX ? INT32_MAX : (unsigned)size);
}

bool pump_stream_is_drained(const pump_stream *stream) {
  return stream->burst < BURST;
}

static const char *words_at_end(pump_stream *stream) {
  if (stream->tls) return pump_tls_cut_words(stream->tls);
  return stream->has_heard ? "the server closed the connection"
                           : "the server closed the connection without a word (if it speaks TLS, "
                             "say tcps:// or tls = true)";
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer) {
  pump_stream *stream = of(handle, socket);
  (void)handle;
  bool is_first = !stream->has_heard;
  stream->burst = size > 0 && (size_t)size == buffer->len ? stream->burst + buffer->len : 0;
  if (size == UV_ENOBUFS && stream->rests) return;
  stream->has_heard |= size > 0;
  if (size > 0 && stream->tls)
    decrypt(stream, (size_t)size);
  else if (size > 0 && is_first && pump_tls_is_alert(buffer->base, (size_t)size))
    end(stream, PUMP_ETLS, "the server speaks TLS: say tcps:// or tls = true");
  else if (size > 0)
    stream->events->filled(stream->ud, (size_t)size);
  else if (size == UV_EOF)
    end(stream, PUMP_ECLOSED, words_at_end(stream));
  else if (size < 0)
    end(stream, PUMP_ECLOSED, uv_strerror((int)size));
}

static void start(pump_stream *stream) {
  int code = uv_read_start(&stream->socket.stream, on_alloc, on_read);
  if (code != 0)
    connected(stream, PUMP_ECONNECT, uv_strerror(code));
  else if ((stream->is_securing = stream->tls != NULL))
    shake_hands(stream);
  else
    connected(stream, 0, "");
}

/* ---- Connecting --------------------------------------------------------------------------- */

static void fail(pump_stream *stream) {
  connected(stream, stream->code ? stream->code : PUMP_ECONNECT, stream->message);
}

static void remember(pump_stream *stream, int code) {
  snprintf(stream->message, sizeof stream->message, "%s", uv_strerror(code));
}

static void gone(pump_stream *stream) {
  stream->closed(stream->closed_ud);
  pump_tls_free(stream->tls);
  pump_buffer_free(&stream->cipher);
  free(stream);
}

static void on_attempt_closed(uv_handle_t *handle) {
  pump_stream *stream = of(handle, socket);
  stream->is_open = false;
  if (!stream->is_closing) {
    try_next(stream);
  } else if (--stream->open_handles == 0) {
    gone(stream);
  }
}

static void on_connect(uv_connect_t *request, int code) {
  pump_stream *stream = of(request, connect);
  if (uv_is_closing(&stream->socket.handle)) return;
  uv_timer_stop(&stream->later);
  if (code == 0) {
    uv_tcp_nodelay(&stream->socket.tcp, 1);
    start(stream);
    return;
  }
  remember(stream, code);
  uv_close(&stream->socket.handle, on_attempt_closed);
}

static void on_impatience(uv_timer_t *timer) {
  pump_stream *stream = of(timer, later);
  remember(stream, UV_ETIMEDOUT);
  uv_close(&stream->socket.handle, on_attempt_closed);
}

static void attempt(pump_stream *stream, const struct sockaddr *address) {
  int code = uv_tcp_init(stream->loop, &stream->socket.tcp);
  if (code == 0) {
    stream->is_open = true;
    stream->socket.handle.data = NULL;
    code = uv_tcp_connect(&stream->connect, &stream->socket.tcp, address, on_connect);
  }
  if (code == 0) {
    if (stream->tried < stream->address_count)
      uv_timer_start(&stream->later, on_impatience, PATIENCE, 0);
    return;
  }
  remember(stream, code);
  if (stream->is_open)
    uv_close(&stream->socket.handle, on_attempt_closed);
  else
    fail(stream);
}

/* The last that it has come to. */
static const struct sockaddr_storage *current(const pump_stream *stream) {
  return &stream->addresses[(stream->first_address + stream->tried - 1) % stream->address_count];
}

bool pump_stream_address(const pump_stream *stream, struct sockaddr_storage *address) {
  bool had_choice = stream->is_open && stream->address_count > 1;
  if (had_choice) *address = *current(stream);
  return had_choice;
}

static void try_next(pump_stream *stream) {
  if (stream->tried == stream->address_count) {
    fail(stream);
    return;
  }
  stream->tried++;
  attempt(stream, (const struct sockaddr *)current(stream));
}

static int keep_addresses(pump_stream *stream, const struct addrinfo *addresses) {
  size_t count = 0;
  for (const struct addrinfo *it = addresses; it; it = it->ai_next)
    count++;
  stream->addresses = calloc(count, sizeof *stream->addresses);
  if (!stream->addresses) return UV_ENOMEM;
  for (const struct addrinfo *it = addresses; it; it = it->ai_next) {
    if (it->ai_addrlen > sizeof *stream->addresses) continue;
    struct sockaddr_storage *kept = &stream->addresses[stream->address_count++];
    memcpy(kept, it->ai_addr, it->ai_addrlen);
    if (memcmp(kept, &stream->after, sizeof *kept) == 0)
      stream->first_address = stream->address_count;
  }
  return 0;
}

static void on_lookup(void *ud, int code, const struct addrinfo *addresses) {
  pump_stream *stream = ud;
  stream->lookup = NULL;
  if (code != 0 && stream->literal.ss_family != 0) {
    attempt(stream, (const struct sockaddr *)&stream->literal);
    return;
  }
  if (code == 0) code = keep_addresses(stream, addresses);
  if (code != 0) remember(stream, code);
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
                        const struct sockaddr_storage *after, const pump_stream_events *events,
                        void *ud) {
  pump_stream *stream = *out = make(loop, events, ud);
  if (!stream) return PUMP_ENOMEM;
  int code = 0;
  stream->after = *after;
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)&stream->literal) != 0 &&
      uv_ip6_addr(host, port, (struct sockaddr_in6 *)&stream->literal) != 0) {
    /* Of use only where the look-up fails. */
    if (!pump_localhost(host, port, (struct sockaddr_in *)&stream->literal))
      stream->literal.ss_family = 0;
    code = pump_lookup_start(&stream->lookup, loop, host, port, on_lookup, stream);
    if (code == 0) return 0;
  }
  if (code != 0) remember(stream, code);
  uv_timer_start(&stream->later, on_later, 0, 0);
  return 0;
}

int pump_stream_open(pump_stream **out, uv_loop_t *loop, int fd, const pump_stream_events *events,
                     void *ud) {
  pump_stream *stream = *out = make(loop, events, ud);
  if (!stream) {
    close(fd);
    return PUMP_ENOMEM;
  }
  uv_pipe_init(loop, &stream->socket.pipe, 0);
  stream->is_open = true;
  if (uv_pipe_open(&stream->socket.pipe, fd) != 0) close(fd); /* reading will fail and say so */
  uv_timer_start(&stream->later, on_later, 0, 0);
  return 0;
}

int pump_stream_refuse(pump_stream **out, uv_loop_t *loop, int code, const char *message,
                       const pump_stream_events *events, void *ud) {
  pump_stream *stream = *out = make(loop, events, ud);
  if (!stream) return PUMP_ENOMEM;
  stream->code = code;
  snprintf(stream->message, sizeof stream->message, "%s", message);
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
  if (stream->tls) return write_cipher(stream, data, size);
  uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)data, (unsigned)size);
  int taken = pump_try_send(&stream->socket.stream, &buffer);
  if (taken < 0 && taken != UV_EAGAIN) return PUMP_ECLOSED;
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
  if (--stream->open_handles == 0) gone(stream);
}

void pump_stream_close(pump_stream *stream, void (*closed)(void *ud), void *ud) {
  stream->is_closing = true;
  if (stream->tls && stream->is_connected) say_goodbye(stream);
  stream->closed = closed;
  stream->closed_ud = ud;
  if (stream->lookup) pump_lookup_cancel(stream->lookup);
  free(stream->addresses);
  stream->addresses = NULL;
  stream->address_count = stream->tried = 0;
  stream->open_handles = 1;
  uv_close((uv_handle_t *)&stream->later, on_timer_closed);
  if (stream->is_open) {
    stream->open_handles++;
    if (!uv_is_closing(&stream->socket.handle)) uv_close(&stream->socket.handle, on_attempt_closed);
  }
}
