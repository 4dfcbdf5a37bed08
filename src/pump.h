/* pump: an EventStore client in C, on libuv.
 *
 * A program that owns a libuv loop makes a client, connects it, and asks. Every request that a
 * function here accepts (returns 0) gets exactly one call of its callback, never from inside the
 * function that accepted it. There are no signals and no global state: a client belongs to the
 * thread that runs its loop, and every function and callback is of that thread. The system's
 * resolver, which cannot be stopped, looks up names in threads that run nothing else and that
 * nobody waits for. libuv writes to peers that have hung up, so a program on it has to ignore
 * SIGPIPE (signal(SIGPIPE, SIG_IGN)), or it dies of one.
 *
 * Functions return 0 or a negative PUMP_E… code. Everything passed in is copied before the
 * function returns. Everything passed to a callback is borrowed until the callback returns; a
 * page of events may be kept longer with pump_page_ref. Times are milliseconds, event numbers
 * and positions 64-bit integers, text is UTF-8 and not NUL-terminated unless it is a char *.
 */
#ifndef PUMP_H
#define PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The one home of the version; the build reads it from here. */
#define PUMP_VERSION_MAJOR 0
#define PUMP_VERSION_MINOR 1
#define PUMP_VERSION_PATCH 0

#if defined(__GNUC__)
#define PUMP_API __attribute__((visibility("default")))
#else
#define PUMP_API
#endif

/* ---- Errors ------------------------------------------------------------------------------- */

/* One table for both languages: the C name, its number, its name in Lua and a sentence.
 * Numbers are kept for ever; new ones are added at the end. */
#define PUMP_ERROR_MAP(XX)                                                                         \
  XX(ETIMEOUT, -1, "timeout", "no answer came in time")                                            \
  XX(ECANCELLED, -2, "cancelled", "the request was cancelled")                                     \
  XX(ECLOSED, -3, "closed", "the connection is closed")                                            \
  XX(ECONNECT, -4, "connect_failed", "the server could not be reached")                            \
  XX(EDISCOVERY, -5, "discovery_failed", "no member of the cluster could be found")                \
  XX(ENOTAUTHENTICATED, -6, "not_authenticated", "the server refused the credentials")             \
  XX(EACCESS, -7, "access_denied", "access denied")                                                \
  XX(ENOSTREAM, -8, "stream_not_found", "there is no such stream")                                 \
  XX(EDELETED, -9, "stream_deleted", "the stream was deleted")                                     \
  XX(ENOEVENT, -10, "event_not_found", "there is no such event")                                   \
  XX(EVERSION, -11, "wrong_expected_version", "the stream is not at the expected version")         \
  XX(ETRANSACTION, -12, "invalid_transaction", "the transaction is not valid")                     \
  XX(EBADREQUEST, -13, "bad_request", "the server refused the request")                            \
  XX(ENOTHANDLED, -14, "not_handled", "the server did not handle the request")                     \
  XX(ENOTREADY, -15, "not_ready", "the server is not ready yet")                                   \
  XX(EBUSY, -16, "too_busy", "too many requests wait already")                                     \
  XX(ENOTLEADER, -17, "not_leader", "the server is not the leader")                                \
  XX(ETOOLARGE, -18, "too_large", "that is larger than the protocol allows")                       \
  XX(EEXISTS, -19, "subscription_exists", "there is such a group already")                         \
  XX(ENOGROUP, -20, "subscription_not_found", "there is no such group")                            \
  XX(ESUBSCRIBE, -21, "subscription_failed", "the subscription failed")                            \
  XX(EDROPPED, -22, "subscription_dropped", "the server dropped the subscription")                 \
  XX(EMAXSUBSCRIBERS, -23, "max_subscribers", "the group has all the subscribers it allows")       \
  XX(ESLOW, -24, "slow_consumer", "the consumer is too slow")                                      \
  XX(EPROTOCOL, -25, "protocol_error", "the peer does not speak the protocol")                     \
  XX(ETLS, -26, "tls_error", "the secure connection failed")                                       \
  XX(EJSON, -27, "json_error", "that is not JSON")                                                 \
  XX(ENOTSUPPORTED, -28, "not_supported", "that is not supported")                                 \
  XX(ENOMEM, -29, "out_of_memory", "out of memory")                                                \
  XX(EINVALID, -30, "invalid_argument", "an argument is not valid")                                \
  XX(ESTORE, -31, "store_failed", "the embedded store failed")

enum {
#define XX(name, number, text, sentence) PUMP_##name = number,
  PUMP_ERROR_MAP(XX)
#undef XX
};

/* The name of a code as Lua knows it ("wrong_expected_version"), "ok" for 0, "unknown" else. */
PUMP_API const char *pump_error_name(int code);
/* A sentence for a code, without a full stop. Never NULL. */
PUMP_API const char *pump_error_sentence(int code);
/* "0.1.0" */
PUMP_API const char *pump_version(void);

/* ---- Values ------------------------------------------------------------------------------- */

/* A view of bytes that somebody else owns. data may be NULL when size is 0. */
typedef struct pump_bytes {
  const char *data;
  size_t size;
} pump_bytes;

/* A UUID in the order in which it is written as text (RFC 4122). */
typedef struct pump_guid {
  unsigned char bytes[16];
} pump_guid;

#define PUMP_GUID_TEXT 36
/* Writes 36 characters and a NUL. */
PUMP_API void pump_guid_format(const pump_guid *guid, char text[PUMP_GUID_TEXT + 1]);
/* Accepts 36 characters, either case, with or without braces. PUMP_EINVALID. */
PUMP_API int pump_guid_parse(pump_guid *guid, const char *text, size_t size);

typedef struct pump_position {
  int64_t commit;
  int64_t prepare;
} pump_position;

/* Expected versions beside a number of an event (>= 0). */
#define PUMP_ANY           (-2)
#define PUMP_NO_STREAM     (-1)
#define PUMP_STREAM_EXISTS (-4)
/* Where a read starts, beside a number of an event (>= 0): the last event. */
#define PUMP_END (-1)
/* An event number or version that nobody told us. */
#define PUMP_UNKNOWN INT64_MIN

/* One event as it stands in a stream: views into the page that it came in. */
typedef struct pump_record {
  pump_bytes stream;
  pump_bytes type;
  pump_bytes data;
  pump_bytes metadata;
  int64_t number;
  int64_t created; /* microseconds since 1970, UTC */
  pump_guid id;
  bool is_json;
} pump_record;

/* One event as a reader gets it. */
typedef struct pump_event {
  const pump_record *record; /* the event, or the target of the link; NULL if that is gone */
  const pump_record *link;   /* the link that led here, or NULL */
  pump_position position;    /* in $all; -1, -1 where the server did not say */
  int32_t retry_count;       /* persistent subscriptions: how often it was tried before */
} pump_event;

/* Events that came together. One page is one buffer from the socket, parsed once: the records
 * are views into it, and it lives until the last reference is given back. */
typedef struct pump_page {
  const pump_event *events;
  size_t count;
  int64_t next_event_number;   /* streams: where the next page starts; -1 at the start, backward */
  int64_t last_event_number;   /* streams: the newest event of the stream */
  pump_position position;      /* $all: where this page started */
  pump_position next_position; /* $all: where the next one starts */
  bool is_end;                 /* nothing follows in this direction, for now */
} pump_page;

/* Both may be called from callbacks. A page keeps all its events; it is of one thread. */
PUMP_API pump_page *pump_page_ref(pump_page *page);
PUMP_API void pump_page_unref(pump_page *page);
/* Bytes of memory that the page keeps from being freed. */
PUMP_API size_t pump_page_size(const pump_page *page);

/* One event to write. id all zero: a random one is made. */
typedef struct pump_new_event {
  pump_guid id;
  pump_bytes type;
  pump_bytes data;
  pump_bytes metadata;
  bool is_json; /* data is JSON text */
} pump_new_event;

/* ---- The client --------------------------------------------------------------------------- */

struct uv_loop_s; /* uv_loop_t of <uv.h> */
typedef struct pump_client pump_client;

enum { PUMP_LOG_ERROR = 1, PUMP_LOG_WARNING, PUMP_LOG_INFO, PUMP_LOG_DEBUG, PUMP_LOG_TRACE };

/* What a line of the log is about, for programs that do not want to take its words apart. What it is
 * not about is 0 or NULL. */
typedef struct pump_log_fields {
  int code;                /* PUMP_E…: what went wrong */
  const char *address;     /* of the server: "10.0.0.5:1113" */
  const char *operation;   /* what was asked: "append"; of a frame its command: "WriteEvents" */
  const char *correlation; /* of a frame, its id as servers' logs have it */
  unsigned attempt;        /* the one that comes, or came to that: from 1 */
  uint64_t delay;          /* ms until it comes */
} pump_log_fields;

/* One node of a cluster, as the nodes tell each other (gossip). */
typedef struct pump_member {
  const char *instance_id;
  const char *state;    /* as the server calls it: "Leader", "Master", "Follower", "Slave", … */
  const char *tcp_host; /* NULL: none was named; likewise all texts here */
  const char *http_host;
  const char *version; /* of the server, from 23.10 on */
  int tcp_port;        /* 0: none; likewise the others */
  int secure_tcp_port;
  int http_port;
  int64_t last_commit_position;
  int64_t writer_checkpoint;
  int64_t chaser_checkpoint;
  int64_t epoch_position;
  int64_t epoch_number;
  int64_t node_priority;
  bool is_alive;
  bool is_leader; /* alive, and a leader or master by its state */
  bool is_read_only_replica;
} pump_member;

/* All of them, in the order of the node that was asked; counted like a page. */
typedef struct pump_members {
  const pump_member *members;
  size_t count;
} pump_members;

PUMP_API pump_members *pump_members_ref(pump_members *members);
PUMP_API void pump_members_unref(pump_members *members);

/* Which member a client connects to: the leader (where there is none for half of the
 * connect_timeout, a follower until there is one), a follower rather than the leader, or any that
 * is ready. */
enum { PUMP_SELECT_LEADER = 0, PUMP_SELECT_FOLLOWER, PUMP_SELECT_RANDOM };

/* How a connection is encrypted. Files are PEM. TLS 1.2 is the least. */
typedef struct pump_tls_options {
  bool enable;
  bool verify;             /* default true; false lets anybody pose as the server */
  const char *ca;          /* file of the certificates to trust; NULL: the system's */
  const char *cert;        /* file of our own certificate, for servers that demand one */
  const char *key;         /* file of its key, without a passphrase */
  const char *server_name; /* the name that the server has to prove; NULL: host */
} pump_tls_options;

/* How members are asked for gossip. As it fits: by plain HTTP, with tls.enable by HTTPS. Who does
 * not speak TLS then (clusters before version 20 have TLS on the TCP port alone) is asked by plain
 * HTTP where tls has a ca or a server_name: whoever forges such gossip cannot prove to be a server
 * then. The system's authorities would vouch for anybody by his own name, so with them it wants to
 * be said. No credentials are in gossip. */
enum { PUMP_GOSSIP_AS_FITS = 0, PUMP_GOSSIP_PLAIN, PUMP_GOSSIP_TLS };

#define PUMP_NO_LIMIT 0xffffffffu

typedef struct pump_options {
  const char *host; /* default 127.0.0.1 */
  int port;         /* default 1113 */
  /* Instead of host, port and open: members of a cluster that are asked for all the others by HTTP,
   * "HOST[:PORT],…". Port 2113 is the default; of a name every address is asked. */
  const char *seeds;
  int gossip;   /* PUMP_GOSSIP_… */
  int selector; /* PUMP_SELECT_… */
  /* Instead of selector: is shown the members and calls pump_client_choose, then or later. */
  void (*choose)(void *ud, pump_client *client, pump_members *members);
  void *choose_ud;
  /* Maps the address of a server that another one named (the leader, a member of the cluster) to
   * one that leads there from here, through NAT or out of containers: calls pump_client_resolved,
   * then or later. Not asked about host and seeds. */
  void (*resolve)(void *ud, pump_client *client, const char *host, int port);
  void *resolve_ud;
  const char *username; /* NULL: anonymous */
  const char *password;
  const char *name;            /* how the server knows the connection; default pump-<random> */
  pump_tls_options tls;        /* default: plain TCP */
  uint64_t timeout;            /* of a request, 7000 ms */
  uint64_t connect_timeout;    /* until connected and identified, 5000 ms */
  uint64_t heartbeat_interval; /* how often the client asks whether it lives, 2000 ms; 0 never */
  uint64_t heartbeat_timeout;  /* silence after that which ends the connection, 5000 ms */
  unsigned max_in_flight;      /* requests sent and not answered, 2000; more wait */
  unsigned max_queued;         /* requests that may wait, 20000; more are PUMP_EBUSY */
  /* How often one request may be asked again that the server was too busy or not ready for, or
   * whose answer was lost with the connection. Default PUMP_NO_LIMIT: until its timeout. With 0
   * nothing is asked twice. */
  unsigned retries;
  /* A client that loses its connection looks for a server again. In front of attempt n it waits
   * for a random time of at most reconnect_delay * 2^(n-1) ms (100), but never more than
   * reconnect_max_delay (5000), counted from the beginning of the one before. A connection that
   * lasted longer than that wait could have begins anew with n = 1, one that lasted as long as
   * reconnect_delay with half of n. */
  uint64_t reconnect_delay;
  uint64_t reconnect_max_delay;
  unsigned
      reconnect_attempts; /* in a row; default PUMP_NO_LIMIT; 0: a lost connection is the end */
  /* Instead of host and port: gives a connected stream socket, which the client owns from then
   * on. The embedded node connects clients through it (pump_node_opener). PUMP_ECLOSED: there will
   * never be another one. */
  int (*open)(void *ud, int *fd);
  void *open_ud;
  /* Lines of log up to log_level, one call a line, or NULL. No secret is ever in them. They come
   * from the midst of what is done: it must call nothing of this library. */
  void (*log)(void *ud, int level, const char *line, const pump_log_fields *fields);
  void *log_ud;
  int log_level;
} pump_options;

/* Fills in the defaults above. */
PUMP_API void pump_options_init(pump_options *options);

enum {
  PUMP_STATE_NEW = 0,
  PUMP_STATE_CONNECTING,
  PUMP_STATE_CONNECTED,
  PUMP_STATE_RECONNECTING, /* the connection was lost, and another one is looked for */
  PUMP_STATE_CLOSED
};

/* What became of a request. */
typedef struct pump_result {
  int status;              /* 0, or why not: PUMP_E… */
  const char *message;     /* one line for people, with the server's words; "" on success */
  bool retryable;          /* the same request may succeed later */
  int64_t current_version; /* PUMP_EVERSION: the last event number of the stream, -1 for none,
                              PUMP_UNKNOWN where the server did not say */
  const char *leader_host; /* PUMP_ENOTLEADER: where the leader is, or NULL */
  int leader_port;
  int64_t first_event_number; /* append */
  int64_t last_event_number;
  pump_position position; /* append, delete */
  pump_page *page;        /* reads; borrowed, keep it with pump_page_ref */
  pump_members *members;  /* pump_client_members; borrowed, keep it with pump_members_ref */
  uint64_t elapsed_ns;    /* from asking to answer */
} pump_result;

typedef void (*pump_result_cb)(pump_client *client, const pump_result *result, void *ud);

/* Makes a client on a loop that the caller owns and runs. It connects nowhere yet.
 * PUMP_EINVALID for options that make no sense, PUMP_ENOMEM. */
PUMP_API int pump_client_new(pump_client **client, struct uv_loop_s *loop,
                             const pump_options *options);

/* Connects, authenticates (where there is a username) and identifies; result tells when that is
 * done, or why it could not be. A client that failed to connect, or was closed by itself, may try
 * again. PUMP_EINVALID: it is connected, or about to be. */
PUMP_API int pump_client_connect(pump_client *client, pump_result_cb cb, void *ud);

/* Ends the connection: every request that waits is answered with PUMP_ECLOSED first, then cb is
 * called (it may be NULL) and the client is gone. May be called from any callback but log, and
 * once. */
PUMP_API void pump_client_close(pump_client *client, void (*cb)(void *ud), void *ud);

PUMP_API int pump_client_state(const pump_client *client);

/* What a client has counted since it was made. */
enum { PUMP_LATENCY_BUCKETS = 144 };
typedef struct pump_stats {
  uint64_t bytes_in, bytes_out; /* of the protocol, before TLS */
  uint64_t frames_in, frames_out;
  uint64_t requests; /* that got their last word; subscriptions and their pages, too */
  uint64_t failures; /* among those */
  uint64_t retries;  /* how often one was asked again */
  uint64_t connections;
  uint64_t reconnects;     /* among those: after one was lost */
  uint64_t in_flight;      /* now: asked and not answered */
  uint64_t waiting;        /* now: not asked yet */
  uint64_t latency_sum_ns; /* of the requests, from asking to answer */
  uint64_t latency_max_ns;
  uint64_t latency[PUMP_LATENCY_BUCKETS]; /* see the two functions below */
} pump_stats;
PUMP_API void pump_client_stats(const pump_client *client, pump_stats *stats);
/* The time within which that share of the requests (0.99) was answered, a quarter too long at
 * most. */
PUMP_API uint64_t pump_stats_quantile(const pump_stats *stats, double share);
/* How many were answered within so much time, exactly for a power of two in µs. */
PUMP_API uint64_t pump_stats_below(const pump_stats *stats, uint64_t ns);
/* "127.0.0.1:1113", or "" before the first connection. */
PUMP_API const char *pump_client_endpoint(const pump_client *client);

/* Requests of one client that are done one after the other: each is sent when the one before it has
 * succeeded, and where one fails all behind it are PUMP_ECANCELLED, and were never sent. Without
 * it requests go out together, and what is refused for a while (a server is not ready, or too busy)
 * is done after what was asked later. It may be freed before its requests are answered. */
typedef struct pump_sequence pump_sequence;
PUMP_API int pump_sequence_new(pump_sequence **sequence); /* PUMP_ENOMEM */
PUMP_API void pump_sequence_free(pump_sequence *sequence);

/* What every request may carry. NULL in its place means all defaults. */
typedef struct pump_call {
  uint64_t timeout;    /* ms until PUMP_ETIMEOUT; 0: the client's */
  pump_bytes username; /* data NULL: the connection's */
  pump_bytes password;
  bool require_leader;
  pump_sequence *sequence; /* NULL: in none. For subscriptions and consumers it does not count */
} pump_call;

/* The members of the cluster as the first seed that answers shows them. A client without seeds
 * asks port 2113 of its host. The client need not be connected. PUMP_EDISCOVERY: nobody answered;
 * PUMP_ENOTSUPPORTED: an embedded node; PUMP_EBUSY: 64 such questions, and of the version, wait. */
PUMP_API int pump_client_members(pump_client *client, const pump_call *call, pump_result_cb cb,
                                 void *ud);
/* What the server says of itself, "23.10.6.0"; NULL where nobody has told so far. The TCP protocol
 * has no word for it: gossip of the newest servers tells it, and /info, for which
 * pump_client_ask_server_version asks the member that the client is connected to
 * (PUMP_ENOTSUPPORTED: it was not found by gossip). */
PUMP_API const char *pump_client_server_version(const pump_client *client);
PUMP_API int pump_client_ask_server_version(pump_client *client, const pump_call *call,
                                            pump_result_cb cb, void *ud);
/* Answers options.choose: the index of a member; or -1 for none of these, and the seeds are asked
 * again; or -1 and words that end the attempt to connect. PUMP_EINVALID: nobody asks (any more). */
PUMP_API int pump_client_choose(pump_client *client, int index, const char *why);

/* Answers options.resolve; host NULL: from here nothing leads there. PUMP_EINVALID: nobody asks
 * (any more). */
PUMP_API int pump_client_resolved(pump_client *client, const char *host, int port);

/* Called whenever a connection is established, the first one too. */
typedef void (*pump_connected_cb)(pump_client *client, void *ud);
PUMP_API void pump_client_on_connected(pump_client *client, pump_connected_cb cb, void *ud);
/* Called when a connection that was established ends by itself: reason is one line. What was asked
 * and may not be asked again is failed with PUMP_ECLOSED before; the rest waits for another
 * connection. */
typedef void (*pump_disconnected_cb)(pump_client *client, int code, const char *reason, void *ud);
PUMP_API void pump_client_on_disconnected(pump_client *client, pump_disconnected_cb cb, void *ud);
/* Called in front of each attempt to connect again, which comes after so many ms. They are counted
 * from 1. */
typedef void (*pump_reconnecting_cb)(pump_client *client, unsigned attempt, uint64_t delay,
                                     void *ud);
PUMP_API void pump_client_on_reconnecting(pump_client *client, pump_reconnecting_cb cb, void *ud);
/* Called when a client that was connected is closed by itself, because no attempt is left or the
 * credentials are refused now. Every request that waits is failed with PUMP_ECLOSED before. It
 * may connect again. */
PUMP_API void pump_client_on_closed(pump_client *client, pump_disconnected_cb cb, void *ud);

PUMP_API int pump_client_ping(pump_client *client, const pump_call *call, pump_result_cb cb,
                              void *ud);

/* Appends count events (0 is legal) to a stream. A repeated write keeps the ids of its events,
 * so the server knows it again. expected: a number, or PUMP_ANY, PUMP_NO_STREAM,
 * PUMP_STREAM_EXISTS. PUMP_ETOOLARGE for what no server takes. */
PUMP_API int pump_client_append(pump_client *client, pump_bytes stream, int64_t expected,
                                const pump_new_event *events, size_t count, const pump_call *call,
                                pump_result_cb cb, void *ud);

/* Deletes a stream: its events are gone, and whoever appends to it again goes on with its numbers.
 * hard: for ever; its name can't be used any more. A stream's metadata (what it keeps, who may do
 * what) is the last event, of type $metadata, of the stream with "$$" before its name: read it with
 * pump_client_read_event, set it with pump_client_append. */
PUMP_API int pump_client_delete(pump_client *client, pump_bytes stream, int64_t expected, bool hard,
                                const pump_call *call, pump_result_cb cb, void *ud);

/* One event. number may be PUMP_END for the last. The page holds it. */
PUMP_API int pump_client_read_event(pump_client *client, pump_bytes stream, int64_t number,
                                    bool resolve_links, const pump_call *call, pump_result_cb cb,
                                    void *ud);

/* Which events of $all are wanted, by their stream or by their type. EventStore 20.6 and newer know
 * filters; what older ones answer becomes PUMP_ENOTSUPPORTED. */
typedef struct pump_filter {
  bool by_type;            /* else by stream */
  bool is_regex;           /* one text, as .NET reads it; else prefixes, one of which has to fit */
  const pump_bytes *texts; /* none is empty */
  size_t count;            /* 0: no filter */
} pump_filter;

typedef struct pump_read {
  int64_t from;           /* streams: first event number; PUMP_END backward: the last */
  pump_position position; /* $all: 0, 0 is the start, -1, -1 the end */
  int32_t max_count;      /* 1 to 4096 */
  bool backward;
  bool resolve_links;
  pump_filter filter; /* $all. A page may be empty then, and not be the end */
} pump_read;

PUMP_API int pump_client_read_stream(pump_client *client, pump_bytes stream, const pump_read *read,
                                     const pump_call *call, pump_result_cb cb, void *ud);
PUMP_API int pump_client_read_all(pump_client *client, const pump_read *read, const pump_call *call,
                                  pump_result_cb cb, void *ud);

/* ---- Subscriptions ------------------------------------------------------------------------ */

/* A subscription to a stream or to $all: history from where the program left off and then what
 * happens, each event exactly once and in order (catch-up); or only what happens (volatile). A
 * program that is slow costs bounded memory: it says how many events it has done with, and when
 * too many are not, no more are asked for; a catch-up subscription goes back to reading then. */
typedef struct pump_subscription pump_subscription;

enum {
  PUMP_SUBSCRIPTION_CATCHING_UP = 0,
  PUMP_SUBSCRIPTION_LIVE,
  PUMP_SUBSCRIPTION_RECONNECTING,
  PUMP_SUBSCRIPTION_CLOSED
};

typedef struct pump_subscribe {
  bool is_volatile;    /* no history, and what is missed is missed: see gap below */
  int64_t from;        /* streams: the first event wanted; PUMP_END: those to come. Default 0 */
  pump_position after; /* $all: the last event not wanted. Default -1, -1: from the start */
  bool is_from_now;    /* $all: those to come */
  bool resolve_links;  /* default true */
  int32_t page_size;   /* of history, at most: 500 */
  size_t max_untaken;  /* events handed over and not taken, 1000 */
  size_t max_buffered; /* events pushed that wait behind those, 1000 */
  pump_filter filter;  /* $all: default none */
} pump_subscribe;

/* Fills in the defaults above. */
PUMP_API void pump_subscribe_init(pump_subscribe *subscribe);

/* What a subscription calls; none of it from inside a function of this library that the program
 * has called. All but events and ended may be NULL. */
typedef struct pump_subscription_events {
  /* Events of the page from `first` on. pump_subscription_took says when they are done with. */
  void (*events)(pump_subscription *subscription, pump_page *page, size_t first, void *ud);
  /* What was there is read, what comes now has just happened. Again each time it was behind. */
  void (*live)(pump_subscription *subscription, void *ud);
  /* Volatile: events were missed here; code says why (PUMP_ESLOW, PUMP_ECLOSED, …). */
  void (*gap)(pump_subscription *subscription, int code, void *ud);
  /* It ended by itself; nothing is called after that. */
  void (*ended)(pump_subscription *subscription, const pump_result *result, void *ud);
  /* With a filter: every event up to there that is wanted has been handed over, so that a program
   * need not begin before it the next time, however long ago the last one was. In history this is
   * told after each page. */
  void (*checkpoint)(pump_subscription *subscription, pump_position position, void *ud);
} pump_subscription_events;

/* Subscribes to a stream, or to $all ("$all" or no name). A stream that does not exist is waited
 * for. call: credentials, and the timeout of each request. The callbacks are copied. */
PUMP_API int pump_client_subscribe(pump_subscription **subscription, pump_client *client,
                                   pump_bytes stream, const pump_subscribe *subscribe,
                                   const pump_call *call, const pump_subscription_events *events,
                                   void *ud);
/* The program is done with so many more events. */
PUMP_API void pump_subscription_took(pump_subscription *subscription, size_t count);
/* PUMP_SUBSCRIPTION_… */
PUMP_API int pump_subscription_state(const pump_subscription *subscription);
/* The number of the last event that was handed over, or that it began behind; -1 for none. */
PUMP_API int64_t pump_subscription_number(const pump_subscription *subscription);
/* The same in $all; -1, -1 for none. */
PUMP_API pump_position pump_subscription_position(const pump_subscription *subscription);
/* Ends it without a callback, and frees it: to be called once for each, also for one that has
 * ended by itself or with its client, and from any callback. */
PUMP_API void pump_subscription_close(pump_subscription *subscription);

/* ---- Groups of consumers ------------------------------------------------------------------ */

/* A persistent subscription: a server keeps the place of a group of consumers in a stream, deals
 * the events out among those that are connected, and sends again what they do not answer in time.
 * Every event comes at least once. */

/* Times are whole milliseconds up to INT32_MAX. */
typedef struct pump_group_settings {
  bool resolve_links;           /* false */
  int64_t from;                 /* the first event wanted; PUMP_END: those to come, the default */
  uint64_t message_timeout;     /* until an event without an answer is sent again, 30000; 0 never */
  bool record_statistics;       /* false */
  int32_t live_buffer_size;     /* events just written that wait at the server, 500 */
  int32_t read_batch_size;      /* events of history that it reads at once, 20 */
  int32_t buffer_size;          /* events of history that wait there, 500: more than a batch */
  int32_t max_retry_count;      /* how often an event is sent again before it is parked, 10 */
  uint64_t checkpoint_after;    /* how often the place is written down, 2000 */
  int32_t checkpoint_min_count; /* and not for fewer events, 10 */
  int32_t checkpoint_max_count; /* and sooner for so many, 1000 */
  int32_t subscriber_max_count; /* consumers at a time, 0: any number */
  const char *strategy;         /* who gets an event: "RoundRobin", "DispatchToSingle", "Pinned", or
                                   what else the server knows */
} pump_group_settings;

/* Fills in the defaults above, which are those of EventStore's own client. */
PUMP_API void pump_group_settings_init(pump_group_settings *settings);

/* PUMP_EEXISTS: there is such a group; PUMP_EACCESS; PUMP_ESUBSCRIBE: the server's words say why
 * not. PUMP_EINVALID for settings that make no sense. */
PUMP_API int pump_client_create_group(pump_client *client, pump_bytes group, pump_bytes stream,
                                      const pump_group_settings *settings, const pump_call *call,
                                      pump_result_cb cb, void *ud);
/* All settings anew. Consumers are dropped, connect again by themselves and get again what they
 * have not answered. PUMP_ENOGROUP. */
PUMP_API int pump_client_update_group(pump_client *client, pump_bytes group, pump_bytes stream,
                                      const pump_group_settings *settings, const pump_call *call,
                                      pump_result_cb cb, void *ud);
PUMP_API int pump_client_delete_group(pump_client *client, pump_bytes group, pump_bytes stream,
                                      const pump_call *call, pump_result_cb cb, void *ud);

/* One that gets a share of a group's events and answers each with an ack or a nack. What it has
 * not answered comes again, to it or to another one: when the group's message_timeout is over,
 * and when the connection is lost. It connects again by itself. */
typedef struct pump_consumer pump_consumer;

/* What a consumer calls; none of it from inside a function of this library that the program has
 * called. All but events and ended may be NULL. */
typedef struct pump_consumer_events {
  /* Events of the page from `first` on. No more come before pump_consumer_took has said that all
   * of them are done with, or given to somebody. */
  void (*events)(pump_consumer *consumer, pump_page *page, size_t first, void *ud);
  /* It is connected to the group, for the first time or again. */
  void (*live)(pump_consumer *consumer, void *ud);
  /* It is not, for the moment: code says why (PUMP_ECLOSED: the connection; PUMP_EDROPPED: the
   * group was changed, or the server shuts down). All that is not answered comes again, and what
   * the program has not begun to work on is better forgotten. */
  void (*lost)(pump_consumer *consumer, int code, void *ud);
  /* It ended by itself; nothing is called after that. PUMP_ENOGROUP: the group is gone;
   * PUMP_EACCESS; PUMP_EMAXSUBSCRIBERS; … */
  void (*ended)(pump_consumer *consumer, const pump_result *result, void *ud);
} pump_consumer_events;

/* Connects to a group. buffer_size: events that the server sends without an answer, 0: 10; no more
 * ever wait here, as the server has given up those before. call: credentials, and the timeout of
 * connecting. The callbacks are copied. */
PUMP_API int pump_client_consume(pump_consumer **consumer, pump_client *client, pump_bytes group,
                                 pump_bytes stream, int32_t buffer_size, const pump_call *call,
                                 const pump_consumer_events *events, void *ud);
/* So many of the events that it handed over are done with, or given to somebody. */
PUMP_API void pump_consumer_took(pump_consumer *consumer, size_t count);

/* What becomes of an event that a consumer does not want. */
enum {
  PUMP_NACK_PARK = 1, /* it is put aside, into the group's stream of parked events */
  PUMP_NACK_RETRY,    /* it comes again, until it is parked after max_retry_count times */
  PUMP_NACK_SKIP,     /* nothing, as if it were acknowledged */
  PUMP_NACK_STOP      /* servers know it and do the same as for PUMP_NACK_SKIP */
};

/* Answers go out together: when half of what is in flight has one, or all of it, or after some
 * milliseconds, and when the consumer is closed. An id that is not in flight on this connection is
 * left out, as its event comes again or has been answered. why: at most 64 KiB, for people who look
 * at parked events. PUMP_ECLOSED: it has ended; PUMP_EINVALID; PUMP_ETOOLARGE; PUMP_ENOMEM, and
 * then some of them may have been taken. */
PUMP_API int pump_consumer_ack(pump_consumer *consumer, const pump_guid *ids, size_t count);
PUMP_API int pump_consumer_nack(pump_consumer *consumer, const pump_guid *ids, size_t count,
                                int action, pump_bytes why);
/* The id to answer an event with: that of the link where there is one. */
PUMP_API pump_guid pump_event_id(const pump_event *event);
/* PUMP_SUBSCRIPTION_CATCHING_UP while it connects for the first time, then …_LIVE,
 * …_RECONNECTING, …_CLOSED. */
PUMP_API int pump_consumer_state(const pump_consumer *consumer);
/* Ends it as pump_subscription_close does. The answers that were given go out before. */
PUMP_API void pump_consumer_close(pump_consumer *consumer);

#define PUMP_MAX_PAGE  4096
#define PUMP_MAX_FRAME (64 * 1024 * 1024)
/* One event's data, metadata and twice its type together (16 MiB less the record's head). */
#define PUMP_MAX_EVENT (16 * 1024 * 1024 - 10000)

#ifdef __cplusplus
}
#endif

#endif
