/* Who may come into a node, what they may do there, and how the store says so. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "node/rights.h"
#include "node/system.h"

static char error[256];

static pump_store *open_store(const char *file) {
  pump_store *store;
  if (pump_store_open(&store, file, true, error, sizeof error) != 0) printf("# %s\n", error);
  return store;
}

static void put(pump_store *store, const char *stream, const char *data) {
  static uint8_t counter;
  pump_new_event event = {.type = pump_bytes_of("t"), .data = pump_bytes_of(data), .is_json = true};
  pump_store_written written;
  event.id.bytes[0] = ++counter;
  event.id.bytes[15] = 7;
  if (pump_store_append(store, pump_bytes_of(stream), PUMP_ANY, &event, 1, 1, &written) != 0 ||
      pump_store_commit(store) != 0)
    abort();
}

/* As 5.0.8 wrote it of admin, whose password was changeit (recorded/5.0.8/semantics.jsonl). */
static void test_password(void) {
  static const uint8_t salt[] = {0x24, 0x58, 0x33, 0x5a, 0x19, 0x26, 0x44, 0xd3,
                                 0x95, 0x41, 0xd2, 0x48, 0x10, 0x81, 0xb5, 0x85};
  static const uint8_t expected[] = {0x9a, 0x34, 0xd4, 0x52, 0x9a, 0xd8, 0x69, 0x2e, 0xef, 0xa0,
                                     0x4d, 0xd7, 0x2a, 0xf5, 0xbc, 0xf9, 0xcc, 0x5e, 0x18, 0xd4};
  uint8_t hash[PUMP_HASH_SIZE];
  pump_password_hash(hash, pump_bytes_of("changeit"), salt);
  tap_ok(memcmp(hash, expected, sizeof expected) == 0, "a password is kept as servers keep it");
  pump_password_hash(hash, pump_bytes_of("changed"), salt);
  tap_ok(memcmp(hash, expected, sizeof expected) != 0, "another is another");
}

static void test_base64(void) {
  static const char *const texts[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "+/+/"};
  pump_buffer out;
  uint8_t bytes[8];
  bool is_same = true;
  pump_buffer_init(&out);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    ptrdiff_t size = pump_base64_read(bytes, sizeof bytes, pump_bytes_of(texts[i]));
    pump_buffer_clear(&out);
    if (size >= 0) pump_base64_write(&out, bytes, (size_t)size);
    is_same = is_same && size >= 0 && strcmp(pump_buffer_string(&out), texts[i]) == 0;
  }
  tap_ok(is_same, "base64 is read and written");
  static const char *const wrong[] = {
      "Z", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm9vYmFyZm9v"};
  int refused = 0;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    refused += pump_base64_read(bytes, sizeof bytes, pump_bytes_of(wrong[i])) == -1;
  tap_ok(refused == sizeof wrong / sizeof *wrong, "what is none, or too long, is refused (%d)",
         refused);
  pump_buffer_free(&out);
}

/* ---- Users -------------------------------------------------------------------------------- */

static const pump_account *enter(pump_accounts *accounts, const char *name, const char *password) {
  return pump_accounts_find(accounts, pump_bytes_of(name), pump_bytes_of(password));
}

/* As a server writes them; the password is changeit. */
#define USER(name, more)                                                                           \
  "{\"loginName\":\"" name "\",\"fullName\":\"Ms. Hooves\","                                       \
  "\"salt\":\"JFgzWhkmRNOVQdJIEIG1hQ==\",\"hash\":\"mjTUUprYaS7voE3XKvW8+cxeGNQ=\"" more "}"

static void test_new_store(void) {
  pump_store *store = open_store(NULL);
  pump_accounts accounts = {.store = store};
  pump_node_user users[] = {{"derpy", "muffins"}, {"ops", "apples"}};
  pump_node_options options = {.users = users, .user_count = 2};
  tap_ok(pump_system_begin(&accounts, &options, PUMP_LIKE_5, 1) == 0, "a new store gets users");
  tap_ok(pump_account_is_admin(enter(&accounts, "admin", "changeit")) &&
             enter(&accounts, "derpy", "muffins") && enter(&accounts, "ops", "apples"),
         "admin, ops and those that were given come in");
  tap_ok(!enter(&accounts, "admin", "changeIt") && !enter(&accounts, "admin", "") &&
             !enter(&accounts, "ops", "changeit") && !enter(&accounts, "nobody", "changeit") &&
             !enter(&accounts, "", ""),
         "others do not");
  tap_ok(pump_account_may_operate(enter(&accounts, "ops", "apples")) &&
             !pump_account_is_admin(enter(&accounts, "ops", "apples")) &&
             !pump_account_may_operate(enter(&accounts, "derpy", "muffins")) &&
             pump_account_is_admin(&pump_account_owner) && !pump_account_is_admin(NULL),
         "each is of their groups");
  tap_ok(pump_system_is_open(&accounts, &options), "admin has the password that everybody knows");
  pump_accounts_free(&accounts);
  pump_store_close(store);
}

static void test_events(void) {
  pump_store *store = open_store(NULL);
  pump_accounts accounts = {.store = store};
  pump_node_options options = {0};
  pump_system_begin(&accounts, &options, PUMP_LIKE_5, 1);
  tap_ok(!enter(&accounts, "derpy", "changeit"), "who is not there does not come in");
  put(store, "$user-derpy", USER("derpy", ",\"groups\":[\"$admins\",\"mail \\u0026 more\"]"));
  const pump_account *derpy = enter(&accounts, "derpy", "changeit");
  tap_ok(pump_account_is_admin(derpy) && pump_account_is_of(derpy, pump_bytes_of("mail & more")) &&
             strcmp(derpy->full_name, "Ms. Hooves") == 0,
         "an event in $user-derpy makes them a user");
  put(store, "$user-derpy", USER("derpy", ",\"groups\":[]"));
  tap_ok(enter(&accounts, "derpy", "changeit") == derpy && !pump_account_is_admin(derpy),
         "the next takes their groups");
  put(store, "$user-derpy",
      "{\"groups\":[],\"salt\":\"6uzWpGAFcd1OfuR3JRN9pA==\","
      "\"hash\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}");
  tap_ok(!enter(&accounts, "derpy", "changeit"), "another one the password");
  put(store, "$user-derpy", USER("derpy", ",\"disabled\":true"));
  tap_ok(!enter(&accounts, "derpy", "changeit"), "who is disabled does not come in");
  put(store, "$user-derpy", USER("derpy", ",\"disabled\":false"));
  tap_ok(enter(&accounts, "derpy", "changeit") == derpy, "and does when that is over");
  static const char *const odd[] = {"",
                                    "[]",
                                    "{",
                                    "{\"salt\":\"JFgzWhkmRNOVQdJIEIG1hQ==\"}",
                                    "{\"salt\":1,\"hash\":2}",
                                    USER("derpy", ",\"groups\":[1]"),
                                    USER("derpy", ",\"groups\":[\"a\\u0000b\"]"),
                                    USER("derpy", ",\"hash\":\"JFgzWhkmRNOVQdJIEIG1hQ==\"")};
  int refused = 0;
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    put(store, "$user-derpy", odd[i]);
    refused += !enter(&accounts, "derpy", "changeit");
  }
  tap_ok(refused == sizeof odd / sizeof *odd, "what is no user lets nobody in (%d)", refused);
  put(store, "$user-derpy", USER("derpy", ""));
  bool was_there = enter(&accounts, "derpy", "changeit") != NULL;
  pump_store_written written;
  pump_store_delete(store, pump_bytes_of("$user-derpy"), PUMP_ANY, false, 1, &written);
  pump_store_commit(store);
  tap_ok(was_there && !enter(&accounts, "derpy", "changeit"), "nor does a stream that is deleted");
  pump_accounts_free(&accounts);
  pump_store_close(store);
}

static void test_again(void) {
  char file[] = "/tmp/pump-accounts-XXXXXX";
  int fd = mkstemp(file);
  pump_node_user users[] = {{"derpy", "muffins"}, {"admin", "sugarcube"}};
  pump_node_options options = {.users = users, .user_count = 2};
  pump_store *store = open_store(file);
  pump_accounts accounts = {.store = store};
  pump_system_begin(&accounts, &options, PUMP_LIKE_5, 1);
  pump_accounts_free(&accounts);
  pump_store_close(store);

  accounts.store = store = open_store(file);
  int64_t end = pump_store_end_position(store);
  pump_node_options none = {0};
  pump_system_begin(&accounts, &none, PUMP_LIKE_5, 1);
  tap_ok(enter(&accounts, "derpy", "muffins") && enter(&accounts, "admin", "sugarcube") &&
             !enter(&accounts, "admin", "changeit") && enter(&accounts, "ops", "changeit") &&
             pump_store_end_position(store) == end,
         "users stay, and their passwords");
  pump_accounts_free(&accounts);
  users[0].password = "letters";
  users[1] = (pump_node_user){"bon", "bon"};
  pump_system_begin(&accounts, &options, PUMP_LIKE_5, 1);
  tap_ok(enter(&accounts, "derpy", "letters") && !enter(&accounts, "derpy", "muffins") &&
             enter(&accounts, "bon", "bon") && enter(&accounts, "admin", "sugarcube"),
         "unless others are given");
  end = pump_store_end_position(store);
  pump_system_begin(&accounts, &options, PUMP_LIKE_5, 1);
  tap_ok(pump_store_end_position(store) == end, "which is written once");
  pump_accounts_free(&accounts);
  pump_store_close(store);
  close(fd);
  unlink(file);
}

/* ---- Rights ------------------------------------------------------------------------------- */

static bool may(pump_store *store, const char *who, const char *stream, pump_store_right right) {
  static char name[16], ops[] = PUMP_OPS "\0", none[] = "";
  snprintf(name, sizeof name, "%s", who);
  pump_account account = {.name = name, .groups = strcmp(who, "ops") == 0 ? ops : none};
  return pump_rights_allow(store, *who ? &account : NULL, pump_bytes_of(stream), right);
}

static void test_settings(void) {
  pump_store *store = open_store(NULL);
  tap_ok(may(store, "", "s", PUMP_STORE_WRITE) && !may(store, "", "$s", PUMP_STORE_READ),
         "streams are everybody's, but for those of the system");
  put(store, "$settings",
      "{\"$userStreamAcl\":{\"$w\":[\"$ops\",\"derpy\"],\"$r\":\"$all\"},"
      "\"$systemStreamAcl\":{\"$r\":\"derpy\"}}");
  tap_ok(!may(store, "", "s", PUMP_STORE_WRITE) && may(store, "", "s", PUMP_STORE_READ) &&
             may(store, "ops", "s", PUMP_STORE_WRITE) && may(store, "derpy", "s", PUMP_STORE_WRITE),
         "$settings say whose they are");
  tap_ok(may(store, "derpy", "$s", PUMP_STORE_READ) && !may(store, "ops", "$s", PUMP_STORE_READ) &&
             !may(store, "derpy", "$s", PUMP_STORE_WRITE),
         "those of the system too");
  put(store, "$$s", "{\"$acl\":{\"$w\":\"$all\"}}");
  tap_ok(may(store, "", "s", PUMP_STORE_WRITE), "what a stream says of itself goes before");
  pump_store_written written;
  put(store, "$$s", "{\"$acl\":{\"$r\":\"derpy\"}}");
  pump_store_delete(store, pump_bytes_of("s"), PUMP_ANY, true, 1, &written);
  tap_ok(may(store, "derpy", "s", PUMP_STORE_READ) && !may(store, "", "s", PUMP_STORE_READ),
         "and still counts when the stream is deleted for good");
  pump_store_delete(store, pump_bytes_of("$settings"), PUMP_ANY, false, 1, &written);
  tap_ok(may(store, "", "t", PUMP_STORE_WRITE), "settings that are deleted say nothing");
  put(store, "$settings", "no JSON");
  tap_ok(may(store, "", "t", PUMP_STORE_WRITE), "nor do those that are none");
  pump_store_close(store);
}

int main(void) {
  test_password();
  test_base64();
  test_new_store();
  test_events();
  test_again();
  test_settings();
  return tap_done();
}
