/* A client and a node that speak TLS, and between them a relay that passes bytes on in pieces and
 * cuts the connection after so many of them, once. */
#include "tap.h"

#include <pump.h>
#include <pump_node.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LARGE ((size_t)3 * 1024 * 1024)

static char folder[] = "/tmp/tls_cut_test.XXXXXX", ca[64], cert[64], key[64];
static uv_loop_t loop;
static pump_node *node;
static int node_port;

/* ---- The relay ---------------------------------------------------------------------------- */

typedef struct side {
  uv_tcp_t tcp; /* first */
  struct side *other;
  bool is_server;
} side;

static struct {
  uv_tcp_t listener;
  uv_connect_t connect;
  int port;
  size_t piece;  /* passed on at once */
  size_t cut_at; /* bytes, both ways together */
  size_t passed;
  bool is_cut_by_reset;
} relay;

typedef struct passing {
  uv_write_t write; /* first */
  char bytes[64 * 1024];
} passing;

static void on_side_closed(uv_handle_t *handle) {
  free(handle);
}

static void close_sides(side *one) {
  side *both[] = {one, one->other};
  for (int i = 0; i < 2; i++) {
    if (uv_is_closing((uv_handle_t *)both[i])) continue;
    if (!relay.is_cut_by_reset || uv_tcp_close_reset(&both[i]->tcp, on_side_closed) != 0)
      uv_close((uv_handle_t *)both[i], on_side_closed);
  }
}

static void on_passed(uv_write_t *write, int status) {
  (void)status;
  free(write);
}

static void pass(side *from, const char *bytes, size_t size) {
  while (size > 0 && !uv_is_closing((uv_handle_t *)from)) {
    size_t piece = size < relay.piece ? size : relay.piece;
    if (piece > relay.cut_at - relay.passed) piece = relay.cut_at - relay.passed;
    relay.passed += piece;
    passing *it = malloc(sizeof *it);
    memcpy(it->bytes, bytes, piece);
    uv_buf_t buffer = uv_buf_init(it->bytes, (unsigned)piece);
    uv_write(&it->write, (uv_stream_t *)from->other, &buffer, 1, on_passed);
    if (relay.passed >= relay.cut_at) {
      close_sides(from);
      relay.cut_at = SIZE_MAX;
    }
    bytes += piece;
    size -= piece;
  }
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  static char bytes[64 * 1024];
  (void)handle, (void)suggested;
  *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  side *from = (side *)stream;
  if (size < 0)
    close_sides(from);
  else
    pass(from, buffer->base, (size_t)size);
}

static void on_reached(uv_connect_t *connect, int status) {
  side *server = (side *)connect->handle;
  if (status != 0) {
    close_sides(server);
    return;
  }
  uv_read_start((uv_stream_t *)server, on_space, on_read);
  uv_read_start((uv_stream_t *)server->other, on_space, on_read);
}

static void on_guest(uv_stream_t *listener, int status) {
  struct sockaddr_in address;
  side *client = calloc(1, sizeof *client), *server = calloc(1, sizeof *server);
  (void)status;
  client->other = server;
  server->other = client;
  uv_tcp_init(&loop, &client->tcp);
  uv_tcp_init(&loop, &server->tcp);
  uv_accept(listener, (uv_stream_t *)client);
  uv_tcp_nodelay(&client->tcp, 1);
  uv_ip4_addr("127.0.0.1", node_port, &address);
  uv_tcp_connect(&relay.connect, &server->tcp, (const struct sockaddr *)&address, on_reached);
}

static void open_relay(void) {
  struct sockaddr_in address;
  int size = sizeof address;
  uv_tcp_init(&loop, &relay.listener);
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_bind(&relay.listener, (const struct sockaddr *)&address, 0);
  uv_listen((uv_stream_t *)&relay.listener, 8, on_guest);
  uv_tcp_getsockname(&relay.listener, (struct sockaddr *)&address, &size);
  relay.port = ntohs(address.sin_port);
}

/* ---- The client --------------------------------------------------------------------------- */

static unsigned attempts; /* to connect again */

typedef struct visit {
  int connects, appends, reads, losses;
  int status; /* of what failed first */
  bool is_large;
  bool is_right;
  bool is_closed;
  char message[600];
} visit;

static char large[LARGE];

static void on_closed(void *ud) {
  ((visit *)ud)->is_closed = true;
}

static void note(visit *to, const pump_result *result) {
  if (result->status == 0 || to->status != 0) return;
  to->status = result->status;
  snprintf(to->message, sizeof to->message, "%s", result->message);
}

static void on_read_event(pump_client *client, const pump_result *result, void *ud) {
  visit *to = ud;
  to->reads++;
  note(to, result);
  if (result->status == 0) {
    pump_bytes data = result->page->events[0].record->data;
    to->is_right =
        data.size == (to->is_large ? LARGE : 5) && memcmp(data.data, large, data.size) == 0;
  }
  pump_client_close(client, on_closed, to);
}

static void on_append(pump_client *client, const pump_result *result, void *ud) {
  visit *to = ud;
  (void)client;
  to->appends++;
  note(to, result);
}

static void on_connect(pump_client *client, const pump_result *result, void *ud) {
  visit *to = ud;
  to->connects++;
  note(to, result);
  if (result->status != 0) {
    pump_client_close(client, on_closed, to);
    return;
  }
  pump_bytes stream = {"cut", 3}, data = {large, to->is_large ? LARGE : 5};
  pump_new_event event = {.type = stream, .data = data};
  pump_client_append(client, stream, PUMP_ANY, &event, 1, NULL, on_append, to);
  pump_client_read_event(client, stream, PUMP_END, false, NULL, on_read_event, to);
}

static visit go(size_t piece, size_t cut_at, bool is_large) {
  visit it = {.is_large = is_large};
  pump_client *client;
  pump_options options;
  pump_options_init(&options);
  options.port = relay.port;
  options.reconnect_attempts = attempts;
  options.reconnect_delay = 1;
  options.username = "admin";
  options.password = "changeit";
  options.tls.enable = true;
  options.tls.ca = ca;
  relay.piece = piece;
  relay.cut_at = cut_at;
  relay.passed = 0;
  pump_client_new(&client, &loop, &options);
  pump_client_connect(client, on_connect, &it);
  while (!it.is_closed && uv_run(&loop, UV_RUN_ONCE))
    ;
  return it;
}

/* ---- The tests ---------------------------------------------------------------------------- */

static void test_pieces(void) {
  static const size_t pieces[] = {1, 13, 1000, 64 * 1024};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    visit it = go(pieces[i], SIZE_MAX, pieces[i] >= 1000);
    tap_ok(it.status == 0 && it.is_right, "through a relay that passes on %zu at once: %s",
           pieces[i], it.message);
  }
}

static bool is_code_of_a_cut(const visit *it) {
  return it->status == PUMP_ECONNECT || it->status == PUMP_ECLOSED;
}

static void test_cuts(bool is_reset) {
  go(64 * 1024, SIZE_MAX, false);
  size_t all = relay.passed, cuts = 0, failed = 0, answered = 0;
  relay.is_cut_by_reset = is_reset;
  for (size_t at = 1; at < all; at += 3, cuts++) {
    visit it = go(64 * 1024, at, false);
    failed += is_code_of_a_cut(&it) && !strchr(it.message, '\n');
    answered += it.connects == 1 && it.appends == it.reads && it.appends <= 1;
  }
  relay.is_cut_by_reset = false;
  /* The goodbye stands at the end: cut there, all was well. */
  tap_ok(cuts > 300 && failed + 20 > cuts && answered == cuts,
         "%s at %zu of %zu bytes: %zu fail, all are answered once", is_reset ? "reset" : "cut",
         cuts, all, failed);
}

static void test_large_cuts(void) {
  size_t failed = 0;
  for (int i = 1; i <= 12; i++) {
    visit it = go(64 * 1024, (size_t)i * LARGE / 7, true);
    failed += is_code_of_a_cut(&it) && it.appends == 1 && it.reads == 1;
  }
  tap_ok(failed == 12, "cut in the middle of something large");
}

/* Where somebody connects again, nobody notices but who was just connecting for the first time. */
static void test_returns(void) {
  go(64 * 1024, SIZE_MAX, false);
  size_t all = relay.passed, cuts = 0, right = 0, failed = 0;
  attempts = PUMP_NO_LIMIT;
  for (size_t at = 1; at < all; at += 3, cuts++) {
    visit it = go(64 * 1024, at, false);
    bool was_connected = it.appends == 1 && it.reads == 1 && it.connects == 1;
    if (was_connected)
      right += it.status == 0 && it.is_right;
    else
      failed += is_code_of_a_cut(&it);
  }
  attempts = 0;
  tap_ok(right + failed == cuts && right > 50,
         "cut at %zu of %zu bytes and connected again, %zu talks come to their end", cuts, all,
         right);
}

static void on_node_closed(void *ud) {
  *(bool *)ud = true;
}

int main(void) {
  char command[256], error[512];
  signal(SIGPIPE, SIG_IGN); /* what is cut may be written to */
  if (!mkdtemp(folder)) return 1;
  snprintf(command, sizeof command, "sh spec/certificates.sh %s", folder);
  if (!tap_ok(system(command) == 0, "certificates can be made")) return tap_done();
  snprintf(ca, sizeof ca, "%s/ca.pem", folder);
  snprintf(cert, sizeof cert, "%s/good.pem", folder);
  snprintf(key, sizeof key, "%s/good.key", folder);
  memset(large, 'x', sizeof large);
  signal(SIGPIPE, SIG_IGN); /* the relay's writes */
  uv_loop_init(&loop);
  pump_node_options options;
  pump_node_options_init(&options);
  options.listen = "127.0.0.1:0";
  options.tls_cert = cert;
  options.tls_key = key;
  if (pump_node_new(&node, &loop, &options, error, sizeof error) != 0) {
    tap_ok(false, "a node: %s", error);
    return tap_done();
  }
  node_port = atoi(strrchr(pump_node_address(node), ':') + 1);
  open_relay();
  test_pieces();
  test_cuts(false);
  test_cuts(true);
  test_large_cuts();
  test_returns();
  bool is_closed = false;
  pump_node_close(node, on_node_closed, &is_closed);
  uv_close((uv_handle_t *)&relay.listener, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  tap_ok(is_closed && uv_loop_close(&loop) == 0, "closing leaves nothing open");
  snprintf(command, sizeof command, "rm -r %s", folder);
  tap_ok(system(command) == 0, "nothing is left behind");
  return tap_done();
}
