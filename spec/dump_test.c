/* Frames in a line: who they are, how they begin, and never a word of a login. */
#include "tap.h"

#include <string.h>

#include "base/bytes.h"
#include "wire/tcp/command.h"
#include "wire/tcp/dump.h"

static const pump_tcp_correlation id = {{0xab, 1, 2, 3}};

static void write(pump_buffer *out, uint8_t command, const char *login, const char *password,
                  pump_bytes body) {
  pump_tcp_frame_write(out, command, &id, pump_bytes_of(login), pump_bytes_of(password), body);
}

static void frames_are_found(void) {
  pump_buffer out = {0};
  pump_tcp_frame frame;
  write(&out, PUMP_TCP_PING, NULL, NULL, pump_bytes_of("x"));
  write(&out, PUMP_TCP_AUTHENTICATE, "admin", "changeit", (pump_bytes){0});
  size_t first = pump_tcp_frame_size(out.data);
  pump_tcp_frame_at(out.data, &frame);
  tap_ok(frame.command == PUMP_TCP_PING && pump_bytes_is(frame.payload, "x"),
         "a frame is found where it was written");
  pump_tcp_frame_at(out.data + first, &frame);
  tap_ok(first + pump_tcp_frame_size(out.data + first) == out.size &&
             pump_bytes_is(frame.login, "admin") && frame.payload.size == 0,
         "and the one behind it, with its login");
  pump_buffer_free(&out);
}

static void logins_are_left_out(void) {
  pump_buffer out = {0};
  pump_tcp_frame frame;
  char line[PUMP_TCP_LONGEST_DUMP];
  write(&out, PUMP_TCP_WRITE_EVENTS, "gandalf", "mellon", pump_bytes_of("\x0a\x01s"));
  pump_tcp_frame_at(out.data, &frame);
  pump_tcp_dump(line, "->", &frame);
  tap_ok(strcmp(line, "-> WriteEvents (0x82), 3 bytes, with a login, "
                      "ab010203000000000000000000000000: 0a 01 73") == 0,
         "%s", line);
  /* "gandalf" and "mellon" as they would stand there in hex. */
  tap_ok(!strstr(line, "gandalf") && !strstr(line, "67 61") && !strstr(line, "6d 65"),
         "neither name nor password are in it");
  pump_buffer_free(&out);
}

static void lines_are_bounded(void) {
  static const char body[1000];
  pump_tcp_frame frame = {.command = 0xfe, .flags = 0xff, .payload = {body, sizeof body}};
  char line[PUMP_TCP_LONGEST_DUMP];
  pump_tcp_dump(line, "<-", &frame);
  tap_ok(strstr(line, "unknown command (0xfe), 1000 bytes") && strstr(line, " 00 …"),
         "a long body is cut short, in %zu bytes", strlen(line));
  frame.command = PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED;
  frame.payload.size = SIZE_MAX;
  frame.flags = PUMP_TCP_FLAG_AUTHENTICATED;
  pump_tcp_dump(line, "<-", &frame);
  tap_ok(strlen(line) < PUMP_TCP_LONGEST_DUMP, "the longest has room (%zu)", strlen(line));
}

int main(void) {
  frames_are_found();
  logins_are_left_out();
  lines_are_bounded();
  return tap_done();
}
