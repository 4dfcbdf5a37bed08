/* The floor under a client: the same requests, the same bytes, the same kind of socket, and nothing
 * done with the answers but finding where frames end.
 *
 *   floor PORT read|all|publish|single|ping EVENTS [IN_FLIGHT] */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "canned.h"
#include "measure.h"
#include "wire/tcp/command.h"

#define WARM_UP 20 /* pages or batches */

static int fd;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(const pump_buffer *buffer) {
  const uint8_t *at = buffer->data;
  size_t left = buffer->size;
  while (left > 0) {
    ssize_t sent = write(fd, at, left);
    if (sent <= 0) die("bench/floor: write");
    at += sent;
    left -= (size_t)sent;
  }
}

/* Reads and returns how many frames ended in what came. */
static size_t receive(void) {
  static uint8_t space[256 * 1024];
  static uint8_t head[PUMP_TCP_LENGTH_SIZE];
  static size_t have, left; /* of a length that is not whole; of a frame that is not */
  ssize_t came = read(fd, space, sizeof space);
  if (came <= 0) die("bench/floor: read");
  size_t frames = 0;
  for (size_t at = 0, end = (size_t)came; at < end;) {
    if (left == 0) {
      head[have++] = space[at++];
      if (have < sizeof head) continue;
      left = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
      have = 0;
      continue;
    }
    size_t step = left < end - at ? left : end - at;
    at += step;
    left -= step;
    frames += left == 0;
  }
  return frames;
}

/* Pages, so many of them asked for at once. */
static void read_pages(bool is_all, size_t in_flight, long long events) {
  pump_buffer request = {0};
  size_t place = canned_read(&request, pump_bytes_of("bench-200000000"), CANNED_PAGE, is_all);
  measure start = measure_now();
  long long warm_up = (long long)in_flight + WARM_UP;
  long long wanted = events / CANNED_PAGE + warm_up, sent = 0, came = 0;
  while (came < wanted) {
    for (; sent < wanted && sent - came < (long long)in_flight; sent++) {
      int64_t first = sent * CANNED_PAGE;
      if (is_all)
        canned_patch_position(request.data + place, FIRST_POSITION + first * POSITION_STEP);
      else
        canned_patch_number(request.data + place, FIRST_NUMBER + first);
      send_all(&request);
    }
    long long before = came;
    came += (long long)receive();
    if (before < warm_up && came >= warm_up) start = measure_now();
  }
  measure_say(start, (wanted - warm_up) * CANNED_PAGE);
}

/* Batches of so many events, so many of them without an answer. */
static void write_batches(size_t batch, size_t in_flight, long long events) {
  pump_buffer request = {0};
  canned_write(&request, pump_bytes_of("bench-write"), batch);
  measure start = measure_now();
  long long batches = events / (long long)batch, warm_up = (long long)in_flight + WARM_UP;
  long long sent = 0, answered = 0;
  while (answered < batches + warm_up) {
    for (; sent < batches + warm_up && sent - answered < (long long)in_flight; sent++)
      send_all(&request);
    long long before = answered;
    answered += (long long)receive();
    if (before < warm_up && answered >= warm_up) start = measure_now();
  }
  measure_say(start, batches * (long long)batch);
}

/* Single events as a client with a window sends them: all that may go out goes in one write. */
static void write_singles(size_t in_flight, long long events) {
  pump_buffer one = {0}, many = {0};
  canned_write(&one, pump_bytes_of("bench-write"), 1);
  for (size_t i = 0; i < in_flight; i++)
    pump_buffer_append(&many, one.data, one.size);
  measure start = measure_now();
  long long warm_up = (long long)in_flight + WARM_UP, wanted = events + warm_up;
  long long sent = 0, answered = 0;
  while (answered < wanted) {
    long long now = (long long)in_flight - (sent - answered);
    if (now > wanted - sent) now = wanted - sent;
    pump_buffer part = {.data = many.data, .size = one.size * (size_t)now};
    send_all(&part);
    sent += now;
    long long before = answered;
    answered += (long long)receive();
    if (before < warm_up && answered >= warm_up) start = measure_now();
  }
  measure_say(start, events);
}

static void bounce(long long count) {
  static const pump_tcp_correlation somebody = {"a benchmark's id"};
  pump_bytes none = {0};
  pump_buffer request = {0};
  pump_tcp_frame_write(&request, PUMP_TCP_PING, &somebody, none, none, none);
  double *trips = calloc((size_t)count + 1, sizeof *trips);
  measure start = measure_now();
  for (long long i = -1000; i < count; i++) {
    if (i == 0) start = measure_now();
    double before = measure_wall();
    send_all(&request);
    while (receive() == 0) {
    }
    if (i >= 0) trips[i] = measure_wall() - before;
  }
  measure_say_trips(start, trips, (size_t)count);
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)atoi(arguments[1]))};
  fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bench/floor: connect");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const char *what = arguments[2];
  long long events = atoll(arguments[3]);
  bool is_read = strcmp(what, "read") == 0 || strcmp(what, "all") == 0;
  size_t in_flight = count > 4 ? (size_t)atoll(arguments[4]) : is_read ? 1 : 4;
  if (is_read) read_pages(*what == 'a', in_flight, events);
  if (strcmp(what, "publish") == 0) write_batches(CANNED_PAGE, in_flight, events);
  if (strcmp(what, "single") == 0) write_singles(in_flight, events);
  if (strcmp(what, "ping") == 0) bounce(events);
  return 0;
}
