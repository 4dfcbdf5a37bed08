#include "node/password.h"

#include <string.h>

#define ROUNDS     1000
#define BLOCK_SIZE 64

/* ---- SHA-1 -------------------------------------------------------------------------------- */

typedef struct sha1 {
  uint32_t state[5];
  uint64_t size;
  uint8_t block[BLOCK_SIZE];
} sha1;

static uint32_t turn(uint32_t value, int bits) {
  return value << bits | value >> (32 - bits);
}

static void mix_block(sha1 *at) {
  uint32_t words[80], v[5];
  for (int i = 0; i < 16; i++)
    words[i] = (uint32_t)at->block[4 * i] << 24 | (uint32_t)at->block[4 * i + 1] << 16 |
               (uint32_t)at->block[4 * i + 2] << 8 | at->block[4 * i + 3];
  for (int i = 16; i < 80; i++)
    words[i] = turn(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  memcpy(v, at->state, sizeof v);
  for (int i = 0; i < 80; i++) {
    uint32_t f = i < 20   ? ((v[1] & v[2]) | (~v[1] & v[3])) + 0x5a827999
                 : i < 40 ? (v[1] ^ v[2] ^ v[3]) + 0x6ed9eba1
                 : i < 60 ? ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])) + 0x8f1bbcdc
                          : (v[1] ^ v[2] ^ v[3]) + 0xca62c1d6;
    uint32_t next = turn(v[0], 5) + f + v[4] + words[i];
    v[4] = v[3];
    v[3] = v[2];
    v[2] = turn(v[1], 30);
    v[1] = v[0];
    v[0] = next;
  }
  for (int i = 0; i < 5; i++)
    at->state[i] += v[i];
}

static void start(sha1 *at) {
  *at = (sha1){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

static void add(sha1 *at, const void *data, size_t size) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < size; i++) {
    at->block[at->size++ % BLOCK_SIZE] = bytes[i];
    if (at->size % BLOCK_SIZE == 0) mix_block(at);
  }
}

static void finish(sha1 *at, uint8_t hash[PUMP_HASH_SIZE]) {
  uint64_t bits = at->size * 8;
  uint8_t length[8];
  for (int i = 0; i < 8; i++)
    length[i] = (uint8_t)(bits >> (56 - 8 * i));
  add(at, "\x80", 1);
  while (at->size % BLOCK_SIZE != BLOCK_SIZE - sizeof length)
    add(at, "", 1);
  add(at, length, sizeof length);
  for (int i = 0; i < PUMP_HASH_SIZE; i++)
    hash[i] = (uint8_t)(at->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- HMAC and PBKDF2 ---------------------------------------------------------------------- */

/* The two halves of an HMAC, with the key in them. */
typedef struct keyed {
  sha1 inner;
  sha1 outer;
} keyed;

static void set_key(keyed *key, pump_bytes password) {
  uint8_t block[BLOCK_SIZE] = {0};
  if (password.size <= sizeof block) {
    if (password.size > 0) memcpy(block, password.data, password.size);
  } else {
    start(&key->inner);
    add(&key->inner, password.data, password.size);
    finish(&key->inner, block);
  }
  start(&key->inner);
  start(&key->outer);
  for (size_t i = 0; i < sizeof block; i++) {
    add(&key->inner, &(uint8_t){block[i] ^ 0x36}, 1);
    add(&key->outer, &(uint8_t){block[i] ^ 0x5c}, 1);
  }
}

static void sign(const keyed *key, const void *data, size_t size, uint8_t hash[PUMP_HASH_SIZE]) {
  keyed at = *key;
  add(&at.inner, data, size);
  finish(&at.inner, hash);
  add(&at.outer, hash, PUMP_HASH_SIZE);
  finish(&at.outer, hash);
}

void pump_password_hash(uint8_t hash[PUMP_HASH_SIZE], pump_bytes password,
                        const uint8_t salt[PUMP_SALT_SIZE]) {
  keyed key;
  uint8_t first[PUMP_SALT_SIZE + 4], last[PUMP_HASH_SIZE];
  set_key(&key, password);
  memcpy(first, salt, PUMP_SALT_SIZE);
  memcpy(first + PUMP_SALT_SIZE, "\0\0\0\1", 4); /* the number of the only block */
  sign(&key, first, sizeof first, last);
  memcpy(hash, last, sizeof last);
  for (int i = 1; i < ROUNDS; i++) {
    sign(&key, last, sizeof last, last);
    for (size_t k = 0; k < sizeof last; k++)
      hash[k] ^= last[k];
  }
}
