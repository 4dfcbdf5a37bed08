/* Files of stores that something has happened to: `damage_test [ROUNDS [SEED]]`. Whatever stands in
 * them, they are refused with a line that says so, or what can be read is read and the rest is an
 * error: nothing crashes, and nothing goes on for ever. And a file that is taken away while it is
 * open. */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "node/store.h"
#include "slow.h"

#define NOW    (INT64_C(1700000000) * 1000000)
#define PAGE   4096
#define ENOUGH 100000

enum { STREAMS = 12, EVENTS = 400 };

static char folder[128], base[160], file[160];
static char error[300];
static uint64_t seed = 1;

static unsigned dice(unsigned sides) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(seed >> 33) % sides;
}

/* ---- A store ------------------------------------------------------------------------------ */

static bool append(pump_store *store, const char *stream, const char *data, size_t size) {
  static unsigned counter;
  pump_new_event event = {
      .type = pump_bytes_of("t"), .data = {data, size}, .is_json = data[0] == '{'};
  pump_store_written written;
  counter++;
  memcpy(event.id.bytes, &counter, sizeof counter);
  return pump_store_append(store, pump_bytes_of(stream), PUMP_ANY, &event, 1, NOW, &written) == 0;
}

static bool set_metadata(pump_store *store, const char *metastream, const char *text) {
  return append(store, metastream, text, strlen(text));
}

static const char *stream_of(unsigned number) {
  static char name[16];
  snprintf(name, sizeof name, "s%u", number % STREAMS);
  return name;
}

static bool make_base(void) {
  static char data[8000];
  pump_store *store;
  pump_store_written written;
  pump_new_event event = {.type = pump_bytes_of("t")};
  int64_t id;
  memset(data, 'd', sizeof data);
  if (pump_store_open(&store, base, true, error, sizeof error) != 0) return false;
  for (unsigned i = 0; i < EVENTS; i++)
    append(store, stream_of(i), data, i % 40 == 0 ? sizeof data : i);
  set_metadata(store, "$$s1", "{\"$maxCount\":3}");
  set_metadata(store, "$$s2", "{\"$tb\":10,\"$acl\":{\"$r\":\"joe\"}}");
  pump_store_delete(store, pump_bytes_of("s3"), PUMP_ANY, false, NOW, &written);
  pump_store_delete(store, pump_bytes_of("s4"), PUMP_ANY, true, NOW, &written);
  pump_store_start_transaction(store, pump_bytes_of("s5"), PUMP_ANY, NOW, &id);
  pump_store_extend_transaction(store, id, &event, 1);
  bool is_good = pump_store_commit(store) == 0;
  pump_store_close(store);
  return is_good;
}

/* ---- All that can be asked of it ---------------------------------------------------------- */

static bool see(void *ud, const pump_event *event) {
  int64_t *sum = ud;
  const pump_record *record = event->record;
  for (size_t i = 0; record && i < record->data.size; i++)
    *sum += record->data.data[i];
  for (size_t i = 0; record && i < record->stream.size; i++)
    *sum += record->stream.data[i];
  return true;
}

static bool read_on(pump_store *store, pump_bytes stream, pump_read *read, pump_store_page *page) {
  static int64_t sum;
  return (stream.size > 0 ? pump_store_read_stream(store, stream, read, NOW, see, &sum, page)
                          : pump_store_read_all(store, read, NOW, see, &sum, page)) == 0;
}

/* To the end, or to where it cannot be read any more. False: it has no end. */
static bool read_whole(pump_store *store, pump_bytes stream) {
  pump_read read = {.max_count = 100};
  pump_store_page page = {.is_end = false};
  for (int i = 0; i < ENOUGH; i++) {
    if (!read_on(store, stream, &read, &page)) return *pump_store_error(store) != '\0';
    if (page.is_end || page.result != PUMP_STORE_SUCCESS) return true;
    read.from = read.position.commit = page.next;
  }
  return false;
}

static bool clean(pump_store *store) {
  int64_t stream = 0;
  bool is_done = false;
  for (int i = 0; i < ENOUGH && !is_done; i++)
    if (pump_store_scavenge(store, &stream, 100, INT64_MAX, NOW, &is_done) != 0)
      return *pump_store_error(store) != '\0';
  pump_store_commit(store);
  return is_done;
}

/* What a process that opens it ends with. */
enum { AS_BEFORE, REFUSED, WRONG };

static int use(void) {
  pump_store *store;
  if (pump_store_open(&store, file, true, error, sizeof error) != 0)
    return strstr(error, file) && !strchr(error, '\n') ? REFUSED : WRONG;
  bool is_good = read_whole(store, (pump_bytes){0});
  for (unsigned i = 0; i < STREAMS; i++) {
    is_good = read_whole(store, pump_bytes_of(stream_of(i))) && is_good;
    append(store, stream_of(i), "more", 4);
  }
  if (pump_store_commit(store) != 0) is_good = is_good && *pump_store_error(store);
  is_good = clean(store) && is_good;
  pump_store_close(store);
  return is_good ? AS_BEFORE : WRONG;
}

/* ---- Damage ------------------------------------------------------------------------------- */

static void put(int fd, const void *bytes, size_t size, off_t at) {
  if (pwrite(fd, bytes, size, at) != (ssize_t)size) abort();
}

/* What was done to the file, in words. */
static const char *damage(int fd, unsigned size) {
  static char words[100];
  uint8_t page[PAGE] = {0}, byte;
  unsigned at = dice(size), count = 1 + dice(dice(2) ? 4 : 200);
  switch (dice(4)) {
  case 0:
    if (dice(2)) at -= at % PAGE;
    if (ftruncate(fd, (off_t)at) != 0) abort();
    snprintf(words, sizeof words, "cut at %u", at);
    break;
  case 1:
    byte = (uint8_t)dice(256);
    put(fd, &byte, 1, at % 100);
    snprintf(words, sizeof words, "byte %u is %u", at % 100, byte);
    break;
  case 2:
    for (size_t i = 0; i < PAGE && count % 2; i++)
      page[i] = (uint8_t)dice(256);
    put(fd, page, PAGE, at - at % PAGE);
    snprintf(words, sizeof words, "page %u is %s", at / PAGE, count % 2 ? "noise" : "empty");
    break;
  default:
    for (unsigned i = 0; i < count; i++) {
      byte = (uint8_t)dice(256);
      put(fd, &byte, 1, (off_t)dice(size));
    }
    snprintf(words, sizeof words, "%u bytes are others", count);
  }
  return words;
}

static bool copy_base(int *fd, unsigned *size) {
  char command[500];
  struct stat about;
  snprintf(command, sizeof command, "rm -f '%s'*; cp '%s' '%s'", file, base, file);
  if (system(command) != 0 || stat(file, &about) != 0) return false;
  *size = (unsigned)about.st_size;
  *fd = open(file, O_RDWR);
  return *fd >= 0;
}

static int use_elsewhere(void) {
  int status = -1;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm((unsigned)(20 * slowness()));
    _exit(use());
  }
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : WRONG;
}

static void test_damage(int rounds) {
  int ends[WRONG + 1] = {0};
  char first[200] = "";
  for (int i = 0; i < rounds; i++) {
    int fd;
    unsigned size;
    if (!copy_base(&fd, &size)) break;
    const char *words = damage(fd, size);
    close(fd);
    int end = use_elsewhere();
    ends[end < WRONG ? end : WRONG]++;
    if (end >= WRONG && !first[0]) snprintf(first, sizeof first, ": round %d, %s", i, words);
  }
  tap_ok(ends[AS_BEFORE] > 0 && ends[REFUSED] > 0 && ends[WRONG] == 0,
         "of %d damaged stores %d are refused, %d are used as far as they go, %d do not end well%s",
         rounds, ends[REFUSED], ends[AS_BEFORE], ends[WRONG], first);
}

/* size 0: the second half is missing. */
static void test_words(off_t place, size_t size, const char *words) {
  static const uint8_t bytes[] = {0x80};
  int fd;
  unsigned all;
  pump_store *store;
  if (!copy_base(&fd, &all)) return;
  put(fd, bytes, size, place);
  if (size == 0 && ftruncate(fd, (off_t)all / 2) != 0) abort();
  close(fd);
  int code = pump_store_open(&store, file, false, error, sizeof error);
  tap_ok(code == PUMP_ESTORE && strstr(error, words), "%s", error);
  pump_store_close(store);
}

/* ---- Taken away --------------------------------------------------------------------------- */

static void test_gone(void) {
  char elsewhere[200];
  pump_store *store;
  int64_t sum = 0;
  pump_store_page page;
  pump_read read = {.max_count = 10};
  int fd;
  unsigned size;
  if (!copy_base(&fd, &size)) return;
  close(fd);
  snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
  pump_store_open(&store, file, false, error, sizeof error);
  rename(file, elsewhere);
  tap_ok(append(store, "s0", "x", 1) && pump_store_commit(store) != 0 &&
             strstr(pump_store_error(store), "deleted, moved or replaced"),
         "a write to a file that is not there any more is refused");
  tap_ok(pump_store_read_stream(store, pump_bytes_of("s0"), &read, NOW, see, &sum, &page) == 0 &&
             page.last == (EVENTS - 1) / STREAMS,
         "what it held can be read");
  rename(elsewhere, file);
  tap_ok(append(store, "s0", "x", 1) && pump_store_commit(store) == 0,
         "and where it is back it is written to again");
  pump_store_close(store);
}

int main(int argc, char **argv) {
  const char *tmp = getenv("TMPDIR");
  char command[160];
  if (argc > 2) seed = strtoull(argv[2], NULL, 10);
  snprintf(folder, sizeof folder, "%s/pump-damage-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  snprintf(base, sizeof base, "%s/base.db", folder);
  snprintf(file, sizeof file, "%s/damaged.db", folder);
  if (tap_ok(make_base(), "a store %s", error)) {
    test_damage(argc > 1 ? atoi(argv[1]) : 60);
    test_words(0, 1, "is no store");
    test_words(68, 1, "no store of pump");
    test_words(60, 1, "which there never was");
    test_words(0, 0, "is damaged");
    test_gone();
  }
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command) != 0 || tap_done();
}
