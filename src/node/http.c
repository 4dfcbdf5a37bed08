#include "node/http.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/door.h"
#include "node/faults_json.h"
#include "node/group_pages.h"
#include "node/node_private.h"
#include "node/pages.h"

#define MAX_GUESTS   100
#define GUEST_MEMORY ((size_t)16 * 1024) /* a request's head, and what MHD needs beside it */
#define MAX_BODY     ((size_t)1024 * 1024)
#define GUEST_TICKS  (10000 / PUMP_NODE_TICK)

#define GROUPS "/subscriptions"

#define JSON "application/json; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"

typedef struct guest {
  struct guest *next;
  struct guest *previous;
  int fd;
  unsigned ticks; /* since it came, or got its last answer */
} guest;

struct pump_http {
  pump_node *node;
  struct MHD_Daemon *daemon;
  pump_door *door; /* NULL: guests speak plain HTTP */
  uv_poll_t poll;
  uv_timer_t timer;
  int open_handles;
  guest *guests;
  bool has_left;
  bool with_faults;
  pump_guid instance;
  pump_guid epoch;
  char address[PUMP_ADDRESS_SIZE];
};

/* One request and its answer. */
typedef struct exchange {
  pump_http *http;
  struct MHD_Connection *connection;
  const char *path;
  pump_buffer body; /* of the request */
  pump_buffer out;  /* of the answer */
} exchange;

/* ---- Pages -------------------------------------------------------------------------------- */

static unsigned say(exchange *it, unsigned status, const char *text) {
  pump_buffer_clear(&it->out);
  pump_buffer_text(&it->out, text);
  pump_buffer_byte(&it->out, '\n');
  return status;
}

static int fd_of(struct MHD_Connection *connection) {
  return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* The socket that the guest came to. */
static int outside_of(const exchange *it) {
  int fd = fd_of(it->connection);
  return it->http->door ? pump_door_outside(it->http->door, fd) : fd;
}

/* Whether who listens at this host is reached at that other one. */
static bool is_reached_at(const char *host, const char *other) {
  return strcmp(host, "::") == 0 || (strcmp(host, "0.0.0.0") == 0 && !strchr(other, ':'));
}

/* Where a node listens at every address of its machine, it is reached at the one that this guest
 * came to. */
static unsigned get_gossip(exchange *it) {
  const pump_node *node = it->http->node;
  if (node->faults.settings.gossip) {
    pump_buffer_text(&it->out, node->faults.settings.gossip);
    return MHD_HTTP_OK;
  }
  pump_self self = {.like = node->like,
                    .instance = it->http->instance,
                    .epoch = it->http->epoch,
                    .is_secure = node->tls != NULL,
                    .now = pump_node_time(),
                    .last_position = pump_store_last_position(node->store),
                    .end_position = pump_store_end_position(node->store)};
  pump_listen_local(outside_of(it), self.http_host, &self.http_port);
  bool listens =
      node->address[0] && pump_listen_split(node->address, self.tcp_host, &self.tcp_port);
  if (!listens || is_reached_at(self.tcp_host, self.http_host))
    memcpy(self.tcp_host, self.http_host, sizeof self.tcp_host);
  pump_page_gossip(&it->out, &self);
  return MHD_HTTP_OK;
}

static unsigned get_info(exchange *it) {
  pump_page_info(&it->out, it->http->node->like);
  return MHD_HTTP_OK;
}

static unsigned get_ping(exchange *it) {
  pump_page_ping(&it->out);
  return MHD_HTTP_OK;
}

static unsigned get_faults(exchange *it) {
  pump_node_faults faults = pump_node_get_faults(it->http->node);
  pump_faults_write(&it->out, &faults);
  return MHD_HTTP_OK;
}

static unsigned post_faults(exchange *it) {
  pump_node_faults faults;
  char error[200];
  pump_bytes text = {(const char *)it->body.data, it->body.size};
  int code = pump_faults_parse(&faults, text, error, sizeof error);
  if (code == 0) {
    code = pump_node_set_faults(it->http->node, &faults);
    pump_faults_release(&faults);
    if (code == PUMP_EINVALID) return say(it, MHD_HTTP_BAD_REQUEST, "leader is no HOST:PORT");
  }
  if (code == PUMP_ENOMEM) return say(it, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
  return code == 0 ? get_faults(it) : say(it, MHD_HTTP_BAD_REQUEST, error);
}

static unsigned post_drop(exchange *it) {
  pump_node_drop_connections(it->http->node);
  return get_faults(it);
}

/* ---- Groups ------------------------------------------------------------------------------- */

/* Where this guest reaches the node. */
static const char *base_of(const exchange *it, char base[PUMP_ADDRESS_SIZE + 8]) {
  char address[PUMP_ADDRESS_SIZE];
  pump_listen_address(outside_of(it), address);
  snprintf(base, PUMP_ADDRESS_SIZE + 8, "%s://%s", it->http->node->tls ? "https" : "http", address);
  return base;
}

static unsigned get_groups(exchange *it) {
  char base[PUMP_ADDRESS_SIZE + 8];
  pump_page_groups(&it->out, it->http->node, NULL, base_of(it, base));
  return MHD_HTTP_OK;
}

static unsigned get_stream(exchange *it) {
  char base[PUMP_ADDRESS_SIZE + 8];
  pump_bytes stream = pump_bytes_of(it->path + strlen(GROUPS "/"));
  if (pump_page_groups(&it->out, it->http->node, &stream, base_of(it, base))) return MHD_HTTP_OK;
  return say(it, MHD_HTTP_NOT_FOUND, "Not Found: this stream has no groups");
}

/* "stream::name", as the path says it before `suffix`; a group's name has no slash. */
static pump_kept_group *find_group(const exchange *it, const char *suffix, pump_buffer *key) {
  const char *from = it->path + strlen(GROUPS "/");
  size_t size = strlen(from) - strlen(suffix), stream = size - 1;
  while (stream > 0 && from[stream] != '/')
    stream--;
  if (stream == 0) return NULL;
  pump_buffer_append(key, from, stream);
  pump_buffer_text(key, "::");
  pump_buffer_append(key, from + stream + 1, size - stream - 1);
  return pump_groups_find(it->http->node, (pump_bytes){(const char *)key->data, key->size});
}

static unsigned get_group(exchange *it) {
  char base[PUMP_ADDRESS_SIZE + 8];
  pump_buffer key;
  pump_buffer_init(&key);
  pump_kept_group *group = find_group(it, "/info", &key);
  pump_buffer_free(&key);
  if (!group) return say(it, MHD_HTTP_NOT_FOUND, "Not Found: there is no such group");
  pump_page_group(&it->out, group, base_of(it, base));
  return MHD_HTTP_OK;
}

/* ?stopAt=N: only what was parked before that one. */
static bool take_stop(const exchange *it, int64_t *stop_at) {
  const char *text = MHD_lookup_connection_value(it->connection, MHD_GET_ARGUMENT_KIND, "stopAt");
  char *end;
  *stop_at = INT64_MAX;
  if (!text) return true;
  *stop_at = strtoll(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0';
}

static unsigned post_replay(exchange *it) {
  int64_t stop_at;
  pump_buffer key;
  if (!take_stop(it, &stop_at))
    return say(it, MHD_HTTP_BAD_REQUEST, "Bad Request: stopAt is to be a number from 0 on");
  pump_buffer_init(&key);
  pump_kept_group *group = find_group(it, "/replayParked", &key);
  int code = group ? pump_groups_replay(group, stop_at) : 0;
  pump_page_replay(&it->out, it->http->node, group, (pump_bytes){(const char *)key.data, key.size});
  pump_buffer_free(&key);
  if (code != 0)
    return say(it, MHD_HTTP_INTERNAL_SERVER_ERROR, pump_store_error(it->http->node->store));
  return group ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND;
}

/* ---- Finding the page --------------------------------------------------------------------- */

typedef struct page {
  const char *path;
  const char *suffix; /* NULL: the path is all; else something stands between them */
  const char *method;
  unsigned (*answer)(exchange *it);
  enum { ANYBODY, SOMEBODY, MANAGER, ADMIN } who; /* MANAGER: of groups */
  bool is_fault;
} page;

static const page pages[] = {
    {"/gossip", NULL, "GET", get_gossip, ANYBODY, false},
    {"/info", NULL, "GET", get_info, ANYBODY, false},
    {"/ping", NULL, "GET", get_ping, ANYBODY, false},
    {GROUPS, NULL, "GET", get_groups, SOMEBODY, false},
    {GROUPS "/", "/info", "GET", get_group, SOMEBODY, false},
    {GROUPS "/", "/replayParked", "POST", post_replay, MANAGER, false},
    {GROUPS "/", "", "GET", get_stream, SOMEBODY, false},
    {"/faults", NULL, "GET", get_faults, ADMIN, true},
    {"/faults", NULL, "POST", post_faults, ADMIN, true},
    {"/faults/drop", NULL, "POST", post_drop, ADMIN, true},
};

static bool is_at(const page *one, const char *path) {
  if (!one->suffix) return strcmp(one->path, path) == 0;
  size_t before = strlen(one->path), behind = strlen(one->suffix), size = strlen(path);
  return size > before + behind && memcmp(path, one->path, before) == 0 &&
         strcmp(path + size - behind, one->suffix) == 0;
}

/* The first that stands at a path says which page it is; others may be its other methods. */
static bool is_same_page(const page *one, const page *other) {
  return one->suffix == other->suffix && strcmp(one->path, other->path) == 0;
}

/* The right page, or one of its path with another method; NULL: there is no such path. */
static const page *find_page(const char *path, const char *method) {
  const page *found = NULL;
  if (strcmp(method, "HEAD") == 0) method = "GET";
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    if (!is_at(&pages[i], path)) continue;
    if (!found) found = &pages[i];
    if (strcmp(pages[i].method, method) == 0 && is_same_page(found, &pages[i])) return &pages[i];
  }
  return found;
}

static const char *methods_of(const char *path) {
  bool has_get = strcmp(find_page(path, "GET")->method, "GET") == 0;
  bool has_post = strcmp(find_page(path, "POST")->method, "POST") == 0;
  return has_get && has_post ? "GET, HEAD, POST" : has_get ? "GET, HEAD" : "POST";
}

static bool is_method(const page *found, const char *method) {
  return strcmp(found->method, strcmp(method, "HEAD") == 0 ? "GET" : method) == 0;
}

/* Who asks; false: there are credentials, and they are wrong. */
static bool identify(exchange *it, const pump_account **who) {
  char *password = NULL;
  char *name = MHD_basic_auth_get_username_password(it->connection, &password);
  *who = NULL;
  if (name)
    *who = pump_accounts_find(&it->http->node->accounts, pump_bytes_of(name),
                              pump_bytes_of(password ? password : ""));
  MHD_free(name);
  if (password) explicit_bzero(password, strlen(password));
  MHD_free(password);
  return *who || !MHD_lookup_connection_value(it->connection, MHD_HEADER_KIND,
                                              MHD_HTTP_HEADER_AUTHORIZATION);
}

static bool is_for(const exchange *it, const page *found, const pump_account *who) {
  switch (found->who) {
  case ADMIN: return pump_account_is_admin(who);
  case MANAGER: return pump_groups_may_change(it->http->node, who);
  default: return true;
  }
}

static unsigned answer(exchange *it, const char *path, const char *method) {
  const page *found = find_page(path, method);
  const pump_account *who;
  if (!identify(it, &who)) return say(it, MHD_HTTP_UNAUTHORIZED, "Unauthorized");
  if (!found)
    return say(it, MHD_HTTP_NOT_FOUND,
               "Not Found: this node has /gossip, /info, /ping and /subscriptions");
  if (found->is_fault && !it->http->with_faults)
    return say(it, MHD_HTTP_NOT_FOUND,
               "Not Found: faults were not allowed when the node was opened");
  if (!is_method(found, method)) return say(it, MHD_HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
  if (found->who != ANYBODY && !who) return say(it, MHD_HTTP_UNAUTHORIZED, "Unauthorized");
  if (!is_for(it, found, who)) return say(it, MHD_HTTP_FORBIDDEN, "Forbidden");
  it->path = path;
  return found->answer(it);
}

/* ---- Requests ----------------------------------------------------------------------------- */

/* Nothing else that is said here begins like this. */
static bool is_json(const pump_buffer *text) {
  return text->size > 0 && (text->data[0] == '{' || text->data[0] == '[');
}

static enum MHD_Result respond(exchange *it, unsigned status, const char *path) {
  bool is_lost = it->out.failed;
  struct MHD_Response *response =
      is_lost ? NULL
              : MHD_create_response_from_buffer(it->out.size, it->out.data, MHD_RESPMEM_MUST_COPY);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, is_json(&it->out) ? JSON : TEXT);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (status == MHD_HTTP_UNAUTHORIZED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"ES\"");
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, methods_of(path));
  enum MHD_Result result = MHD_queue_response(it->connection, status, response);
  MHD_destroy_response(response);
  return result;
}

static bool is_body_too_large(struct MHD_Connection *connection) {
  const char *size =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return size && strtoull(size, NULL, 10) > MAX_BODY;
}

/* Called with the head of a request, with each part of its body, and when it is complete. */
static enum MHD_Result on_request(void *ud, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **place) {
  (void)version;
  exchange *it = *place;
  if (!it) {
    *place = it = calloc(1, sizeof *it);
    if (!it) return MHD_NO;
    it->http = ud;
    it->connection = connection;
    if (!is_body_too_large(connection)) return MHD_YES;
    return respond(it, say(it, MHD_HTTP_CONTENT_TOO_LARGE, "Content Too Large: 1 MiB at most"),
                   path);
  }
  if (*size == 0) return respond(it, answer(it, path, method), path);
  if (it->body.size + *size > MAX_BODY) return MHD_NO;
  pump_buffer_append(&it->body, data, *size);
  *size = 0;
  return it->body.failed ? MHD_NO : MHD_YES;
}

static void on_done(void *ud, struct MHD_Connection *connection, void **place,
                    enum MHD_RequestTerminationCode why) {
  (void)ud;
  (void)why;
  exchange *it = *place;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  guest *from = info ? info->socket_context : NULL;
  if (from) from->ticks = 0;
  if (!it) return;
  pump_buffer_free(&it->body);
  pump_buffer_free(&it->out);
  free(it);
  *place = NULL;
}

/* ---- Guests ------------------------------------------------------------------------------- */

static void on_guest(void *ud, struct MHD_Connection *connection, void **place,
                     enum MHD_ConnectionNotificationCode what) {
  pump_http *http = ud;
  guest *it = *place;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    *place = it = calloc(1, sizeof *it);
    if (!it) { /* nobody stays without a deadline */
      shutdown(fd_of(connection), SHUT_RDWR);
      return;
    }
    it->fd = fd_of(connection);
    it->next = http->guests;
    if (it->next) it->next->previous = it;
    http->guests = it;
  } else if (it) {
    if (it->previous)
      it->previous->next = it->next;
    else
      http->guests = it->next;
    if (it->next) it->next->previous = it->previous;
    free(it);
  }
  if (what == MHD_CONNECTION_NOTIFY_CLOSED) http->has_left = true;
  pump_node_watch(http->node);
}

bool pump_http_has_guests(const pump_http *http) {
  return http->guests || (http->door && pump_door_has_guests(http->door));
}

void pump_http_tick(pump_http *http) {
  for (guest *it = http->guests; it; it = it->next) {
    /* MHD sees that it has ended, and closes it. */
    if (it->ticks++ == GUEST_TICKS) shutdown(it->fd, SHUT_RDWR);
  }
  if (http->door) pump_door_tick(http->door);
}

/* ---- On the loop -------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void run(pump_http *http) {
  MHD_UNSIGNED_LONG_LONG wait;
  /* Where a guest has left, MHD looks at the door the next time. */
  do {
    http->has_left = false;
    MHD_run(http->daemon);
  } while (http->has_left);
  if (MHD_get_timeout(http->daemon, &wait) == MHD_YES)
    uv_timer_start(&http->timer, on_timer, wait, 0);
  else
    uv_timer_stop(&http->timer);
}

static void on_timer(uv_timer_t *timer) {
  run((pump_http *)(void *)((char *)timer - offsetof(pump_http, timer)));
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  run((pump_http *)(void *)((char *)poll - offsetof(pump_http, poll)));
}

static void on_closed(pump_http *http) {
  pump_node *node = http->node;
  if (--http->open_handles == 0) free(http);
  pump_node_handle_closed(node);
}

static void on_poll_closed(uv_handle_t *handle) {
  on_closed((pump_http *)(void *)((char *)handle - offsetof(pump_http, poll)));
}

static void on_timer_closed(uv_handle_t *handle) {
  on_closed((pump_http *)(void *)((char *)handle - offsetof(pump_http, timer)));
}

static void on_enter(void *ud, int fd) {
  pump_http *http = ud;
  static const struct sockaddr_un nowhere = {.sun_family = AF_UNIX};
  MHD_add_connection(http->daemon, fd, (const struct sockaddr *)&nowhere, sizeof nowhere);
  run(http);
}

void pump_http_close(pump_http *http) {
  if (http->door) pump_door_close(http->door);
  http->door = NULL;
  uv_close((uv_handle_t *)&http->poll, on_poll_closed);
  uv_close((uv_handle_t *)&http->timer, on_timer_closed);
  MHD_stop_daemon(http->daemon);
}

/* fd -1: guests are handed to it. */
static struct MHD_Daemon *start_daemon(pump_http *http, int fd) {
  struct MHD_OptionItem listen[] = {{MHD_OPTION_LISTEN_SOCKET, fd, NULL},
                                    {MHD_OPTION_END, 0, NULL}};
  if (fd < 0) listen[0] = listen[1];
  return MHD_start_daemon(MHD_USE_EPOLL | (fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0), 0, NULL, NULL,
                          on_request, http, MHD_OPTION_ARRAY, listen, MHD_OPTION_CONNECTION_LIMIT,
                          (unsigned)MAX_GUESTS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, GUEST_MEMORY,
                          MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                          MHD_OPTION_NOTIFY_CONNECTION, on_guest, http, MHD_OPTION_NOTIFY_COMPLETED,
                          on_done, http, MHD_OPTION_END);
}

static int make_id(pump_guid *id) {
  if (uv_random(NULL, NULL, id->bytes, sizeof id->bytes, 0, NULL) != 0) return PUMP_ECONNECT;
  pump_guid_stamp(id);
  return 0;
}

int pump_http_open(pump_http **out, pump_node *node, int fd, const pump_node_options *options) {
  pump_http *http = calloc(1, sizeof *http);
  *out = NULL;
  int code = http ? make_id(&http->instance) : PUMP_ENOMEM;
  if (code == 0) code = make_id(&http->epoch);
  if (code == 0 && !(http->daemon = start_daemon(http, node->tls ? -1 : fd))) code = PUMP_ENOMEM;
  if (code != 0) {
    close(fd);
    free(http);
    return code;
  }
  pump_listen_address(fd, http->address);
  http->node = node;
  http->with_faults = options->http_faults;
  int epoll = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  code = uv_poll_init(node->loop, &http->poll, epoll);
  if (code != 0) {
    if (node->tls) close(fd);
    MHD_stop_daemon(http->daemon);
    free(http);
    return PUMP_ECONNECT;
  }
  uv_timer_init(node->loop, &http->timer);
  http->open_handles = 2;
  node->open_handles += 2;
  *out = http;
  if (node->tls) code = pump_door_open(&http->door, node, fd, MAX_GUESTS, on_enter, http);
  if (code != 0) return code;
  if (uv_poll_start(&http->poll, UV_READABLE, on_poll) != 0) return PUMP_ECONNECT;
  return 0;
}

const char *pump_http_address(const pump_http *http) {
  return http->address;
}
