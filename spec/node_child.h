/* A node in a process of its own, and a plain blocking socket to it: specs of the node know
 * nothing of the client, and may kill what they test. */
#ifndef SPEC_NODE_CHILD_H
#define SPEC_NODE_CHILD_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <pump_node.h>
#include "base/bytes.h"
#include "wire/tcp/command.h"
#include "wire/tcp/frame.h"
#include "slow.h"

#define PEER_PATIENCE 30 /* s in which an answer is there, however busy the machine is */

typedef struct node_child {
  pid_t pid;
  int control; /* closing it ends the child in order */
  int port;
  int http_port; /* 0 without HTTP */
} node_child;

/* What a child may be told while it runs. */
typedef struct node_order {
  pump_node_faults faults;
  char leader[32]; /* what faults.leader is to point to; "": NULL */
  bool drops;      /* every connection that there is */
} node_order;

static pump_node *child_node;

static void child_obey(uv_poll_t *control, int status, int events) {
  node_order order;
  int fd;
  (void)status;
  (void)events;
  uv_fileno((uv_handle_t *)control, &fd);
  if (read(fd, &order, sizeof order) == sizeof order) {
    order.faults.leader = order.leader[0] ? order.leader : NULL;
    pump_node_set_faults(child_node, &order.faults);
    if (order.drops) pump_node_drop_connections(child_node);
    return;
  }
  uv_close((uv_handle_t *)control, NULL);
  pump_node_close(child_node, NULL, NULL);
}

static inline int child_port_of(const char *address) {
  return address ? atoi(strrchr(address, ':') + 1) : 0;
}

static inline void child_run(const pump_node_options *options, int control, int report) {
  uv_loop_t loop;
  uv_poll_t poll_control;
  char error[256] = "";
  int ports[2] = {0, 0};
  signal(SIGPIPE, SIG_IGN); /* as every program on libuv has to */
  uv_loop_init(&loop);
  if (pump_node_new(&child_node, &loop, options, error, sizeof error) == 0) {
    ports[0] = child_port_of(pump_node_address(child_node));
    ports[1] = child_port_of(pump_node_http_address(child_node));
  } else {
    fprintf(stderr, "# %s\n", error);
  }
  if (write(report, ports, sizeof ports) != sizeof ports || ports[0] == 0) _exit(1);
  close(report);
  uv_poll_init(&loop, &poll_control, control);
  uv_poll_start(&poll_control, UV_READABLE | UV_DISCONNECT, child_obey);
  uv_run(&loop, UV_RUN_DEFAULT);
  exit(uv_loop_close(&loop) == 0 ? 0 : 2);
}

/* port is 0 where it could not start. */
static inline node_child node_child_start(const pump_node_options *options) {
  int control[2], report[2];
  node_child child = {0};
  if (pipe(control) != 0 || pipe(report) != 0) abort();
  fflush(stdout);
  child.pid = fork();
  if (child.pid == 0) {
    /* A connection of the parent would not end while a child has a copy of it. */
    for (int fd = 3; fd < 1024; fd++)
      if (fd != control[0] && fd != report[1]) close(fd);
    child_run(options, control[0], report[1]);
  }
  close(control[0]);
  close(report[1]);
  child.control = control[1];
  int ports[2] = {0, 0};
  if (read(report[0], ports, sizeof ports) == sizeof ports) {
    child.port = ports[0];
    child.http_port = ports[1];
  }
  close(report[0]);
  return child;
}

static inline void node_child_tell(const node_child *child, const node_order *order) {
  if (write(child->control, order, sizeof *order) != sizeof *order) abort();
}

/* Whether it ended in order, with nothing left on its loop. */
static inline bool node_child_stop(node_child *child) {
  int status = -1;
  close(child->control);
  waitpid(child->pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static inline void node_child_kill(node_child *child) {
  kill(child->pid, SIGKILL);
  waitpid(child->pid, NULL, 0);
  close(child->control);
}

/* The most memory that it had at any time; -1: this system does not say. */
static inline long node_child_megabytes(const node_child *child) {
  char path[32], line[128];
  long kilobytes = -1024;
  snprintf(path, sizeof path, "/proc/%d/status", (int)child->pid);
  FILE *status = fopen(path, "r");
  while (status && fgets(line, sizeof line, status)) {
    if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtol(line + 6, NULL, 10);
  }
  if (status) fclose(status);
  return kilobytes / 1024;
}

/* ---- Signs of life ------------------------------------------------------------------------ */

/* A node cuts whoever is silent for four seconds, and on a busy machine a spec may well be with one
 * of its peers for longer: all of them say each second that they live, but those left alone. */
static bool node_fd_lives[8192];
static int node_fd_most;

static inline void node_peers_live(void) {
  static time_t last;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec == last) return;
  last = now.tv_sec;
  pump_buffer out;
  pump_buffer_init(&out);
  pump_tcp_frame_write(&out, PUMP_TCP_HEARTBEAT_RESPONSE, &(pump_tcp_correlation){{1}},
                       (pump_bytes){0}, (pump_bytes){0}, (pump_bytes){0});
  for (int fd = 0; fd <= node_fd_most; fd++) {
    if (!node_fd_lives[fd]) continue;
    ssize_t sent = send(fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0 && (size_t)sent < out.size) /* a frame that was begun has to be ended */
      send(fd, out.data + sent, out.size - (size_t)sent, MSG_NOSIGNAL);
  }
  pump_buffer_free(&out);
}

/* ---- A peer ------------------------------------------------------------------------------- */

typedef struct node_peer {
  int fd;
  pump_tcp_reader reader;
  pump_buffer out;
} node_peer;

static inline bool node_peer_connect(node_peer *peer, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct timeval patience = {.tv_sec = PEER_PATIENCE * slowness()};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  peer->fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  pump_tcp_reader_init(&peer->reader, PUMP_MAX_FRAME);
  pump_buffer_init(&peer->out);
  node_peers_live();
  if (connect(peer->fd, (struct sockaddr *)&to, sizeof to) != 0) return false;
  if (peer->fd < (int)sizeof node_fd_lives) node_fd_lives[peer->fd] = true;
  if (peer->fd > node_fd_most && peer->fd < (int)sizeof node_fd_lives) node_fd_most = peer->fd;
  return true;
}

/* From here on it says nothing but what it is told to. */
static inline void node_peer_alone(const node_peer *peer) {
  if (peer->fd >= 0 && peer->fd < (int)sizeof node_fd_lives) node_fd_lives[peer->fd] = false;
}

static inline void node_peer_close(node_peer *peer) {
  node_peer_alone(peer);
  close(peer->fd);
  pump_tcp_reader_free(&peer->reader);
  pump_buffer_free(&peer->out);
}

static inline bool node_peer_send_whole(node_peer *peer, const void *data, size_t size) {
  const char *at = data;
  while (size > 0) {
    ssize_t sent = send(peer->fd, at, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += sent;
    size -= (size_t)sent;
  }
  return true;
}

/* Whatever they are: it is left alone, as they may be half a frame. */
static inline bool node_peer_send_bytes(node_peer *peer, const void *data, size_t size) {
  node_peer_alone(peer);
  return node_peer_send_whole(peer, data, size);
}

/* Everything in peer->out. */
static inline bool node_peer_flush(node_peer *peer) {
  node_peers_live();
  bool sent = node_peer_send_whole(peer, peer->out.data, peer->out.size);
  pump_buffer_clear(&peer->out);
  return sent;
}

/* login NULL: no credentials. */
static inline bool node_peer_send(node_peer *peer, uint8_t command,
                                  const pump_tcp_correlation *correlation, const char *login,
                                  const char *password, pump_bytes body) {
  pump_tcp_frame_write(&peer->out, command, correlation, pump_bytes_of(login),
                       pump_bytes_of(password), body);
  return node_peer_flush(peer);
}

/* The next frame that is no heartbeat, which is answered; false when the connection ended or
 * nothing came for as long as patience lasts, or nothing but heartbeats. */
static inline bool node_peer_receive(node_peer *peer, pump_tcp_frame *frame) {
  for (int waits = 0; waits < 2 * PEER_PATIENCE * slowness();) {
    int code = pump_tcp_reader_next(&peer->reader, frame);
    if (code == 1 && frame->command == PUMP_TCP_HEARTBEAT_REQUEST) {
      node_peer_send(peer, PUMP_TCP_HEARTBEAT_RESPONSE, &frame->correlation, NULL, NULL,
                     (pump_bytes){0});
      waits++;
      continue;
    }
    if (code != 0) return code == 1;
    node_peers_live();
    if (poll(&(struct pollfd){.fd = peer->fd, .events = POLLIN}, 1, 500) == 0) {
      waits++;
      continue;
    }
    uint8_t *to;
    size_t room;
    if (pump_tcp_reader_space(&peer->reader, &to, &room) != 0) return false;
    ssize_t got = recv(peer->fd, to, room, 0);
    if (got <= 0) return false;
    pump_tcp_reader_filled(&peer->reader, (size_t)got);
  }
  return false;
}

/* As a client of 4.0 and later says who it is, or with version 0 an older one. */
static inline bool node_peer_identify(node_peer *peer, uint8_t version) {
  char body[] = {0x08, (char)version};
  pump_tcp_frame frame;
  return node_peer_send(peer, PUMP_TCP_IDENTIFY_CLIENT, &(pump_tcp_correlation){{1}}, NULL, NULL,
                        (pump_bytes){body, sizeof body}) &&
         node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_CLIENT_IDENTIFIED;
}

#endif
