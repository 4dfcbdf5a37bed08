/* Passwords that a client keeps: on pages of their own, which the system leaves out of core files
 * where it can, and which are wiped before they are given back. */
#ifndef PUMP_NET_SECRET_H
#define PUMP_NET_SECRET_H

/* A copy of the text, or NULL where there is no memory. */
char *pump_secret_copy(const char *text);
void pump_secret_free(char *secret); /* NULL is fine */

#endif
