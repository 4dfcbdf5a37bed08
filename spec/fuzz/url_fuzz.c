/* Fuzzer of URLs: any text is a URL or one line of error, and a password that was understood does
 * not stand in the redacted text. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const pump_url *url) {
  bool local = url->kind == PUMP_URL_MEMORY || url->kind == PUMP_URL_FILE;
  if (local != (url->host_count == 0)) abort();
  if ((url->kind == PUMP_URL_FILE) != (url->path != NULL)) abort();
  if (url->password && !url->username) abort();
  for (size_t i = 0; i < url->host_count; i++)
    if (!*url->hosts[i].name || url->hosts[i].port < 1 || url->hosts[i].port > 65535) abort();
  size_t at = 0, length = 0;
  const char *key, *value;
  while (pump_url_next(url, &at, &key, &value))
    length += strlen(key) + strlen(value);
  if (at != url->option_count || length > (size_t)1 << 20) abort();
}

/* The password as it is written, between the first ':' and the last '@', has become "***". */
static void check_redacted(pump_bytes text) {
  pump_buffer redacted = {0};
  pump_url_redact(&redacted, text);
  pump_url *url;
  char error[200];
  if (pump_url_parse(&url, (pump_bytes){(const char *)redacted.data, redacted.size}, error,
                     sizeof error) != 0)
    abort();
  if (!url->password || strcmp(url->password, "***") != 0) abort();
  pump_url_free(url);
  pump_buffer_free(&redacted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pump_bytes text = {(const char *)data, size};
  pump_url *url;
  char error[200];
  memset(error, '!', sizeof error);
  if (pump_url_parse(&url, text, error, sizeof error) == 0) {
    check_url(url);
    if (url->password) check_redacted(text);
  } else if (url || !memchr(error, '\0', sizeof error) || strpbrk(error, "\r\n")) {
    abort();
  } else {
    pump_buffer redacted = {0};
    pump_url_redact(&redacted, text);
    pump_buffer_free(&redacted);
  }
  pump_url_free(url);
  return 0;
}
