#include "node/node_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/bytes.h"
#include "net/send.h"
#include "node/answer.h"
#include "node/group_answer.h"
#include "wire/tcp/command.h"
#include "wire/tcp/message.h"

/* In ticks: silence until the node asks, and until it gives up (2 s and 1 s more, as servers). */
#define HEARTBEAT_AFTER (2000 / PUMP_NODE_TICK)
#define CUT_AFTER       (3000 / PUMP_NODE_TICK + 1)
#define END_AFTER       (1000 / PUMP_NODE_TICK)
#define HANDSHAKE_UNTIL (5000 / PUMP_NODE_TICK)
/* Until a frame has to be whole, and the bytes of it that earn it another tick. */
#define FRAME_UNTIL (5000 / PUMP_NODE_TICK)
#define FRAME_PACE  512
/* What large frames may take together. */
#define MAX_WEIGHT ((size_t)512 * 1024 * 1024)
/* From then on a stranger makes room for others. */
#define STRANGER_UNTIL (5000 / PUMP_NODE_TICK)
/* What is kept of how a peer calls itself. */
#define MAX_NAME 256
/* Longer logins and passwords newer servers do not take. */
#define MAX_LOGIN 127
/* A buffer that one large answer blew up is not kept. */
#define KEEP_CAPACITY (256 * 1024)

static const pump_tcp_correlation nobody;
static const pump_bytes no_bytes;

/* ---- The end ------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle) {
  pump_peer *peer = (pump_peer *)(void *)handle;
  pump_node *node = peer->node;
  pump_feed_forget(peer);
  pump_group_answer_forget(peer);
  pump_tcp_reader_free(&peer->reader);
  pump_tls_free(peer->tls);
  pump_buffer_free(&peer->out);
  pump_buffer_free(&peer->sending);
  free(peer->name);
  free(peer);
  pump_node_handle_closed(node);
}

void pump_peer_close(pump_peer *peer) {
  if (uv_is_closing(&peer->uv.handle)) return;
  pump_node *node = peer->node;
  if (peer->previous)
    peer->previous->next = peer->next;
  else
    node->peers = peer->next;
  if (peer->next) peer->next->previous = peer->previous;
  node->peer_count--;
  node->weight -= peer->weight;
  pump_node_watch(node);
  peer->is_ending = true;
  while (peer->requests)
    pump_peer_pop(peer);
  pump_faults_forget(peer);
  pump_clean_forget(peer);
  if (peer->is_busy) pump_node_unschedule(node, peer);
  uv_close(&peer->uv.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  /* Closed when the peer closes its side too, or a moment later: a close with unread bytes would
   * throw away the last words. */
  (void)request;
  (void)status;
}

static void shut_down(pump_peer *peer) {
  if (peer->tls && !peer->is_sending) {
    pump_tls_end(peer->tls);
    pump_peer_flush(peer);
  }
  if (peer->is_sending || uv_is_closing(&peer->uv.handle)) return;
  if (uv_shutdown(&peer->shutdown, &peer->uv.stream, on_shutdown) != 0) pump_peer_close(peer);
}

void pump_peer_end(pump_peer *peer) {
  if (peer->is_ending) return;
  peer->is_ending = true;
  while (peer->requests)
    pump_peer_pop(peer);
  pump_peer_flush(peer);
  shut_down(peer);
}

/* ---- Sending ------------------------------------------------------------------------------ */

size_t pump_peer_unsent(const pump_peer *peer) {
  return peer->out.size + uv_stream_get_write_queue_size(&peer->uv.stream);
}

static void reuse(pump_buffer *buffer) {
  if (buffer->capacity > KEEP_CAPACITY) pump_buffer_free(buffer);
  pump_buffer_clear(buffer);
}

static void on_sent(uv_write_t *request, int status);

/* Sends on from peer->sending: all of it, or a byte. */
static void send_more(pump_peer *peer) {
  size_t left = peer->sending.size - peer->sent, size = peer->is_trickling ? 1 : left;
  uv_buf_t bytes = uv_buf_init((char *)peer->sending.data + peer->sent, (unsigned)size);
  peer->sent += size;
  peer->is_sending = true;
  peer->is_due = false;
  if (uv_write(&peer->write, &peer->uv.stream, &bytes, 1, on_sent) != 0) {
    peer->is_sending = false;
    pump_peer_close(peer);
  }
}

static void on_sent(uv_write_t *request, int status) {
  pump_peer *peer = (pump_peer *)(void *)request->handle;
  if (status < 0) {
    pump_peer_close(peer);
    return;
  }
  peer->silent_ticks = 0; /* one who takes what it is sent lives */
  /* The next byte waits for the node's turn: the loop would hurry with several at once. */
  peer->is_due = peer->sent < peer->sending.size;
  if (peer->is_due) {
    pump_node_schedule(peer->node, peer);
    return;
  }
  peer->is_sending = false;
  reuse(&peer->sending);
  peer->is_trickling = peer->will_trickle;
  peer->will_trickle = false;
  pump_peer_flush(peer);
  if (peer->is_ending)
    shut_down(peer);
  else if (peer->requests || peer->listener.is_behind || peer->is_hungry)
    pump_node_schedule(peer->node, peer);
  else
    pump_peer_balance(peer);
}

/* What goes over the wire: what was said, as TLS says it where there is TLS. */
static pump_buffer *wire_of(pump_peer *peer) {
  if (!peer->tls) return &peer->out;
  if (peer->out.size > 0 && pump_tls_is_established(peer->tls)) {
    if (pump_tls_write(peer->tls, peer->out.data, peer->out.size) != 0) pump_peer_close(peer);
    reuse(&peer->out);
  }
  return pump_tls_output(peer->tls);
}

void pump_peer_flush(pump_peer *peer) {
  if (uv_is_closing(&peer->uv.handle)) return;
  if (peer->is_due) {
    send_more(peer);
    return;
  }
  if (peer->is_sending) return;
  pump_buffer *out = wire_of(peer);
  if (out->size == 0 || uv_is_closing(&peer->uv.handle)) return;
  uv_buf_t bytes = uv_buf_init((char *)out->data, (unsigned)out->size);
  int sent = peer->is_trickling ? 0 : pump_try_send(&peer->uv.stream, &bytes);
  if (sent < 0 && sent != UV_EAGAIN) {
    pump_peer_close(peer);
    return;
  }
  peer->sent = sent > 0 ? (size_t)sent : 0;
  if (peer->sent == out->size) {
    reuse(out);
    return;
  }
  pump_buffer empty = peer->sending;
  peer->sending = *out;
  *out = empty;
  send_more(peer);
}

void pump_peer_say(pump_peer *peer, uint8_t command, const pump_tcp_correlation *correlation,
                   pump_bytes body) {
  if (peer->is_ending) return;
  if (pump_peer_unsent(peer) > PUMP_PEER_MAX_UNSENT) {
    char text[96];
    snprintf(text, sizeof text, "The connection's pending send bytes is too large: %zu (max: %d).",
             pump_peer_unsent(peer), PUMP_PEER_MAX_UNSENT);
    pump_tcp_frame_write(&peer->out, PUMP_TCP_BAD_REQUEST, &nobody, no_bytes, no_bytes,
                         pump_bytes_of(text));
    pump_peer_end(peer);
    return;
  }
  if (pump_tcp_frame_write(&peer->out, command, correlation, no_bytes, no_bytes, body) != 0)
    pump_peer_close(peer);
}

void pump_peer_bad_request(pump_peer *peer, const pump_tcp_correlation *correlation,
                           const char *text) {
  pump_peer_say(peer, PUMP_TCP_BAD_REQUEST, correlation, pump_bytes_of(text));
}

/* ---- Requests ----------------------------------------------------------------------------- */

void pump_peer_pop(pump_peer *peer) {
  pump_request *request = peer->requests;
  peer->requests = request->next;
  if (!peer->requests) peer->last_request = NULL;
  peer->asked -= request->payload.size;
  pump_block_unref(request->block);
  free(request);
}

static void push_request(pump_peer *peer, const pump_tcp_frame *frame, bool is_write,
                         const pump_account *who) {
  pump_request *request = calloc(1, sizeof *request);
  if (!request) {
    pump_peer_close(peer);
    return;
  }
  *request = (pump_request){
      .command = frame->command,
      .is_write = is_write,
      .correlation = frame->correlation,
      .block = pump_block_ref(peer->reader.block),
      .payload = frame->payload,
      .who = who,
  };
  if (peer->last_request)
    peer->last_request->next = request;
  else
    peer->requests = request;
  peer->last_request = request;
  peer->asked += frame->payload.size;
  pump_node_schedule(peer->node, peer);
}

static void authenticate(pump_peer *peer, const pump_tcp_frame *frame) {
  const char *why = "No user credentials provided.";
  if (frame->flags & PUMP_TCP_FLAG_AUTHENTICATED) {
    const pump_account *who =
        pump_accounts_find(&peer->node->accounts, frame->login, frame->password);
    peer->is_refused = !who;
    if (who) {
      peer->who = who;
      pump_peer_say(peer, PUMP_TCP_AUTHENTICATED, &frame->correlation, no_bytes);
      return;
    }
    why = "Unauthorized";
  }
  pump_peer_say(peer, PUMP_TCP_NOT_AUTHENTICATED, &frame->correlation, pump_bytes_of(why));
}

static void take_name(pump_peer *peer, const PumpTcp__IdentifyClient *said) {
  pump_bytes name = pump_tcp_view(said->connection_name);
  if (peer->name) return; /* others point to it */
  peer->name = name.size ? strndup(name.data, name.size < MAX_NAME ? name.size : MAX_NAME) : NULL;
}

static void identify(pump_peer *peer, const pump_tcp_frame *frame) {
  PumpTcp__IdentifyClient *client =
      (PumpTcp__IdentifyClient *)(void *)pump_tcp_unpack(frame->command, frame->payload);
  if (!client) return; /* servers say nothing to that */
  take_name(peer, client);
  peer->version = (uint8_t)client->version;
  peer->is_old = peer->version == 0 && !peer->node->is_23;
  pump_peer_say(peer, PUMP_TCP_CLIENT_IDENTIFIED, &frame->correlation, no_bytes);
  pump_tcp_unpack_free(&client->base);
}

/* Whose request it is: the frame's own credentials count before the connection's. */
static bool find_account(pump_peer *peer, const pump_tcp_frame *frame, const pump_account **who) {
  *who = peer->who;
  if (frame->flags & PUMP_TCP_FLAG_AUTHENTICATED) {
    *who = pump_accounts_find(&peer->node->accounts, frame->login, frame->password);
    return *who != NULL;
  }
  return !peer->is_refused;
}

static void handle_request(pump_peer *peer, const pump_tcp_frame *frame) {
  const pump_account *who;
  bool is_write;
  if (!find_account(peer, frame, &who))
    pump_peer_say(peer, PUMP_TCP_NOT_AUTHENTICATED, &frame->correlation,
                  pump_bytes_of("Not Authenticated"));
  else if (peer->version > 1) /* servers know two, and look up the others all the same */
    pump_peer_bad_request(peer, &frame->correlation, "Index was outside the bounds of the array.");
  else if (frame->command == PUMP_TCP_PING)
    pump_peer_say(peer, PUMP_TCP_PONG, &frame->correlation, frame->payload);
  else if (!pump_answer_knows(frame->command, &is_write))
    pump_answer_not_understood(peer, frame->command, &frame->correlation);
  else if (!pump_faults_refuse(peer, frame))
    push_request(peer, frame, is_write, who);
}

static void handle(pump_peer *peer, const pump_tcp_frame *frame) {
  if (frame->flags & PUMP_TCP_FLAG_TRUSTED) {
    pump_peer_bad_request(peer, &frame->correlation,
                          "Trusted writes aren't accepted over the external TCP interface");
    pump_peer_end(peer);
    return;
  }
  if (frame->command != PUMP_TCP_HEARTBEAT_RESPONSE) peer->is_stranger = false;
  switch (frame->command) {
  case PUMP_TCP_HEARTBEAT_REQUEST:
    pump_peer_say(peer, PUMP_TCP_HEARTBEAT_RESPONSE, &frame->correlation, no_bytes);
    break;
  case PUMP_TCP_HEARTBEAT_RESPONSE: break;
  case PUMP_TCP_BAD_REQUEST: break; /* servers log it */
  case PUMP_TCP_AUTHENTICATE: authenticate(peer, frame); break;
  case PUMP_TCP_IDENTIFY_CLIENT: identify(peer, frame); break;
  default: handle_request(peer, frame);
  }
}

static void handle_and_spoil(pump_peer *peer, const pump_tcp_frame *frame) {
  size_t start = peer->out.size;
  handle(peer, frame);
  pump_faults_answered(peer, start, frame->command);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  pump_peer *peer = (pump_peer *)(void *)handle;
  uint8_t *to;
  size_t size;
  int code = 0;
  *buf = uv_buf_init(NULL, 0);
  if (peer->tls)
    pump_tls_space(peer->tls, &to, &size);
  else
    code = pump_tcp_reader_space(&peer->reader, &to, &size);
  if (code == 0) *buf = uv_buf_init((char *)to, (unsigned)(size > INT32_MAX ? INT32_MAX : size));
}

static void handle_broken(pump_peer *peer, const char *format, const char *why) {
  char text[256];
  snprintf(text, sizeof text, "%s%s.", format, why);
  pump_peer_bad_request(peer, &nobody, text);
  pump_peer_end(peer);
}

/* What a server has against a login that can be read; NULL: nothing. */
static const char *odd_login(const pump_peer *peer, const pump_tcp_frame *frame) {
  if (!(frame->flags & PUMP_TCP_FLAG_AUTHENTICATED)) return NULL;
  if (!peer->node->is_23)
    return frame->password.size + frame->payload.size > 0
               ? NULL
               : "Login length is too big, it does not fit into TcpPackage";
  if (frame->login.size > MAX_LOGIN) return "Login length must be less than 127 bytes";
  return frame->password.size > MAX_LOGIN ? "Password length must be less than 127 bytes" : NULL;
}

/* Newer servers take a login that does not begin with ASCII for a token, and do not answer. */
static bool is_token(const pump_peer *peer, const pump_tcp_frame *frame) {
  return peer->node->is_23 && frame->login.size > 0 && frame->login.data[0] & 0x80;
}

/* Before there is room for it: a large frame may be one too many. */
static void weigh(pump_peer *peer) {
  size_t weight = pump_tcp_reader_weight(&peer->reader);
  if (peer->is_ending) return;
  peer->node->weight += weight - peer->weight;
  peer->weight = weight;
  if (weight == 0 || peer->node->weight <= MAX_WEIGHT) return;
  pump_peer_bad_request(peer, &nobody, "Too many bytes are in flight.");
  pump_peer_end(peer);
}

static void hear(pump_peer *peer, size_t size) {
  pump_tcp_reader_filled(&peer->reader, size);
  pump_tcp_frame frame;
  const char *why;
  int code;
  while (!peer->is_ending && (code = pump_tcp_reader_next(&peer->reader, &frame)) != 0) {
    peer->frame_ticks = 0;
    if (code == PUMP_EPROTOCOL)
      handle_broken(peer, "Invalid TCP frame received. Error: ", peer->reader.error);
    else if ((why = code < 0 ? peer->reader.error : odd_login(peer, &frame)))
      handle_broken(peer, "Received bad network package. Error: ", why);
    else if (!is_token(peer, &frame))
      handle_and_spoil(peer, &frame);
  }
  weigh(peer);
}

/* It has nothing more to say; what it said before counts all the same. */
static void do_what_was_asked(pump_peer *peer) {
  if (peer->requests && !peer->is_ending) pump_node_turn(peer->node);
}

static void hear_tls(pump_peer *peer, size_t size) {
  uint8_t *to;
  size_t room, got = 1;
  int code = pump_tls_filled(peer->tls, size);
  if (code == 0) code = pump_tls_handshake(peer->tls);
  if (code == 0) return; /* it goes on */
  while (code >= 0 && got > 0 && !peer->is_ending) {
    code = pump_tcp_reader_space(&peer->reader, &to, &room);
    if (code == 0) code = pump_tls_read(peer->tls, to, room, &got);
    if (code == 0 && got > 0) hear(peer, got);
  }
  if (code == PUMP_ECLOSED) do_what_was_asked(peer);
  if (code < 0) pump_peer_end(peer);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
  (void)buf;
  pump_peer *peer = (pump_peer *)(void *)stream;
  if (size < 0) {
    do_what_was_asked(peer);
    pump_peer_close(peer);
    return;
  }
  if (peer->is_ending) return; /* never `filled`: the same space takes it all */
  peer->silent_ticks = 0;
  if (peer->tls)
    hear_tls(peer, (size_t)size);
  else
    hear(peer, (size_t)size);
  pump_peer_flush(peer);
  if (peer->asked >= PUMP_PEER_HIGH_WATER) pump_peer_balance(peer);
}

void pump_peer_balance(pump_peer *peer) {
  bool is_behind = peer->requests || pump_peer_unsent(peer) >= PUMP_PEER_HIGH_WATER;
  if (peer->is_ending) return;
  if (!peer->requests && peer->weight > 0) {
    pump_tcp_reader_rest(&peer->reader);
    weigh(peer);
  }
  if (is_behind == peer->is_paused) return;
  peer->is_paused = is_behind;
  if (is_behind)
    uv_read_stop(&peer->uv.stream);
  else if (uv_read_start(&peer->uv.stream, on_space, on_read) != 0)
    pump_peer_close(peer);
}

/* Whether it takes too long over a frame. */
static bool is_trickling_in(pump_peer *peer) {
  size_t part = peer->reader.end - peer->reader.start;
  bool has_part = part > 0 || (peer->tls && pump_tls_has_part(peer->tls));
  if (!has_part || peer->is_paused) return false;
  return ++peer->frame_ticks > FRAME_UNTIL + part / FRAME_PACE;
}

void pump_peer_tick(pump_peer *peer) {
  peer->ticks++;
  if (peer->is_ending) {
    if (++peer->ending_ticks > END_AFTER) pump_peer_close(peer);
    return;
  }
  if (peer->tls && !pump_tls_is_established(peer->tls)) {
    if (peer->ticks > HANDSHAKE_UNTIL) pump_peer_close(peer);
    return;
  }
  if (is_trickling_in(peer)) {
    pump_peer_close(peer);
    return;
  }
  if (pump_faults_is_mute(peer->node)) return;
  /* A peer that takes what it is sent lives, even while nothing is read from it. */
  size_t unsent = uv_stream_get_write_queue_size(&peer->uv.stream);
  if (unsent < peer->backlog) peer->silent_ticks = 0;
  peer->backlog = unsent;
  peer->silent_ticks++;
  if (peer->silent_ticks >= CUT_AFTER) {
    pump_peer_close(peer);
  } else if (peer->silent_ticks == HEARTBEAT_AFTER) {
    pump_tcp_correlation id;
    if (uv_random(NULL, NULL, id.bytes, sizeof id.bytes, 0, NULL) != 0) id = nobody;
    pump_peer_say(peer, PUMP_TCP_HEARTBEAT_REQUEST, &id, no_bytes);
    pump_peer_flush(peer);
  }
}

/* ---- The beginning ------------------------------------------------------------------------ */

static pump_peer *new_peer(pump_node *node, const pump_account *who) {
  pump_peer *peer = calloc(1, sizeof *peer);
  if (!peer) return NULL;
  peer->node = node;
  peer->who = who;
  peer->is_old = !node->is_23;
  peer->is_stranger = true;
  pump_tcp_reader_init(&peer->reader, PUMP_MAX_FRAME);
  return peer;
}

/* From here on the peer is the node's, and ends by being closed. */
static void add_peer(pump_peer *peer) {
  pump_node *node = peer->node;
  peer->next = node->peers;
  if (node->peers) node->peers->previous = peer;
  node->peers = peer;
  node->peer_count++;
  pump_node_watch(node);
  node->open_handles++;
}

bool pump_peer_make_room(pump_node *node) {
  if (node->peer_count < PUMP_NODE_MAX_PEERS) return true;
  pump_peer *oldest = NULL;
  for (pump_peer *peer = node->peers; peer; peer = peer->next) { /* from the newest on */
    if (peer->is_stranger && peer->ticks > STRANGER_UNTIL) oldest = peer;
  }
  if (oldest) pump_peer_close(oldest);
  return oldest != NULL;
}

int pump_peer_accept(pump_node *node) {
  pump_peer *peer = new_peer(node, NULL);
  if (!peer) return PUMP_ENOMEM;
  int code = node->tls ? pump_tls_new(&peer->tls, node->tls, NULL) : 0;
  if (code != 0 || uv_tcp_init(node->loop, &peer->uv.tcp) != 0) {
    pump_tls_free(peer->tls);
    free(peer);
    return PUMP_ECONNECT;
  }
  bool is_welcome = !node->faults.settings.refuse && pump_peer_make_room(node);
  add_peer(peer);
  if (uv_accept((uv_stream_t *)&node->listener, &peer->uv.stream) != 0 || !is_welcome ||
      uv_read_start(&peer->uv.stream, on_space, on_read) != 0) {
    pump_peer_close(peer);
    return PUMP_ECONNECT;
  }
  uv_tcp_nodelay(&peer->uv.tcp, 1);
  return 0;
}

int pump_peer_open(pump_node *node, int fd, const pump_account *who) {
  pump_peer *peer = new_peer(node, who);
  if (!peer || uv_pipe_init(node->loop, &peer->uv.pipe, 0) != 0) {
    free(peer);
    close(fd);
    return PUMP_ENOMEM;
  }
  add_peer(peer);
  int code = uv_pipe_open(&peer->uv.pipe, fd);
  if (code != 0) close(fd);
  if (code == 0) code = uv_read_start(&peer->uv.stream, on_space, on_read);
  if (code == 0) return 0;
  pump_peer_close(peer);
  return PUMP_ECONNECT;
}
