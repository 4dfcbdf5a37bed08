/* One connection: OpenSSL between two BIOs in memory. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_private.h"

/* The most that one record holds: encrypted piece by piece, OpenSSL's own buffer stays small. */
#define RECORD ((size_t)16 * 1024)

/* ---- Words -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int fail(pump_tls *tls, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(tls->words, sizeof tls->words, format, arguments);
  va_end(arguments);
  return tls->failure = PUMP_ETLS;
}

static int fail_doubt(pump_tls *tls) {
  const pump_tls_doubt *doubt = &tls->doubt;
  char whose[300];
  if (tls->context->is_server)
    snprintf(whose, sizeof whose, "TLS: the client's certificate");
  else
    snprintf(whose, sizeof whose, "TLS: %s of %s",
             doubt->depth > 0 ? "an authority behind the certificate" : "the certificate",
             tls->name);
  switch (doubt->error) {
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    return fail(tls,
                "TLS: the server's certificate is for another name, not for %s: connect by "
                "the name it has, or say that as server_name",
                tls->name);
  case X509_V_ERR_CERT_HAS_EXPIRED:
    return fail(tls, "%s has expired, it was valid until %s", whose, doubt->date);
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return fail(tls, "%s is valid only from %s on: is the clock right?", whose, doubt->date);
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    return fail(tls, "%s is signed by itself and not trusted here: to trust it, say it as ca",
                whose);
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    return fail(tls, "%s is signed by an unknown authority: to trust that, say its file as ca",
                whose);
  default:
    return fail(tls, "%s is not valid: %s", whose, X509_verify_cert_error_string(doubt->error));
  }
}

/* The peer gave up, and said why in one number. */
static int fail_alert(pump_tls *tls, int alert) {
  if (tls->context->is_server)
    return fail(tls, "TLS: the client gave up: %s", SSL_alert_desc_string_long(alert));
  if (alert == TLS1_AD_UNRECOGNIZED_NAME)
    return fail(tls, "TLS: the server does not know itself by the name %s", tls->name);
  if (alert == SSL_AD_PROTOCOL_VERSION)
    return fail(tls, "TLS: the server speaks no TLS from 1.2 on");
  if (tls->is_asked && !tls->context->has_cert)
    return fail(tls, "TLS: the server demands a client certificate: say cert and key");
  if (tls->is_asked)
    return fail(tls, "TLS: the server refused, perhaps our certificate: %s",
                SSL_alert_desc_string_long(alert));
  return fail(tls, "TLS: the server refused: %s", SSL_alert_desc_string_long(alert));
}

/* What OpenSSL says stands in this thread's queue of errors, the cause first. */
static int fail_by_queue(pump_tls *tls) {
  unsigned long code = ERR_peek_error();
  int reason = ERR_GET_REASON(code);
  ERR_clear_error();
  const char *text = ERR_reason_error_string(code); /* NULL: it has none */
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return fail(tls, "TLS: %s", text ? text : "it failed");
  if (tls->doubt.error && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) return fail_doubt(tls);
  if (reason > SSL_AD_REASON_OFFSET) return fail_alert(tls, reason - SSL_AD_REASON_OFFSET);
  switch (reason) {
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_WRONG_SSL_VERSION: return fail(tls, "TLS: the other side speaks no TLS from 1.2 on");
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    return fail(tls, "TLS: the client showed no certificate");
  default: return fail(tls, "TLS: what came is not right: %s", text ? text : "unknown");
  }
}

const char *pump_tls_words(const pump_tls *tls) {
  return tls->words;
}

const char *pump_tls_cut_words(pump_tls *tls) {
  if (tls->failure) return tls->words;
  if (tls->is_established)
    fail(tls, "the connection was cut: it ended without the end of TLS being said");
  else if (tls->has_heard)
    fail(tls, "TLS: the connection ended in the middle of the handshake");
  else
    fail(tls, "TLS: the server closed the connection without a word: perhaps it speaks plain TCP");
  return tls->words;
}

/* ---- Beginning and end -------------------------------------------------------------------- */

/* The name is checked against the certificate, and told to the server unless it is an address. */
static bool expect(pump_tls *tls) {
  X509_VERIFY_PARAM *checks = SSL_get0_param(tls->ssl);
  X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(checks, tls->name) == 1) return true;
  ERR_clear_error();
  return X509_VERIFY_PARAM_set1_host(checks, tls->name, 0) == 1 &&
         SSL_set_tlsext_host_name(tls->ssl, tls->name) == 1;
}

/* Names in certificates have no dot at the end, and addresses no zone. */
static bool set_name(pump_tls *tls, const char *name) {
  size_t size = strcspn(name, "%");
  if (size > 1 && name[size - 1] == '.') size--;
  if (size == 0 || size >= sizeof tls->name) return false;
  memcpy(tls->name, name, size);
  return expect(tls);
}

int pump_tls_new(pump_tls **out, const pump_tls_context *context, const char *name) {
  *out = NULL;
  pump_tls *tls = calloc(1, sizeof *tls);
  if (!tls) return PUMP_ENOMEM;
  tls->context = context;
  tls->ssl = SSL_new(context->ssl);
  tls->in = BIO_new(BIO_s_mem());
  tls->out = BIO_new(BIO_s_mem());
  if (!tls->ssl || !tls->in || !tls->out) {
    BIO_free(tls->in);
    BIO_free(tls->out);
    SSL_free(tls->ssl);
    free(tls);
    return PUMP_ENOMEM;
  }
  SSL_set_bio(tls->ssl, tls->in, tls->out);
  SSL_set_app_data(tls->ssl, tls);
  if (context->is_server) {
    SSL_set_accept_state(tls->ssl);
  } else {
    SSL_set_connect_state(tls->ssl);
    if (!set_name(tls, name)) {
      pump_tls_free(tls);
      return PUMP_EINVALID;
    }
  }
  *out = tls;
  return 0;
}

void pump_tls_free(pump_tls *tls) {
  if (!tls) return;
  SSL_free(tls->ssl);
  pump_buffer_free(&tls->output);
  free(tls);
}

/* ---- Ciphertext --------------------------------------------------------------------------- */

pump_buffer *pump_tls_output(pump_tls *tls) {
  return &tls->output;
}

/* Moves what OpenSSL wants to send into the output. */
static int collect(pump_tls *tls) {
  size_t size = BIO_ctrl_pending(tls->out), got;
  if (size == 0) return 0;
  uint8_t *to = pump_buffer_reserve(&tls->output, size);
  if (!to) return tls->failure = PUMP_ENOMEM;
  if (BIO_read_ex(tls->out, to, size, &got) == 1) pump_buffer_grew(&tls->output, got);
  return 0;
}

void pump_tls_space(pump_tls *tls, uint8_t **to, size_t *size) {
  *to = tls->input;
  *size = sizeof tls->input;
}

/* Every record begins with its type, 20 to 23. OpenSSL would leave a client that speaks no TLS
 * without an answer: we tell it, so that it can tell its people. */
static int check_first(pump_tls *tls) {
  static const uint8_t alert[] = {SSL3_RT_ALERT,          3, 3, 0, 2, SSL3_AL_FATAL,
                                  SSL_AD_PROTOCOL_VERSION};
  const uint8_t *first = tls->input;
  if (*first >= SSL3_RT_CHANGE_CIPHER_SPEC && *first <= SSL3_RT_APPLICATION_DATA) return 0;
  if (tls->context->is_server) {
    pump_buffer_append(&tls->output, alert, sizeof alert);
    return fail(tls, "TLS: the client does not speak it");
  }
  return fail(tls, "TLS: the server speaks %s, not TLS",
              memcmp(first, "HTTP", 4) == 0 ? "plain HTTP" : "plain TCP");
}

int pump_tls_filled(pump_tls *tls, size_t size) {
  size_t taken;
  if (tls->failure) return tls->failure;
  if (size == 0) return 0;
  if (!tls->has_heard && check_first(tls) != 0) return tls->failure;
  tls->has_heard = true;
  if (BIO_write_ex(tls->in, tls->input, size, &taken) != 1) return tls->failure = PUMP_ENOMEM;
  return 0;
}

/* ---- Plaintext ---------------------------------------------------------------------------- */

bool pump_tls_is_established(const pump_tls *tls) {
  return tls->is_established;
}

/* What OpenSSL made of it, once its own words are in the output. */
static int judge(pump_tls *tls, int result) {
  int what = SSL_get_error(tls->ssl, result);
  if (what == SSL_ERROR_SSL || what == SSL_ERROR_SYSCALL) fail_by_queue(tls);
  if (what == SSL_ERROR_ZERO_RETURN) {
    tls->failure = PUMP_ECLOSED;
    snprintf(tls->words, sizeof tls->words, "the %s closed the connection",
             tls->context->is_server ? "client" : "server");
  }
  collect(tls);
  return tls->failure;
}

int pump_tls_handshake(pump_tls *tls) {
  if (tls->failure) return tls->failure;
  if (tls->is_established) return 1;
  ERR_clear_error();
  int result = SSL_do_handshake(tls->ssl);
  if (judge(tls, result) != 0) return tls->failure;
  tls->is_established = result == 1;
  return result == 1;
}

int pump_tls_read(pump_tls *tls, void *to, size_t size, size_t *got) {
  *got = 0;
  while (!tls->failure && *got < size) {
    size_t more = 0;
    ERR_clear_error();
    int result = SSL_read_ex(tls->ssl, (uint8_t *)to + *got, size - *got, &more);
    *got += more;
    if (result == 1) continue;
    if (judge(tls, result) == 0) break;
  }
  /* What came before the end is heard before it. */
  return *got > 0 ? 0 : tls->failure;
}

bool pump_tls_has_part(const pump_tls *tls) {
  return BIO_ctrl_pending(tls->in) > 0 || SSL_has_pending(tls->ssl);
}

int pump_tls_write(pump_tls *tls, const void *data, size_t size) {
  if (tls->failure) return tls->failure;
  for (size_t at = 0, taken; at < size; at += taken) {
    size_t piece = size - at < RECORD ? size - at : RECORD;
    ERR_clear_error();
    int result = SSL_write_ex(tls->ssl, (const uint8_t *)data + at, piece, &taken);
    if (result != 1 && judge(tls, result) == 0) return fail(tls, "TLS: it takes no more");
    if (result != 1 || collect(tls) != 0) return tls->failure;
  }
  return 0;
}

void pump_tls_end(pump_tls *tls) {
  bool is_broken = tls->failure && tls->failure != PUMP_ECLOSED;
  if (!tls->is_established || is_broken || (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN)) return;
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
  ERR_clear_error();
  collect(tls);
}
