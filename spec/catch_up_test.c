/* The catch-up machine against a server that exists only here: random histories, appends, pages,
 * pushes, truncations, deletions, slow consumers, drops and lost connections, thousands of runs.
 * Each must prove that every event came exactly once and in order. */
#include "starve.h"

#include <string.h>

#include "base/page.h"
#include "conversation/catch_up.h"

#define MOST  4000 /* events a run */
#define QUEUE 4096

typedef enum kind {
  ASK_PAGE,
  ASK_SUBSCRIPTION,
  END_SUBSCRIPTION,
  PAGE,
  NO_PAGE,
  YES,
  PUSH,
  DROP
} kind;

typedef struct message {
  kind kind;
  unsigned generation; /* of the subscription that it belongs to */
  int64_t number, commit;
  pump_position position;
  int64_t from, to; /* events it carries: indices into the log */
  bool is_end;
  int code;
} message;

#include "play.h"

typedef struct run {
  uint64_t seed, dice;
  pump_catch_up *machine;
  pump_catch_up_options options;
  bool is_link;
  bool is_filtered; /* most events are not wanted, and checkpoints come */

  /* The server: events 0 to count-1, of which those before `cut` are truncated; `shown` of them
   * are in pages already. In $all an event's position is made from its index. */
  int64_t count, shown, cut;
  int64_t commits[MOST];
  bool is_soft, is_hard;
  unsigned looks;
  bool is_subscribed;
  unsigned subscription;
  queue to_server, to_client;

  bool is_connected, has_answered;
  unsigned generation;
  /* The consumer. */
  int64_t last, got, lost_to_cuts, gaps, lives, left_out, reconnects, overflows;
  int64_t highest_cut, first_index, checkpoints;
  size_t untaken;
  int ended;
  const char *wrong;
} run;

static int64_t up_to(run *self, int64_t most) {
  return (int64_t)(roll(&self->dice) % (uint64_t)(most + 1));
}

/* Events that were appended together have one commit position, as those of a transaction. */
static pump_position position_of(const run *self, int64_t index) {
  return (pump_position){100 + 10 * self->commits[index], 10 * index};
}

/* ---- The server --------------------------------------------------------------------------- */

static bool wants(const run *self, int64_t index) {
  return !self->is_filtered || index * 7919 % 11 < 3;
}

/* The next one that is wanted, from that one on. */
static int64_t next_wanted(const run *self, int64_t index) {
  while (!wants(self, index))
    index++;
  return index;
}

static pump_page *page_of(run *self, int64_t from, int64_t to) {
  size_t count = 0;
  for (int64_t index = from; index < to; index++)
    count += wants(self, index);
  pump_page *page = pump_page_new(NULL, count, count * 2);
  if (!page) return NULL;
  int64_t index = next_wanted(self, from);
  for (size_t i = 0; i < count; i++, index = next_wanted(self, index + 1)) {
    pump_record *record = &pump_page_records(page)[2 * i];
    pump_event *event = &pump_page_events(page)[i];
    *record = (pump_record){.number = self->is_link ? 7 : index};
    *event = (pump_event){.record = record, .position = position_of(self, index)};
    if (self->is_link) { /* what it leads to may be gone, and its number says nothing */
      record[1] = (pump_record){.number = index};
      event->link = &record[1];
      if (index % 3 == 0) event->record = NULL;
    }
  }
  return page;
}

static void push(run *self, int64_t from, int64_t to) {
  while (self->is_subscribed && from < to) {
    int64_t some = from + 1 + up_to(self, 3);
    if (some > to) some = to;
    put(&self->to_client,
        (message){.kind = PUSH, .generation = self->subscription, .from = from, .to = some});
    from = some;
  }
}

static void append(run *self) {
  int64_t count = 1 + up_to(self, chance(&self->dice, 100) ? 60 : 4);
  if (self->is_hard || self->count + count > MOST) return;
  if (self->is_soft) {
    self->is_soft = false;
    self->cut = self->count;
  }
  for (int64_t i = 0; i < count; i++)
    self->commits[self->count + i] = self->count;
  push(self, self->count, self->count + count);
  self->count += count;
  if (!chance(&self->dice, 50)) self->shown = self->count;
}

static void cut(run *self) {
  if (self->options.is_all) return;
  int64_t at = self->cut + up_to(self, self->count - self->cut);
  self->cut = at;
  if (at > self->highest_cut) self->highest_cut = at;
}

static void delete_stream(run *self) {
  if (self->options.is_all) return;
  self->is_soft = true;
  self->cut = self->highest_cut = self->count;
  self->shown = self->count;
}

static void delete_for_ever(run *self) {
  if (self->options.is_all || self->is_hard) return;
  self->is_hard = true;
  self->highest_cut = self->count;
  if (self->is_subscribed)
    put(&self->to_client,
        (message){.kind = PUSH, .generation = self->subscription, .from = INT64_MAX});
}

static message stream_page(run *self, int64_t from, int64_t count) {
  if (self->is_hard) return (message){.kind = NO_PAGE, .code = PUMP_EDELETED};
  if (self->shown == 0 || self->is_soft) return (message){.kind = NO_PAGE, .code = PUMP_ENOSTREAM};
  message page = {.kind = PAGE, .from = from, .to = from};
  if (from < self->cut) { /* jumps ahead, with nothing in it */
    page.number = self->cut;
  } else if (from >= self->shown) {
    page.number = self->shown;
    page.is_end = true;
  } else {
    page.to = from + count;
    if (page.to > self->shown) page.to = self->shown;
    page.number = page.to;
    page.is_end = page.to == self->shown;
  }
  return page;
}

static message all_page(run *self, pump_position at, int64_t count) {
  int64_t from = 0;
  while (from < self->shown && (position_of(self, from).commit < at.commit ||
                                (position_of(self, from).commit == at.commit &&
                                 position_of(self, from).prepare < at.prepare)))
    from++;
  message page = {.kind = PAGE, .from = from, .to = from + count};
  if (page.to > self->shown) page.to = self->shown;
  page.is_end = self->is_filtered ? page.to == self->shown : page.to == page.from;
  page.position = at;
  if (page.to < self->shown)
    page.position = position_of(self, page.to);
  else if (self->shown > 0) /* the end of the log, where nothing stands yet */
    page.position = (pump_position){position_of(self, self->shown - 1).commit + 1, 0};
  if (page.position.commit < at.commit) page.position = at;
  return page;
}

static void serve(run *self) {
  message asked = take(&self->to_server);
  if (asked.kind == END_SUBSCRIPTION) {
    if (asked.generation == self->subscription) self->is_subscribed = false;
    return;
  }
  if (asked.kind == ASK_SUBSCRIPTION) {
    self->is_subscribed = true;
    self->subscription = asked.generation;
    put(&self->to_client,
        (message){.kind = YES,
                  .generation = asked.generation,
                  .number = self->is_hard ? INT64_MAX : self->count - 1,
                  .commit = self->count > 0 ? position_of(self, self->count - 1).commit : 0});
    return;
  }
  if (self->has_answered && chance(&self->dice, 20)) {
    put(&self->to_client, (message){.kind = NO_PAGE, .code = PUMP_ETIMEOUT});
  } else if (self->has_answered && asked.to > 1 && chance(&self->dice, 5)) {
    put(&self->to_client, (message){.kind = NO_PAGE, .code = PUMP_ETOOLARGE});
  } else {
    if (++self->looks % 5 == 0) self->shown = self->count; /* no server lags behind for ever */
    put(&self->to_client, self->options.is_all ? all_page(self, asked.position, asked.to)
                                               : stream_page(self, asked.number, asked.to));
  }
}

/* ---- The consumer ------------------------------------------------------------------------- */

static void complain(run *self, const char *what) {
  if (!self->wrong) self->wrong = what;
}

static int64_t index_of(const run *self, const pump_event *event) {
  if (self->is_link) return event->link->number;
  return event->record->number;
}

static void receive(run *self, pump_page *page, size_t first) {
  if (first >= page->count) complain(self, "nothing was delivered");
  for (size_t i = first; i < page->count; i++) {
    int64_t index = index_of(self, &page->events[i]);
    if (index <= self->last) complain(self, "an event came twice, or out of order");
    if (index < self->first_index) complain(self, "an event came that nobody wanted");
    for (int64_t missing = self->last + 1; missing < index; missing++) {
      if (!wants(self, missing)) continue;
      if (self->options.is_volatile)
        self->left_out++;
      else if (missing >= self->first_index && missing >= self->highest_cut)
        complain(self, "an event was lost");
    }
    self->last = index;
    self->got++;
  }
  self->untaken += page->count - first;
  if (self->untaken > self->options.max_untaken + 64) complain(self, "too much was handed over");
  pump_page_unref(page);
}

/* Whatever is wanted of what stands up to there has been received. */
static void check(run *self, pump_position position) {
  int64_t index = self->last + 1;
  self->checkpoints++;
  if (!self->is_filtered) complain(self, "a checkpoint of what has no filter");
  for (; index < self->count; index++) {
    pump_position at = position_of(self, index);
    if (at.commit > position.commit ||
        (at.commit == position.commit && at.prepare > position.prepare))
      return;
    if (wants(self, index) && !self->options.is_volatile && index >= self->first_index)
      complain(self, "a checkpoint came before an event");
  }
}

static void step(run *self, pump_step what) {
  message asked = {.number = what.number, .position = what.position, .to = (int64_t)what.count};
  switch (what.kind) {
  case PUMP_STEP_READ:
    asked.kind = ASK_PAGE;
    put(&self->to_server, asked);
    break;
  case PUMP_STEP_SUBSCRIBE:
    asked.kind = ASK_SUBSCRIPTION;
    asked.generation = ++self->generation;
    put(&self->to_server, asked);
    break;
  case PUMP_STEP_UNSUBSCRIBE:
    asked.kind = END_SUBSCRIPTION;
    asked.generation = self->generation++;
    put(&self->to_server, asked);
    self->overflows++;
    break;
  case PUMP_STEP_DELIVER: receive(self, what.page, what.first); break;
  case PUMP_STEP_TELL_LIVE: self->lives++; break;
  case PUMP_STEP_TELL_CHECKPOINT: check(self, what.position); break;
  case PUMP_STEP_TELL_GAP:
    if (!self->options.is_volatile) complain(self, "a gap in what has history");
    self->gaps++;
    break;
  case PUMP_STEP_FAIL: self->ended = what.code; break;
  case PUMP_STEP_TELL_LOST:
  case PUMP_STEP_ANSWER: complain(self, "it took itself for a consumer"); break;
  case PUMP_STEP_WAIT: break;
  default: complain(self, "a step that it has no use for");
  }
}

static void go_on(run *self) {
  for (;;) {
    pump_step what = pump_catch_up_next(self->machine);
    if (what.kind == PUMP_STEP_WAIT) return;
    if (self->ended) complain(self, "something followed the end");
    if (!self->is_connected && (what.kind == PUMP_STEP_READ || what.kind == PUMP_STEP_SUBSCRIBE))
      complain(self, "it asks where nobody hears");
    step(self, what);
  }
}

static pump_page *tombstone(void) {
  pump_page *page = pump_page_new(NULL, 1, 1);
  if (!page) return NULL;
  *pump_page_records(page) = (pump_record){.number = INT64_MAX};
  *pump_page_events(page) = (pump_event){.record = pump_page_records(page), .position = {-1, -1}};
  return page;
}

static void hear(run *self) {
  message said = take(&self->to_client);
  bool is_old = said.generation != self->generation;
  pump_page *page;
  self->has_answered = true;
  switch (said.kind) {
  case PAGE:
    page = page_of(self, said.from, said.to);
    page->next_event_number = said.number;
    page->next_position = said.position;
    page->is_end = said.is_end;
    pump_catch_up_read(self->machine, page, (unsigned)up_to(self, 100));
    break;
  case NO_PAGE: pump_catch_up_not_read(self->machine, said.code, said.code == PUMP_ETIMEOUT); break;
  case YES:
    if (!is_old) pump_catch_up_confirmed(self->machine, said.number, said.commit);
    break;
  case PUSH:
    if (is_old) break; /* the session finds nobody who waits for it */
    page = said.from == INT64_MAX ? tombstone() : page_of(self, said.from, said.to);
    if (page->count == 0) page->next_position = position_of(self, said.to - 1);
    pump_catch_up_pushed(self->machine, page);
    break;
  case DROP:
    if (is_old) break;
    self->generation++;
    pump_catch_up_dropped(self->machine, said.code, false);
    break;
  default: break;
  }
  go_on(self);
}

static void lose(run *self) {
  self->is_connected = self->is_subscribed = false;
  self->to_server.first = self->to_server.last;
  self->to_client.first = self->to_client.last;
  self->generation++;
  self->reconnects++;
  pump_catch_up_lost(self->machine, PUMP_ECLOSED);
}

static void find(run *self) {
  self->is_connected = true;
  pump_catch_up_found(self->machine);
}

static void consume(run *self, size_t count) {
  if (count > self->untaken) count = self->untaken;
  self->untaken -= count;
  pump_catch_up_took(self->machine, count);
}

static void something_happens(run *self, unsigned eagerness) {
  unsigned what = (unsigned)(roll(&self->dice) % 100);
  if (what < 25) {
    append(self);
  } else if (what < 50) {
    if (!is_empty(&self->to_server)) serve(self);
  } else if (what < 85) {
    if (!is_empty(&self->to_client)) hear(self);
  } else if (what < 95) {
    consume(self, (size_t)up_to(self, eagerness));
  } else if (chance(&self->dice, 100)) {
    cut(self);
  } else if (chance(&self->dice, 60)) {
    delete_stream(self);
  } else if (chance(&self->dice, 5)) {
    delete_for_ever(self);
  } else if (chance(&self->dice, 100)) {
    self->shown = self->count;
  } else if (chance(&self->dice, 100) && self->is_subscribed) {
    self->is_subscribed = false;
    put(&self->to_client,
        (message){.kind = DROP, .generation = self->subscription, .code = PUMP_EDROPPED});
  } else if (chance(&self->dice, 200)) {
    if (self->is_connected)
      lose(self);
    else
      find(self);
  }
  if (!self->is_connected && chance(&self->dice, 20)) find(self);
  go_on(self);
}

/* Nothing new happens, and everything that is under way arrives. */
static void settle(run *self) {
  self->shown = self->count;
  if (!self->is_connected) find(self);
  for (int i = 0; i < 20000; i++) {
    consume(self, self->untaken);
    go_on(self);
    if (!is_empty(&self->to_server))
      serve(self);
    else if (!is_empty(&self->to_client))
      hear(self);
    else if (self->untaken == 0)
      return;
  }
  complain(self, "it does not come to rest");
}

static void judge(run *self) {
  if (self->is_hard) {
    if (self->ended != PUMP_EDELETED) complain(self, "the deletion was not told");
    return;
  }
  if (self->ended) complain(self, "it ended");
  if (pump_catch_up_state(self->machine) != PUMP_SUBSCRIPTION_LIVE)
    complain(self, "it is not live");
  if (self->lives == 0) complain(self, "it never told that it is live");
  if (!self->options.is_volatile) {
    int64_t wanted = self->count;
    for (int64_t missing = self->last + 1; missing < wanted; missing++)
      if (wants(self, missing) && missing >= self->first_index && missing >= self->highest_cut)
        complain(self, "the last events were lost");
  } else if (self->left_out > 0 && self->gaps == 0 && self->first_index == 0) {
    complain(self, "a gap was not told");
  }
}

static void set_up(run *self, uint64_t seed, bool is_all, bool is_volatile, bool is_filtered) {
  static queue none;
  uint64_t dice = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  memset(self, 0, offsetof(run, to_server));
  self->to_server = self->to_client = none;
  memset(&self->is_connected, 0, sizeof *self - offsetof(run, is_connected));
  self->seed = seed;
  self->dice = dice;
  self->is_connected = true;
  self->is_filtered = is_filtered;
  self->options = (pump_catch_up_options){.is_all = is_all,
                                          .is_volatile = is_volatile,
                                          .is_filtered = is_filtered,
                                          .after = {-1, -1},
                                          .page_size = (size_t)(1 + up_to(self, 20)),
                                          .max_untaken = (size_t)(1 + up_to(self, 60)),
                                          .max_buffered = (size_t)(1 + up_to(self, 30))};
  self->is_link = is_all ? false : chance(&self->dice, 300);
  for (int64_t i = up_to(self, 20); i > 0; i--)
    append(self);
  self->last = -1;
  if (is_volatile) {
    self->options.from = 0;
  } else if (chance(&self->dice, 300)) {
    int64_t from = up_to(self, is_all ? self->count : self->count + 10);
    self->options.from = from;
    self->first_index = from;
    self->last = from - 1;
    if (is_all && from > 0) self->options.after = position_of(self, from - 1);
  }
}

static void play(run *self) {
  unsigned eagerness = chance(&self->dice, 300) ? 2 : chance(&self->dice, 500) ? 20 : 200;
  int64_t length = 200 + up_to(self, 1800);
  if (pump_catch_up_new(&self->machine, &self->options) != 0) {
    complain(self, "it could not be made");
    return;
  }
  go_on(self);
  /* What is volatile begins now: at the first confirmation, which nobody disturbs. */
  if (self->options.is_volatile) {
    while (self->lives == 0 && !self->wrong && !self->ended) {
      if (!is_empty(&self->to_server)) serve(self);
      if (!is_empty(&self->to_client)) hear(self);
    }
    self->last = self->count - 1;
  }
  for (int64_t i = 0; i < length && !self->wrong; i++)
    something_happens(self, eagerness);
  if (!self->wrong) settle(self);
  if (!self->wrong) judge(self);
  pump_catch_up_free(self->machine);
}

static void many_runs(const char *what, bool is_all, bool is_volatile, bool is_filtered,
                      uint64_t runs) {
  static run self;
  int64_t checkpoints = 0, got = 0, reconnects = 0, overflows = 0, gaps = 0, lives = 0, deleted = 0;
  const char *wrong = NULL;
  uint64_t seed;
  long alive = starve_alive;
  for (seed = 1; seed <= runs && !wrong; seed++) {
    set_up(&self, seed, is_all, is_volatile, is_filtered);
    play(&self);
    wrong = self.wrong;
    if (!wrong && starve_alive != alive) wrong = "memory was lost";
    got += self.got;
    reconnects += self.reconnects;
    overflows += self.overflows;
    gaps += self.gaps;
    lives += self.lives;
    deleted += self.is_hard;
    checkpoints += self.checkpoints;
  }
  tap_ok(!wrong,
         "%s: %llu runs, %lld events, live %lld times, %lld buffers given up, %lld connections "
         "lost, %lld gaps told, %lld deleted for ever, %lld checkpoints%s%s",
         what, (unsigned long long)(seed - 1), (long long)got, (long long)lives,
         (long long)overflows, (long long)reconnects, (long long)gaps, (long long)deleted,
         (long long)checkpoints, wrong ? ": " : "", wrong ? wrong : "");
}

/* A server says any number of $all, where it means nothing. */
static void odd_numbers(void) {
  pump_catch_up_options options = {
      .is_all = true, .is_from_now = true, .page_size = 1, .max_untaken = 1};
  pump_catch_up *machine = NULL;
  if (pump_catch_up_new(&machine, &options) != 0) return;
  pump_catch_up_next(machine);
  pump_catch_up_confirmed(machine, INT64_MAX, 7);
  tap_ok(pump_catch_up_next(machine).kind == PUMP_STEP_TELL_LIVE, "the largest number is no harm");
  pump_catch_up_free(machine);
}

#ifdef __SANITIZE_ADDRESS__
enum { RUNS = 500 }; /* each takes eight times as long */
#else
enum { RUNS = 2000 };
#endif

int main(int argc, char **argv) {
  uint64_t runs = argc > 1 ? strtoull(argv[1], NULL, 10) : RUNS;
  odd_numbers();
  many_runs("streams", false, false, false, runs);
  many_runs("$all", true, false, false, runs);
  many_runs("volatile, streams", false, true, false, runs);
  many_runs("volatile, $all", true, true, false, runs);
  many_runs("$all with a filter", true, false, true, runs);
  many_runs("volatile, $all with a filter", true, true, true, runs);
  return tap_done();
}
