/* The line in front of a connection: its order, its limits, and that who could not be let in for
 * want of memory has left no trace. */
#include "starve.h"

#include "client/line.h"

enum { MANY = 6 };

static pump_conversation *make(void) {
  pump_request request = {.kind = PUMP_PING};
  pump_conversation *conversation = NULL;
  pump_conversation_new(&conversation, &request);
  return conversation;
}

static void who_comes_back_has_his_place(void) {
  pump_line line;
  pump_conversation *all[MANY], *list = NULL;
  pump_line_init(&line, MANY);
  for (int i = 0; i < MANY; i++) {
    all[i] = make();
    pump_line_enter(&line, all[i], 100);
  }
  pump_conversation *more = make();
  tap_ok(pump_line_enter(&line, more, 100) == PUMP_EBUSY, "one more than its limit is too many");
  for (int i = 0; i < 4; i++)
    pump_line_take(&line);
  pump_line_retry(&line, all[1], 50);
  tap_ok(line.waiting == 2 && line.retrying == 1 && pump_line_due(&line) == 50,
         "two wait to be asked, one to be asked again");
  const int order[] = {3, 0, 2};
  for (int i = 0; i < 3; i++) {
    all[order[i]]->next = list;
    list = all[order[i]];
  }
  pump_line_return(&line, list);
  tap_ok(pump_line_enter(&line, more, 100) == PUMP_EBUSY, "those who come back count");
  pump_line_wake(&line, 49);
  bool slept = line.retrying == 1;
  pump_line_wake(&line, 50);
  tap_ok(slept && line.retrying == 0 && line.waiting == MANY, "and are there in time");
  bool in_order = true;
  for (int i = 0; i < MANY; i++)
    in_order = in_order && pump_line_take(&line) == all[i];
  tap_ok(in_order && !pump_line_take(&line), "all stand as they came");
  tap_ok(!pump_line_expired(&line, 99) && pump_line_expired(&line, 100), "asked, they still end");
  for (int i = 0; i < MANY; i++) {
    pump_line_leave(&line, all[i]);
    pump_conversation_free(all[i]);
  }
  tap_ok(!pump_line_any(&line) && line.bytes == 0, "nothing is left of those who left");
  pump_conversation_free(more);
  pump_line_free(&line);
}

/* At the first, and at the second allocation. */
static void who_cannot_come_in_is_not_there(void) {
  pump_line line;
  pump_conversation *conversation = make();
  for (int at = 1; at <= 3; at++) {
    pump_line_init(&line, MANY);
    starve_count = 0;
    starve_at = at;
    int code = pump_line_join(&line, conversation, 10, 100);
    starve_at = 0;
    bool is_in = code == 0 && line.retrying == 1 && pump_line_any(&line) == conversation;
    bool is_out = code == PUMP_ENOMEM && line.bytes == 0 && line.retrying == 0 &&
                  !pump_line_any(&line) && pump_line_due(&line) == UINT64_MAX;
    tap_ok(at <= 2 ? is_out : is_in, "with memory for %d of two it is %s", at - 1,
           at <= 2 ? "not in line" : "in line");
    if (is_in) pump_line_leave(&line, conversation);
    pump_line_free(&line);
  }
  pump_conversation_free(conversation);
}

int main(void) {
  who_comes_back_has_his_place();
  who_cannot_come_in_is_not_there();
  tap_ok(starve_alive == 0, "no memory is lost");
  return tap_done();
}
