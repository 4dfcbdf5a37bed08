#include "base/url.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"

typedef struct scheme {
  const char *name;
  pump_url_kind kind;
  int port;
  bool tls;
  bool discover;
} scheme;

static const scheme schemes[] = {
    {"tcp", PUMP_URL_TCP, 1113, false, false},
    {"tcps", PUMP_URL_TCP, 1113, true, false},
    {"discover", PUMP_URL_DISCOVER, 2113, false, true},
    {"esdb", PUMP_URL_GRPC, 2113, false, false},
    {"esdb+discover", PUMP_URL_GRPC, 2113, false, true},
    {"kurrentdb", PUMP_URL_GRPC, 2113, false, false},
    {"kurrentdb+discover", PUMP_URL_GRPC, 2113, false, true},
    {"kurrent", PUMP_URL_GRPC, 2113, false, false},
    {"kurrent+discover", PUMP_URL_GRPC, 2113, false, true},
    {"kdb", PUMP_URL_GRPC, 2113, false, false},
    {"kdb+discover", PUMP_URL_GRPC, 2113, false, true},
    {"memory", PUMP_URL_MEMORY, 0, false, false},
    {"file", PUMP_URL_FILE, 0, false, false},
};
#define SCHEMES                                                                                    \
  "tcp://, tcps://, discover://, esdb://, kurrentdb://, memory: and file:PATH are known"

#define LONGEST_SCHEME 24

typedef struct parser {
  pump_url *url;
  pump_url_host *hosts;
  pump_url_option *options;
  char *copy; /* where the next copy goes, within url's allocation */
  pump_bytes text;
  char *error;
  size_t error_size;
} parser;

/* ---- Errors ------------------------------------------------------------------------------- */

static int fail(parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail_at(parser *p, const char *at, const char *message);

static int fail(parser *p, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (p->error_size > 0) vsnprintf(p->error, p->error_size, format, arguments);
  va_end(arguments);
  return PUMP_EINVALID;
}

/* Nothing of the text is quoted from here on: with a stray / or ? any of it may be password. */
static int fail_at(parser *p, const char *at, const char *message) {
  return fail(p, "URL: %s (at byte %zu)", message, (size_t)(at - p->text.data) + 1);
}

/* ---- Pieces of text ----------------------------------------------------------------------- */

static pump_bytes between(const char *start, const char *end) {
  return (pump_bytes){start, (size_t)(end - start)};
}

static const char *end_of(pump_bytes bytes) {
  return bytes.data + bytes.size;
}

static const char *find(pump_bytes in, char wanted) {
  return in.size ? memchr(in.data, wanted, in.size) : NULL;
}

static const char *find_last(pump_bytes in, char wanted) {
  for (size_t i = in.size; i > 0; i--)
    if (in.data[i - 1] == wanted) return in.data + i - 1;
  return NULL;
}

/* What comes before the first such character, which is taken off too. */
static pump_bytes cut(pump_bytes *rest, char separator) {
  const char *at = find(*rest, separator), *end = end_of(*rest);
  pump_bytes first = between(rest->data, at ? at : end);
  *rest = between(at ? at + 1 : end, end);
  return first;
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  return lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

/* The byte that %XX stands for, or -1. */
static int percent_value(pump_bytes at) {
  int high = at.size > 2 ? hex_value(at.data[1]) : -1;
  int low = at.size > 2 ? hex_value(at.data[2]) : -1;
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static const char *copy_plain(parser *p, pump_bytes text) {
  char *copy = p->copy;
  memcpy(copy, text.data, text.size);
  copy[text.size] = '\0';
  p->copy += text.size + 1;
  return copy;
}

static int copy_decoded(parser *p, const char **copy, pump_bytes text) {
  *copy = p->copy;
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    if (c == '%') {
      int value = percent_value(between(text.data + i, end_of(text)));
      if (value < 0)
        return fail_at(p, text.data + i, "% needs two hexadecimal digits; % itself is %25");
      if (value == 0) return fail_at(p, text.data + i, "%00 can't stand in a URL");
      c = (char)value;
      i += 2;
    }
    *p->copy++ = c;
  }
  *p->copy++ = '\0';
  return 0;
}

/* ---- Scheme ------------------------------------------------------------------------------- */

static bool same_scheme(pump_bytes text, const char *name) {
  if (text.size != strlen(name)) return false;
  for (size_t i = 0; i < text.size; i++)
    if (lower(text.data[i]) != name[i]) return false;
  return true;
}

static const scheme *find_scheme(pump_bytes name) {
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (same_scheme(name, schemes[i].name)) return &schemes[i];
  return NULL;
}

static bool is_local(const scheme *found) {
  return found->kind == PUMP_URL_MEMORY || found->kind == PUMP_URL_FILE;
}

/* The name before "://", or of a scheme of ours that does without; of size 0 where there is none.
 * *rest is what follows. */
static pump_bytes split_scheme(pump_bytes text, pump_bytes *rest) {
  *rest = text;
  size_t size = 0;
  while (size < text.size && (is_letter(text.data[size]) || is_digit(text.data[size]) ||
                              memchr("+.-_", text.data[size], 4)))
    size++;
  pump_bytes none = {text.data, 0}, name = {text.data, size};
  pump_bytes behind = between(text.data + size, end_of(text));
  if (behind.size == 0 || *behind.data != ':') return none;
  const scheme *known = find_scheme(name);
  bool slashes = pump_bytes_starts(behind, "://");
  if (!slashes && !(known && is_local(known))) return none;
  size_t skipped = known && is_local(known) ? 1 : 3;
  *rest = between(behind.data + skipped, end_of(behind));
  return name;
}

static const scheme *bare_host(parser *p, pump_bytes text) {
  if (find(text, '@')) {
    fail(p, "URL: a scheme is missing before the user name: write tcp://USER:PASSWORD@HOST");
    return NULL;
  }
  if (!find(text, ':')) {
    fail(p, "URL: neither HOST:PORT nor a URL: " SCHEMES);
    return NULL;
  }
  return &schemes[0];
}

static int parse_scheme(parser *p, const scheme **found, pump_bytes *rest) {
  pump_bytes name = split_scheme(p->text, rest);
  bool bare = rest->data == p->text.data;
  *found = bare ? bare_host(p, *rest) : find_scheme(name);
  if (bare && !*found) return PUMP_EINVALID;
  if (!*found && name.size > LONGEST_SCHEME) return fail(p, "URL: no such scheme: " SCHEMES);
  if (!*found) return fail(p, "URL: no scheme \"%.*s\": " SCHEMES, (int)name.size, name.data);
  p->url->kind = (*found)->kind;
  p->url->scheme = (*found)->name;
  p->url->tls = (*found)->tls;
  p->url->discover = (*found)->discover;
  return 0;
}

/* ---- User, hosts, options ----------------------------------------------------------------- */

static int parse_user(parser *p, pump_bytes user) {
  pump_bytes password = user;
  bool with_password = find(user, ':');
  pump_bytes name = cut(&password, ':');
  if (name.size == 0) return fail_at(p, name.data, "the user name is empty");
  int status = copy_decoded(p, &p->url->username, name);
  if (status == 0 && with_password) status = copy_decoded(p, &p->url->password, password);
  return status;
}

static int parse_port(parser *p, int *port, pump_bytes text) {
  int value = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (!is_digit(text.data[i])) return fail_at(p, text.data, "the port is not a number");
    value = value * 10 + (text.data[i] - '0');
    if (value > 65535) break;
  }
  if (text.size == 0) return fail_at(p, text.data, "the port is missing behind ':'");
  if (value < 1 || value > 65535)
    return fail_at(p, text.data, "the port is not between 1 and 65535");
  *port = value;
  return 0;
}

static int check_name(parser *p, pump_bytes name) {
  for (size_t i = 0; i < name.size; i++) {
    char c = name.data[i];
    if (c == '/') return fail_at(p, name.data + i, "no path may follow the host");
    if (!is_letter(c) && !is_digit(c) && c != '.' && c != '-' && c != '_')
      return fail_at(p, name.data + i, "a character that no host name has");
  }
  return name.size ? 0 : fail_at(p, name.data, "the host is missing");
}

/* The resolver reads the address; here it must only be one at first sight. Behind % (or %25) may
 * follow the interface. */
static int check_address(parser *p, pump_bytes address) {
  pump_bytes zone = address;
  pump_bytes number = cut(&zone, '%');
  int colons = 0;
  for (size_t i = 0; i < number.size; i++) {
    char c = number.data[i];
    colons += c == ':';
    if (c != ':' && c != '.' && hex_value(c) < 0)
      return fail_at(p, number.data + i, "a character that no IPv6 address has");
  }
  if (colons < 2) return fail_at(p, address.data, "what stands in brackets is no IPv6 address");
  if (find(address, '%')) return check_name(p, zone);
  return 0;
}

static int parse_address(parser *p, pump_url_host *host, pump_bytes text) {
  const char *bracket = find(text, ']');
  if (!bracket) return fail_at(p, text.data, "'[' without ']'");
  pump_bytes address = between(text.data + 1, bracket);
  pump_bytes rest = between(bracket + 1, end_of(text));
  if (rest.size > 0 && *rest.data != ':')
    return fail_at(p, rest.data, "only a port may follow ']'");
  int status = check_address(p, address);
  if (status == 0 && rest.size > 0)
    status = parse_port(p, &host->port, between(rest.data + 1, end_of(rest)));
  const char *zone = find(address, '%');
  host->name = p->copy;
  if (status != 0 || !zone || !pump_bytes_starts(between(zone, bracket), "%25")) {
    copy_plain(p, address);
    return status;
  }
  return copy_decoded(p, &host->name, address);
}

static int parse_host(parser *p, pump_bytes text, int port) {
  pump_url_host *host = &p->hosts[p->url->host_count++];
  host->port = port;
  if (text.size > 0 && *text.data == '[') return parse_address(p, host, text);
  pump_bytes rest = text;
  bool with_port = find(text, ':');
  pump_bytes name = cut(&rest, ':');
  if (find(rest, ':')) return fail_at(p, text.data, "an IPv6 address needs brackets: [::1]:1113");
  int status = check_name(p, name);
  if (status == 0 && with_port) status = parse_port(p, &host->port, rest);
  host->name = copy_plain(p, name);
  return status;
}

static int parse_authority(parser *p, const scheme *found, pump_bytes text) {
  /* The last @: a password may hold one, or a / for that matter, when nobody escaped it. */
  const char *at = find_last(text, '@');
  int status = at ? parse_user(p, between(text.data, at)) : 0;
  pump_bytes hosts = between(at ? at + 1 : text.data, end_of(text));
  if (hosts.size > 1 && hosts.data[hosts.size - 1] == '/') hosts.size--;
  const char *comma = find(hosts, ',');
  if (status == 0 && comma && found->kind == PUMP_URL_TCP)
    return fail_at(p, comma, "tcp:// and tcps:// take one host; for several there is discover://");
  for (bool more = true; status == 0 && more;) {
    more = find(hosts, ',');
    status = parse_host(p, cut(&hosts, ','), found->port);
  }
  return status;
}

static int parse_path(parser *p, pump_bytes text) {
  if (pump_bytes_starts(text, "//")) {
    text = between(text.data + 2, end_of(text));
    if (text.size > 0 && *text.data != '/')
      return fail_at(p, text.data, "no host belongs into file: (write file:PATH or file:///PATH)");
  }
  if (text.size == 0) return fail_at(p, text.data, "the path is missing behind file:");
  return copy_decoded(p, &p->url->path, text);
}

static int parse_option(parser *p, pump_bytes text) {
  pump_bytes value = text;
  bool with_value = find(text, '=');
  pump_bytes key = cut(&value, '=');
  if (key.size == 0) return fail_at(p, text.data, "an option has no name");
  if (!with_value)
    return fail_at(p, text.data, "an option has no value: write ?OPTION=VALUE&OPTION=VALUE");
  pump_url_option *option = &p->options[p->url->option_count];
  int status = copy_decoded(p, &option->key, key);
  if (status == 0) status = copy_decoded(p, &option->value, value);
  for (size_t i = 0; status == 0 && i < p->url->option_count; i++)
    if (strcmp(p->options[i].key, option->key) == 0)
      return fail_at(p, text.data, "the same option a second time");
  p->url->option_count++;
  return status;
}

static int parse_options(parser *p, pump_bytes text) {
  /* A password with a ? that nobody escaped ends up here, and part of it in a host's name. */
  const char *at = find(text, '@');
  if (at) return fail_at(p, at, "'@' behind '?': in a password write %3F for ? (and %40 for @)");
  int status = 0;
  for (bool more = text.size > 0; status == 0 && more;) {
    more = find(text, '&');
    status = parse_option(p, cut(&text, '&'));
  }
  return status;
}

static int parse(parser *p) {
  for (size_t i = 0; i < p->text.size; i++)
    if ((unsigned char)p->text.data[i] < 0x20 || p->text.data[i] == 0x7f)
      return fail_at(p, p->text.data + i, "a control character");
  const scheme *found;
  pump_bytes options;
  int status = parse_scheme(p, &found, &options);
  if (status != 0) return status;
  pump_bytes body = cut(&options, '?');
  status = parse_options(p, options);
  if (status != 0) return status;
  if (found->kind == PUMP_URL_FILE) return parse_path(p, body);
  if (found->kind == PUMP_URL_MEMORY)
    return body.size ? fail_at(p, body.data, "nothing may follow memory: but options") : 0;
  return parse_authority(p, found, body);
}

/* ---- The URL ------------------------------------------------------------------------------ */

static size_t count(pump_bytes text, char wanted) {
  size_t found = 0;
  for (size_t i = 0; i < text.size; i++)
    found += text.data[i] == wanted;
  return found;
}

/* One block: the URL, its hosts, its options, and copies of all parts. Each part but the first of
 * a kind has a separator of its own in the text, which leaves room for its NUL. */
int pump_url_parse(pump_url **url, pump_bytes text, char *error, size_t error_size) {
  *url = NULL;
  parser p = {.text = text, .error = error, .error_size = error_size};
  if (text.size == 0) return fail(&p, "URL: it is empty: " SCHEMES);
  size_t hosts = (count(text, ',') + 1) * sizeof(pump_url_host);
  size_t options = (count(text, '&') + 1) * sizeof(pump_url_option);
  size_t size = sizeof *p.url + hosts + options + text.size + 16;
  p.url = calloc(1, size);
  if (!p.url) {
    fail(&p, "URL: out of memory");
    return PUMP_ENOMEM;
  }
  p.url->size = size;
  p.hosts = (pump_url_host *)(p.url + 1);
  p.options = (pump_url_option *)((char *)p.hosts + hosts);
  p.copy = (char *)p.options + options;
  p.url->hosts = p.hosts;
  p.url->options = p.options;
  int status = parse(&p);
  if (status == 0)
    *url = p.url;
  else
    pump_url_free(p.url);
  return status;
}

void pump_url_free(pump_url *url) {
  if (url) explicit_bzero(url, url->size);
  free(url);
}

bool pump_url_next(const pump_url *url, size_t *at, const char **key, const char **value) {
  if (*at >= url->option_count) return false;
  *key = url->options[*at].key;
  *value = url->options[*at].value;
  ++*at;
  return true;
}

/* ---- Without the password ----------------------------------------------------------------- */

/* Whether a name with %XX in it is "password", in any case of letters. */
static bool is_password(pump_bytes key) {
  const char *wanted = "password";
  for (size_t i = 0; i < key.size; i++) {
    char c = key.data[i];
    int value = c == '%' ? percent_value(between(key.data + i, end_of(key))) : -1;
    if (value >= 0) {
      c = (char)value;
      i += 2;
    }
    if (lower(c) != *wanted++ || c == '\0') return false;
  }
  return *wanted == '\0';
}

static void redact_options(pump_buffer *to, pump_bytes options) {
  for (bool more = true; more;) {
    more = find(options, '&');
    pump_bytes value = cut(&options, '&');
    bool with_value = find(value, '=');
    pump_bytes key = cut(&value, '=');
    pump_buffer_append(to, key.data, key.size);
    if (with_value) pump_buffer_byte(to, '=');
    if (with_value && is_password(key)) value = pump_bytes_of("***");
    pump_buffer_append(to, value.data, value.size);
    if (more) pump_buffer_byte(to, '&');
  }
}

void pump_url_redact(pump_buffer *to, pump_bytes text) {
  pump_bytes rest;
  pump_bytes name = split_scheme(text, &rest);
  const scheme *known = find_scheme(name);
  pump_buffer_append(to, text.data, (size_t)(rest.data - text.data));
  const char *at = known && is_local(known) ? NULL : find_last(rest, '@');
  const char *colon = at ? find(between(rest.data, at), ':') : NULL;
  if (colon) {
    pump_buffer_append(to, rest.data, (size_t)(colon - rest.data));
    pump_buffer_text(to, ":***");
    rest = between(at, end_of(rest));
  }
  const char *options = find(rest, '?');
  const char *end = options ? options + 1 : end_of(rest);
  pump_buffer_append(to, rest.data, (size_t)(end - rest.data));
  if (options) redact_options(to, between(end, end_of(rest)));
}
