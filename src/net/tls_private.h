/* What a context and its connections share. */
#ifndef PUMP_NET_TLS_PRIVATE_H
#define PUMP_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "net/tls.h"

struct pump_tls_context {
  SSL_CTX *ssl;
  bool is_server;
  bool has_cert;
};

/* The first check that a certificate failed, for the connection's words. */
typedef struct pump_tls_doubt {
  int error;     /* X509_V_ERR_…, or 0 */
  int depth;     /* 0: the peer's own certificate, else an authority's */
  char date[16]; /* the day from which or until which it is valid */
} pump_tls_doubt;

struct pump_tls {
  SSL *ssl;
  BIO *in, *out; /* memory; they are ssl's */
  const pump_tls_context *context;
  pump_buffer output;
  pump_tls_doubt doubt;
  bool is_established;
  bool is_asked;  /* the server wants to see a certificate */
  bool has_heard; /* anything at all */
  int failure;    /* sticks */
  char name[256]; /* "" for servers */
  char words[512];
  uint8_t input[32 * 1024];
};

#endif
