/* TLS without a socket: ciphertext goes in and comes out, and so does plaintext.
 *
 * Whoever has the socket feeds what it read and sends what stands in the output after every call.
 * A context holds certificates and settings and is shared by connections; it must outlive them. */
#ifndef PUMP_NET_TLS_H
#define PUMP_NET_TLS_H

#include <pump.h>

#include "base/buffer.h"

typedef struct pump_tls_context pump_tls_context;
typedef struct pump_tls pump_tls;

/* Reads the files. A server needs cert and key, and with ca asks its clients for certificates
 * that ca vouches for; server_name is no part of it. On failure error holds one line.
 * PUMP_ETLS, PUMP_ENOMEM. */
int pump_tls_context_new(pump_tls_context **context, bool is_server,
                         const pump_tls_options *options, char *error, size_t error_size);
void pump_tls_context_free(pump_tls_context *context);

/* A client says who should be at the other end: a host name or an IP address. A server says
 * NULL. PUMP_ENOMEM, PUMP_EINVALID for what can be no name. */
int pump_tls_new(pump_tls **tls, const pump_tls_context *context, const char *name);
void pump_tls_free(pump_tls *tls);

/* Where the next ciphertext is to be read to, and how much came. Everything that was fed has to be
 * taken out, by handshake and read, before there is more. */
void pump_tls_space(pump_tls *tls, uint8_t **to, size_t *size);
int pump_tls_filled(pump_tls *tls, size_t size);
/* The ciphertext to be sent, the caller's to send and to clear. */
pump_buffer *pump_tls_output(pump_tls *tls);

/* Goes on with the handshake. 1: it is done, 0: it needs to hear more, PUMP_ETLS. */
int pump_tls_handshake(pump_tls *tls);
bool pump_tls_is_established(const pump_tls *tls);
/* Decrypts to where the caller wants it; got is 0 when more must come first. PUMP_ECLOSED: the
 * peer said that it is done. PUMP_ETLS. */
int pump_tls_read(pump_tls *tls, void *to, size_t size, size_t *got);
/* Whether some of what was fed waits for the rest of it. */
bool pump_tls_has_part(const pump_tls *tls);
/* Encrypts into the output, once it is established. PUMP_ETLS, PUMP_ENOMEM. */
int pump_tls_write(pump_tls *tls, const void *data, size_t size);
/* Says that nothing more follows. */
void pump_tls_end(pump_tls *tls);

/* One line on what failed. */
const char *pump_tls_words(const pump_tls *tls);
/* The same for a connection that ended underneath, without the peer having said so. */
const char *pump_tls_cut_words(pump_tls *tls);

/* Whether the first bytes of a plain connection are a TLS peer's refusal of it: a record of an
 * alert, of SSL 3 or a TLS, with the two bytes "warning or fatal" and what for. */
static inline bool pump_tls_is_alert(const void *data, size_t size) {
  const uint8_t *bytes = data;
  return size >= 7 && bytes[0] == 21 && bytes[1] == 3 && bytes[2] <= 4 && bytes[3] == 0 &&
         bytes[4] == 2 && bytes[5] <= 2;
}

#endif
