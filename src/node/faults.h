/* Misbehaving on purpose: what pump_node_faults says is done to answers here, between the peer
 * that made them and its socket. */
#ifndef PUMP_NODE_FAULTS_H
#define PUMP_NODE_FAULTS_H

#include <uv.h>
#include "pump_node.h"
#include "wire/tcp/frame.h"

struct pump_peer;

typedef struct pump_faults {
  pump_node_faults settings; /* its texts are the node's own */
  uint64_t until;            /* then they end, on the loop's clock; 0: not by themselves */
  struct pump_late *late;    /* answers that wait, by their time */
  size_t late_bytes;
  uv_timer_t timer;
} pump_faults;

void pump_faults_open(pump_node *node);
void pump_faults_close(pump_node *node);
/* Texts that were copied (pump_node_set_faults) or read (pump_faults_parse). */
void pump_faults_release(pump_node_faults *faults);

/* Says NotHandled where the request is to get that: true, and it is not to be done. */
bool pump_faults_refuse(struct pump_peer *peer, const pump_tcp_frame *frame);
/* peer->out ends with an answer to the command, from start on; nothing is there where it was not
 * answered yet. */
void pump_faults_answered(struct pump_peer *peer, size_t start, uint8_t command);
/* The peer has gone. */
void pump_faults_forget(const struct pump_peer *peer);
/* Nobody gets any answer, heartbeats neither. */
bool pump_faults_is_mute(const pump_node *node);

#endif
