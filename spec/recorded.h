/* The frames in spec/recorded: what real servers and clients sent each other. Both kinds of file
 * (a frame a line; a question with its answers a line) name a frame's command first and its body,
 * in hex, some keys later, so they are found by these two keys. */
#ifndef SPEC_RECORDED_H
#define SPEC_RECORDED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pump.h>

#define RECORDED_FILES(XX)                                                                         \
  XX("4.1.4/auth.jsonl")                                                                           \
  XX("4.1.4/node.jsonl")                                                                           \
  XX("4.1.4/persistent.jsonl")                                                                     \
  XX("4.1.4/photonpump.jsonl")                                                                     \
  XX("4.1.4/probe.jsonl")                                                                          \
  XX("4.1.4/semantics.jsonl")                                                                      \
  XX("4.1.4/slave.jsonl")                                                                          \
  XX("5.0.8/auth.jsonl")                                                                           \
  XX("5.0.8/node.jsonl")                                                                           \
  XX("5.0.8/persistent.jsonl")                                                                     \
  XX("5.0.8/photonpump.jsonl")                                                                     \
  XX("5.0.8/probe.jsonl")                                                                          \
  XX("5.0.8/semantics.jsonl")                                                                      \
  XX("5.0.8/slave.jsonl")                                                                          \
  XX("23.10.6/follower.jsonl")                                                                     \
  XX("23.10.6/node.jsonl")                                                                         \
  XX("23.10.6/semantics.jsonl")

typedef struct recorded_frame {
  const char *file;
  int line;
  uint8_t command;
  pump_bytes body; /* in memory of its own size, so that a sanitizer sees a read beyond it */
} recorded_frame;

typedef void (*recorded_cb)(const recorded_frame *frame, void *ud);

/* The next frame of a line from *at on; a body that was cut when recorded is passed over. */
static inline bool recorded_next(const char **at, recorded_frame *frame) {
  static const char command_key[] = "\"cmd\": \"0x", body_key[] = "\"body\": \"";
  const char *command, *hex;
  while ((command = strstr(*at, command_key)) && (hex = strstr(command, body_key))) {
    hex += strlen(body_key);
    *at = hex;
    size_t digits = strspn(hex, "0123456789abcdef");
    const char *size = strstr(command, "\"size\": ");
    if (hex[digits] != '"' || (size && size < hex)) continue;
    frame->command = (uint8_t)strtoul(command + strlen(command_key), NULL, 16);
    char *body = malloc(digits / 2 + (digits == 0));
    if (!body) abort();
    for (size_t i = 0; i < digits / 2; i++)
      body[i] = (char)strtoul((char[]){hex[2 * i], hex[2 * i + 1], '\0'}, NULL, 16);
    frame->body = (pump_bytes){body, digits / 2};
    return true;
  }
  return false;
}

/* Calls cb with each whole frame of a file; false when there is no such file. */
static inline bool recorded_each(const char *file, recorded_cb cb, void *ud) {
  char path[256];
  snprintf(path, sizeof path, "spec/recorded/%s", file);
  FILE *input = fopen(path, "r");
  if (!input) return false;
  recorded_frame frame = {.file = file};
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, input) > 0) {
    const char *at = line;
    frame.line++;
    while (recorded_next(&at, &frame)) {
      cb(&frame, ud);
      free((char *)(uintptr_t)frame.body.data);
    }
  }
  free(line);
  fclose(input);
  return true;
}

#endif
