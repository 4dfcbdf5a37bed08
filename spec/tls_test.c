/* TLS as a pump of bytes: two ends in memory, and OpenSSL itself as a peer that misbehaves. */
#include "tap.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

static char folder[] = "/tmp/tls_test.XXXXXX";

static const char *file(const char *name) {
  static char paths[8][64];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* ---- Two ends ----------------------------------------------------------------------------- */

typedef struct end {
  pump_tls *tls;
  pump_buffer heard;
  size_t room; /* what it reads at once */
  int status;  /* 0 while it goes well */
} end;

typedef struct pair {
  pump_tls_context *client_context, *server_context;
  end client, server;
} pair;

static pump_tls_options trusting(const char *ca) {
  return (pump_tls_options){.enable = true, .verify = true, .ca = file(ca)};
}

static void open_pair(pair *to, const char *cert, const char *name) {
  char error[512] = "", pem[32], key[32];
  snprintf(pem, sizeof pem, "%s.pem", cert);
  snprintf(key, sizeof key, "%s.key", cert);
  pump_tls_options own = {.cert = file(pem), .key = file(key)}, trust = trusting("ca.pem");
  memset(to, 0, sizeof *to);
  if (pump_tls_context_new(&to->client_context, false, &trust, error, sizeof error) != 0 ||
      pump_tls_context_new(&to->server_context, true, &own, error, sizeof error) != 0 ||
      pump_tls_new(&to->client.tls, to->client_context, name) != 0 ||
      pump_tls_new(&to->server.tls, to->server_context, NULL) != 0) {
    tap_ok(false, "two ends: %s", error);
    exit(tap_done());
  }
  to->client.room = to->server.room = 4096;
}

static void close_pair(pair *of) {
  end *ends[] = {&of->client, &of->server};
  for (int i = 0; i < 2; i++) {
    pump_tls_free(ends[i]->tls);
    pump_buffer_free(&ends[i]->heard);
  }
  pump_tls_context_free(of->client_context);
  pump_tls_context_free(of->server_context);
}

static void go_on(end *to) {
  size_t got = 1;
  if (to->status == 0) to->status = pump_tls_handshake(to->tls);
  if (to->status != 1) return;
  to->status = 0;
  while (to->status == 0 && got > 0) {
    uint8_t *space = pump_buffer_reserve(&to->heard, to->room);
    to->status = pump_tls_read(to->tls, space, to->room, &got);
    pump_buffer_grew(&to->heard, got);
  }
}

static void feed(end *to, const uint8_t *bytes, size_t size, size_t piece) {
  while (size > 0 && to->status == 0) {
    uint8_t *space;
    size_t room;
    pump_tls_space(to->tls, &space, &room);
    if (room > piece) room = piece;
    if (room > size) room = size;
    memcpy(space, bytes, room);
    to->status = pump_tls_filled(to->tls, room);
    bytes += room;
    size -= room;
    go_on(to);
  }
}

/* Says whether there was anything to deliver. */
static bool deliver(end *from, end *to, size_t piece) {
  pump_buffer *output = pump_tls_output(from->tls);
  bool is_some = output->size > 0;
  feed(to, output->data, output->size, piece);
  pump_buffer_clear(output);
  return is_some;
}

static void exchange(pair *of, size_t piece) {
  bool goes_on = true;
  while (goes_on) {
    goes_on = deliver(&of->client, &of->server, piece);
    goes_on |= deliver(&of->server, &of->client, piece);
  }
}

static bool shake_hands(pair *of, size_t piece) {
  go_on(&of->client);
  exchange(of, piece);
  return pump_tls_is_established(of->client.tls) && pump_tls_is_established(of->server.tls);
}

static bool says(end *from, end *to, size_t size, size_t piece) {
  uint8_t *text = malloc(size + 1);
  for (size_t i = 0; i < size; i++)
    text[i] = (uint8_t)(i * 31 + size);
  bool is_said = pump_tls_write(from->tls, text, size) == 0;
  deliver(from, to, piece);
  bool is_heard = to->status == 0 && to->heard.size == size &&
                  (size == 0 || memcmp(to->heard.data, text, size) == 0);
  pump_buffer_clear(&to->heard);
  free(text);
  return is_said && is_heard;
}

/* ---- What is said is heard ---------------------------------------------------------------- */

static void test_pieces(void) {
  static const size_t pieces[] = {1, 2, 3, 5, 7, 64, 1000, 16383, 1000000};
  static const size_t sizes[] = {0, 1, 2, 1000, 16383, 16384, 16385, 100000};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    pair both;
    open_pair(&both, "good", "localhost");
    both.client.room = i % 2 ? 4096 : 1;
    bool holds = shake_hands(&both, pieces[i]);
    for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
      holds = holds && says(&both.client, &both.server, sizes[j], pieces[i]) &&
              says(&both.server, &both.client, sizes[j], pieces[i]);
    tap_ok(holds, "shakes hands and talks in pieces of %zu", pieces[i]);
    close_pair(&both);
  }
}

static void test_checks(void) {
  static const struct {
    const char *cert, *name, *words;
  } cases[] = {
      {"good", "localhost", NULL},
      {"good", "127.0.0.1", NULL},
      {"good", "0:0:0:0:0:0:0:1", NULL},
      {"good", "::1%lo", NULL},
      {"good", "localhost.", NULL},
      {"good", "127.0.0.2", "not for 127.0.0.2"},
      {"good", "local", "not for local"},
      {"elsewhere", "localhost", "not for localhost"},
      {"expired", "localhost", "of localhost has expired, it was valid until 2"},
      {"alone", "localhost", "of localhost is signed by itself"},
      {"other", "localhost", "of localhost is signed by itself"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pair both;
    open_pair(&both, cases[i].cert, cases[i].name);
    bool is_established = shake_hands(&both, 100);
    const char *words = pump_tls_words(both.client.tls);
    if (!cases[i].words)
      tap_ok(is_established, "%s is %s: %s", cases[i].cert, cases[i].name, words);
    else
      tap_ok(!is_established && both.client.status == PUMP_ETLS && strstr(words, cases[i].words) &&
                 !strchr(words, '\n') && strstr(pump_tls_words(both.server.tls), "gave up"),
             "%s for %s: %s", cases[i].cert, cases[i].name, words);
    close_pair(&both);
  }
}

/* ---- Ends --------------------------------------------------------------------------------- */

static void test_ends(void) {
  pair both;
  open_pair(&both, "good", "localhost");
  shake_hands(&both, 100);
  pump_tls_write(both.server.tls, "bye", 3);
  pump_tls_end(both.server.tls);
  pump_tls_end(both.server.tls);
  deliver(&both.server, &both.client, 1000);
  tap_ok(both.client.heard.size == 3 && both.client.status == PUMP_ECLOSED &&
             strcmp(pump_tls_words(both.client.tls), "the server closed the connection") == 0,
         "the last words are heard, then that they were the last");
  close_pair(&both);

  open_pair(&both, "good", "localhost");
  shake_hands(&both, 100);
  pump_tls_write(both.server.tls, "bye", 3);
  deliver(&both.server, &both.client, 1000);
  tap_ok(both.client.heard.size == 3 && both.client.status == 0 &&
             strstr(pump_tls_cut_words(both.client.tls), "was cut"),
         "an end that nobody announced is a cut");
  tap_ok(pump_tls_write(both.client.tls, "x", 1) == PUMP_ETLS, "nothing is written after it");
  close_pair(&both);

  open_pair(&both, "good", "localhost");
  go_on(&both.client);
  const char *words = pump_tls_cut_words(both.client.tls);
  tap_ok(strstr(words, "without a word"), "an end before anything was said: %s", words);
  close_pair(&both);

  open_pair(&both, "good", "localhost");
  go_on(&both.client);
  deliver(&both.client, &both.server, 1000);
  feed(&both.client, pump_tls_output(both.server.tls)->data, 40, 40);
  words = pump_tls_cut_words(both.client.tls);
  tap_ok(both.client.status == 0 && strstr(words, "middle of the handshake"), "%s", words);
  close_pair(&both);
}

/* ---- Garbage ------------------------------------------------------------------------------ */

static void test_not_tls(void) {
  static const struct {
    const char *bytes;
    size_t size;
    const char *words;
  } cases[] = {
      {"\x12\0\0\0\x01\0", 6, "speaks plain TCP, not TLS"},
      {"\x12", 1, "speaks plain TCP, not TLS"},
      {"HTTP/1.1 400 Bad Request", 24, "speaks plain HTTP, not TLS"},
      {"\x16\x03\x03\0\x05noise and more noise", 25, "what came is not right"},
      {"\x17\x03\x03\0\x05noise", 10, "what came is not right"},
      {"\x16\x13\x13\x13\x13\x13", 6, "what came is not right"},
      {"\x15\x03\x03\0\x02\x02\x70", 7, "does not know itself by the name localhost"},
      {"\x15\x03\x03\0\x02\x02\x46", 7, "speaks no TLS from 1.2 on"},
      {"\x15\x03\x03\0\x02\x02\x28", 7, "refused: handshake failure"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pair both;
    open_pair(&both, "good", "localhost");
    go_on(&both.client);
    feed(&both.client, (const uint8_t *)cases[i].bytes, cases[i].size, 1000);
    const char *words = pump_tls_words(both.client.tls);
    tap_ok(both.client.status == PUMP_ETLS && strstr(words, cases[i].words), "%s", words);
    close_pair(&both);
  }
  pair both;
  open_pair(&both, "good", "localhost");
  feed(&both.server, (const uint8_t *)"\x2b\0\0\0\xf5", 5, 5);
  const pump_buffer *answer = pump_tls_output(both.server.tls);
  tap_ok(both.server.status == PUMP_ETLS && pump_tls_is_alert(answer->data, answer->size),
         "a plain client is answered by what it can recognize");
  close_pair(&both);
  tap_ok(!pump_tls_is_alert("\x15\0\0\0\x02\x02\x46", 7) && !pump_tls_is_alert("\x15\x03\x03", 3),
         "what is no alert is not taken for one");
}

/* Each byte of the server's part of the handshake wrong, one after the other. */
static void test_spoiled_handshake(void) {
  size_t size = 1, failed = 0, wrong = 0;
  for (size_t i = 0; i < size; i++) {
    pair both;
    open_pair(&both, "good", "localhost");
    go_on(&both.client);
    deliver(&both.client, &both.server, 100000);
    pump_buffer *flight = pump_tls_output(both.server.tls);
    size = flight->size;
    flight->data[i] ^= 0x55;
    exchange(&both, 100000);
    if (both.client.status == PUMP_ETLS || both.server.status == PUMP_ETLS)
      failed++;
    else if (pump_tls_is_established(both.client.tls) &&
             !says(&both.server, &both.client, 100, 100000))
      wrong++;
    close_pair(&both);
  }
  tap_ok(size > 500 && failed > size - 30 && wrong == 0,
         "a handshake with a wrong byte fails (%zu of %zu) or goes on well", failed, size);
}

static void test_spoiled_records(void) {
  size_t size = 1, failed = 0, heard = 0;
  for (size_t i = 0; i < size; i++) {
    pair both;
    open_pair(&both, "good", "localhost");
    shake_hands(&both, 100000);
    pump_tls_write(both.server.tls, "twilight sparkle", 16);
    pump_buffer *record = pump_tls_output(both.server.tls);
    size = record->size;
    record->data[i] ^= 1;
    deliver(&both.server, &both.client, 100000);
    /* A length that is too long waits for more. */
    failed += both.client.status == PUMP_ETLS || i == 3 || i == 4;
    heard += both.client.heard.size;
    close_pair(&both);
  }
  tap_ok(failed == size && heard == 0, "of a record with a wrong byte nothing is heard");
}

/* ---- OpenSSL at the other end ------------------------------------------------------------- */

typedef struct raw {
  SSL_CTX *context;
  SSL *ssl;
} raw;

static raw open_raw(bool is_server, int version) {
  raw made = {.context = SSL_CTX_new(TLS_method())};
  SSL_CTX_set_security_level(made.context, 0);
  SSL_CTX_set_min_proto_version(made.context, version);
  SSL_CTX_set_max_proto_version(made.context, version);
  if (is_server) {
    SSL_CTX_use_certificate_file(made.context, file("good.pem"), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(made.context, file("good.key"), SSL_FILETYPE_PEM);
  }
  made.ssl = SSL_new(made.context);
  SSL_set_bio(made.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  if (is_server)
    SSL_set_accept_state(made.ssl);
  else
    SSL_set_connect_state(made.ssl);
  return made;
}

static void close_raw(raw *of) {
  SSL_free(of->ssl);
  SSL_CTX_free(of->context);
}

/* Back and forth until both have nothing to say. Returns what the raw end read in all. */
static size_t exchange_raw(raw *peer, end *with, char *text, size_t room) {
  size_t read = 0, size;
  bool goes_on = true;
  while (goes_on) {
    uint8_t bytes[4096];
    goes_on = false;
    go_on(with);
    pump_buffer *output = pump_tls_output(with->tls);
    if (output->size > 0) {
      BIO_write_ex(SSL_get_rbio(peer->ssl), output->data, output->size, &size);
      pump_buffer_clear(output);
      goes_on = true;
    }
    if (SSL_read_ex(peer->ssl, text + read, room - read, &size) == 1) read += size;
    while (BIO_read_ex(SSL_get_wbio(peer->ssl), bytes, sizeof bytes, &size) == 1) {
      feed(with, bytes, size, 4096);
      goes_on = true;
    }
  }
  return read;
}

static void test_renegotiation(bool is_server) {
  pair both;
  char text[64];
  open_pair(&both, "good", "localhost");
  end *ours = is_server ? &both.client : &both.server;
  raw peer = open_raw(is_server, TLS1_2_VERSION);
  exchange_raw(&peer, ours, text, sizeof text);
  SSL_write(peer.ssl, "hello", 5);
  exchange_raw(&peer, ours, text, sizeof text);
  bool is_well = ours->status == 0 && ours->heard.size == 5;
  long before = SSL_num_renegotiations(peer.ssl);
  int asked = SSL_renegotiate(peer.ssl);
  SSL_do_handshake(peer.ssl);
  exchange_raw(&peer, ours, text, sizeof text);
  exchange_raw(&peer, ours, text, sizeof text);
  bool is_refused = SSL_do_handshake(peer.ssl) != 1 || SSL_num_renegotiations(peer.ssl) == before;
  tap_ok(is_well && asked == 1 && is_refused, "the %s asks for a new handshake and gets none (%s)",
         is_server ? "server" : "client",
         ours->status == 0 ? "it goes on" : pump_tls_words(ours->tls));
  close_raw(&peer);
  close_pair(&both);
}

static void test_key_update(void) {
  pair both;
  char text[64];
  open_pair(&both, "good", "localhost");
  raw peer = open_raw(true, TLS1_3_VERSION);
  exchange_raw(&peer, &both.client, text, sizeof text);
  bool holds = true;
  for (int i = 0; i < 20; i++) {
    holds = holds && SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
            SSL_write(peer.ssl, "new keys", 8) == 8;
    exchange_raw(&peer, &both.client, text, sizeof text);
    holds = holds && both.client.heard.size == 8 && memcmp(both.client.heard.data, "new", 3) == 0;
    pump_buffer_clear(&both.client.heard);
    holds = holds && pump_tls_write(both.client.tls, "here too", 8) == 0 &&
            exchange_raw(&peer, &both.client, text, sizeof text) == 8 &&
            memcmp(text, "here too", 8) == 0;
  }
  tap_ok(holds, "new keys are taken and given in the middle of it");
  close_raw(&peer);
  close_pair(&both);
}

static void test_old_versions(void) {
  for (int i = 0; i < 2; i++) {
    pair both;
    char text[64];
    open_pair(&both, "good", "localhost");
    end *ours = i == 0 ? &both.client : &both.server;
    raw peer = open_raw(i == 0, TLS1_1_VERSION);
    exchange_raw(&peer, ours, text, sizeof text);
    const char *words = pump_tls_words(ours->tls);
    tap_ok(ours->status == PUMP_ETLS && strstr(words, "no TLS from 1.2 on"), "1.1: %s", words);
    close_raw(&peer);
    close_pair(&both);
  }
}

/* ---- Settings ----------------------------------------------------------------------------- */

static void test_settings(void) {
  pump_tls_context *context;
  char error[512] = "";
  pump_tls_options options = {.cert = file("good.pem")};
  tap_ok(pump_tls_context_new(&context, true, &options, error, sizeof error) == PUMP_ETLS &&
             !context && strstr(error, "both cert and key"),
         "a certificate without its key: %s", error);
  options.key = file("locked.key");
  tap_ok(pump_tls_context_new(&context, true, &options, error, sizeof error) == PUMP_ETLS &&
             strstr(error, "wants a passphrase"),
         "a key with a passphrase asks nobody: %s", error);
  options = (pump_tls_options){0};
  tap_ok(pump_tls_context_new(&context, true, &options, error, sizeof error) == PUMP_ETLS,
         "a server without a certificate: %s", error);
  options = trusting("good.key");
  tap_ok(pump_tls_context_new(&context, false, &options, error, sizeof error) == PUMP_ETLS,
         "a key is nothing to trust: %s", error);
  options = trusting("ca.pem");
  pump_tls *tls;
  pump_tls_context_new(&context, false, &options, error, sizeof error);
  tap_ok(pump_tls_new(&tls, context, "") == PUMP_EINVALID && !tls, "a server needs a name");
  pump_tls_context_free(context);
}

int main(int count, char **arguments) {
  char command[256];
  (void)count, (void)arguments;
  if (!mkdtemp(folder)) return 1;
  snprintf(command, sizeof command, "sh spec/certificates.sh %s", folder);
  if (!tap_ok(system(command) == 0, "certificates can be made")) return tap_done();
  test_pieces();
  test_checks();
  test_ends();
  test_not_tls();
  test_spoiled_handshake();
  test_spoiled_records();
  test_renegotiation(true);
  test_renegotiation(false);
  test_key_update();
  test_old_versions();
  test_settings();
  snprintf(command, sizeof command, "rm -r %s", folder);
  tap_ok(system(command) == 0, "nothing is left behind");
  return tap_done();
}
