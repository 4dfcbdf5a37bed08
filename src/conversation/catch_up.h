/* A subscription as a machine: from the checkpoint through history into the present, with no event
 * left out, none twice, and all in order.
 *
 * It knows no protocol, no I/O and no clock. What happens is told to it (a page was read, the
 * server pushed an event, the connection is lost), and what is to be done next it says itself:
 * after everything that it was told, ask pump_catch_up_next and do what it says until it says to
 * wait. A lost connection is one more thing that happens: it goes on behind the last event that
 * it delivered.
 *
 * Its states: reading pages up to the end; subscribing; joining (what was written while the
 * subscription came into being is read, what is pushed meanwhile waits in a buffer); live. When a
 * slow consumer lets the buffer run full, it unsubscribes, forgets the buffer and reads pages
 * again. A volatile subscription has no history: it subscribes and delivers what is pushed, and
 * where it had to leave something out it tells of a gap. */
#ifndef PUMP_CATCH_UP_H
#define PUMP_CATCH_UP_H

#include <pump.h>
#include "conversation/step.h"

typedef struct pump_catch_up_options {
  bool is_all;         /* events are told apart by position, not by number */
  bool is_volatile;    /* no history */
  bool is_from_now;    /* history begins when the first subscription is confirmed */
  bool is_filtered;    /* $all: pages leave events out, so each is a checkpoint, too */
  int64_t from;        /* streams: the first event wanted, 0 or more */
  pump_position after; /* $all: the last event not wanted; -1, -1: all are wanted */
  size_t page_size;    /* events that one READ asks for at most */
  size_t max_untaken;  /* events delivered and not taken: no more pages are read, pushes wait */
  size_t max_buffered; /* pushed events that wait */
} pump_catch_up_options;

typedef struct pump_catch_up pump_catch_up;

/* PUMP_EINVALID, PUMP_ENOMEM. */
int pump_catch_up_new(pump_catch_up **machine, const pump_catch_up_options *options);
void pump_catch_up_free(pump_catch_up *machine); /* NULL is fine */

pump_step pump_catch_up_next(pump_catch_up *machine);

/* The answer to a READ: a page, whose reference it takes over, and how much of its time it took, in
 * per cent; or why there is none. PUMP_ENOSTREAM is no failure. */
void pump_catch_up_read(pump_catch_up *machine, pump_page *page, unsigned took);
void pump_catch_up_not_read(pump_catch_up *machine, int code, bool retryable);
/* The answers to a SUBSCRIBE. last_number: the stream's newest event, -1 for none; last_commit:
 * everything up to there is in pages. Dropped may come instead of confirmed, and any time after. */
void pump_catch_up_confirmed(pump_catch_up *machine, int64_t last_number, int64_t last_commit);
void pump_catch_up_dropped(pump_catch_up *machine, int code, bool retryable);
/* Events came between SUBSCRIBE and UNSUBSCRIBE; it takes the reference over. A page without any is
 * a checkpoint of a subscription with a filter: no event up to its position is still to come. */
void pump_catch_up_pushed(pump_catch_up *machine, pump_page *page);
/* The connection is gone: no answer to anything will come. And there is another one. */
void pump_catch_up_lost(pump_catch_up *machine, int code);
void pump_catch_up_found(pump_catch_up *machine);
/* The consumer is done with so many of the events that were delivered. */
void pump_catch_up_took(pump_catch_up *machine, size_t count);

/* PUMP_SUBSCRIPTION_… */
int pump_catch_up_state(const pump_catch_up *machine);
/* Of the last event that was delivered, or what it began behind; number -1 and position -1, -1
 * before. */
int64_t pump_catch_up_number(const pump_catch_up *machine);
pump_position pump_catch_up_position(const pump_catch_up *machine);

#endif
