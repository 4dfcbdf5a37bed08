/* The text in which a node keeps its consumer groups: what is written is read, and nothing else. */
#include "starve.h"

#include <string.h>
#include "base/bytes.h"
#include "node/group_config.h"

static int run_config(void *ud) {
  static const char text[] =
      "{\"version\":\"2\",\"entries\":[{\"group\":\"g\\u0041\",\"stream\":\"s\","
      "\"namedConsumerStrategy\":\"Pinned\",\"startFrom\":-1},{\"group\":\"h\",\"stream\":\"s\","
      "\"other\":[1,{}],\"namedConsumerStrategy\":\"RoundRobin\"}],\"updatedBy\":\"admin\"}";
  pump_group_config config;
  (void)ud;
  int code = pump_group_config_read(&config, pump_bytes_of(text));
  if (code == 0) pump_group_config_free(&config);
  return code;
}

static void test_config(void) {
  pump_group_config config = {0}, read;
  pump_group_entry *entry;
  pump_buffer text, again;
  pump_buffer_init(&text);
  pump_buffer_init(&again);
  pump_group_config_add(&config, pump_bytes_of("a \"stream\""), pump_bytes_of("a::b"), &entry);
  entry->settings = (pump_group_rules){.resolve_links = true,
                                       .strategy = PUMP_PINNED_BY_CORRELATION,
                                       .start_from = INT64_MAX,
                                       .max_retries = INT32_MIN,
                                       .checkpoint_max = 7};
  entry->begin = 5;
  pump_group_config_add(&config, pump_bytes_of("t"), pump_bytes_of("g"), &entry);
  pump_group_config_write(&text, &config, pump_bytes_of("admin"), 1700000000123456);
  bool is_read =
      pump_group_config_read(&read, (pump_bytes){(const char *)text.data, text.size}) == 0;
  if (is_read) pump_group_config_write(&again, &read, pump_bytes_of("admin"), 1700000000123456);
  tap_ok(is_read && read.count == 2 && text.size == again.size &&
             memcmp(text.data, again.data, text.size) == 0,
         "a config reads as it was written");
  tap_ok(is_read && pump_group_config_find(&read, pump_bytes_of("t"), pump_bytes_of("g")) &&
             !pump_group_config_find(&read, pump_bytes_of("a \"stream\"::a"), pump_bytes_of("b")),
         "its groups are found by stream and name, not by what these make together");
  pump_group_config_free(&config);
  if (is_read) pump_group_config_free(&read);
  pump_buffer_free(&again);

  static const char *const bad[] = {
      "",
      "[]",
      "{",
      "{\"entries\":{}}",
      "{\"entries\":[1]}",
      "{\"entries\":[{}]}",
      "{\"entries\":[{\"stream\":\"s\",\"group\":\"g\",\"namedConsumerStrategy\":\"No\"}]}",
      "{\"entries\":[{\"stream\":\"s\",\"group\":\"g\",\"maxRetryCount\":2147483648}]}",
      "{\"entries\":[{\"stream\":1}]}",
      "{\"entries\":[]} x"};
  bool are_refused = true;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    are_refused = are_refused && pump_group_config_read(&read, pump_bytes_of(bad[i])) == PUMP_EJSON;
  for (size_t size = 0; size + 1 < text.size; size++)
    are_refused = are_refused && pump_group_config_read(&read, (pump_bytes){(const char *)text.data,
                                                                            size}) == PUMP_EJSON;
  tap_ok(are_refused, "what is none is refused, wherever it was cut");
  pump_buffer_free(&text);
}

int main(void) {
  test_config();
  long count = starve(run_config, NULL, PUMP_ENOMEM);
  tap_ok(count > 5, "reading without memory is refused and leaks nothing (%ld allocations)", count);
  return tap_done();
}
