/* The inside of a client, for the files of this folder. */
#ifndef PUMP_CLIENT_CLIENT_H
#define PUMP_CLIENT_CLIENT_H

#include <uv.h>

#include "client/address.h"
#include "client/cluster.h"
#include "client/follower.h"
#include "client/line.h"
#include "client/sequence.h"
#include "client/reconnect.h"
#include "client/redirect.h"
#include "client/session.h"
#include "client/stats.h"
#include "net/random.h"
#include "net/stream.h"

struct pump_client {
  uv_loop_t *loop;
  pump_options options; /* its texts are ours: see pump_options_copy */
  int state;
  bool is_closing;

  pump_tls_context *tls; /* from the first connection that needs it */
  pump_stream *stream;   /* from connecting to the end of the connection */
  pump_session *session; /* from the first byte */
  pump_buffer sending;   /* what the stream is writing now */
  bool is_sending;
  bool is_secret; /* a login is among it: it is wiped when it is sent */
  unsigned in_flight;
  size_t reading;      /* how many events those in flight have asked for, at most */
  size_t read_most;    /* with so many no more are asked for */
  uint64_t held_until; /* for that; 0: nobody waits */
  pump_line line;

  /* One timer for everything that has a time. It is set no later than the earliest deadline, and
   * may be early: no request ever touches it. */
  uv_timer_t timer;
  uint64_t timer_at;
  uv_idle_t flush; /* active when there is something to ask or to send: once a turn of the loop */

  pump_follower *subscriptions; /* and consumers: all that have not ended */
  pump_follower *lost;          /* whose connection has gone, until they are told */
  pump_follower *ready;         /* that have something to do when the loop turns */
  pump_heap due;                /* that have something to do at a time */

  pump_cluster cluster;
  pump_reconnect reconnect;
  pump_redirect redirect;
  pump_address address;

  pump_result_cb connect_cb; /* while a caller waits for it */
  void *connect_ud;
  uint64_t connect_deadline; /* 0: not connecting */
  uint64_t address_deadline; /* for the first address of a name; 0: none is being waited for */
  struct sockaddr_storage passed_over; /* that did not let us in: those behind it are tried first */
  uint64_t connect_started_ns;
  pump_connected_cb connected_cb;
  void *connected_ud;
  pump_disconnected_cb disconnected_cb;
  void *disconnected_ud;
  pump_disconnected_cb closed_cb; /* when it ended by itself, for good */
  void *closed_cb_ud;

  pump_stats stats;
  pump_random random;
  char endpoint[300];
  char known_as[300]; /* the same server, as others name it */
  char message[600];  /* why there is no connection */
  int open_handles;
  void (*closed)(void *ud);
  void *closed_ud;
};

/* Milliseconds of the loop's clock, but never behind: uv_now stands still while Lua computes. */
uint64_t pump_client_now(void);

/* Lets a conversation into the line; it is the client's then. On failure it is freed. */
int pump_client_ask(pump_client *client, pump_conversation *conversation, uint64_t timeout,
                    pump_result_cb cb, void *ud);

/* The same for what is not a program's own request: it is let in whatever waits already, and asked
 * after a pause. */
int pump_client_ask_later(pump_client *client, pump_conversation *conversation, uint64_t pause,
                          uint64_t timeout, pump_result_cb cb, void *ud);
/* Takes a conversation back, asked or not, and frees it without calling back. NULL is fine. */
void pump_client_withdraw(pump_client *client, pump_conversation *conversation);
/* Wipes what was being sent, where it is secret. */
void pump_client_wipe(pump_client *client);
/* Has on_flush run in the next turn of the loop. */
void pump_client_flush_soon(pump_client *client);

/* Subscriptions and consumers: those that are ready go on. They outlive connections: one is lost,
 * and its conversations with it; and there is another one. Where there will be none they are taken
 * out, and told that they have ended. Tick: the time has come for some. Settle: the connection is
 * about to be closed, what they have to say goes into its output. */
void pump_subscriptions_go_on(pump_client *client);
void pump_subscriptions_tick(pump_client *client, uint64_t now);
void pump_subscriptions_settle(pump_client *client);
void pump_subscriptions_lost(pump_client *client);
void pump_subscriptions_found(pump_client *client);
void pump_subscriptions_lose(pump_client *client);
void pump_subscriptions_end(pump_client *client, const char *message);
/* Whether it takes requests: it is connected, or about to be. */
bool pump_client_is_open(const pump_client *client);
/* Whether options.retries lets this one be asked again. */
bool pump_client_may_ask_again(const pump_client *client, const pump_conversation *conversation);
/* The last word: the callback, once, and the end of a conversation that is in no place. */
void pump_client_finish(pump_client *client, pump_conversation *conversation);
/* Fails all of a list (by `next`) of conversations that are in no place any more; or all that wait,
 * all that follows a stream, and with the code whoever waits for the first connection. */
void pump_client_fail_list(pump_client *client, pump_conversation *list, const char *message);
void pump_client_fail_all(pump_client *client, int code, const char *message);
/* Tells whoever waits for the first connection. */
void pump_client_answer_connect(pump_client *client, int code, const char *message);
/* Starts to connect, to the host or to a member of the cluster, within connect_timeout. */
int pump_client_seek(pump_client *client);
/* The connection ended, or could not be made: another one, or the end. */
void pump_client_lose(pump_client *client, int code, const char *reason);
/* The same, where client->message has the words already and no other member is tried. */
void pump_client_connect_anew_or_end(pump_client *client, int code);
/* Forgets the stream and its session, which nobody waits for any more. */
void pump_client_drop_connection(pump_client *client);
/* Starts to connect a stream, whose events are the client's. */
int pump_client_reach(pump_client *client, pump_stream **stream, const char *host, int port);
/* What is begun now may take connect_timeout. */
void pump_client_limit_connecting(pump_client *client);
/* The address that is being connected to is not the one to begin with the next time. */
void pump_client_pass_over(pump_client *client);
/* Somebody there accepted, and has not let us in so far: if its name has other addresses, there. */
void pump_client_try_elsewhere(pump_client *client);
/* The stream is connected: the handshake begins. */
void pump_client_connected(pump_client *client);
/* Has a time that is new looked at. */
void pump_client_set_timer(pump_client *client);

/* Starts to connect a stream. What TLS lacks is an event too. PUMP_ENOMEM, PUMP_ECLOSED and what
 * options.open says. */
int pump_client_open(pump_client *client, pump_stream **stream, const char *host, int port,
                     const pump_stream_events *events);
/* A session on the stream, in client->session. */
int pump_client_start_session(pump_client *client);
/* The address that the connection leads to, what others call it, and whether it is either. */
void pump_client_name_endpoint(pump_client *client, const char *host, int port);
void pump_client_know_as(pump_client *client, const char *host, int port);
bool pump_client_is_at(const pump_client *client, const char *host, int port);

/* Without an address in the fields (NULL: none at all) it is about the endpoint. */
void pump_client_log(pump_client *client, int level, const pump_log_fields *fields,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Checks, and copies the texts. PUMP_EINVALID, PUMP_ENOMEM. */
int pump_options_copy(pump_options *to, const pump_options *from);
void pump_options_free(pump_options *options);

#endif
