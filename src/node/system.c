#include "node/system.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/json.h"
#include "node/password.h"

#define USER_METADATA "{\"$acl\":{\"$w\":\"$admins\",\"$d\":\"$admins\",\"$mw\":\"$admins\"}}"

typedef struct beginning {
  pump_store *store;
  const pump_accounts *accounts;
  int64_t now;
  int code;
} beginning;

static void write(beginning *at, const char *stream, const char *type, const char *data,
                  bool is_json) {
  pump_store_written written;
  pump_new_event event = {
      .type = pump_bytes_of(type), .data = pump_bytes_of(data), .is_json = is_json};
  pump_store_make_id(&event.id);
  if (at->code == 0)
    at->code =
        pump_store_append(at->store, pump_bytes_of(stream), PUMP_ANY, &event, 1, at->now, &written);
}

static void put_base64(pump_buffer *out, const uint8_t *data, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    uint32_t bits = (uint32_t)data[i] << 16;
    if (i + 1 < size) bits |= (uint32_t)data[i + 1] << 8;
    if (i + 2 < size) bits |= data[i + 2];
    for (size_t k = 0; k < 4; k++)
      pump_buffer_byte(out, i + k <= size ? (uint8_t)digits[bits >> (18 - 6 * k) & 63] : '=');
  }
}

static void write_user(beginning *at, const pump_account *account) {
  uint8_t salt[PUMP_SALT_SIZE], hash[PUMP_HASH_SIZE];
  sqlite3_randomness(sizeof salt, salt);
  pump_password_hash(hash, pump_bytes_of(account->password), salt);
  bool is_admin = pump_account_is_admin(account), is_ops = strcmp(account->group, "$ops") == 0;
  pump_buffer stream, data;
  pump_buffer_init(&stream);
  pump_buffer_init(&data);
  pump_buffer_text(&stream, "$user-");
  pump_buffer_text(&stream, account->name);
  pump_buffer_text(&data, "{\n  \"loginName\": ");
  bool is_text = pump_json_write_string(&data, pump_bytes_of(account->name)) == 0;
  pump_buffer_text(&data, ",\n  \"fullName\": ");
  pump_json_write_string(&data, pump_bytes_of(is_admin ? "Event Store Administrator"
                                              : is_ops ? "Event Store Operations"
                                                       : account->name));
  pump_buffer_text(&data, ",\n  \"salt\": \"");
  put_base64(&data, salt, sizeof salt);
  pump_buffer_text(&data, "\",\n  \"hash\": \"");
  put_base64(&data, hash, sizeof hash);
  pump_buffer_text(&data, "\",\n  \"groups\": [");
  if (*account->group) {
    pump_buffer_text(&data, "\n    ");
    pump_json_write_string(&data, pump_bytes_of(account->group));
    pump_buffer_text(&data, "\n  ");
  }
  pump_buffer_text(&data, "]\n}");
  write(at, pump_buffer_string(&stream), "$UserCreated", pump_buffer_string(&data), is_text);
  if (stream.failed || data.failed) at->code = PUMP_ENOMEM;
  pump_buffer_free(&stream);
  pump_buffer_free(&data);
}

/* ops comes first where an older server has it last. */
static const pump_account *account_at(const beginning *at, size_t i, bool is_23) {
  size_t swapped = is_23 && i < 2 ? 1 - i : i;
  return &at->accounts->list[swapped];
}

static void write_user_metadata(beginning *at, const pump_account *account) {
  pump_buffer stream;
  pump_buffer_init(&stream);
  pump_buffer_text(&stream, "$$$user-");
  pump_buffer_text(&stream, account->name);
  write(at, pump_buffer_string(&stream), "$metadata", USER_METADATA, true);
  if (stream.failed) at->code = PUMP_ENOMEM;
  pump_buffer_free(&stream);
}

int pump_system_begin(pump_store *store, const pump_accounts *accounts, bool is_23, int64_t now) {
  beginning at = {.store = store, .accounts = accounts, .now = now};
  if (pump_store_end_position(store) > 0) return 0;
  /* The first place in $all is that of a server's epoch, which nobody sees. */
  pump_store_written written;
  at.code = pump_store_append(store, pump_bytes_of("$users"), PUMP_ANY, NULL, 0, now, &written);
  if (!is_23) write(&at, "$$$stats-127.0.0.1:2113", "$metadata", "{\"$maxAge\":864000}", true);
  for (size_t i = 0; i < accounts->count; i++)
    write_user_metadata(&at, &accounts->list[i]);
  write(&at, "$$$scavenges", "$metadata",
        "{\"$maxAge\":2592000,\"$acl\":{\"$r\":\"$ops\",\"$w\":[],\"$d\":[],\"$mr\":[],"
        "\"$mw\":[]}}",
        true);
  for (size_t i = 0; i < accounts->count; i++)
    write_user(&at, account_at(&at, i, is_23));
  for (size_t i = 0; i < accounts->count; i++)
    write(&at, "$users", "$User", account_at(&at, i, is_23)->name, false);
  if (at.code == 0) at.code = pump_store_commit(store);
  return at.code;
}
