/* Faults as JSON, as they go over HTTP: {"not_handled": "not_ready", "count": 3}. Times are
 * seconds, and what is not there is not set. */
#ifndef PUMP_NODE_FAULTS_JSON_H
#define PUMP_NODE_FAULTS_JSON_H

#include "base/buffer.h"
#include "pump_node.h"

/* Texts in *faults are given back with pump_faults_release. PUMP_EINVALID, PUMP_EJSON: error holds
 * one line; PUMP_ENOMEM. Nothing is to be given back then. */
int pump_faults_parse(pump_node_faults *faults, pump_bytes json, char *error, size_t error_size);
void pump_faults_write(pump_buffer *out, const pump_node_faults *faults);

#endif
