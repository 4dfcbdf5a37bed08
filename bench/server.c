/* The canned server: answers what a benchmark asks with replies that were encoded before, so that
 * it never is the bottleneck. Says its port on standard output. One process a connection, blocking
 * sockets, one write for all that came in one read. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "canned.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"

typedef struct peer {
  int fd;
  pump_tcp_reader reader;
  pump_buffer output;
  canned_page stream, all;
  int64_t written; /* events */
} peer;

static void send_all(int fd, const void *data, size_t size) {
  const char *at = data;
  while (size > 0) {
    ssize_t sent = write(fd, at, size);
    if (sent <= 0) exit(0);
    at += sent;
    size -= (size_t)sent;
  }
}

static void flush(peer *to) {
  send_all(to->fd, to->output.data, to->output.size);
  pump_buffer_clear(&to->output);
}

static void reply(peer *to, uint8_t command, const pump_tcp_frame *frame, pump_bytes body) {
  pump_bytes none = {0};
  pump_tcp_frame_write(&to->output, command, &frame->correlation, none, none, body);
}

/* The page is sent from where it is: nothing is copied but by the kernel. */
static void read_page(peer *to, const pump_tcp_frame *frame, bool is_all) {
  pump_pb_cursor cursor = pump_pb_start(frame->payload);
  pump_pb_field field;
  pump_bytes stream = {0};
  int64_t from = 0;
  size_t count = CANNED_PAGE;
  while (pump_pb_next(&cursor, &field)) {
    if (field.number == 1 && field.type == 2) stream = field.bytes;
    if (field.number == (is_all ? 1 : 2)) from = (int64_t)field.value;
    if (field.number == 3 && field.value <= PUMP_MAX_PAGE) count = (size_t)field.value;
  }
  canned_page *page = is_all ? &to->all : &to->stream;
  if (page->count != count) {
    free(page->numbers);
    free(page->positions);
    pump_buffer_free(&page->frame);
    canned_page_init(page, is_all ? pump_bytes_of("bench") : stream, count, is_all);
  }
  canned_page_turn(page, &frame->correlation, from, canned_length(stream));
  flush(to);
  send_all(to->fd, page->frame.data, page->frame.size);
}

static void write_events(peer *to, const pump_tcp_frame *frame) {
  uint8_t body[80], *at = body;
  int64_t first = FIRST_NUMBER + to->written++;
  at = pump_pb_put_number(at, 1, 0);
  at = pump_pb_put_number(at, 3, (uint64_t)first);
  at = pump_pb_put_number(at, 4, (uint64_t)first);
  at = pump_pb_put_number(at, 5, (uint64_t)(FIRST_POSITION + first));
  at = pump_pb_put_number(at, 6, (uint64_t)(FIRST_POSITION + first));
  reply(to, PUMP_TCP_WRITE_EVENTS_COMPLETED, frame,
        (pump_bytes){(const char *)body, (size_t)(at - body)});
}

static void answer(peer *to, const pump_tcp_frame *frame) {
  pump_bytes none = {0};
  switch (frame->command) {
  case PUMP_TCP_HEARTBEAT_REQUEST: reply(to, PUMP_TCP_HEARTBEAT_RESPONSE, frame, none); break;
  case PUMP_TCP_PING: reply(to, PUMP_TCP_PONG, frame, none); break;
  case PUMP_TCP_AUTHENTICATE: reply(to, PUMP_TCP_AUTHENTICATED, frame, none); break;
  case PUMP_TCP_IDENTIFY_CLIENT: reply(to, PUMP_TCP_CLIENT_IDENTIFIED, frame, none); break;
  case PUMP_TCP_WRITE_EVENTS: write_events(to, frame); break;
  case PUMP_TCP_READ_STREAM_FORWARD: read_page(to, frame, false); break;
  case PUMP_TCP_READ_ALL_FORWARD: read_page(to, frame, true); break;
  default: break;
  }
}

static void serve(int fd) {
  peer to = {.fd = fd};
  pump_tcp_reader_init(&to.reader, PUMP_MAX_FRAME);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (;;) {
    uint8_t *space;
    size_t size;
    if (pump_tcp_reader_space(&to.reader, &space, &size) != 0) exit(1);
    ssize_t came = read(fd, space, size);
    if (came <= 0) exit(0);
    pump_tcp_reader_filled(&to.reader, (size_t)came);
    pump_tcp_frame frame;
    while (pump_tcp_reader_next(&to.reader, &frame) == 1)
      answer(&to, &frame);
    flush(&to);
  }
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  signal(SIGCHLD, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 100) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
    perror("bench/server");
    return 1;
  }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0 && fork() == 0) {
      close(listener);
      serve(fd);
    }
    close(fd);
  }
}
