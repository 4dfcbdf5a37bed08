/* The commands of EventStore's TCP protocol: one byte in every frame. */
#ifndef PUMP_WIRE_TCP_COMMAND_H
#define PUMP_WIRE_TCP_COMMAND_H

#include <stdint.h>

/* C name, byte, the server's name of it, and the protobuf message in its body or `none` where
 * the body is raw bytes or empty. The server's names stand in its error texts. */
#define PUMP_TCP_COMMAND_MAP(XX)                                                                   \
  XX(HEARTBEAT_REQUEST, 0x01, HeartbeatRequestCommand, none)                                       \
  XX(HEARTBEAT_RESPONSE, 0x02, HeartbeatResponseCommand, none)                                     \
  XX(PING, 0x03, Ping, none)                                                                       \
  XX(PONG, 0x04, Pong, none)                                                                       \
  XX(WRITE_EVENTS, 0x82, WriteEvents, write_events)                                                \
  XX(WRITE_EVENTS_COMPLETED, 0x83, WriteEventsCompleted, write_events_completed)                   \
  XX(TRANSACTION_START, 0x84, TransactionStart, transaction_start)                                 \
  XX(TRANSACTION_START_COMPLETED, 0x85, TransactionStartCompleted, transaction_start_completed)    \
  XX(TRANSACTION_WRITE, 0x86, TransactionWrite, transaction_write)                                 \
  XX(TRANSACTION_WRITE_COMPLETED, 0x87, TransactionWriteCompleted, transaction_write_completed)    \
  XX(TRANSACTION_COMMIT, 0x88, TransactionCommit, transaction_commit)                              \
  XX(TRANSACTION_COMMIT_COMPLETED, 0x89, TransactionCommitCompleted, transaction_commit_completed) \
  XX(DELETE_STREAM, 0x8a, DeleteStream, delete_stream)                                             \
  XX(DELETE_STREAM_COMPLETED, 0x8b, DeleteStreamCompleted, delete_stream_completed)                \
  XX(READ_EVENT, 0xb0, ReadEvent, read_event)                                                      \
  XX(READ_EVENT_COMPLETED, 0xb1, ReadEventCompleted, read_event_completed)                         \
  XX(READ_STREAM_FORWARD, 0xb2, ReadStreamEventsForward, read_stream_events)                       \
  XX(READ_STREAM_FORWARD_COMPLETED, 0xb3, ReadStreamEventsForwardCompleted,                        \
     read_stream_events_completed)                                                                 \
  XX(READ_STREAM_BACKWARD, 0xb4, ReadStreamEventsBackward, read_stream_events)                     \
  XX(READ_STREAM_BACKWARD_COMPLETED, 0xb5, ReadStreamEventsBackwardCompleted,                      \
     read_stream_events_completed)                                                                 \
  XX(READ_ALL_FORWARD, 0xb6, ReadAllEventsForward, read_all_events)                                \
  XX(READ_ALL_FORWARD_COMPLETED, 0xb7, ReadAllEventsForwardCompleted, read_all_events_completed)   \
  XX(READ_ALL_BACKWARD, 0xb8, ReadAllEventsBackward, read_all_events)                              \
  XX(READ_ALL_BACKWARD_COMPLETED, 0xb9, ReadAllEventsBackwardCompleted, read_all_events_completed) \
  XX(FILTERED_READ_ALL_FORWARD, 0xba, FilteredReadAllEventsForward, filtered_read_all_events)      \
  XX(FILTERED_READ_ALL_FORWARD_COMPLETED, 0xbb, FilteredReadAllEventsForwardCompleted,             \
     filtered_read_all_events_completed)                                                           \
  XX(FILTERED_READ_ALL_BACKWARD, 0xbc, FilteredReadAllEventsBackward, filtered_read_all_events)    \
  XX(FILTERED_READ_ALL_BACKWARD_COMPLETED, 0xbe, FilteredReadAllEventsBackwardCompleted,           \
     filtered_read_all_events_completed)                                                           \
  XX(SUBSCRIBE_TO_STREAM, 0xc0, SubscribeToStream, subscribe_to_stream)                            \
  XX(SUBSCRIPTION_CONFIRMATION, 0xc1, SubscriptionConfirmation, subscription_confirmation)         \
  XX(STREAM_EVENT_APPEARED, 0xc2, StreamEventAppeared, stream_event_appeared)                      \
  XX(UNSUBSCRIBE_FROM_STREAM, 0xc3, UnsubscribeFromStream, unsubscribe_from_stream)                \
  XX(SUBSCRIPTION_DROPPED, 0xc4, SubscriptionDropped, subscription_dropped)                        \
  XX(CONNECT_TO_PERSISTENT_SUBSCRIPTION, 0xc5, ConnectToPersistentSubscription,                    \
     connect_to_persistent_subscription)                                                           \
  XX(PERSISTENT_SUBSCRIPTION_CONFIRMATION, 0xc6, PersistentSubscriptionConfirmation,               \
     persistent_subscription_confirmation)                                                         \
  XX(PERSISTENT_SUBSCRIPTION_EVENT_APPEARED, 0xc7, PersistentSubscriptionStreamEventAppeared,      \
     persistent_subscription_stream_event_appeared)                                                \
  XX(CREATE_PERSISTENT_SUBSCRIPTION, 0xc8, CreatePersistentSubscription,                           \
     create_persistent_subscription)                                                               \
  XX(CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED, 0xc9, CreatePersistentSubscriptionCompleted,        \
     create_persistent_subscription_completed)                                                     \
  XX(DELETE_PERSISTENT_SUBSCRIPTION, 0xca, DeletePersistentSubscription,                           \
     delete_persistent_subscription)                                                               \
  XX(DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED, 0xcb, DeletePersistentSubscriptionCompleted,        \
     delete_persistent_subscription_completed)                                                     \
  XX(PERSISTENT_SUBSCRIPTION_ACK_EVENTS, 0xcc, PersistentSubscriptionAckEvents,                    \
     persistent_subscription_ack_events)                                                           \
  XX(PERSISTENT_SUBSCRIPTION_NAK_EVENTS, 0xcd, PersistentSubscriptionNakEvents,                    \
     persistent_subscription_nak_events)                                                           \
  XX(UPDATE_PERSISTENT_SUBSCRIPTION, 0xce, UpdatePersistentSubscription,                           \
     update_persistent_subscription)                                                               \
  XX(UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED, 0xcf, UpdatePersistentSubscriptionCompleted,        \
     update_persistent_subscription_completed)                                                     \
  XX(SCAVENGE_DATABASE, 0xd0, ScavengeDatabase, scavenge_database)                                 \
  XX(SCAVENGE_DATABASE_RESPONSE, 0xd1, ScavengeDatabaseResponse, scavenge_database_response)       \
  XX(FILTERED_SUBSCRIBE_TO_STREAM, 0xd2, FilteredSubscribeToStream, filtered_subscribe_to_stream)  \
  XX(CHECKPOINT_REACHED, 0xd3, CheckpointReached, checkpoint_reached)                              \
  XX(BAD_REQUEST, 0xf0, BadRequest, none)                                                          \
  XX(NOT_HANDLED, 0xf1, NotHandled, not_handled)                                                   \
  XX(AUTHENTICATE, 0xf2, Authenticate, none)                                                       \
  XX(AUTHENTICATED, 0xf3, Authenticated, none)                                                     \
  XX(NOT_AUTHENTICATED, 0xf4, NotAuthenticated, none)                                              \
  XX(IDENTIFY_CLIENT, 0xf5, IdentifyClient, identify_client)                                       \
  XX(CLIENT_IDENTIFIED, 0xf6, ClientIdentified, client_identified)

enum {
#define XX(name, byte, text, message) PUMP_TCP_##name = byte,
  PUMP_TCP_COMMAND_MAP(XX)
#undef XX
};

/* The server's name of a command ("WriteEvents"), or NULL for a byte that is none. */
const char *pump_tcp_command_name(uint8_t command);

#endif
