/* Requests that are done one after the other.
 *
 * A server does what comes over one connection in turn, until it refuses one because it is not
 * ready, and is ready for the next. Whoever minds that has a sequence: only its first one is asked.
 * Those who wait for their turn are parked in the line: they keep their deadlines and their
 * places. */
#include "client/sequence.h"

#include <stdlib.h>

#include "client/client.h"

struct pump_sequence {
  pump_conversation *first; /* the only one that may be asked */
  pump_conversation *last;  /* by `behind` */
  size_t references;        /* the program's, and one of each conversation in it */
  bool has_failed;
};

int pump_sequence_new(pump_sequence **out) {
  pump_sequence *sequence = *out = calloc(1, sizeof *sequence);
  if (!sequence) return PUMP_ENOMEM;
  sequence->references = 1;
  return 0;
}

void pump_sequence_free(pump_sequence *sequence) {
  if (sequence && --sequence->references == 0) free(sequence);
}

int pump_sequence_enter(pump_conversation *conversation) {
  pump_sequence *sequence = conversation->sequence;
  if (!sequence) return 0;
  if (sequence->has_failed) return PUMP_ECANCELLED;
  *(sequence->first ? &sequence->last->behind : &sequence->first) = conversation;
  sequence->last = conversation;
  sequence->references++;
  return 0;
}

bool pump_sequence_is_first(const pump_conversation *conversation) {
  return !conversation->sequence || conversation->sequence->first == conversation;
}

bool pump_sequence_has_failed(const pump_conversation *conversation) {
  return conversation->sequence && conversation->sequence->has_failed;
}

void pump_sequence_leave(pump_client *client, pump_conversation *conversation) {
  pump_sequence *sequence = conversation->sequence;
  if (!sequence) return;
  pump_conversation **at = &sequence->first, *before = NULL;
  for (; *at != conversation; at = &(*at)->behind)
    before = *at;
  *at = conversation->behind;
  if (sequence->last == conversation) sequence->last = before;
  conversation->behind = NULL;
  conversation->sequence = NULL;
  if (!sequence->has_failed) { /* else they have been resumed */
    sequence->has_failed = conversation->result.status != 0;
    for (pump_conversation *it = sequence->first; it; it = sequence->has_failed ? it->behind : NULL)
      pump_line_resume(&client->line, it);
  }
  pump_client_flush_soon(client);
  pump_sequence_free(sequence);
}
