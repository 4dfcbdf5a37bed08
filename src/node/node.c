#include "node/node_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/bytes.h"
#include "node/answer.h"
#include "node/group_answer.h"
#include "node/listen.h"
#include "node/pages.h"
#include "node/system.h"
#include "node/write.h"

/* Within a turn a peer's answers go out in lots of this size, not all at its end. */
#define LOT (64 * 1024)

/* What all peers together may leave unread before pages get smaller. */
#define MAX_UNSENT ((size_t)128 * 1024 * 1024)

int64_t pump_node_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool pump_node_allows(pump_node *node, const pump_account *who, pump_bytes stream,
                      pump_store_right right) {
  /* To older servers there is no metadata of metadata. */
  if (node->is_23 ? !who : pump_bytes_starts(stream, "$$$$")) return false;
  return pump_rights_allow(node->store, who, stream, right);
}

/* ---- The turn ----------------------------------------------------------------------------- */

static void execute_writes(pump_node *node, const pump_peer *busy) {
  for (const pump_peer *peer = busy; peer; peer = peer->next_busy) {
    for (pump_request *request = peer->requests; request; request = request->next) {
      if (!request->is_write || request->state != PUMP_REQUEST_WAITS) continue;
      pump_write_execute(node, request);
      request->state = PUMP_REQUEST_EXECUTED;
    }
  }
}

/* The common transaction came to nothing: each write once more, by itself, so that one that the
 * disk has no room for does not take the others with it. */
static void execute_again(pump_node *node, pump_request *request) {
  pump_write_execute(node, request);
  if (request->status == PUMP_ESTORE)
    pump_store_rollback(node->store);
  else if (pump_store_commit(node->store) != 0)
    request->status = PUMP_ESTORE;
}

static bool commit(pump_node *node) {
  bool is_kept = pump_store_commit(node->store) == 0;
  pump_groups_committed(node, is_kept);
  return is_kept;
}

static void settle_writes(pump_node *node, const pump_peer *busy) {
  bool is_lost = !commit(node);
  for (const pump_peer *peer = busy; peer; peer = peer->next_busy) {
    for (pump_request *request = peer->requests; request; request = request->next) {
      if (request->state != PUMP_REQUEST_EXECUTED) continue;
      if (is_lost) execute_again(node, request);
      request->state = PUMP_REQUEST_SETTLED;
    }
  }
}

static void answer_peer(pump_peer *peer) {
  pump_feed_catch_up(peer);
  pump_group_answer_catch_up(peer);
  do {
    while (peer->requests && pump_peer_unsent(peer) < PUMP_PEER_HIGH_WATER) {
      size_t start = peer->out.size;
      pump_answer(peer, peer->requests);
      if (peer->requests) pump_faults_answered(peer, start, peer->requests->command);
      if (peer->requests) pump_peer_pop(peer);
      if (peer->out.size >= LOT) pump_peer_flush(peer);
    }
    pump_peer_flush(peer);
  } while (peer->requests && !peer->is_sending);
  /* All went out at once: nobody will tell that there is room now. */
  if (!peer->is_sending && (peer->listener.is_behind || peer->is_hungry))
    pump_node_schedule(peer->node, peer);
  pump_peer_balance(peer);
}

static void on_idle(uv_idle_t *idle) {
  (void)idle;
}

void pump_node_turn(pump_node *node) {
  execute_writes(node, node->busy);
  pump_groups_write(node);
  settle_writes(node, node->busy);
  pump_feed_publish(node); /* whoever gets something is busy from then on */
  bool has_more = pump_groups_run(node);
  uv_check_stop(&node->check);
  uv_idle_stop(&node->idle);
  if (has_more) pump_node_wake(node);
  pump_peer *busy = node->busy;
  node->busy = node->busy_tail = NULL;
  for (pump_peer *next; busy; busy = next) {
    next = busy->next_busy;
    busy->is_busy = false;
    answer_peer(busy);
  }
}

static void on_check(uv_check_t *check) {
  pump_node_turn((pump_node *)(void *)((char *)check - offsetof(pump_node, check)));
}

void pump_node_wake(pump_node *node) {
  if (node->is_closing) return;
  uv_check_start(&node->check, on_check);
  uv_idle_start(&node->idle, on_idle);
}

void pump_node_schedule(pump_node *node, pump_peer *peer) {
  if (peer->is_busy || peer->is_ending || node->is_closing) return;
  peer->is_busy = true;
  peer->next_busy = NULL;
  if (node->busy_tail)
    node->busy_tail->next_busy = peer;
  else
    node->busy = peer;
  node->busy_tail = peer;
  pump_node_wake(node);
}

void pump_node_unschedule(pump_node *node, const pump_peer *peer) {
  pump_peer *previous = NULL;
  for (pump_peer *busy = node->busy; busy; previous = busy, busy = busy->next_busy) {
    if (busy != peer) continue;
    *(previous ? &previous->next_busy : &node->busy) = peer->next_busy;
    if (node->busy_tail == peer) node->busy_tail = previous;
    return;
  }
}

static void on_tick(uv_timer_t *timer) {
  pump_node *node = (pump_node *)(void *)((char *)timer - offsetof(pump_node, timer));
  size_t unsent = 0;
  for (pump_peer *peer = node->peers, *next; peer; peer = next) {
    next = peer->next;
    unsent += pump_peer_unsent(peer);
    pump_peer_tick(peer);
  }
  node->is_pressed = unsent > MAX_UNSENT;
  pump_feed_publish(node); /* what the store could not read when it was committed */
  commit(node);            /* what groups wrote since the last turn must not hang on a scavenge */
  pump_clean_tick(node);
  pump_groups_tick(node);
  if (node->http) pump_http_tick(node->http);
  pump_node_watch(node);
}

void pump_node_watch(pump_node *node) {
  bool has_guests = node->http && pump_http_has_guests(node->http);
  bool is_quiet = node->peer_count == 0 && !has_guests && !pump_groups_are_unwritten(node);
  if (is_quiet || node->is_closing)
    uv_timer_stop(&node->timer);
  else if (!uv_is_active((uv_handle_t *)&node->timer))
    uv_timer_start(&node->timer, on_tick, PUMP_NODE_TICK, PUMP_NODE_TICK);
}

/* ---- Listening ---------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static int refuse(int code, char *error, size_t error_size,
                                                        const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error, error_size, format, arguments);
  va_end(arguments);
  return code;
}

static void on_connection(uv_stream_t *listener, int status) {
  pump_node *node = (pump_node *)(void *)((char *)listener - offsetof(pump_node, listener));
  if (status == 0) pump_peer_accept(node);
}

/* For TCP and for HTTP, -1 where there is none. They are made before any handle is, so that a node
 * that can't have its addresses leaves nothing on the loop. */
static int make_sockets(pump_node *node, int fds[2], const pump_node_options *options, char *error,
                        size_t error_size) {
  const char *danger = NULL;
  int code = 0;
  fds[0] = fds[1] = -1;
  if (!node->tls)
    danger = "unencrypted";
  else if (pump_system_is_open(&node->accounts, options))
    danger = "with a password that everybody knows (give admin and ops their own)";
  if (options->insecure_listen) danger = NULL;
  if (options->listen) code = pump_listen(&fds[0], options->listen, danger, error, error_size);
  if (code == 0 && options->http)
    code = pump_listen(&fds[1], options->http, danger, error, error_size);
  if (code != 0 && fds[0] >= 0) close(fds[0]);
  return code;
}

/* The sockets are taken over, whatever comes. */
static int start(pump_node *node, const int fds[2], const pump_node_options *options, char *error,
                 size_t error_size) {
  int code = 0;
  if (fds[0] >= 0) {
    code = uv_tcp_open(&node->listener, fds[0]);
    if (code != 0) close(fds[0]);
    if (code == 0)
      code = uv_listen((uv_stream_t *)&node->listener, PUMP_NODE_BACKLOG, on_connection);
    if (code == 0) pump_listen_address(fds[0], node->address);
  }
  if (code != 0) {
    if (fds[1] >= 0) close(fds[1]);
    return refuse(PUMP_ECONNECT, error, error_size, "%s: cannot listen: %s", options->listen,
                  uv_strerror(code));
  }
  if (fds[1] >= 0) code = pump_http_open(&node->http, node, fds[1], options);
  if (code == 0) return 0;
  return refuse(code, error, error_size, "%s: HTTP cannot start", options->http);
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static int make_tls(pump_node *node, const pump_node_options *options, char *error,
                    size_t error_size) {
  pump_tls_options tls = {
      .ca = options->tls_ca, .cert = options->tls_cert, .key = options->tls_key};
  if (!tls.ca && !tls.cert && !tls.key) return 0;
  return pump_tls_context_new(&node->tls, true, &tls, error, error_size);
}

/* ---- Beginning and end -------------------------------------------------------------------- */

void pump_node_options_init(pump_node_options *options) {
  *options = (pump_node_options){0};
}

static void free_node(pump_node *node) {
  pump_faults_release(&node->faults.settings);
  pump_feed_close(node);
  pump_groups_close(node);
  pump_store_close(node->store);
  pump_accounts_free(&node->accounts);
  pump_tls_context_free(node->tls);
  free(node);
}

void pump_node_handle_closed(pump_node *node) {
  if (--node->open_handles > 0) return;
  void (*on_close)(void *ud) = node->on_close;
  void *ud = node->close_ud;
  free_node(node);
  if (on_close) on_close(ud);
}

static void on_listener_closed(uv_handle_t *handle) {
  pump_node_handle_closed((pump_node *)(void *)((char *)handle - offsetof(pump_node, listener)));
}

static void on_check_closed(uv_handle_t *handle) {
  pump_node_handle_closed((pump_node *)(void *)((char *)handle - offsetof(pump_node, check)));
}

static void on_idle_closed(uv_handle_t *handle) {
  pump_node_handle_closed((pump_node *)(void *)((char *)handle - offsetof(pump_node, idle)));
}

static void on_timer_closed(uv_handle_t *handle) {
  pump_node_handle_closed((pump_node *)(void *)((char *)handle - offsetof(pump_node, timer)));
}

/* None of these keeps the caller's loop running: peers and a listener that listens do. */
static void open_handles(pump_node *node) {
  uv_tcp_init(node->loop, &node->listener);
  uv_check_init(node->loop, &node->check);
  uv_idle_init(node->loop, &node->idle);
  uv_timer_init(node->loop, &node->timer);
  uv_unref((uv_handle_t *)&node->timer);
  node->open_handles = 4;
  pump_faults_open(node);
}

static int check_options(const pump_node_options *options, pump_like *like, char *error,
                         size_t error_size) {
  static const char *const likes[] = {
      [PUMP_LIKE_4] = "4.1", [PUMP_LIKE_5] = "5.0", [PUMP_LIKE_23] = "23.10"};
  *like = PUMP_LIKE_5;
  for (size_t i = 0; i < options->user_count; i++) {
    const pump_node_user *user = &options->users[i];
    if (!user->name || !*user->name || !user->password)
      return refuse(PUMP_EINVALID, error, error_size, "a user needs a name and a password");
  }
  if (!options->like) return 0;
  for (pump_like i = PUMP_LIKE_4; i <= PUMP_LIKE_23; i++) {
    *like = i;
    if (strcmp(options->like, likes[i]) == 0) return 0;
  }
  return refuse(PUMP_EINVALID, error, error_size,
                "%s: the node does not answer like that server: say 4.1, 5.0 or 23.10",
                options->like);
}

static int open_store(pump_node *node, const pump_node_options *options, char *error,
                      size_t error_size) {
  int code = pump_store_open(&node->store, options->file, options->sync_normal, error, error_size);
  if (code != 0) return code;
  node->accounts.store = node->store;
  if (node->is_23) pump_store_pass_aged(node->store);
  code = pump_system_begin(&node->accounts, options, node->like, pump_node_time());
  if (code == 0) code = pump_groups_open(node);
  if (code == 0) return 0;
  if (code != PUMP_ESTORE)
    return refuse(code, error, error_size,
                  code == PUMP_EINVALID ? "a user's name is no UTF-8" : "out of memory");
  return refuse(PUMP_ESTORE, error, error_size, "%s: the store could not be begun: %s",
                options->file ? options->file : "memory", pump_store_error(node->store));
}

int pump_node_new(pump_node **node, struct uv_loop_s *loop, const pump_node_options *options,
                  char *error, size_t error_size) {
  *node = NULL;
  pump_like like;
  int code = check_options(options, &like, error, error_size);
  if (code != 0) return code;
  pump_node *made = calloc(1, sizeof *made);
  if (!made) return refuse(PUMP_ENOMEM, error, error_size, "out of memory");
  made->loop = loop;
  made->like = like;
  made->is_23 = like == PUMP_LIKE_23;
  int fds[2];
  code = make_tls(made, options, error, error_size);
  if (code == 0) code = open_store(made, options, error, error_size);
  if (code == 0) code = make_sockets(made, fds, options, error, error_size);
  if (code != 0) {
    free_node(made);
    return code;
  }
  pump_feed_open(made);
  open_handles(made);
  code = start(made, fds, options, error, error_size);
  if (code != 0) {
    pump_node_close(made, NULL, NULL);
    return code;
  }
  *node = made;
  return 0;
}

int pump_node_opener(void *ud, int *fd) {
  pump_node *node = ud;
  int ends[2];
  *fd = -1;
  if (node->is_closing) return PUMP_ECLOSED;
  if (node->faults.settings.refuse) return PUMP_ECONNECT;
  if (!pump_peer_make_room(node)) return PUMP_EBUSY;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return PUMP_ECONNECT;
  int code = pump_peer_open(node, ends[0], &pump_account_owner);
  if (code != 0) {
    close(ends[1]);
    return code;
  }
  *fd = ends[1];
  return 0;
}

const char *pump_node_version(const pump_node *node) {
  return pump_page_version(node->like);
}

const char *pump_node_address(const pump_node *node) {
  return node->address[0] ? node->address : NULL;
}

const char *pump_node_http_address(const pump_node *node) {
  return node->http ? pump_http_address(node->http) : NULL;
}

void pump_node_close(pump_node *node, void (*cb)(void *ud), void *ud) {
  if (node->is_closing) return;
  node->is_closing = true;
  node->on_close = cb;
  node->close_ud = ud;
  pump_groups_end(node);
  pump_node_drop_connections(node);
  uv_close((uv_handle_t *)&node->listener, on_listener_closed);
  uv_close((uv_handle_t *)&node->check, on_check_closed);
  uv_close((uv_handle_t *)&node->idle, on_idle_closed);
  uv_close((uv_handle_t *)&node->timer, on_timer_closed);
  pump_faults_close(node);
  if (node->http) pump_http_close(node->http);
}
