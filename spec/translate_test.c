/* What real clients asked of groups and what real servers answered, as recorded: our requests and
 * answers are the same bytes as theirs, and every reply means what protobuf-c reads in it. */
#include "tap.h"

#include "recorded.h"

#include "base/bytes.h"
#include "base/guid.h"
#include "client/tcp_translate.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

typedef struct tally {
  int frames, held;
} tally;

typedef struct tallies {
  tally requests, answers, replies, drops, pushes;
} tallies;

static const pump_tcp_correlation nobody;

static void count(tally *seen, bool held, const recorded_frame *frame) {
  seen->frames++;
  seen->held += held;
  if (!held)
    printf("# %s:%d: %s\n", frame->file, frame->line, pump_tcp_command_name(frame->command));
}

static bool is_body(const pump_buffer *out, pump_bytes body) {
  return out->size == PUMP_TCP_HEAD_SIZE + body.size &&
         memcmp(out->data + PUMP_TCP_HEAD_SIZE, body.data, body.size) == 0;
}

/* ---- What is asked ------------------------------------------------------------------------ */

/* An older sender leaves fields out, and one prefers round robin whatever the strategy is. */
static bool asks_as_we_do(const PumpTcp__CreatePersistentSubscription *sent) {
  bool is_round = pump_bytes_is(pump_tcp_view(sent->named_consumer_strategy), "RoundRobin");
  return sent->has_named_consumer_strategy && sent->has_resolve_link_tos &&
         sent->has_record_statistics && sent->has_subscriber_max_count &&
         is_round == (sent->prefer_round_robin != 0);
}

static bool same_group(const recorded_frame *frame, pump_kind kind,
                       const PumpTcp__CreatePersistentSubscription *sent) {
  char strategy[64];
  pump_group_settings settings = {.resolve_links = sent->resolve_link_tos,
                                  .from = sent->start_from,
                                  .message_timeout = (uint64_t)sent->message_timeout_milliseconds,
                                  .record_statistics = sent->record_statistics,
                                  .live_buffer_size = sent->live_buffer_size,
                                  .read_batch_size = sent->read_batch_size,
                                  .buffer_size = sent->buffer_size,
                                  .max_retry_count = sent->max_retry_count,
                                  .checkpoint_after = (uint64_t)sent->checkpoint_after_time,
                                  .checkpoint_min_count = sent->checkpoint_min_count,
                                  .checkpoint_max_count = sent->checkpoint_max_count,
                                  .subscriber_max_count = sent->subscriber_max_count,
                                  .strategy = strategy};
  snprintf(strategy, sizeof strategy, "%.*s", (int)sent->named_consumer_strategy.len,
           (const char *)sent->named_consumer_strategy.data);
  pump_request request = {.kind = kind,
                          .group = pump_tcp_view(sent->subscription_group_name),
                          .stream = pump_tcp_view(sent->event_stream_id),
                          .settings = &settings};
  pump_buffer out = {0};
  bool same = pump_tcp_encode_request(&out, &request, &nobody) == 0 && is_body(&out, frame->body);
  pump_buffer_free(&out);
  return same;
}

static bool same_connect(const recorded_frame *frame,
                         const PumpTcp__ConnectToPersistentSubscription *sent) {
  pump_request request = {.kind = PUMP_CONSUME,
                          .group = pump_tcp_view(sent->subscription_id),
                          .stream = pump_tcp_view(sent->event_stream_id),
                          .max_count = sent->allowed_in_flight_messages};
  pump_buffer out = {0};
  bool same = pump_tcp_encode_request(&out, &request, &nobody) == 0 && is_body(&out, frame->body);
  pump_buffer_free(&out);
  return same;
}

static bool same_delete(const recorded_frame *frame,
                        const PumpTcp__DeletePersistentSubscription *sent) {
  pump_request request = {.kind = PUMP_DELETE_GROUP,
                          .group = pump_tcp_view(sent->subscription_group_name),
                          .stream = pump_tcp_view(sent->event_stream_id)};
  pump_buffer out = {0};
  bool same = pump_tcp_encode_request(&out, &request, &nobody) == 0 && is_body(&out, frame->body);
  pump_buffer_free(&out);
  return same;
}

static bool same_answer(const recorded_frame *frame, ProtobufCBinaryData name,
                        const ProtobufCBinaryData *ids, size_t ids_count, int action,
                        ProtobufCBinaryData why) {
  pump_guid read[100];
  pump_conversation conversation = {0};
  pump_buffer out = {0};
  for (size_t i = 0; i < ids_count; i++)
    pump_guid_from_net(&read[i], ids[i].data);
  pump_answer answer = {action, pump_tcp_view(why), read, ids_count};
  pump_buffer_append(&conversation.name, name.data, name.len);
  bool same = pump_tcp_encode_answer(&out, &conversation, &answer, &nobody) == 0 &&
              is_body(&out, frame->body);
  pump_buffer_free(&conversation.name);
  pump_buffer_free(&out);
  return same;
}

static void look_at_request(const recorded_frame *frame, const void *message, tallies *seen) {
  switch (frame->command) {
  case PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION:
    /* Both messages have the same fields in the same order. */
    if (asks_as_we_do(message))
      count(&seen->requests,
            same_group(frame,
                       frame->command == PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION
                           ? PUMP_CREATE_GROUP
                           : PUMP_UPDATE_GROUP,
                       message),
            frame);
    break;
  case PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION:
    count(&seen->requests, same_delete(frame, message), frame);
    break;
  case PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION:
    count(&seen->requests, same_connect(frame, message), frame);
    break;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS: {
    const PumpTcp__PersistentSubscriptionAckEvents *acks = message;
    count(&seen->answers,
          same_answer(frame, acks->subscription_id, acks->processed_event_ids,
                      acks->n_processed_event_ids, 0, (ProtobufCBinaryData){0}),
          frame);
    break;
  }
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS: {
    const PumpTcp__PersistentSubscriptionNakEvents *nacks = message;
    if (nacks->has_message && nacks->has_action)
      count(&seen->answers,
            same_answer(frame, nacks->subscription_id, nacks->processed_event_ids,
                        nacks->n_processed_event_ids, (int)nacks->action, nacks->message),
            frame);
    break;
  }
  default: break;
  }
}

/* ---- What is answered --------------------------------------------------------------------- */

static pump_reply translate(const recorded_frame *frame, pump_kind kind) {
  pump_reply reply;
  pump_tcp_frame whole = {.command = frame->command, .payload = frame->body};
  pump_tcp_translate(&whole, NULL, kind, &reply);
  return reply;
}

static bool same_result(const recorded_frame *frame, pump_kind kind,
                        const PumpTcp__CreatePersistentSubscriptionCompleted *completed) {
  pump_outcome exists =
      kind == PUMP_CREATE_GROUP ? PUMP_OUTCOME_GROUP_EXISTS : PUMP_OUTCOME_NO_GROUP;
  pump_outcome expected =
      completed->result == PUMP_TCP__GROUP_RESULT__GROUP_SUCCESS             ? PUMP_OUTCOME_SUCCESS
      : completed->result == PUMP_TCP__GROUP_RESULT__GROUP_EXISTS_OR_MISSING ? exists
      : completed->result == PUMP_TCP__GROUP_RESULT__GROUP_FAIL              ? PUMP_OUTCOME_ERROR
                                                                : PUMP_OUTCOME_ACCESS_DENIED;
  pump_reply reply = translate(frame, kind);
  return reply.outcome == expected &&
         pump_bytes_equal(reply.text, pump_tcp_view(completed->reason));
}

static bool same_drop(const recorded_frame *frame, const PumpTcp__SubscriptionDropped *dropped) {
  static const pump_outcome expected[] = {PUMP_OUTCOME_DROPPED, PUMP_OUTCOME_ACCESS_DENIED,
                                          PUMP_OUTCOME_NO_GROUP, PUMP_OUTCOME_NO_GROUP,
                                          PUMP_OUTCOME_FULL};
  return translate(frame, PUMP_CONSUME).outcome == expected[dropped->reason];
}

static bool same_event(const pump_event *a, const pump_event *b, int32_t retry_count) {
  pump_guid ids[] = {pump_event_id(a), pump_event_id(b)};
  return memcmp(&ids[0], &ids[1], sizeof ids[0]) == 0 && !a->record == !b->record &&
         !a->link == !b->link && a->position.commit == b->position.commit &&
         a->retry_count == retry_count &&
         (!a->record || pump_bytes_equal(a->record->data, b->record->data));
}

/* Two pushes that come together are one page of both, as each alone is a page of one. */
static bool same_push(const recorded_frame *frame, int32_t retry_count) {
  pump_bytes twice[] = {frame->body, frame->body};
  pump_tcp_page alone;
  pump_page *both = NULL;
  bool same = pump_tcp_decode_page(frame->command, NULL, frame->body, &alone) == 0 &&
              pump_tcp_decode_pushes(frame->command, NULL, twice, 2, &both) == 0 &&
              alone.page->count == 1 && both->count == 2 &&
              same_event(&both->events[0], &alone.page->events[0], retry_count) &&
              same_event(&both->events[1], &alone.page->events[0], retry_count);
  pump_page_unref(alone.page);
  pump_page_unref(both);
  return same;
}

static void look_at_reply(const recorded_frame *frame, const void *message, tallies *seen) {
  switch (frame->command) {
  case PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED:
    count(&seen->replies, same_result(frame, PUMP_CREATE_GROUP, message), frame);
    break;
  case PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED:
    count(&seen->replies, same_result(frame, PUMP_UPDATE_GROUP, message), frame);
    break;
  case PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED:
    count(&seen->replies, same_result(frame, PUMP_DELETE_GROUP, message), frame);
    break;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION: {
    const PumpTcp__PersistentSubscriptionConfirmation *confirmed = message;
    pump_reply reply = translate(frame, PUMP_CONSUME);
    count(&seen->replies,
          reply.outcome == PUMP_OUTCOME_CONFIRMED && reply.text.size > 0 &&
              pump_bytes_equal(reply.text, pump_tcp_view(confirmed->subscription_id)),
          frame);
    break;
  }
  case PUMP_TCP_SUBSCRIPTION_DROPPED: count(&seen->drops, same_drop(frame, message), frame); break;
  case PUMP_TCP_STREAM_EVENT_APPEARED: count(&seen->pushes, same_push(frame, 0), frame); break;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED: {
    const PumpTcp__PersistentSubscriptionStreamEventAppeared *pushed = message;
    count(&seen->pushes, same_push(frame, pushed->retry_count), frame);
    break;
  }
  default: break;
  }
}

static void look(const recorded_frame *frame, void *ud) {
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->body);
  if (!message) return;
  look_at_request(frame, message, ud);
  look_at_reply(frame, message, ud);
  pump_tcp_unpack_free(message);
}

/* ---- What no server sent ------------------------------------------------------------------ */

static void odd_replies(void) {
  static const struct {
    uint8_t command;
    pump_kind kind;
    pump_bytes body;
    pump_outcome outcome;
  } cases[] = {
      {PUMP_TCP_SUBSCRIPTION_DROPPED, PUMP_CONSUME, {NULL, 0}, PUMP_OUTCOME_DROPPED},
      {PUMP_TCP_SUBSCRIPTION_DROPPED, PUMP_CONSUME, {"\x08\x63", 2}, PUMP_OUTCOME_DROPPED},
      {PUMP_TCP_SUBSCRIPTION_CONFIRMATION, PUMP_CONSUME, {NULL, 0}, PUMP_OUTCOME_UNREADABLE},
      {PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION,
       PUMP_SUBSCRIBE,
       {NULL, 0},
       PUMP_OUTCOME_UNREADABLE},
      {PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED,
       PUMP_CREATE_GROUP,
       {NULL, 0},
       PUMP_OUTCOME_UNREADABLE},
      {PUMP_TCP_BAD_REQUEST, PUMP_CREATE_GROUP, {"no", 2}, PUMP_OUTCOME_BAD_REQUEST},
      {PUMP_TCP_NOT_HANDLED, PUMP_CONSUME, {"\x08\x00", 2}, PUMP_OUTCOME_NOT_READY},
  };
  bool as_said = true;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    recorded_frame frame = {.command = cases[i].command, .body = cases[i].body};
    as_said = as_said && translate(&frame, cases[i].kind).outcome == cases[i].outcome;
  }
  tap_ok(as_said, "replies that no server sends have a meaning, too");
}

static void tell(const tally *seen, const char *what) {
  tap_ok(seen->frames > 0 && seen->held == seen->frames, "%d of %d %s", seen->held, seen->frames,
         what);
}

int main(void) {
  static const char *const files[] = {
#define XX(file) file,
      RECORDED_FILES(XX)
#undef XX
  };
  tallies seen = {0};
  bool found = true;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    found = recorded_each(files[i], look, &seen) && found;
  tap_ok(found, "all recordings are there");
  tell(&seen.requests, "requests of groups are the bytes that other clients send");
  tell(&seen.answers, "acks and nacks, too");
  tell(&seen.replies, "replies mean what protobuf-c reads in them");
  tell(&seen.drops, "ends of subscriptions, too");
  tell(&seen.pushes, "pushes are the same events alone and together");
  odd_replies();
  return tap_done();
}
