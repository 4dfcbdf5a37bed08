/* The node's HTTP port: its pages held against recorded ones, line by line, and guests that
 * misbehave. */
#include "tap.h"

#include "base/buffer.h"
#include "node/pages.h"
#include "node_child.h"
#include "page_form.h"

static int port;

/* ---- Pages -------------------------------------------------------------------------------- */

static bool read_file(const char *path, char *to, size_t room) {
  FILE *file = fopen(path, "r");
  if (!file) return false;
  to[fread(to, 1, room - 1, file)] = '\0';
  fclose(file);
  return true;
}

static bool is_like(const char *path, pump_buffer *page) {
  char recorded[4096];
  return read_file(path, recorded, sizeof recorded) &&
         page_has_form(path, recorded, pump_buffer_string(page));
}

static void test_pages(void) {
  pump_self self = {.tcp_host = "127.0.0.1", .http_host = "127.0.0.1", .tcp_port = 1113};
  pump_buffer page;
  pump_buffer_init(&page);
  for (pump_like like = PUMP_LIKE_4; like <= PUMP_LIKE_23; like++) {
    const char *version = like == PUMP_LIKE_4 ? "4.1.4" : like == PUMP_LIKE_5 ? "5.0.8" : "23.10.6";
    char path[64];
    self.like = like;
    pump_buffer_clear(&page);
    pump_page_gossip(&page, &self);
    snprintf(path, sizeof path, "spec/recorded/%s/gossip-single.json", version);
    tap_ok(is_like(path, &page), "gossip has the form that %s gives it", version);
    pump_buffer_clear(&page);
    pump_page_info(&page, like);
    if (like == PUMP_LIKE_23)
      continue; /* what is recorded is one that asks nobody for a password */
    snprintf(path, sizeof path, "spec/recorded/%s/info.json", version);
    tap_ok(is_like(path, &page), "info is that of %s", version);
  }
  pump_buffer_free(&page);
}

/* ---- Guests ------------------------------------------------------------------------------- */

static int come(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct timeval patience = {.tv_sec = 20};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
  return fd;
}

static void say(int fd, const char *text) {
  if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) return;
}

/* The status of the answer, 0 where the connection ended without one. */
static int status_of(int fd) {
  char head[2048] = "";
  ssize_t got = recv(fd, head, sizeof head - 1, 0);
  return got > 12 && strncmp(head, "HTTP/1.1 ", 9) == 0 ? atoi(head + 9) : 0;
}

static bool has_ended(int fd) {
  char rest[4096];
  for (;;) {
    ssize_t got = recv(fd, rest, sizeof rest, 0);
    if (got <= 0) return got == 0 || errno == ECONNRESET;
  }
}

static int ask(const char *request) {
  int fd = come();
  say(fd, request);
  int status = status_of(fd);
  close(fd);
  return status;
}

#define GET_PING "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_requests(void) {
  tap_ok(ask(GET_PING) == 200, "a guest is answered");
  tap_ok(ask("GET /ping HTTP/1.1\r\n\r\n") == 400, "HTTP/1.1 without a host is none");
  tap_ok(ask("\x16\x03\x01 rubbish\r\n\r\n") != 200, "rubbish gets nowhere");
  tap_ok(ask("BREW /ping HTTP/1.1\r\nHost: x\r\n\r\n") == 405, "a method that there isn't");
  tap_ok(ask("GET /%00/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n") == 404, "a path that isn't");
  tap_ok(ask("POST /faults HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n") == 413,
         "a body that is too large is refused before it comes");
  char *large = malloc(40000);
  memset(large, 'x', 40000);
  memcpy(large, "GET /ping HTTP/1.1\r\nHost: x\r\nX: ", 32);
  memcpy(large + 39995, "\r\n\r\n", 5);
  int status = ask(large);
  free(large);
  tap_ok(status != 200, "a head that is too large is refused (%d)", status);
  int fd = come();
  say(fd, GET_PING GET_PING "GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  char all[4096] = "";
  size_t size = 0;
  for (ssize_t got; (got = recv(fd, all + size, sizeof all - 1 - size, 0)) > 0;)
    size += (size_t)got;
  close(fd);
  char *last = strstr(all, "esVersion");
  tap_ok(last && strstr(all, "handled") < last, "three requests at once get three answers");
}

/* As many as there may be, who say nothing; and more at the door. */
#define MANY 120

static void test_time(void) {
  int idle = come(), half = come(), slow = come(), again = come(), many[MANY];
  say(half, "GET /ping HT");
  say(again, GET_PING);
  tap_ok(status_of(again) == 200, "a guest may stay for another request");
  tap_ok(ask(GET_PING) == 200, "others are answered meanwhile");
  for (int i = 0; i < MANY; i++)
    many[i] = come();
  int late = come();
  say(late, GET_PING);
  uint64_t before = uv_hrtime();
  for (int i = 0; i < 24; i++) {
    say(slow, "G");
    usleep(500 * 1000);
  }
  tap_ok(has_ended(idle), "who says nothing has to go");
  tap_ok(has_ended(half), "and who says half of it");
  tap_ok(has_ended(slow), "and who takes half a second for each byte");
  tap_ok(has_ended(again), "and who stays without asking");
  tap_ok(status_of(late) == 200, "then those at the door are answered");
  tap_ok(uv_hrtime() - before < UINT64_C(20000000000), "all within a moment");
  close(idle);
  close(half);
  close(slow);
  close(again);
  close(late);
  for (int i = 0; i < MANY; i++)
    close(many[i]);
}

int main(void) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.listen = options.http = "127.0.0.1:0";
  test_pages();
  node_child child = node_child_start(&options);
  port = child.http_port;
  if (!tap_ok(child.port && port, "a node has HTTP beside TCP")) return tap_done();
  test_requests();
  test_time();
  int fd = come(), unread = come();
  say(fd, "GET /ping HT");
  say(unread, GET_PING);
  tap_ok(ask(GET_PING) == 200, "the node lives");
  tap_ok(node_child_stop(&child), "and ends in order, guests or not");
  close(fd);
  close(unread);
  return tap_done();
}
