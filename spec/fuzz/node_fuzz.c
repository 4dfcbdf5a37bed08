/* Fuzzer of the embedded node: what a hostile peer may send. The input is a row of (command, how,
 * size of two bytes, bytes): a frame, a frame with credentials, or bare bytes. Whatever the node
 * answers is made of good frames, and another peer gets its pong all the while. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <pump_node.h>
#include "base/bytes.h"
#include "wire/tcp/command.h"
#include "wire/tcp/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOGIN = 1, BARE = 2, WRONG_LOGIN = 4, TRUSTED = 8 };

static uv_loop_t loop;
static pump_node *node;

static void must(bool holds) {
  if (!holds) abort();
}

static void run(void) {
  for (int i = 0; i < 3; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* Takes in what the node said; false when it has ended the connection. */
static bool drain(int fd, pump_tcp_reader *reader, unsigned *pongs) {
  for (;;) {
    uint8_t *to;
    size_t room;
    must(pump_tcp_reader_space(reader, &to, &room) == 0);
    ssize_t got = recv(fd, to, room, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return true;
    pump_tcp_reader_filled(reader, (size_t)got);
    pump_tcp_frame frame;
    int code;
    while ((code = pump_tcp_reader_next(reader, &frame)) == 1)
      *pongs += frame.command == PUMP_TCP_PONG;
    must(code == 0);
  }
}

static void put(pump_buffer *out, const uint8_t *row, size_t size) {
  static const pump_tcp_correlation id = {{1, 2, 3}};
  uint8_t how = row[1];
  pump_bytes body = {(const char *)row + 4, size};
  if (how & BARE) {
    pump_buffer_append(out, body.data, body.size);
    return;
  }
  size_t mark = out->size;
  const char *login = how & LOGIN ? "ops" : NULL;
  pump_tcp_frame_write(out, row[0], &id, pump_bytes_of(login),
                       pump_bytes_of(how & WRONG_LOGIN ? "x" : "changeit"), body);
  if (how & TRUSTED) out->data[mark + 5] |= PUMP_TCP_FLAG_TRUSTED;
}

static void send_all(int fd, pump_buffer *out) {
  size_t sent = 0;
  while (sent < out->size) {
    ssize_t now = send(fd, out->data + sent, out->size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (now <= 0) break;
    sent += (size_t)now;
    run();
  }
  pump_buffer_clear(out);
}

static void attack(int fd, const uint8_t *data, size_t size) {
  pump_tcp_reader reader;
  pump_buffer out = {0};
  unsigned pongs = 0;
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  bool is_open = true;
  while (is_open && size > 4) {
    size_t length = (size_t)data[2] | (size_t)data[3] << 8;
    if (length > size - 4) length = size - 4;
    put(&out, data, length);
    data += 4 + length;
    size -= 4 + length;
    if (size % 3 == 0) continue; /* some of them together */
    send_all(fd, &out);
    run();
    is_open = drain(fd, &reader, &pongs);
  }
  send_all(fd, &out);
  run();
  drain(fd, &reader, &pongs);
  pump_tcp_reader_free(&reader);
  pump_buffer_free(&out);
}

static void ping(int fd) {
  pump_tcp_reader reader;
  pump_buffer out = {0};
  unsigned pongs = 0;
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  pump_tcp_frame_write(&out, PUMP_TCP_PING, &(pump_tcp_correlation){{9}}, (pump_bytes){0},
                       (pump_bytes){0}, (pump_bytes){0});
  send_all(fd, &out);
  run();
  must(drain(fd, &reader, &pongs) && pongs == 1);
  pump_tcp_reader_free(&reader);
  pump_buffer_free(&out);
}

static void open_node(const char *file) {
  char error[256];
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = file;
  options.sync_normal = true;
  uv_loop_init(&loop);
  must(pump_node_new(&node, &loop, &options, error, sizeof error) == 0);
}

static void close_node(void) {
  pump_node_close(node, NULL, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  must(uv_loop_close(&loop) == 0);
}

/* A new store takes longer to make than an input to be tried: each has a copy of one. */
static const char *fresh_store(void) {
  static char fresh[64], file[64], bytes[1 << 20];
  static size_t size;
  if (size == 0) {
    snprintf(fresh, sizeof fresh, "/dev/shm/pump-fuzz-%d-fresh", (int)getpid());
    snprintf(file, sizeof file, "/dev/shm/pump-fuzz-%d", (int)getpid());
    open_node(fresh);
    close_node();
    int from = open(fresh, O_RDONLY);
    size = (size_t)read(from, bytes, sizeof bytes);
    close(from);
    unlink(fresh);
    must(size > 0 && size < sizeof bytes);
  }
  int to = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  must(write(to, bytes, size) == (ssize_t)size);
  close(to);
  return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int attacker = -1, other = -1;
  const char *file = fresh_store();
  open_node(file);
  must(pump_node_opener(node, &attacker) == 0 && pump_node_opener(node, &other) == 0);
  attack(attacker, data, size);
  ping(other);
  close(attacker);
  close(other);
  close_node();
  unlink(file);
  return 0;
}
