/* How EventStore keeps a password: salted, and hashed a thousand times (PBKDF2 with SHA-1). */
#ifndef PUMP_NODE_PASSWORD_H
#define PUMP_NODE_PASSWORD_H

#include <pump.h>

#define PUMP_SALT_SIZE 16
#define PUMP_HASH_SIZE 20

void pump_password_hash(uint8_t hash[PUMP_HASH_SIZE], pump_bytes password,
                        const uint8_t salt[PUMP_SALT_SIZE]);

#endif
