#include "node/door.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/tls.h"
#include "node/node_private.h"

/* A handshake, and what is left to be said at the end. */
#define PATIENCE (10000 / PUMP_NODE_TICK)
#define LOT      (16 * 1024)

/* A guest. In each direction a lot is read, passed on, and only then the next one read. */
typedef struct guest {
  uv_tcp_t outside;
  uv_pipe_t inside;
  pump_door *door;
  struct guest *next;
  struct guest *previous;
  pump_tls *tls;
  pump_buffer sending; /* ciphertext on its way */
  uv_write_t out, in;
  uv_shutdown_t shutdown;
  int handed_on; /* the other end of inside; -1: not yet */
  int open_handles;
  unsigned ticks; /* of its handshake, of what is being sent, or since its end */
  bool is_in;     /* the handshake is done */
  bool is_sending;
  bool is_ending; /* nothing more comes from inside */
  bool is_shut;   /* and all of it has been said */
  bool is_closed;
  char question[LOT];
  char answer[LOT];
} guest;

struct pump_door {
  uv_tcp_t listener;
  pump_node *node;
  void (*enter)(void *ud, int fd);
  void *ud;
  guest *guests;
  unsigned count, most;
  bool has_waiting; /* somebody stands outside */
  bool is_closed;   /* freed with its last handle */
  int open_handles;
};

/* ---- The end ------------------------------------------------------------------------------ */

static void let_in(pump_door *door);

static void release(pump_door *door) {
  pump_node *node = door->node;
  if (--door->open_handles == 0) free(door);
  pump_node_handle_closed(node);
}

static void on_closed(guest *it) {
  pump_door *door = it->door;
  if (--it->open_handles == 0) {
    pump_tls_free(it->tls);
    pump_buffer_free(&it->sending);
    free(it);
  }
  release(door);
}

static void on_outside_closed(uv_handle_t *handle) {
  on_closed((guest *)(void *)((char *)handle - offsetof(guest, outside)));
}

static void on_inside_closed(uv_handle_t *handle) {
  on_closed((guest *)(void *)((char *)handle - offsetof(guest, inside)));
}

static void leave(guest *it) {
  pump_door *door = it->door;
  if (it->is_closed) return;
  it->is_closed = true;
  *(it->previous ? &it->previous->next : &door->guests) = it->next;
  if (it->next) it->next->previous = it->previous;
  door->count--;
  uv_close((uv_handle_t *)&it->outside, on_outside_closed);
  uv_close((uv_handle_t *)&it->inside, on_inside_closed);
  if (door->has_waiting && !door->is_closed) let_in(door);
  pump_node_watch(door->node);
}

static void on_shut(uv_shutdown_t *request, int status) {
  /* The guest closes its side too, or its time ends. */
  (void)request;
  (void)status;
}

/* ---- From inside to outside --------------------------------------------------------------- */

static void read_inside(guest *it);
static void read_outside(guest *it);
static void on_sent(uv_write_t *request, int status);

static void send_outside(guest *it) {
  pump_buffer *output = pump_tls_output(it->tls);
  if (it->is_closed || it->is_sending) return;
  if (output->size > 0) {
    pump_buffer empty = it->sending;
    it->sending = *output;
    *output = empty;
    uv_buf_t bytes = uv_buf_init((char *)it->sending.data, (unsigned)it->sending.size);
    it->is_sending = uv_write(&it->out, (uv_stream_t *)&it->outside, &bytes, 1, on_sent) == 0;
    if (!it->is_sending) leave(it);
  } else if (it->is_ending && !it->is_shut) {
    it->is_shut = true;
    if (uv_shutdown(&it->shutdown, (uv_stream_t *)&it->outside, on_shut) != 0) leave(it);
  } else if (it->is_in && !it->is_ending) {
    read_inside(it);
  }
}

static void on_sent(uv_write_t *request, int status) {
  guest *it = (guest *)(void *)((char *)request - offsetof(guest, out));
  it->is_sending = false;
  if (!it->is_ending) it->ticks = 0;
  pump_buffer_clear(&it->sending);
  if (status < 0)
    leave(it);
  else
    send_outside(it);
}

/* Says what there is to say, and nothing after that. */
static void finish(guest *it) {
  if (it->is_ending || it->is_closed) return;
  it->ticks = 0;
  it->is_ending = true;
  uv_read_stop((uv_stream_t *)&it->inside);
  pump_tls_end(it->tls);
  send_outside(it);
  if (!it->is_closed) read_outside(it); /* until the guest ends it too */
}

static void on_answer_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  guest *it = (guest *)(void *)((char *)handle - offsetof(guest, inside));
  (void)suggested;
  *buf = uv_buf_init(it->answer, sizeof it->answer);
}

static void on_answer(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
  guest *it = (guest *)(void *)((char *)stream - offsetof(guest, inside));
  (void)buf;
  if (size == 0) return;
  uv_read_stop(stream);
  if (size < 0)
    finish(it);
  else if (pump_tls_write(it->tls, it->answer, (size_t)size) != 0)
    leave(it);
  else
    send_outside(it);
}

static void read_inside(guest *it) {
  int code = uv_read_start((uv_stream_t *)&it->inside, on_answer_space, on_answer);
  if (code != 0 && code != UV_EALREADY) leave(it);
}

/* ---- From outside to inside --------------------------------------------------------------- */

static void take_question(guest *it);

static void on_asked(uv_write_t *request, int status) {
  guest *it = (guest *)(void *)((char *)request - offsetof(guest, in));
  if (it->is_closed || it->is_ending) return;
  if (status < 0)
    read_outside(it); /* nobody listens any more, but the answer may be on its way */
  else
    take_question(it);
}

/* The handshake is done: somebody is asked to listen. */
static int enter(guest *it) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return PUMP_ECONNECT;
  if (uv_pipe_open(&it->inside, ends[0]) != 0) {
    close(ends[0]);
    close(ends[1]);
    return PUMP_ECONNECT;
  }
  it->is_in = true;
  it->handed_on = ends[1];
  read_inside(it);
  it->door->enter(it->door->ud, ends[1]);
  return 0;
}

/* What was fed is taken out, lot by lot, before more is read. */
static void take_question(guest *it) {
  size_t got = 0;
  int code = pump_tls_handshake(it->tls);
  if (code == 1 && !it->is_in) code = enter(it) == 0 ? 1 : PUMP_ECONNECT;
  if (code == 1) code = pump_tls_read(it->tls, it->question, sizeof it->question, &got);
  send_outside(it);
  if (it->is_closed || it->is_ending) return;
  if (code < 0) {
    finish(it);
  } else if (got == 0) {
    read_outside(it);
  } else {
    uv_buf_t bytes = uv_buf_init(it->question, (unsigned)got);
    if (uv_write(&it->in, (uv_stream_t *)&it->inside, &bytes, 1, on_asked) != 0) leave(it);
  }
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  guest *it = (guest *)(void *)((char *)handle - offsetof(guest, outside));
  uint8_t *to;
  size_t size;
  (void)suggested;
  pump_tls_space(it->tls, &to, &size);
  *buf = uv_buf_init((char *)to, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
  guest *it = (guest *)(void *)((char *)stream - offsetof(guest, outside));
  (void)buf;
  if (size == 0) return;
  if (size < 0) {
    leave(it);
    return;
  }
  if (it->is_ending) return; /* what is said now is not heard */
  uv_read_stop(stream);
  if (pump_tls_filled(it->tls, (size_t)size) != 0)
    finish(it);
  else
    take_question(it);
}

static void read_outside(guest *it) {
  int code = uv_read_start((uv_stream_t *)&it->outside, on_space, on_read);
  if (code != 0 && code != UV_EALREADY) leave(it);
}

/* ---- The door ----------------------------------------------------------------------------- */

static guest *add_guest(pump_door *door) {
  guest *it = calloc(1, sizeof *it);
  if (it && pump_tls_new(&it->tls, door->node->tls, NULL) != 0) {
    free(it);
    return NULL;
  }
  if (!it) return NULL;
  uv_tcp_init(door->node->loop, &it->outside);
  uv_pipe_init(door->node->loop, &it->inside, 0);
  it->open_handles = 2;
  it->handed_on = -1;
  it->door = door;
  it->next = door->guests;
  if (it->next) it->next->previous = it;
  door->guests = it;
  door->count++;
  door->open_handles += 2;
  door->node->open_handles += 2;
  pump_node_watch(door->node);
  return it;
}

static void let_in(pump_door *door) {
  door->has_waiting = door->count >= door->most;
  if (door->has_waiting) return;
  guest *it = add_guest(door);
  door->has_waiting = !it; /* no memory: until another leaves */
  if (!it) return;
  if (uv_accept((uv_stream_t *)&door->listener, (uv_stream_t *)&it->outside) != 0)
    leave(it);
  else
    read_outside(it);
}

static void on_connection(uv_stream_t *listener, int status) {
  pump_door *door = (pump_door *)(void *)((char *)listener - offsetof(pump_door, listener));
  if (status == 0) let_in(door);
}

void pump_door_tick(pump_door *door) {
  for (guest *it = door->guests, *next; it; it = next) {
    next = it->next;
    bool is_timed = !it->is_in || it->is_sending || it->is_ending;
    if (is_timed && ++it->ticks > PATIENCE) leave(it);
  }
}

bool pump_door_has_guests(const pump_door *door) {
  return door->guests != NULL;
}

int pump_door_outside(const pump_door *door, int fd) {
  uv_os_fd_t outside = -1;
  const guest *it = door->guests;
  while (it && it->handed_on != fd)
    it = it->next;
  if (it) uv_fileno((const uv_handle_t *)&it->outside, &outside);
  return outside;
}

static void on_listener_closed(uv_handle_t *handle) {
  release((pump_door *)(void *)((char *)handle - offsetof(pump_door, listener)));
}

void pump_door_close(pump_door *door) {
  door->is_closed = true;
  while (door->guests)
    leave(door->guests);
  uv_close((uv_handle_t *)&door->listener, on_listener_closed);
}

int pump_door_open(pump_door **out, pump_node *node, int fd, unsigned max_guests,
                   void (*enter_cb)(void *ud, int fd), void *ud) {
  pump_door *door = calloc(1, sizeof *door);
  *out = NULL;
  if (!door) {
    close(fd);
    return PUMP_ENOMEM;
  }
  *door = (pump_door){.node = node, .enter = enter_cb, .ud = ud, .most = max_guests};
  uv_tcp_init(node->loop, &door->listener);
  door->open_handles = 1;
  node->open_handles++;
  int code = uv_tcp_open(&door->listener, fd);
  if (code != 0) close(fd);
  if (code == 0) code = uv_listen((uv_stream_t *)&door->listener, PUMP_NODE_BACKLOG, on_connection);
  *out = door;
  return code == 0 ? 0 : PUMP_ECONNECT;
}
