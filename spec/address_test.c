/* A client and a name with several addresses, at some of which somebody accepts and says nothing:
 * each is asked once, and not again before the others. */
#include "tap.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_server.h"
#include "own_names.h"

#include <pump.h>

static uv_loop_t loop;
static fake_server server; /* at 127.0.0.1 */

typedef struct answer {
  int count;
  int status;
  char message[600];
} answer;

static void take(pump_client *client, const pump_result *result, void *ud) {
  answer *to = ud;
  (void)client;
  to->count++;
  to->status = result->status;
  snprintf(to->message, sizeof to->message, "%s", result->message);
}

static int connections;
static void on_connected(pump_client *client, void *ud) {
  (void)client, (void)ud;
  connections++;
}

static void lets_in(fake_server *to, const pump_tcp_frame *frame) {
  fake_handshake(to, frame);
}

/* How many have come to a socket where nobody answers. */
static int came(int fd) {
  int count = 0;
  for (int peer; (peer = accept(fd, NULL, NULL)) >= 0; count++)
    close(peer);
  return count;
}

static int mute_at(const char *address) {
  int port = server.port, fd = listen_at(address, &port, 16);
  if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) abort();
  return fd;
}

static void set_names(const char *first, const char *second, const char *third) {
  addresses[0] = first;
  addresses[1] = second;
  addresses[2] = third;
}

static bool is_secure;

static pump_client *begin(answer *connected, uint64_t connect_timeout) {
  pump_options options;
  pump_client *client;
  pump_options_init(&options);
  options.host = "some.name";
  options.tls.enable = is_secure;
  options.port = server.port;
  options.connect_timeout = connect_timeout;
  options.reconnect_delay = 10;
  connections = 0;
  *connected = (answer){0};
  if (pump_client_new(&client, &loop, &options) != 0) abort();
  pump_client_on_connected(client, on_connected, NULL);
  if (pump_client_connect(client, take, connected) != 0) abort();
  fake_until(&loop, &connected->count, 1);
  return client;
}

static void end(pump_client *client) {
  pump_client_close(client, NULL, NULL);
  fake_stop(&server);
  uv_run(&loop, UV_RUN_DEFAULT);
}

static void start(void) {
  fake_start(&server, &loop);
  server.on_frame = lets_in;
}

static void the_first_is_silent(void) {
  answer connected;
  start();
  int mute = mute_at("127.0.0.2");
  set_names("127.0.0.2", "127.0.0.1", NULL);
  pump_client *client = begin(&connected, 2000);
  tap_ok(connected.count == 1 && connected.status == 0 && came(mute) == 1,
         "where the first says nothing the second is tried in time (%s)", connected.message);
  fake_hang_up(&server);
  tap_ok(fake_until(&loop, &connections, 2) && came(mute) == 0,
         "and it is the first to be tried when the connection is lost");
  close(mute);
  end(client);
}

static void two_are_silent(void) {
  answer connected;
  start();
  int mute = mute_at("127.0.0.2"), other = mute_at("127.0.0.3");
  set_names("127.0.0.1", NULL, NULL);
  pump_client *client = begin(&connected, 1000);
  set_names("127.0.0.2", "127.0.0.3", "127.0.0.1");
  fake_hang_up(&server);
  tap_ok(fake_until(&loop, &connections, 2) && came(mute) == 1 && came(other) == 1,
         "two that say nothing are asked once, and the next attempt begins behind them");
  close(mute);
  close(other);
  end(client);
}

static void all_are_silent(void) {
  answer connected;
  start();
  int mute = mute_at("127.0.0.2"), other = mute_at("127.0.0.3");
  set_names("127.0.0.2", "127.0.0.3", NULL);
  pump_client *client = begin(&connected, 1000);
  tap_ok(connected.status == (is_secure ? PUMP_ETLS : PUMP_ETIMEOUT) && came(mute) == 1 &&
             came(other) == 1,
         "where all say nothing each was asked when the time is over (%s)", connected.message);
  close(mute);
  close(other);
  end(client);
}

int main(void) {
  uv_loop_init(&loop);
  the_first_is_silent();
  two_are_silent();
  all_are_silent();
  is_secure = true;
  all_are_silent();
  uv_loop_close(&loop);
  return tap_done();
}
