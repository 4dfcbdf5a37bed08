/* What the machines of subscriptions (catch_up.h) and of consumers (consumer.h) want done next. */
#ifndef PUMP_STEP_H
#define PUMP_STEP_H

#include <pump.h>

typedef enum pump_step_kind {
  PUMP_STEP_WAIT,            /* nothing until something happens */
  PUMP_STEP_READ,            /* a page forward from number or position, after a pause */
  PUMP_STEP_SUBSCRIBE,       /* after a pause; from now on pushes are expected */
  PUMP_STEP_UNSUBSCRIBE,     /* no pushes are expected any more; no answer is waited for */
  PUMP_STEP_DELIVER,         /* page from its event `first` on; the reference is the caller's */
  PUMP_STEP_TELL_LIVE,       /* what is delivered from now on has just happened */
  PUMP_STEP_TELL_GAP,        /* volatile: events were left out here; code says why */
  PUMP_STEP_TELL_CHECKPOINT, /* with a filter: the server has looked at everything up to position */
  PUMP_STEP_TELL_LOST,       /* a consumer has to connect again; code says why */
  PUMP_STEP_ANSWER, /* a consumer's answers, to be sent; they are there until the next step */
  PUMP_STEP_FAIL    /* it is over; code says why. Nothing follows */
} pump_step_kind;

/* What a consumer says of some events. */
typedef struct pump_answer {
  int action; /* PUMP_NACK_…, 0: they are done with */
  pump_bytes why;
  const pump_guid *ids;
  size_t count;
} pump_answer;

typedef struct pump_step {
  pump_step_kind kind;
  int64_t number;
  pump_position position;
  size_t count;   /* READ: of events */
  uint64_t pause; /* ms */
  pump_page *page;
  size_t first;
  int code;
  pump_answer answer;
} pump_step;

/* How long to wait before something is tried again that has failed so often. */
static inline uint64_t pump_step_pause(unsigned tries) {
  enum { FIRST = 50, LONGEST = 2000 }; /* ms, doubling */
  if (tries == 0) return 0;
  uint64_t pause = (uint64_t)FIRST << (tries < 7 ? tries - 1 : 6);
  return pause < LONGEST ? pause : LONGEST;
}

/* Whether what cannot be read is taken for noise on the line, and asked for again, or for what the
 * server has. */
static inline bool pump_step_is_noise(int code, unsigned tries) {
  enum { NOISE = 3 };
  return code == PUMP_EPROTOCOL && tries < NOISE;
}

#endif
