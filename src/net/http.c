#include "net/http.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

struct pump_fetcher {
  uv_loop_t *loop;
  CURLM *multi;
  uv_timer_t timer; /* libcurl's */
  pump_fetch *gets;
  int open_handles;
  bool is_closing;
  void (*closed)(void *ud);
  void *closed_ud;
};

struct pump_fetch {
  pump_fetcher *http;
  pump_fetch *next, *previous;
  CURL *easy;
  struct curl_slist *connect_to;
  pump_buffer body;
  size_t max_size;
  bool is_secure;
  bool is_too_large;
  char error[CURL_ERROR_SIZE];
  pump_fetch_cb cb;
  void *ud;
};

/* A socket of libcurl's that is watched. */
typedef struct watch {
  uv_poll_t poll;
  pump_fetcher *http;
  curl_socket_t socket;
} watch;

#define of(pointer, member)                                                                        \
  ((pump_fetcher *)(void *)((char *)(pointer)-offsetof(pump_fetcher, member)))

/* ---- What became of requests -------------------------------------------------------------- */

static void forget(pump_fetch *get) {
  if (get->previous)
    get->previous->next = get->next;
  else
    get->http->gets = get->next;
  if (get->next) get->next->previous = get->previous;
  curl_multi_remove_handle(get->http->multi, get->easy);
  curl_easy_cleanup(get->easy);
  curl_slist_free_all(get->connect_to);
  pump_buffer_free(&get->body);
  free(get);
}

static int code_of(CURLcode code) {
  switch (code) {
  case CURLE_OK: return 0;
  case CURLE_OPERATION_TIMEDOUT: return PUMP_ETIMEOUT;
  case CURLE_OUT_OF_MEMORY: return PUMP_ENOMEM;
  case CURLE_COULDNT_CONNECT:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR: return PUMP_ECONNECT;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CACERT_BADFILE: return PUMP_ETLS;
  default: return PUMP_EPROTOCOL;
  }
}

/* libcurl has no time of connecting before TLS is done, too. */
static bool is_connected(const pump_fetch *get) {
  long port = 0;
  curl_easy_getinfo(get->easy, CURLINFO_LOCAL_PORT, &port);
  return port > 0;
}

static int say_timeout(const pump_fetch *get, char *message, size_t size) {
  bool connected = is_connected(get);
  snprintf(message, size, connected ? "connected, but no answer in time" : "no connection in time");
  return connected ? PUMP_ETIMEOUT : PUMP_ECONNECT;
}

static int say_unreachable(pump_fetch *get, char *message, size_t size) {
  long error = 0;
  curl_easy_getinfo(get->easy, CURLINFO_OS_ERRNO, &error);
  snprintf(message, size, "%s", error != 0 ? uv_strerror(-(int)error) : "no connection");
  return PUMP_ECONNECT;
}

/* Who refuses in TLS says so in an alert, whose name has that word in every TLS library. */
static bool is_no_tls(const pump_fetch *get, CURLcode code) {
  curl_off_t secured = 0;
  curl_easy_getinfo(get->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
  if (!get->is_secure || !is_connected(get) || secured > 0) return false;
  return code == CURLE_OPERATION_TIMEDOUT ||
         (code == CURLE_SSL_CONNECT_ERROR && !strstr(get->error, "alert"));
}

/* Of what TLS has to say the last words are enough: "wrong version number". */
static int say_no_tls(const pump_fetch *get, CURLcode code, char *message, size_t size) {
  const char *words = strstr(get->error, "::");
  const char *why = code == CURLE_OPERATION_TIMEDOUT ? "no answer in time"
                    : words                          ? words + 2
                                                     : "it hung up";
  snprintf(message, size, "it does not speak TLS (%.100s)", why);
  return PUMP_FETCH_NO_TLS;
}

/* A few words; libcurl's own name neither the limit nor the status. */
static int judge(pump_fetch *get, CURLcode code, char *message, size_t size) {
  long status = 0;
  curl_easy_getinfo(get->easy, CURLINFO_RESPONSE_CODE, &status);
  if (get->is_too_large) {
    snprintf(message, size, "the answer is larger than %zu bytes", get->max_size);
    return PUMP_EPROTOCOL;
  }
  if (is_no_tls(get, code)) return say_no_tls(get, code, message, size);
  if (code == CURLE_OPERATION_TIMEDOUT) return say_timeout(get, message, size);
  if (code == CURLE_COULDNT_CONNECT) return say_unreachable(get, message, size);
  if (code != CURLE_OK) {
    snprintf(message, size, "%s", *get->error ? get->error : curl_easy_strerror(code));
    return get->body.failed ? PUMP_ENOMEM : code_of(code);
  }
  *message = '\0';
  if (status == 200) return 0;
  snprintf(message, size, "HTTP status %ld", status);
  return PUMP_EPROTOCOL;
}

static void finish(pump_fetch *get, CURLcode code) {
  char message[CURL_ERROR_SIZE];
  int status = judge(get, code, message, sizeof message);
  pump_fetch_cb cb = get->cb;
  void *ud = get->ud;
  pump_buffer body = get->body;
  get->body = (pump_buffer){0};
  forget(get);
  cb(ud, status, (pump_bytes){(char *)body.data, status == 0 ? body.size : 0}, message);
  pump_buffer_free(&body);
}

/* A callback may start, cancel and close. */
static void report(pump_fetcher *http) {
  int left;
  CURLMsg *said;
  while (!http->is_closing && (said = curl_multi_info_read(http->multi, &left))) {
    if (said->msg != CURLMSG_DONE) continue;
    char *get = NULL;
    CURLcode code = said->data.result;
    curl_easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, &get);
    finish((pump_fetch *)(void *)get, code);
  }
}

static size_t on_body(char *data, size_t one, size_t size, void *ud) {
  pump_fetch *get = ud;
  (void)one;
  get->is_too_large = size > get->max_size - get->body.size;
  if (get->is_too_large) return 0;
  pump_buffer_append(&get->body, data, size);
  return get->body.failed ? 0 : size;
}

/* ---- On the loop -------------------------------------------------------------------------- */

static void on_handle_gone(pump_fetcher *http) {
  if (--http->open_handles > 0) return;
  http->closed(http->closed_ud);
  free(http);
}

static void on_watch_gone(uv_handle_t *handle) {
  watch *gone = (watch *)(void *)handle; /* its first member */
  pump_fetcher *http = gone->http;
  free(gone);
  on_handle_gone(http);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  const watch *ready = (const watch *)(const void *)poll;
  pump_fetcher *http = ready->http;
  int flags = status < 0 ? CURL_CSELECT_ERR
                         : (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                               (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
  int running;
  curl_multi_socket_action(http->multi, ready->socket, flags, &running);
  report(http);
}

static watch *start_watch(pump_fetcher *http, curl_socket_t socket) {
  watch *made = calloc(1, sizeof *made);
  if (!made) return NULL;
  made->http = http;
  made->socket = socket;
  if (uv_poll_init_socket(http->loop, &made->poll, socket) != 0) {
    free(made);
    return NULL;
  }
  http->open_handles++;
  curl_multi_assign(http->multi, socket, made);
  return made;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *ud, void *socket_ud) {
  watch *watched = socket_ud;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (watched) uv_close((uv_handle_t *)&watched->poll, on_watch_gone);
    curl_multi_assign(((pump_fetcher *)ud)->multi, socket, NULL);
    return 0;
  }
  if (!watched) watched = start_watch(ud, socket);
  int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  /* What is not watched for want of memory is ended by its deadline. */
  if (watched) uv_poll_start(&watched->poll, events, on_ready);
  return 0;
}

static void on_timer(uv_timer_t *timer) {
  pump_fetcher *http = of(timer, timer);
  int running;
  curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  report(http);
}

static int on_timeout(CURLM *multi, long wait, void *ud) {
  pump_fetcher *http = ud;
  (void)multi;
  if (http->is_closing) return 0;
  if (wait < 0) return uv_timer_stop(&http->timer);
  uv_update_time(http->loop);
  return uv_timer_start(&http->timer, on_timer, (uint64_t)wait, 0);
}

/* ---- Requests ----------------------------------------------------------------------------- */

static bool is_ipv6(const char *address) {
  return strchr(address, ':') != NULL;
}

/* Where an address goes into a URL, a zone's percent sign is written as %25. */
static bool name_url(pump_buffer *url, const pump_fetch_request *request) {
  bool in_brackets = is_ipv6(request->host);
  pump_buffer_text(url, request->tls ? "https://" : "http://");
  if (in_brackets) pump_buffer_byte(url, '[');
  for (const char *at = request->host; *at; at++)
    pump_buffer_text(url, *at == '%' ? "%25" : (char[]){*at, '\0'});
  if (in_brackets) pump_buffer_byte(url, ']');
  pump_buffer_printf(url, ":%d", request->port);
  pump_buffer_text(url, request->path);
  pump_buffer_byte(url, '\0');
  return !url->failed;
}

static CURLcode set_address(pump_fetch *get, const pump_fetch_request *request) {
  char line[128];
  int size = snprintf(line, sizeof line, is_ipv6(request->address) ? "::[%s]:%d" : "::%s:%d",
                      request->address, request->port);
  if (size >= (int)sizeof line) return CURLE_URL_MALFORMAT;
  get->connect_to = curl_slist_append(NULL, line);
  if (!get->connect_to) return CURLE_OUT_OF_MEMORY;
  return curl_easy_setopt(get->easy, CURLOPT_CONNECT_TO, get->connect_to);
}

#define SET(name, value)                                                                           \
  if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_##name, value)

/* Without a file of authorities libcurl has the system's. */
static CURLcode set_tls(CURL *easy, const pump_tls_options *tls) {
  CURLcode code = CURLE_OK;
  SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(SSL_VERIFYPEER, tls->verify ? 1L : 0L);
  SET(SSL_VERIFYHOST, tls->verify ? 2L : 0L);
  if (tls->ca) SET(CAINFO, tls->ca);
  if (tls->cert) SET(SSLCERT, tls->cert);
  if (tls->key) SET(SSLKEY, tls->key);
  return code;
}

/* What the program starts meanwhile must not have it. */
static int on_made(void *ud, curl_socket_t socket, curlsocktype purpose) {
  (void)ud, (void)purpose;
  return fcntl(socket, F_SETFD, FD_CLOEXEC) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

static CURLcode set_options(pump_fetch *get, const pump_fetch_request *request, const char *url) {
  CURL *easy = get->easy;
  CURLcode code = CURLE_OK;
  SET(URL, url);
  SET(PROTOCOLS_STR, "http,https");
  SET(PROXY, "");
  SET(NOSIGNAL, 1L);
  SET(SOCKOPTFUNCTION, on_made);
  SET(FRESH_CONNECT, 1L);
  SET(FORBID_REUSE, 1L);
  SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  SET(TIMEOUT_MS, request->timeout > INT32_MAX ? INT32_MAX : (long)request->timeout);
  SET(ERRORBUFFER, get->error);
  SET(WRITEFUNCTION, on_body);
  SET(WRITEDATA, get);
  SET(PRIVATE, get);
  if (code == CURLE_OK) code = set_address(get, request);
  if (code == CURLE_OK && request->tls) code = set_tls(easy, request->tls);
  return code;
}
#undef SET

static int prepare(pump_fetch *get, const pump_fetch_request *request) {
  pump_buffer url = {0};
  CURLcode code = CURLE_OUT_OF_MEMORY;
  get->easy = curl_easy_init();
  if (get->easy && name_url(&url, request))
    code = set_options(get, request, (const char *)url.data);
  pump_buffer_free(&url);
  if (code == CURLE_OK && curl_multi_add_handle(get->http->multi, get->easy) == CURLM_OK) return 0;
  curl_easy_cleanup(get->easy);
  curl_slist_free_all(get->connect_to);
  return code == CURLE_URL_MALFORMAT ? PUMP_EINVALID : PUMP_ENOMEM;
}

int pump_fetch_start(pump_fetch **out, pump_fetcher *http, const pump_fetch_request *request,
                     pump_fetch_cb cb, void *ud) {
  *out = NULL;
  pump_fetch *get = calloc(1, sizeof *get);
  if (!get) return PUMP_ENOMEM;
  get->http = http;
  get->max_size = request->max_size;
  get->is_secure = request->tls != NULL;
  get->cb = cb;
  get->ud = ud;
  int code = prepare(get, request);
  if (code != 0) {
    free(get);
    return code;
  }
  get->next = http->gets;
  if (get->next) get->next->previous = get;
  http->gets = get;
  *out = get;
  return 0;
}

void pump_fetch_cancel(pump_fetch *get) {
  forget(get);
}

/* ---- Birth and death ---------------------------------------------------------------------- */

int pump_fetcher_new(pump_fetcher **out, uv_loop_t *loop) {
  pump_fetcher *http = *out = calloc(1, sizeof *http);
  if (http) http->multi = curl_multi_init();
  if (!http || !http->multi) {
    free(http);
    *out = NULL;
    return PUMP_ENOMEM;
  }
  http->loop = loop;
  uv_timer_init(loop, &http->timer);
  http->open_handles = 1;
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
  return 0;
}

static void on_timer_gone(uv_handle_t *handle) {
  on_handle_gone(of(handle, timer));
}

void pump_fetcher_close(pump_fetcher *http, void (*closed)(void *ud), void *ud) {
  http->is_closing = true;
  http->closed = closed;
  http->closed_ud = ud;
  while (http->gets)
    forget(http->gets);
  curl_multi_cleanup(http->multi);
  uv_close((uv_handle_t *)&http->timer, on_timer_gone);
}
