/* The embedded node's store by itself: what it keeps, recognises, refuses and forgets. */
#include "tap.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "node/recent.h"
#include "node/store.h"

/* Two seconds after what append() writes. */
#define NOW 3000000

static char folder[128];
static char error[256];

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static pump_new_event event_of(unsigned char id, const char *data) {
  return (pump_new_event){
      .id = {{1, id}}, .type = pump_bytes_of("t"), .data = pump_bytes_of(data), .is_json = true};
}

static pump_store_written append(pump_store *store, const char *stream, int64_t expected,
                                 unsigned char id, const char *data) {
  pump_new_event event = event_of(id, data);
  pump_store_written written;
  if (pump_store_append(store, pump_bytes_of(stream), expected, &event, 1, 1000000, &written) != 0)
    written.result = (pump_store_result)-1;
  return written;
}

typedef struct seen {
  int count;
  int most;
  int64_t numbers[16];
  char data[16][16];
} seen;

static bool see(void *ud, const pump_event *event) {
  seen *all = ud;
  if (all->count >= all->most) return false;
  all->numbers[all->count] = event->record->number;
  snprintf(all->data[all->count], 16, "%.*s", (int)event->record->data.size,
           event->record->data.data);
  all->count++;
  return true;
}

static pump_store_page read_some(pump_store *store, const char *stream, int64_t from, int32_t count,
                                 bool backward, int most, seen *all) {
  pump_read read = {.from = from, .max_count = count, .backward = backward};
  pump_store_page page;
  *all = (seen){.most = most};
  if (pump_store_read_stream(store, pump_bytes_of(stream), &read, NOW, see, all, &page) != 0)
    page.result = (pump_store_result)-1;
  return page;
}

static pump_store *open_store(const char *file) {
  pump_store *store;
  error[0] = '\0';
  pump_store_open(&store, file, false, error, sizeof error);
  return store;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static void refuses(const char *what, const char *file, const char *words) {
  pump_store *store = open_store(file);
  bool is_line = strstr(error, file) && strstr(error, words) && !strchr(error, '\n');
  tap_ok(!store && is_line, "%s: %s", what, error);
  pump_store_close(store);
}

static void run_sql(const char *file, const char *sql) {
  sqlite3 *db;
  sqlite3_open(file, &db);
  sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_close(db);
}

static void test_opening(void) {
  FILE *text = fopen(path_of("text"), "w");
  if (text) {
    for (int i = 0; i < 1000; i++)
      fputs("this is no database\n", text);
    fclose(text);
  }
  refuses("a file that is no database", path_of("text"), "no store");
  refuses("a folder that is not there", path_of("none/x.db"), "No such file or directory");
  refuses("a folder", folder, "this is a folder");
  run_sql(path_of("other.db"), "CREATE TABLE a (b)");
  refuses("somebody else's database", path_of("other.db"), "no store of pump");

  pump_store *store = open_store(path_of("new.db"));
  tap_ok(store != NULL, "a new store is made %s", error);
  refuses("a store that is open already", path_of("new.db"), "another program");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    pump_store *second = open_store(path_of("new.db"));
    _exit(!second && strstr(error, "another program") ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  tap_ok(status == 0, "a store that another process has open");
  append(store, "s", PUMP_ANY, 1, "x");
  pump_store_commit(store);
  pump_store_close(store);
  run_sql(path_of("new.db"), "PRAGMA user_version = 99");
  refuses("a store of a later format", path_of("new.db"), "use a newer pump");
  run_sql(path_of("new.db"),
          "DROP TABLE transactions; DROP TABLE transaction_events; DROP TABLE default_acls; "
          "PRAGMA user_version = 1");
  store = open_store(path_of("new.db"));
  int64_t id;
  seen all;
  tap_ok(store && read_some(store, "s", 0, 10, false, 10, &all).last == 0 &&
             pump_store_start_transaction(store, pump_bytes_of("s"), 0, 1, &id) == 0,
         "one of an earlier format is brought up to date, and keeps what it had");
  pump_store_commit(store);
  pump_store_close(store);
  if (geteuid() == 0) {
    tap_ok(true, "no permission # SKIP root may write everything");
    return;
  }
  chmod(path_of("new.db"), 0400);
  refuses("no permission", path_of("new.db"), "no permission");
}

/* ---- Transactions ------------------------------------------------------------------------- */

static bool extend(pump_store *store, int64_t id, unsigned char event_id) {
  pump_new_event event = {.id = {{event_id, 7}}, .type = pump_bytes_of("t")};
  return pump_store_extend_transaction(store, id, &event, 1) == 0;
}

static pump_store_written commit(pump_store *store, int64_t id) {
  pump_store_written written = {.result = (pump_store_result)-1};
  pump_store_transaction transaction;
  if (pump_store_find_transaction(store, id, &transaction) == 0 && transaction.stream)
    pump_store_commit_transaction(store, id, &transaction, 1, &written);
  free(transaction.stream);
  return written;
}

static void test_transactions(void) {
  const char *file = path_of("transactions.db");
  pump_store *store = open_store(file);
  int64_t id, other;
  append(store, "a", PUMP_ANY, 1, "x");
  pump_store_start_transaction(store, pump_bytes_of("s"), PUMP_NO_STREAM, 1, &id);
  pump_store_start_transaction(store, pump_bytes_of("s"), PUMP_NO_STREAM, 1, &other);
  tap_ok(id != other && extend(store, id, 1) && extend(store, other, 2) && extend(store, id, 3),
         "two transactions at once");
  pump_store_commit(store);
  pump_store_close(store);

  store = open_store(file);
  append(store, "a", PUMP_ANY, 2, "x");
  pump_store_commit(store);
  tap_ok(pump_store_last_position(store) > other, "their places are not given to others");
  tap_ok(extend(store, id, 4), "one goes on after reopening");
  pump_store_written written = commit(store, id);
  tap_ok(written.result == PUMP_STORE_SUCCESS && written.first == 0 && written.last == 2,
         "and is appended as a whole");
  seen all;
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 3, "%d events of it", (int)all.count);
  pump_store_written again = commit(store, id);
  tap_ok(again.last == 2 && again.position == written.position - 1 && !again.is_new,
         "a commit that is repeated gets the same answer");
  tap_ok(commit(store, other).result == PUMP_STORE_WRONG_VERSION,
         "the other comes too late for its expected version");
  tap_ok(commit(store, 4711).result == (pump_store_result)-1, "one that never was is not found");
  pump_store_rollback(store);
  tap_ok(commit(store, id).is_new, "a commit that was rolled back did not happen");
  pump_store_close(store);
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void test_keeping(void) {
  pump_store *store = open_store(path_of("keep.db"));
  append(store, "s", PUMP_NO_STREAM, 1, "one");
  append(store, "s", 0, 2, "two");
  tap_ok(pump_store_commit(store) == 0, "writes are committed");
  append(store, "s", 1, 3, "three");
  pump_store_close(store);

  store = open_store(path_of("keep.db"));
  seen all;
  pump_store_page page = read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(page.result == PUMP_STORE_SUCCESS && all.count == 2 && strcmp(all.data[1], "two") == 0,
         "what was committed is there after reopening, what was not is not");
  tap_ok(pump_store_last_position(store) == 1 && pump_store_end_position(store) == 2,
         "positions go on where they were");
  pump_store_written again = append(store, "s", PUMP_ANY, 2, "two");
  tap_ok(again.result == PUMP_STORE_SUCCESS && again.first == 1 && again.position == 1 &&
             !again.is_new,
         "a write is recognised after reopening, with Any");
  again = append(store, "s", PUMP_NO_STREAM, 1, "one");
  tap_ok(again.result == PUMP_STORE_SUCCESS && again.first == 0 && again.position == 0 &&
             !again.is_new,
         "and with an expected version that has passed");
  pump_store_close(store);
}

static void test_undoing(void) {
  pump_store *store = open_store(NULL);
  append(store, "s", PUMP_ANY, 1, "one");
  pump_store_commit(store);
  append(store, "s", PUMP_ANY, 2, "two");
  pump_store_rollback(store);
  pump_store_written written = append(store, "s", PUMP_ANY, 2, "two");
  tap_ok(written.first == 1 && written.position == 1,
         "after a rollback a write is new, with the number and position it had");
  written = append(store, "s", 7, 3, "three");
  tap_ok(written.result == PUMP_STORE_WRONG_VERSION && written.version == 1,
         "a wrong expected version tells the right one");
  tap_ok(pump_store_commit(store) == 0, "and harms nobody else in the transaction");
  seen all;
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 2 && strcmp(all.data[1], "two") == 0, "which is there");
  pump_store_close(store);
}

static void test_names(void) {
  pump_store *store = open_store(NULL);
  pump_new_event event = event_of(1, "");
  event.data = (pump_bytes){"a\0b", 3};
  pump_store_written written;
  pump_bytes with_nul = {"s\0x", 3};
  pump_store_append(store, with_nul, PUMP_NO_STREAM, &event, 1, 0, &written);
  tap_ok(pump_store_has_stream(store, with_nul) &&
             !pump_store_has_stream(store, pump_bytes_of("s")),
         "a NUL is a letter of a name like any other");
  pump_store_close(store);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static void test_short_pages(void) {
  pump_store *store = open_store(NULL);
  for (unsigned char i = 0; i < 6; i++)
    append(store, "s", PUMP_ANY, (unsigned char)(10 + i), "x");
  pump_store_commit(store);
  seen all;
  pump_store_page page = read_some(store, "s", 1, 4, false, 2, &all);
  tap_ok(all.count == 2 && page.next == 3 && !page.is_end,
         "forward: a page that is cut short says where it goes on");
  page = read_some(store, "s", 2, 10, false, 2, &all);
  tap_ok(all.count == 2 && page.next == 4 && !page.is_end,
         "also where it would have been the last");
  page = read_some(store, "s", PUMP_END, 6, true, 2, &all);
  tap_ok(all.count == 2 && all.numbers[0] == 5 && page.next == 3 && !page.is_end, "backward too");
  pump_read read = {.max_count = 4};
  all = (seen){.most = 2};
  pump_store_read_all(store, &read, 0, see, &all, &page);
  tap_ok(all.count == 2 && page.next == 2, "$all forward too");
  read = (pump_read){.max_count = 4, .position = {6, 6}, .backward = true};
  all = (seen){.most = 2};
  pump_store_read_all(store, &read, 0, see, &all, &page);
  tap_ok(all.count == 2 && all.numbers[0] == 5 && page.next == 4, "$all backward too");
  page = read_some(store, "s", INT64_MAX, 10, false, 10, &all);
  tap_ok(page.next == 6 && page.is_end, "a page from the largest number on is empty");
  page = read_some(store, "s", INT64_MAX, 10, true, 10, &all);
  tap_ok(all.count == 0 && page.next == 5 && !page.is_end, "and leads to the last, backward");
  pump_store_close(store);
}

static void count_role(void *ud, pump_bytes name) {
  (void)name;
  ++*(int *)ud;
}

/* Files that may not be written stand for a disk that is full. */
static void test_full_disk(void) {
  const char *file = path_of("full.db");
  pump_store *store = open_store(file);
  append(store, "s", PUMP_ANY, 1, "x");
  pump_store_commit(store);
  pump_store_close(store);
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  struct rlimit nothing = {0, limit.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &nothing);
  seen all = {0};
  bool is_refused = false;
  int code = pump_store_open(&store, file, false, error, sizeof error);
  if (code == 0) {
    read_some(store, "s", 0, 10, false, 10, &all);
    is_refused = append(store, "s", PUMP_ANY, 2, "y").result != PUMP_STORE_SUCCESS ||
                 pump_store_commit(store) != 0;
    pump_store_rollback(store);
    pump_store_close(store);
  }
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, SIG_DFL);
  tap_ok(code == 0 && all.count == 1 && is_refused,
         "a store on a full disk opens, can be read, and takes nothing");
}

static void test_metadata(void) {
  pump_store *store = open_store(NULL);
  for (unsigned char i = 0; i < 5; i++)
    append(store, "s", PUMP_ANY, (unsigned char)(10 + i), "x");
  append(store, "$$s", PUMP_ANY, 30, "{\"$maxCount\":2,\"$acl\":{\"$r\":[\"a\",\"b\"],\"$w\":[]}}");
  seen all;
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 2 && all.numbers[0] == 3, "$maxCount hides the older ones");
  int roles = 0;
  bool is_set;
  pump_store_roles(store, pump_bytes_of("s"), PUMP_STORE_READ, count_role, &roles, &is_set);
  tap_ok(is_set && roles == 2, "$r names two");
  roles = 0;
  pump_store_roles(store, pump_bytes_of("s"), PUMP_STORE_WRITE, count_role, &roles, &is_set);
  tap_ok(is_set && roles == 0, "$w names nobody");
  pump_store_roles(store, pump_bytes_of("s"), PUMP_STORE_DELETE, count_role, &roles, &is_set);
  tap_ok(!is_set, "$d says nothing");
  append(store, "$$s", PUMP_ANY, 31, "{\"$maxCount\":\"two\"}");
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 5, "metadata with a value that makes no sense hides nothing");
  append(store, "$$s", PUMP_ANY, 32, "no json");
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 5, "nor does what is no JSON");
  pump_new_event binary = event_of(34, "{\"$tb\":5}");
  pump_store_written written;
  binary.is_json = false;
  pump_store_append(store, pump_bytes_of("$$s"), PUMP_ANY, &binary, 1, 1, &written);
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 5, "nor does what says that it is none");
  append(store, "$$$$s", PUMP_ANY, 35, "{\"$tb\":9223372036854775807}");
  read_some(store, "$$s", PUMP_END, 1, true, 1, &all);
  tap_ok(all.count == 1, "metadata of metadata hide nothing");
  append(store, "$$s", PUMP_ANY, 33, "{\"$tb\":9223372036854775807,\"mine\":1}");
  pump_store_page page = read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(page.result == PUMP_STORE_NO_STREAM && page.last == 4, "a soft-deleted stream is none");
  append(store, "s", PUMP_NO_STREAM, 20, "back");
  read_some(store, "s", 0, 10, false, 10, &all);
  tap_ok(all.count == 1 && all.numbers[0] == 5, "and comes back with the next number");
  read_some(store, "$$s", PUMP_END, 1, true, 1, &all);
  tap_ok(strcmp(all.data[0], "{\"$tb\":5,\"mine\"") == 0, "its metadata is kept: %s", all.data[0]);
  pump_store_close(store);
}

/* What a real 5.0.8 makes of metadata: what it hides of five events, and whether it lets read. */
static void test_lenience(void) {
  static const struct {
    const char *metadata;
    int left;
    bool is_set;
  } cases[] = {
      {"{\"$maxCount\":2,\"$maxAge\":-1}", 2, false},
      {"{\"$maxCount\":2,\"$tb\":-1}", 2, false},
      {"{\"$maxCount\":0,\"$tb\":3}", 2, false},
      {"{\"$maxCount\":2,\"$maxCount\":1}", 1, false},
      {"{\"$maxCount\":2,\"$maxAge\":null}", 5, false},
      {"{\"$maxCount\":2,\"$maxAge\":922337203686}", 5, false},
      {"{\"$maxCount\":2,\"$cacheControl\":\"x\"}", 5, false},
      {"{\"$maxCount\":2,\"$tmp\":1}", 5, false},
      {"{\"$maxCount\":2,\"$acl\":1}", 5, false},
      {"{\"$maxCount\":2,\"$acl\":{\"x\":1}}", 5, false},
      {"{\"$maxCount\":2,\"$acl\":{\"$r\":null}}", 5, false},
      {"{\"$maxCount\":2,\"$acl\":{\"$r\":[\"a\",7]}}", 5, false},
      {"{\"$maxCount\":2,\"$acl\":{\"$r\":[\"a\"],\"$w\":\"b\"},\"mine\":{\"$tb\":4}}", 2, true},
      {"{\"$tb\":9223372036854775808}", 5, false},
  };
  pump_store *store = open_store(NULL);
  for (unsigned char i = 0; i < 5; i++)
    append(store, "s", PUMP_ANY, (unsigned char)(10 + i), "x");
  for (unsigned char i = 0; i < sizeof cases / sizeof *cases; i++) {
    seen all;
    int roles;
    bool is_set;
    append(store, "$$s", PUMP_ANY, (unsigned char)(30 + i), cases[i].metadata);
    read_some(store, "s", 0, 10, false, 10, &all);
    pump_store_roles(store, pump_bytes_of("s"), PUMP_STORE_READ, count_role, &roles, &is_set);
    tap_ok(all.count == cases[i].left && is_set == cases[i].is_set, "%s", cases[i].metadata);
  }
  pump_store_close(store);
}

static void test_recent(void) {
  pump_recent recent;
  pump_recent_init(&recent, 1024);
  for (int i = 0; i < 5000; i++) {
    pump_guid id = {{(unsigned char)i, (unsigned char)(i >> 8)}};
    pump_recent_add(&recent, &id, 1, i);
  }
  int known = 0;
  bool is_right = true;
  for (int i = 0; i < 5000; i++) {
    pump_guid id = {{(unsigned char)i, (unsigned char)(i >> 8)}};
    const pump_recent_entry *entry = pump_recent_find(&recent, &id);
    known += entry != NULL;
    is_right = is_right && (entry != NULL) == (i >= 5000 - 1024) && (!entry || entry->number == i);
  }
  tap_ok(known == 1024 && is_right, "the newest ids are known, the oldest forgotten");
  pump_guid same = {{255, 255, 255}};
  for (int i = 0; i < 1024; i++)
    pump_recent_add(&recent, &same, 1, i);
  tap_ok(pump_recent_find(&recent, &same)->number == 0, "of one id the first counts");
  for (int i = 1024; i < 3000; i++)
    pump_recent_add(&recent, &same, 1, i);
  tap_ok(pump_recent_find(&recent, &same)->number >= 1024, "until it is forgotten");
  pump_recent_free(&recent);
}

/* ---- Scavenges ---------------------------------------------------------------------------- */

static const char *const cleaned[] = {"counted", "cut", "aged", "soft", "back", "hard", "whole"};

/* All that readers of a stream are told, as text. */
static void put_readings(pump_store *store, const char *stream, pump_buffer *out) {
  seen all;
  for (int backward = 0; backward < 2; backward++) {
    for (int64_t from = 0; from < 12; from += 2) {
      pump_store_page page = read_some(store, stream, from, 3, backward, 16, &all);
      pump_buffer_printf(out, "%s %d %d: %d %d %d %d", stream, backward, (int)from, page.result,
                         (int)page.next, (int)page.last, page.is_end);
      for (int i = 0; i < all.count; i++)
        pump_buffer_printf(out, " %d=%s", (int)all.numbers[i], all.data[i]);
    }
  }
  for (int64_t number = -1; number < 12; number++) {
    pump_store_result result;
    all = (seen){.most = 16};
    pump_store_read_event(store, pump_bytes_of(stream), number, false, NOW, see, &all, &result);
    pump_buffer_printf(out, " %d:%d,%d", (int)number, result, all.count);
  }
}

static void scavenge(pump_store *store, int64_t needed) {
  int64_t stream = 0;
  bool is_done = false;
  int steps = 0;
  while (!is_done && steps++ < 1000)
    if (pump_store_scavenge(store, &stream, 7, needed, NOW, &is_done) != 0) break;
  tap_ok(is_done && steps > 1 && pump_store_commit(store) == 0, "a scavenge ends, in %d steps",
         steps);
}

static bool count_event(void *ud, const pump_event *event) {
  ++*(int *)ud;
  return event != NULL;
}

static int count_all(pump_store *store) {
  pump_read read = {.max_count = 4096};
  pump_store_page page;
  int count = 0;
  pump_store_read_all(store, &read, NOW, count_event, &count, &page);
  return count;
}

static void fill(pump_store *store) {
  pump_store_written written;
  for (size_t i = 0; i < sizeof cleaned / sizeof *cleaned; i++) {
    for (unsigned char k = 0; k < 10; k++)
      append(store, cleaned[i], PUMP_ANY, (unsigned char)(20 * i + k), "data");
  }
  append(store, "$$counted", PUMP_ANY, 201, "{\"$maxCount\":3}");
  append(store, "$$counted", PUMP_ANY, 202, "{\"$maxCount\":4}");
  append(store, "$$cut", PUMP_ANY, 203, "{\"$tb\":7}");
  append(store, "$$aged", PUMP_ANY, 204, "{\"$maxAge\":1}");
  pump_new_event young = event_of(205, "young");
  pump_store_append(store, pump_bytes_of("aged"), PUMP_ANY, &young, 1, NOW, &written);
  pump_store_delete(store, pump_bytes_of("soft"), PUMP_ANY, false, 1, &written);
  pump_store_delete(store, pump_bytes_of("back"), PUMP_ANY, false, 1, &written);
  append(store, "back", PUMP_ANY, 206, "again");
  pump_store_delete(store, pump_bytes_of("hard"), PUMP_ANY, true, 1, &written);
  pump_store_commit(store);
}

static void test_scavenge(void) {
  const char *file = path_of("scavenge.db");
  pump_store *store = open_store(file);
  pump_buffer before, after;
  pump_buffer_init(&before);
  pump_buffer_init(&after);
  fill(store);
  for (size_t i = 0; i < sizeof cleaned / sizeof *cleaned; i++)
    put_readings(store, cleaned[i], &before);
  int had = count_all(store);
  int64_t used = pump_store_used(store);
  scavenge(store, 0);
  tap_ok(count_all(store) == had, "what somebody still needs stays");
  scavenge(store, INT64_MAX);
  for (size_t i = 0; i < sizeof cleaned / sizeof *cleaned; i++)
    put_readings(store, cleaned[i], &after);
  tap_ok(strcmp(pump_buffer_string(&before), pump_buffer_string(&after)) == 0,
         "and readers of streams see no difference");
  /* Of counted, cut, aged, soft, back, hard; and metadata that was replaced. */
  tap_ok(count_all(store) == had - 6 - 7 - 10 - 9 - 10 - 10 - 2, "though %d of %d events are gone",
         had - count_all(store), had);
  tap_ok(used > 4096 && pump_store_used(store) <= used, "and take no more room: %lld bytes, %lld",
         (long long)pump_store_used(store), (long long)used);
  int64_t end = pump_store_end_position(store);
  pump_store_close(store);
  store = open_store(file);
  tap_ok(pump_store_end_position(store) == end, "no position is given twice");
  tap_ok(append(store, "soft", PUMP_ANY, 207, "x").first == 10, "nor any number");
  pump_store_close(store);
  pump_buffer_free(&before);
  pump_buffer_free(&after);
}

static long size_of_file(const char *file) {
  struct stat found = {0};
  stat(file, &found);
  return (long)found.st_size;
}

static void test_shrinking(void) {
  const char *file = path_of("shrink.db");
  pump_store *store = open_store(file);
  pump_store_written written;
  static char data[100000];
  for (unsigned char i = 0; i < 100; i++) {
    pump_new_event event = {
        .id = {{i, 1}}, .type = pump_bytes_of("t"), .data = {data, sizeof data}};
    pump_store_append(store, pump_bytes_of("large"), PUMP_ANY, &event, 1, 1, &written);
  }
  pump_store_commit(store);
  pump_store_close(store);
  long before = size_of_file(file);
  store = open_store(file);
  pump_store_delete(store, pump_bytes_of("large"), PUMP_ANY, true, 1, &written);
  scavenge(store, INT64_MAX);
  bool is_done = false;
  for (int i = 0; i < 100 && !is_done; i++)
    pump_store_shrink(store, &is_done);
  pump_store_close(store);
  tap_ok(is_done && before > 9000000 && size_of_file(file) < before / 10,
         "the file gets smaller: %ld bytes, %ld before", size_of_file(file), before);
}

int main(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/pump-store-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  test_opening();
  test_scavenge();
  test_shrinking();
  test_keeping();
  test_transactions();
  test_undoing();
  test_names();
  test_short_pages();
  test_metadata();
  test_lenience();
  test_full_disk();
  test_recent();
  char command[160];
  snprintf(command, sizeof command, "rm -r %s", folder);
  if (system(command) != 0) return 1;
  return tap_done();
}
