/* uv_try_write, but for the signal: who writes to a peer that is gone is told so, not killed. Only
 * for a stream that has nothing to be written. */
#ifndef PUMP_NET_SEND_H
#define PUMP_NET_SEND_H

#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

/* How many bytes are gone, or UV_EAGAIN, or why it ended. */
static inline int pump_try_send(uv_stream_t *stream, const uv_buf_t *bytes) {
  uv_os_fd_t fd;
  int code = uv_fileno((const uv_handle_t *)stream, &fd);
  if (code != 0) return code;
  size_t size = bytes->len < INT32_MAX ? bytes->len : INT32_MAX;
  ssize_t sent;
  do {
    sent = send(fd, bytes->base, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? uv_translate_sys_error(errno) : (int)sent;
}

#endif
