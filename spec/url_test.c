/* URLs: what they mean, what is wrong with them, and that no password is ever told. */
#include "starve.h"

#include <string.h>

#include "base/bytes.h"
#include "base/url.h"

/* A URL as one line that says all of it. */
static void describe(pump_buffer *to, const pump_url *url) {
  static const char *const kinds[] = {"tcp", "discover", "grpc", "memory", "file"};
  pump_buffer_printf(to, "%s %s%s%s", kinds[url->kind], url->scheme, url->tls ? " tls" : "",
                     url->discover ? " discover" : "");
  if (url->username) pump_buffer_printf(to, " user=%s", url->username);
  if (url->password) pump_buffer_printf(to, " password=%s", url->password);
  if (url->path) pump_buffer_printf(to, " path=%s", url->path);
  for (size_t i = 0; i < url->host_count; i++)
    pump_buffer_printf(to, " %s|%d", url->hosts[i].name, url->hosts[i].port);
  size_t at = 0;
  const char *key, *value;
  while (pump_url_next(url, &at, &key, &value))
    pump_buffer_printf(to, " %s=%s", key, value);
}

static void test_good(void) {
  static const char *const cases[][2] = {
      {"tcp://127.0.0.1:1113", "tcp tcp 127.0.0.1|1113"},
      {"tcp://localhost", "tcp tcp localhost|1113"},
      {"tcp://localhost/", "tcp tcp localhost|1113"},
      {"TCP://Es-1.example_x.com:65535", "tcp tcp Es-1.example_x.com|65535"},
      {"tcps://es:1", "tcp tcps tls es|1"},
      {"localhost:1113", "tcp tcp localhost|1113"},
      {"10.0.0.5:2000?timeout=3", "tcp tcp 10.0.0.5|2000 timeout=3"},
      {"[::1]:1113", "tcp tcp ::1|1113"},
      {"tcp://[::1]", "tcp tcp ::1|1113"},
      {"tcp://a:b@[fe80::1%eth0]:5", "tcp tcp user=a password=b fe80::1%eth0|5"},
      {"tcp://[fe80::1%25eth0]", "tcp tcp fe80::1%eth0|1113"},
      {"tcp://[::ffff:10.0.0.1]", "tcp tcp ::ffff:10.0.0.1|1113"},
      {"tcp://admin@h", "tcp tcp user=admin h|1113"},
      {"tcp://admin:@h", "tcp tcp user=admin password= h|1113"},
      {"tcp://admin:changeit@10.0.0.5:1113", "tcp tcp user=admin password=changeit 10.0.0.5|1113"},
      {"tcp://a%40b:p%3A%2f%25%3Fs@h", "tcp tcp user=a@b password=p:/%?s h|1113"},
      {"tcp://a:b:c@h", "tcp tcp user=a password=b:c h|1113"},
      {"tcp://a:b@c@h:7", "tcp tcp user=a password=b@c h|7"},
      {"tcp://a:b/c#d@h:7", "tcp tcp user=a password=b/c#d h|7"},
      {"tcp://a:b,c@h:7", "tcp tcp user=a password=b,c h|7"},
      {"tcp://\xc3\xa9:\xe2\x82\xac@h", "tcp tcp user=\xc3\xa9 password=\xe2\x82\xac h|1113"},
      {"tcp://h?", "tcp tcp h|1113"},
      {"tcp://h:5/?a=1&b=%26%3d&c=", "tcp tcp h|5 a=1 b=&= c="},
      {"tcp://h?name=my%20pony=1&x%3d=a+b", "tcp tcp h|1113 name=my pony=1 x==a+b"},
      {"discover://es.example:2113?tls=true",
       "discover discover discover es.example|2113 tls=true"},
      {"discover://a,b:5,[::1]:6", "discover discover discover a|2113 b|5 ::1|6"},
      {"esdb://a:b@h?tls=false", "grpc esdb user=a password=b h|2113 tls=false"},
      {"esdb+discover://h", "grpc esdb+discover discover h|2113"},
      {"esdb://a:1,b:2,c:3/", "grpc esdb a|1 b|2 c|3"},
      {"kurrentdb://h", "grpc kurrentdb h|2113"},
      {"kurrentdb+discover://h", "grpc kurrentdb+discover discover h|2113"},
      {"kurrent://h:9", "grpc kurrent h|9"},
      {"kdb+discover://h", "grpc kdb+discover discover h|2113"},
      {"memory:", "memory memory"},
      {"Memory:?like=23.10", "memory memory like=23.10"},
      {"file:ponies.db", "file file path=ponies.db"},
      {"file:/tmp/x y.db?sync=normal", "file file path=/tmp/x y.db sync=normal"},
      {"file:///tmp/x.db", "file file path=/tmp/x.db"},
      {"file:../a%3Fb%25.db", "file file path=../a?b%.db"},
      {"file:a@b:c,d.db", "file file path=a@b:c,d.db"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_url *url;
    char error[256] = "";
    pump_buffer seen = {0};
    int code = pump_url_parse(&url, pump_bytes_of(cases[i][0]), error, sizeof error);
    if (code == 0) describe(&seen, url);
    tap_ok(code == 0 && strcmp(pump_buffer_string(&seen), cases[i][1]) == 0, "%s is %s%s",
           cases[i][0], pump_buffer_string(&seen), error);
    pump_url_free(url);
    pump_buffer_free(&seen);
  }
}

static void test_bad(void) {
  static const char *const cases[][2] = {
      {"", "empty"},
      {"tpc://admin:secret@h", "no scheme \"tpc\": tcp://, tcps://, discover://"},
      {"http://h", "no scheme \"http\""},
      {"tcp+discover://h", "no scheme"},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa://h", "no such scheme"},
      {"://h", "no scheme \"\""},
      {"localhost", "neither HOST:PORT nor a URL: tcp://"},
      {"ponies.db", "neither HOST:PORT nor a URL"},
      {"memory", "neither HOST:PORT nor a URL"},
      {"admin:secret@h:1113", "scheme is missing before the user name"},
      {"tcp:/h", "port is not a number"},
      {"tcp:h", "port is not a number"},
      {"tcp://", "host is missing (at byte 7)"},
      {"tcp:///", "no path may follow"},
      {"tcp://:1113", "host is missing (at byte 7)"},
      {"tcp://a:secret@", "host is missing (at byte 16)"},
      {"tcp://@h", "user name is empty"},
      {"tcp://:secret@h", "user name is empty"},
      {"tcp://h:", "port is missing"},
      {"tcp://h:0", "between 1 and 65535 (at byte 9)"},
      {"tcp://h:65536", "between 1 and 65535"},
      {"tcp://h:99999999999999999999", "between 1 and 65535"},
      {"tcp://h:1x", "not a number"},
      {"tcp://h:-1", "not a number"},
      {"tcp://h:+1", "not a number"},
      {"tcp://h: 1", "not a number"},
      {"tcp://a:secret@h:1x", "not a number (at byte 18)"},
      {"tcp://h/ponies", "no path may follow the host (at byte 8)"},
      {"tcp://h:1/x", "not a number"},
      {"tcp://h//", "no path may follow"},
      {"tcp://h i", "no host name has (at byte 8)"},
      {"tcp://h%20i", "no host name has"},
      {"tcp://h\xc3\xa9", "no host name has"},
      {"tcp://h\n", "a control character (at byte 8)"},
      {"tcp://h\x7f", "a control character"},
      {"tcp://::1:1113", "needs brackets: [::1]:1113"},
      {"::1", "needs brackets"},
      {"tcp://[::1", "'[' without ']'"},
      {"tcp://[::1]x", "only a port may follow ']'"},
      {"tcp://[::1]:", "port is missing"},
      {"tcp://[]", "no IPv6 address"},
      {"tcp://[10.0.0.1]", "no IPv6 address"},
      {"tcp://[::g]", "no IPv6 address has"},
      {"tcp://[::1%]", "host is missing"},
      {"tcp://[::1%a%20b]", "no host name has"},
      {"tcp://a,b", "one host"},
      {"discover://a,,b", "host is missing (at byte 14)"},
      {"discover://a,", "host is missing"},
      {"tcp://a:se%zzcret@h", "two hexadecimal digits"},
      {"tcp://a%4@h", "two hexadecimal digits"},
      {"tcp://a:secret%@h", "two hexadecimal digits"},
      {"tcp://a:secret%00@h", "%00"},
      {"tcp://a:12?secret@h:1113", "'@' behind '?'"},
      {"tcp://h?tls", "has no value"},
      {"tcp://h?=1", "has no name"},
      {"tcp://h?a=1&&b=2", "has no name"},
      {"tcp://h?a=1&", "has no name"},
      {"tcp://h?a=1&b=2&a=3", "second time (at byte 17)"},
      {"tcp://h?a=%", "two hexadecimal digits"},
      {"memory:x", "nothing may follow memory:"},
      {"memory://", "nothing may follow memory:"},
      {"file:", "path is missing"},
      {"file:?sync=normal", "path is missing"},
      {"file://", "path is missing"},
      {"file://ponies.db", "file:PATH or file:///PATH"},
      {"file:a%.db", "two hexadecimal digits"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_url *url;
    char error[256] = "";
    int code = pump_url_parse(&url, pump_bytes_of(cases[i][0]), error, sizeof error);
    tap_ok(code == PUMP_EINVALID && !url && strstr(error, cases[i][1]) &&
               !strstr(error, "secret") && !strchr(error, '\n'),
           "%zu: %s", i + 1, error);
  }
}

static void test_redact(void) {
  static const char *const cases[][2] = {
      {"tcp://admin:secret@h:1", "tcp://admin:***@h:1"},
      {"tcp://admin:@h:1", "tcp://admin:***@h:1"},
      {"tcp://admin@h:1", "tcp://admin@h:1"},
      {"tcp://h:1?a=b", "tcp://h:1?a=b"},
      {"tcp://a:sec:ret@h", "tcp://a:***@h"},
      {"tcp://a:sec@ret@h", "tcp://a:***@h"},
      {"tcp://a:sec/ret?x#y@h", "tcp://a:***@h"},
      {"tpc://a:secret@h", "tpc://a:***@h"},
      {"a:secret@h:1113", "a:***@h:1113"},
      {"a:x://secret@h", "a:***@h"},
      {"tcp://h?password=secret&b=c", "tcp://h?password=***&b=c"},
      {"tcp://h?a=b&P%41ssword=secret", "tcp://h?a=b&P%41ssword=***"},
      {"tcp://h?passwords=1&passwor=2&password", "tcp://h?passwords=1&passwor=2&password"},
      {"file:a:b@c.db", "file:a:b@c.db"},
      {"memory:", "memory:"},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_buffer seen = {0};
    pump_url_redact(&seen, pump_bytes_of(cases[i][0]));
    tap_ok(strcmp(pump_buffer_string(&seen), cases[i][1]) == 0, "redacted: %s",
           pump_buffer_string(&seen));
    pump_buffer_free(&seen);
  }
}

static int parse_and_free(void *ud) {
  (void)ud;
  pump_url *url;
  char error[128];
  int code =
      pump_url_parse(&url, pump_bytes_of("discover://a:b@c,d:1?e=f&g=h"), error, sizeof error);
  pump_url_free(url);
  return code;
}

int main(void) {
  test_good();
  test_bad();
  test_redact();
  pump_url *url;
  tap_ok(pump_url_parse(&url, pump_bytes_of("x"), NULL, 0) == PUMP_EINVALID,
         "no room for an error");
  tap_ok(starve(parse_and_free, NULL, PUMP_ENOMEM) == 1, "one allocation, and it may fail");
  return tap_done();
}
