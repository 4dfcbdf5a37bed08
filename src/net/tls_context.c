/* Certificates, keys and what is asked of the other side. */
#include "net/tls_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 4, 5))) static int refuse(int code, char *error, size_t size,
                                                        const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error, size, format, arguments);
  va_end(arguments);
  return code;
}

/* Why the last call failed: the system's words where a file could not be opened. */
static const char *why(void) {
  unsigned long code = ERR_peek_error();
  if (ERR_SYSTEM_ERROR(code)) return strerror(ERR_GET_REASON(code));
  const char *reason = ERR_reason_error_string(code);
  return reason ? reason : "it holds none";
}

/* A key that wants a passphrase is refused: nobody is asked for it at the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *is_locked) {
  (void)to, (void)size, (void)is_writing;
  *(bool *)is_locked = true;
  return -1;
}

/* ---- Doubts ------------------------------------------------------------------------------- */

static void write_date(char to[16], const ASN1_TIME *time) {
  struct tm day;
  to[0] = '\0';
  if (time && ASN1_TIME_to_tm(time, &day) == 1) strftime(to, 16, "%Y-%m-%d", &day);
}

static int on_verified(int is_good, X509_STORE_CTX *store) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  pump_tls *tls = SSL_get_app_data(ssl);
  if (is_good || tls->doubt.error) return is_good;
  const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
  tls->doubt.error = X509_STORE_CTX_get_error(store);
  tls->doubt.depth = X509_STORE_CTX_get_error_depth(store);
  if (certificate)
    write_date(tls->doubt.date, tls->doubt.error == X509_V_ERR_CERT_NOT_YET_VALID
                                    ? X509_get0_notBefore(certificate)
                                    : X509_get0_notAfter(certificate));
  return is_good;
}

static int on_asked(SSL *ssl, void *ud) {
  (void)ud;
  pump_tls *tls = SSL_get_app_data(ssl);
  tls->is_asked = true;
  return 1;
}

/* ---- Settings ----------------------------------------------------------------------------- */

static int load_own(SSL_CTX *ssl, const pump_tls_options *options, char *error, size_t size) {
  if (!options->cert && !options->key) return 0;
  if (!options->cert || !options->key)
    return refuse(PUMP_ETLS, error, size,
                  "TLS: a certificate needs its key, and a key its "
                  "certificate: say both cert and key");
  if (SSL_CTX_use_certificate_chain_file(ssl, options->cert) != 1)
    return refuse(PUMP_ETLS, error, size, "TLS: cannot read a certificate from %s: %s",
                  options->cert, why());
  bool is_locked = false;
  SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
  SSL_CTX_set_default_passwd_cb_userdata(ssl, &is_locked);
  int is_read = SSL_CTX_use_PrivateKey_file(ssl, options->key, SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb(ssl, NULL);
  SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
  if (is_read == 1) return 0;
  if (is_locked)
    return refuse(PUMP_ETLS, error, size, "TLS: the key in %s wants a passphrase: say one without",
                  options->key);
  if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_X509)
    return refuse(PUMP_ETLS, error, size, "TLS: the key in %s is not that of the certificate in %s",
                  options->key, options->cert);
  return refuse(PUMP_ETLS, error, size, "TLS: cannot read a key from %s: %s", options->key, why());
}

static int load_trusted(SSL_CTX *ssl, const pump_tls_options *options, char *error, size_t size) {
  if (options->ca && SSL_CTX_load_verify_file(ssl, options->ca) != 1)
    return refuse(PUMP_ETLS, error, size, "TLS: cannot read certificates to trust from %s: %s",
                  options->ca, why());
  if (!options->ca && SSL_CTX_set_default_verify_paths(ssl) != 1)
    return refuse(PUMP_ETLS, error, size, "TLS: cannot read the system's certificates: %s", why());
  return 0;
}

static int configure_server(SSL_CTX *ssl, const pump_tls_options *options, char *error,
                            size_t size) {
  /* Connections stay; nothing is kept for resuming them. */
  SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(ssl, 0);
  if (!options->cert)
    return refuse(PUMP_ETLS, error, size, "TLS: a server needs a certificate and its key");
  int code = load_own(ssl, options, error, size);
  if (code != 0 || !options->ca) return code;
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verified);
  return load_trusted(ssl, options, error, size);
}

static int configure_client(SSL_CTX *ssl, const pump_tls_options *options, char *error,
                            size_t size) {
  SSL_CTX_set_cert_cb(ssl, on_asked, NULL);
  SSL_CTX_set_verify(ssl, options->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                     options->verify ? on_verified : NULL);
  int code = load_own(ssl, options, error, size);
  return code != 0 || !options->verify ? code : load_trusted(ssl, options, error, size);
}

int pump_tls_context_new(pump_tls_context **out, bool is_server, const pump_tls_options *options,
                         char *error, size_t error_size) {
  *out = NULL;
  ERR_clear_error();
  pump_tls_context *context = calloc(1, sizeof *context);
  SSL_CTX *ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  if (!context || !ssl) {
    free(context);
    SSL_CTX_free(ssl);
    return refuse(PUMP_ENOMEM, error, error_size, "out of memory");
  }
  *context = (pump_tls_context){ssl, is_server, options->cert != NULL};
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  int code = is_server ? configure_server(ssl, options, error, error_size)
                       : configure_client(ssl, options, error, error_size);
  ERR_clear_error();
  if (code != 0) {
    pump_tls_context_free(context);
    return code;
  }
  *out = context;
  return 0;
}

void pump_tls_context_free(pump_tls_context *context) {
  if (!context) return;
  SSL_CTX_free(context->ssl);
  free(context);
}
