/* Fuzzer of the small texts: the first byte says which. What is read of one and written again is
 * read as the same. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/guid.h"
#include "conversation/gossip.h"
#include "node/faults.h"
#include "node/faults_json.h"
#include "node/group_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
  if (!holds) abort();
}

static pump_bytes view(const pump_buffer *buffer) {
  return (pump_bytes){(const char *)buffer->data, buffer->size};
}

static void read_info(pump_bytes text) {
  char version[64], error[100] = "";
  int code = pump_info_parse(version, sizeof version, text, error, sizeof error);
  must(code == 0 ? *version && strlen(version) < sizeof version : code == PUMP_EPROTOCOL && *error);
}

static void read_guid(pump_bytes text) {
  char written[PUMP_GUID_TEXT + 1];
  pump_guid guid, again;
  if (pump_guid_parse(&guid, text.data, text.size) != 0) return;
  pump_guid_format(&guid, written);
  must(pump_guid_parse(&again, written, PUMP_GUID_TEXT) == 0);
  must(memcmp(&guid, &again, sizeof guid) == 0);
}

static void read_base64(pump_bytes text) {
  uint8_t bytes[256];
  pump_buffer out = {0};
  ptrdiff_t size = pump_base64_read(bytes, sizeof bytes, text);
  must(size >= -1 && size <= (ptrdiff_t)sizeof bytes);
  if (size >= 0) {
    pump_base64_write(&out, bytes, (size_t)size);
    must(pump_bytes_equal(view(&out), text));
  }
  pump_buffer_free(&out);
}

static void read_groups(pump_bytes text) {
  pump_group_config config = {0}, again = {0};
  pump_buffer once = {0}, twice = {0};
  pump_bytes me = {"me", 2};
  if (pump_group_config_read(&config, text) == 0) {
    pump_group_config_write(&once, &config, me, 0);
    must(pump_group_config_read(&again, view(&once)) == 0);
    pump_group_config_write(&twice, &again, me, 0);
    must(again.count == config.count && pump_bytes_equal(view(&once), view(&twice)));
  }
  pump_group_config_free(&config);
  pump_group_config_free(&again);
  pump_buffer_free(&once);
  pump_buffer_free(&twice);
}

static void read_faults(pump_bytes text) {
  pump_node_faults faults = {0}, again = {0};
  pump_buffer out = {0};
  char error[200] = "";
  if (pump_faults_parse(&faults, text, error, sizeof error) == 0) {
    pump_faults_write(&out, &faults);
    must(pump_faults_parse(&again, view(&out), error, sizeof error) == 0);
    must(faults.not_handled == again.not_handled && faults.count == again.count);
    pump_faults_release(&faults);
    pump_faults_release(&again);
  } else {
    must(*error != '\0');
  }
  pump_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static void (*const readers[])(pump_bytes text) = {read_info, read_guid, read_base64, read_groups,
                                                     read_faults};
  if (size == 0) return 0;
  pump_bytes text = {(const char *)data + 1, size - 1};
  readers[data[0] % (sizeof readers / sizeof *readers)](text);
  return 0;
}
