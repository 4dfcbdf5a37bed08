/* The line in front of a connection: conversations that wait to be asked, that wait to be asked
 * again, and the deadlines of all, asked or not. It is bounded in number and in bytes. Whoever
 * comes back into it, comes back to the place that he had: those who wait stand in the order in
 * which they were let in. */
#ifndef PUMP_CLIENT_LINE_H
#define PUMP_CLIENT_LINE_H

#include "conversation/conversation.h"

/* A time that never comes: until somebody resumes it. Every deadline is earlier. */
#define PUMP_PARKED UINT64_MAX

typedef struct pump_line {
  pump_conversation *first, *last; /* waiting to be asked, in order */
  size_t waiting;                  /* in that list */
  size_t retrying;
  uint64_t let_in; /* so many, ever */
  size_t bytes;    /* of all that were let in and have not left */
  size_t max_waiting;
  pump_heap deadlines;
  pump_heap retries;
} pump_line;

void pump_line_init(pump_line *line, size_t max_waiting);
void pump_line_free(pump_line *line);
/* Lets a conversation in, at the end. PUMP_EBUSY: it is too long already; PUMP_ENOMEM. */
int pump_line_enter(pump_line *line, pump_conversation *conversation, uint64_t deadline);
/* The same for what the client itself has to ask: without limits, and not before that time. */
int pump_line_join(pump_line *line, pump_conversation *conversation, uint64_t when,
                   uint64_t deadline);
/* The next to be asked, taken off the list (its deadline goes on), or NULL. */
pump_conversation *pump_line_take(pump_line *line);
/* Asked in vain: to be asked again at that time. PUMP_ENOMEM. */
int pump_line_retry(pump_line *line, pump_conversation *conversation, uint64_t when);
/* Asked in vain, all of a list by `next`: back in line, in front. */
void pump_line_return(pump_line *line, pump_conversation *list);
/* Back on the list, one that waits to be asked again, whatever its time. */
void pump_line_resume(pump_line *line, pump_conversation *conversation);
/* Back on the list, in front, those whose time has come. */
void pump_line_wake(pump_line *line, uint64_t now);
/* The first whose deadline has passed, or NULL; it is still in the line. */
pump_conversation *pump_line_expired(const pump_line *line, uint64_t now);
/* Takes it out of everything; it is the caller's alone. */
void pump_line_leave(pump_line *line, pump_conversation *conversation);
/* Any that is in the line, asked or not, NULL when it is empty. */
pump_conversation *pump_line_any(const pump_line *line);
/* When something is to be done next; UINT64_MAX for never. */
uint64_t pump_line_due(const pump_line *line);

#endif
