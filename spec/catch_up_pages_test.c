/* How large the pages are that the catch-up machine asks for: as connections bear them. */
#include "tap.h"

#include "base/page.h"
#include "conversation/catch_up.h"

static pump_catch_up *new_reader(size_t page_size) {
  pump_catch_up *machine;
  pump_catch_up_options options = {
      .after = {-1, -1}, .page_size = page_size, .max_untaken = 1000, .max_buffered = 1000};
  return pump_catch_up_new(&machine, &options) == 0 ? machine : NULL;
}

static unsigned took; /* of their time, in per cent */

/* What is asked for; and so many pages that come, after which something is asked for again. */
static size_t pages_come(pump_catch_up *machine, int count) {
  static int64_t next;
  for (; count > 0; count--) {
    pump_catch_up_next(machine);
    pump_page *page = pump_page_new(NULL, 0, 0);
    page->next_event_number = ++next;
    pump_catch_up_read(machine, page, took);
  }
  return pump_catch_up_next(machine).count;
}

static size_t none_comes(pump_catch_up *machine, int code) {
  pump_catch_up_next(machine);
  pump_catch_up_not_read(machine, code, code == PUMP_ETIMEOUT);
  return pump_catch_up_next(machine).count;
}

static void pages_begin_small(void) {
  pump_catch_up *machine = new_reader(500);
  size_t asked[5];
  for (int i = 0; i < 5; i++)
    asked[i] = pages_come(machine, i > 0);
  tap_ok(asked[0] == 64 && asked[1] == 128 && asked[2] == 256 && asked[3] == 500 && asked[4] == 500,
         "pages of 64, 128, 256 and 500 events, which come");
  pump_catch_up_free(machine);
  machine = new_reader(10);
  tap_ok(pages_come(machine, 0) == 10 && pages_come(machine, 1) == 10,
         "or of 10, if that is wanted");
  pump_catch_up_free(machine);
}

/* Connections that live for less than a page takes: it gets smaller until one comes, and grows
 * again when some have. */
static void a_page_that_no_connection_lives_for(void) {
  pump_catch_up *machine = new_reader(500);
  for (int i = 0; i < 2; i++) {
    pump_catch_up_next(machine);
    pump_catch_up_lost(machine, PUMP_ECLOSED);
    pump_catch_up_found(machine);
  }
  size_t first = pages_come(machine, 0), steady = pages_come(machine, 7);
  size_t more = pages_come(machine, 1), still = pages_come(machine, 7);
  tap_ok(first == 16 && steady == 16 && more == 32 && still == 32 && pages_come(machine, 1) == 64,
         "pages of 64 and 32 that are lost, and of 16, 32 and 64 that come, 8 of each");
  pump_catch_up_free(machine);
}

static void a_page_that_comes_too_late(void) {
  pump_catch_up *machine = new_reader(500);
  size_t most = pages_come(machine, 3), half = none_comes(machine, PUMP_ETIMEOUT);
  size_t quarter = none_comes(machine, PUMP_ETIMEOUT), steady = pages_come(machine, 7);
  tap_ok(most == 500 && half == 250 && quarter == 125 && steady == 125 &&
             pages_come(machine, 1) == 250 && pages_come(machine, 8) == 500,
         "pages of 500 and 250 that are late, 8 of 125 that are not, 8 of 250, and 500");
  pump_catch_up_free(machine);
}

/* Before they come too late they are smaller. */
static void a_page_that_takes_long(void) {
  pump_catch_up *machine = new_reader(500);
  size_t larger = pages_come(machine, 2);
  took = 25;
  size_t same = pages_come(machine, 10);
  took = 51;
  size_t half = pages_come(machine, 1);
  took = 24;
  size_t steady = pages_come(machine, 7);
  tap_ok(
      larger == 256 && same == 256 && half == 128 && steady == 128 && pages_come(machine, 1) == 256,
      "pages of 256 that take a quarter of their time, one that takes more than half of it, 8 of "
      "128 that do not, and 256");
  took = 0;
  pump_catch_up_free(machine);
}

/* Large events are in some places of a stream. */
static void a_page_that_is_too_large(void) {
  pump_catch_up *machine = new_reader(500);
  size_t most = pages_come(machine, 3), first = none_comes(machine, PUMP_ETOOLARGE);
  size_t steady = pages_come(machine, 7), more = pages_come(machine, 1);
  tap_ok(most == 500 && first == 63 && steady == 63 && more == 126 &&
             pages_come(machine, 16) == 500,
         "one of 500 that is too large, 8 of 63 that are not, 8 of 126, 8 of 252, and 500");
  none_comes(machine, PUMP_ETOOLARGE);
  none_comes(machine, PUMP_ETOOLARGE);
  tap_ok(none_comes(machine, PUMP_ETOOLARGE) == 1, "500, 63 and 8 too large: one event");
  pump_catch_up_not_read(machine, PUMP_ETOOLARGE, false);
  pump_step step = pump_catch_up_next(machine);
  tap_ok(step.kind == PUMP_STEP_FAIL && step.code == PUMP_ETOOLARGE,
         "one event that is too large is the end");
  pump_catch_up_free(machine);
}

int main(void) {
  pages_begin_small();
  a_page_that_no_connection_lives_for();
  a_page_that_comes_too_late();
  a_page_that_takes_long();
  a_page_that_is_too_large();
  return tap_done();
}
