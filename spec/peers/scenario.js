// What a client is put through: everything that it can do and the node does.
'use strict';

const assert = require('assert');
const { randomUUID } = require('crypto');
const tap = require('./tap.js');

const IDLE = 60000;

// What the node does not do yet: how names of tests begin, and why.
const missing = [];

const quiet = { debug() {}, info() {}, error() {} };

class Scenario {
  constructor(client, label, port) {
    this.client = client;
    this.label = label;
    this.port = port;
    this.admin = new client.UserCredentials('admin', 'changeit');
    this.prefix = `peer-${randomUUID()}`;
  }

  test(name, body) {
    const [, why] = missing.find(([beginning]) => name.startsWith(beginning)) || [];
    return tap.test(`${this.label}: ${name}`, why || body);
  }

  stream(name) {
    return `${this.prefix}-${name}`;
  }

  events(count, data = n => ({ n })) {
    return Array.from({ length: count }, (_, n) =>
      this.client.createJsonEventData(randomUUID(), data(n), { from: this.label }, 'thing'));
  }

  append(name, version, events, user) {
    return this.connection.appendToStream(this.stream(name), version, events, user);
  }

  async open(settings = {}) {
    const connection = this.client.createConnection(
      Object.assign({ log: quiet, maxReconnections: 0, maxRetries: 0 }, settings),
      { host: '127.0.0.1', port: this.port }, this.label);
    const connected = new Promise((resolve, reject) => {
      connection.once('connected', resolve);
      connection.once('closed', reason => reject(new Error(`closed: ${reason}`)));
    });
    await connection.connect();
    await connected;
    return connection;
  }
}

const numbers = slice => slice.events.map(e => Number(e.originalEvent.eventNumber));
const data = event => JSON.parse(event.data.toString());

// ---- Writing and reading --------------------------------------------------------------------

async function writing(s) {
  const { expectedVersion } = s.client;
  const first = s.events(2);
  await s.test('append to a new stream', async () => {
    const result = await s.append('w', expectedVersion.noStream, first);
    assert.equal(result.nextExpectedVersion, 1);
    assert.ok(result.logPosition.commitPosition >= 0);
  });
  await s.test('append with a wrong version is refused', async () => {
    for (const version of [expectedVersion.noStream, 0, 7]) {
      const error = await tap.rejection(s.append('w', version, s.events(1)));
      assert.equal(error.name, 'WrongExpectedVersionError', error);
    }
    const exists = s.append('w-none', expectedVersion.streamExists, s.events(1));
    assert.equal((await tap.rejection(exists)).name, 'WrongExpectedVersionError');
  });
  await s.test('append of the same again happens once', async () => {
    const again = await s.append('w', expectedVersion.noStream, first);
    assert.equal(again.nextExpectedVersion, 1);
    assert.equal((await s.append('w', expectedVersion.any, first)).nextExpectedVersion, 1);
  });
  await s.test('append with the right version, any, and an existing stream', async () => {
    assert.equal((await s.append('w', 1, s.events(1))).nextExpectedVersion, 2);
    assert.equal((await s.append('w', expectedVersion.any, s.events(1))).nextExpectedVersion, 3);
    const last = await s.append('w', expectedVersion.streamExists, s.events(1));
    assert.equal(last.nextExpectedVersion, 4);
  });
  await s.test('append of many at once', async () => {
    const results = await Promise.all(Array.from({ length: 200 }, () =>
      s.append('w-many', expectedVersion.any, s.events(3))));
    const ends = results.map(r => Number(r.nextExpectedVersion)).sort((a, b) => a - b);
    assert.deepEqual(ends, ends.map((_, i) => 3 * i + 2));
  });
}

async function reading(s) {
  const c = s.connection;
  const sent = s.events(25);
  await s.append('r', s.client.expectedVersion.noStream, sent);
  await s.test('read forward in pages', async () => {
    const slice = await c.readStreamEventsForward(s.stream('r'), 0, 10);
    assert.equal(slice.status, 'success');
    assert.deepEqual(numbers(slice), sent.slice(0, 10).map((_, i) => i));
    assert.equal(slice.nextEventNumber, 10);
    assert.equal(slice.lastEventNumber, 24);
    assert.equal(slice.isEndOfStream, false);
    const end = await c.readStreamEventsForward(s.stream('r'), 20, 10);
    assert.deepEqual(numbers(end), [20, 21, 22, 23, 24]);
    assert.equal(end.isEndOfStream, true);
  });
  await s.test('read backward from the end', async () => {
    const end = s.client.streamPosition.end;
    const slice = await c.readStreamEventsBackward(s.stream('r'), end, 3);
    assert.deepEqual(numbers(slice), [24, 23, 22]);
    assert.equal(slice.nextEventNumber, 21);
    assert.equal(slice.isEndOfStream, false);
  });
  await s.test('read what was written', async () => {
    const { events } = await c.readStreamEventsForward(s.stream('r'), 0, 100);
    events.forEach(({ event }, i) => {
      assert.equal(event.eventStreamId, s.stream('r'));
      assert.equal(event.eventId, sent[i].eventId);
      assert.equal(event.eventType, 'thing');
      assert.equal(event.isJson, true);
      assert.deepEqual(data(event), { n: i });
      assert.deepEqual(JSON.parse(event.metadata.toString()), { from: s.label });
      assert.ok(Math.abs(Date.now() - event.created.getTime()) < 60000, event.created);
    });
  });
  await s.test('read one event', async () => {
    const result = await c.readEvent(s.stream('r'), 3);
    assert.equal(result.status, 'success');
    assert.deepEqual(data(result.event.event), { n: 3 });
    const last = await c.readEvent(s.stream('r'), -1);
    assert.equal(last.event.originalEventNumber, 24);
    assert.equal((await c.readEvent(s.stream('r'), 25)).status, 'notFound');
    assert.equal((await c.readEvent(s.stream('none'), 0)).status, 'noStream');
  });
  await s.test('read what is not there', async () => {
    const slice = await c.readStreamEventsForward(s.stream('none'), 0, 10);
    assert.equal(slice.status, 'streamNotFound');
    const behind = await c.readStreamEventsForward(s.stream('r'), 100, 10);
    assert.equal(behind.status, 'success');
    assert.equal(behind.events.length, 0);
    assert.equal(behind.isEndOfStream, true);
  });
  await s.test('read a link resolved, and as it is', async () => {
    const link = s.client.createEventData(randomUUID(), '$>', false,
      Buffer.from(`3@${s.stream('r')}`));
    await s.append('links', s.client.expectedVersion.noStream, [link]);
    const { events: [resolved] } = await c.readStreamEventsForward(s.stream('links'), 0, 1, true);
    assert.ok(resolved.isResolved);
    assert.equal(resolved.originalStreamId, s.stream('links'));
    assert.deepEqual(data(resolved.event), { n: 3 });
    const { events: [bare] } = await c.readStreamEventsForward(s.stream('links'), 0, 1, false);
    assert.equal(bare.originalEvent.eventType, '$>');
  });
}

async function all(s) {
  const c = s.connection;
  await s.test('$all forward is in order, and holds each event once', async () => {
    await s.append('all', s.client.expectedVersion.noStream, s.events(40));
    const seen = [];
    let position = s.client.positions.start;
    let before = null;
    for (let slice = null; !slice || !slice.isEndOfStream; position = slice.nextPosition) {
      slice = await c.readAllEventsForward(position, 64, false, s.admin);
      for (const event of slice.events) {
        const at = event.originalPosition;
        assert.ok(!before || at.compareTo(before) > 0, `${at} stands behind ${before}`);
        before = at;
        if (event.originalStreamId === s.stream('all')) seen.push(Number(event.event.eventNumber));
      }
    }
    assert.deepEqual(seen, Array.from({ length: 40 }, (_, i) => i));
  });
  await s.test('$all backward begins with the newest', async () => {
    const { events } = await c.readAllEventsBackward(s.client.positions.end, 5, false, s.admin);
    assert.equal(events.length, 5);
    for (let i = 1; i < 5; i++)
      assert.ok(events[i].originalPosition.compareTo(events[i - 1].originalPosition) < 0);
  });
  await s.test('$all is not for everybody', async () => {
    const error = await tap.rejection(c.readAllEventsForward(s.client.positions.start, 5, false));
    assert.equal(error.name, 'AccessDeniedError', error);
  });
  await s.test('credentials that are wrong are refused', async () => {
    const wrong = new s.client.UserCredentials('admin', 'wrong');
    const error = await tap.rejection(c.readStreamEventsForward(s.stream('r'), 0, 5, false, wrong));
    assert.match(error.message, /^Authentication error: Not Authenticated/);
    assert.equal((await c.readEvent(s.stream('r'), 0, false, s.admin)).status, 'success');
  });
}

// ---- The fate of streams --------------------------------------------------------------------

async function transactions(s) {
  const c = s.connection;
  const { noStream, any } = s.client.expectedVersion;
  await s.test('transaction: all of it is there with its commit, nothing before', async () => {
    const transaction = await c.startTransaction(s.stream('t'), noStream);
    await transaction.write(s.events(2));
    await transaction.write(s.events(1));
    const before = await c.readStreamEventsForward(s.stream('t'), 0, 10);
    assert.equal(before.status, 'streamNotFound');
    assert.equal((await transaction.commit()).nextExpectedVersion, 2);
    assert.deepEqual(numbers(await c.readStreamEventsForward(s.stream('t'), 0, 10)), [0, 1, 2]);
  });
  await s.test('transaction: goes on by its id', async () => {
    const { transactionId } = await c.startTransaction(s.stream('t-id'), any, s.admin);
    await c.continueTransaction(transactionId, s.admin).write(s.events(1));
    const result = await c.continueTransaction(transactionId, s.admin).commit();
    assert.equal(result.nextExpectedVersion, 0);
  });
  await s.test('transaction: a wrong version is found at its commit', async () => {
    const transaction = await c.startTransaction(s.stream('t'), 0);
    await transaction.write(s.events(1));
    const error = await tap.rejection(transaction.commit());
    assert.equal(error.name, 'WrongExpectedVersionError', error);
  });
  await s.test('transaction: one that is never committed leaves nothing', async () => {
    const transaction = await c.startTransaction(s.stream('t-never'), any);
    await transaction.write(s.events(1));
    transaction.rollback();
    const slice = await c.readStreamEventsForward(s.stream('t-never'), 0, 10);
    assert.equal(slice.status, 'streamNotFound');
  });
}

async function metadata(s) {
  const c = s.connection;
  const { noStream } = s.client.expectedVersion;
  await s.test('metadata is kept and given', async () => {
    const none = await c.getStreamMetadataRaw(s.stream('m'));
    assert.equal(none.metastreamVersion, -1);
    await c.setStreamMetadataRaw(s.stream('m'), noStream, { $maxCount: 2, mine: 'yes' });
    const found = await c.getStreamMetadataRaw(s.stream('m'));
    assert.equal(found.metastreamVersion, 0);
    assert.deepEqual(found.streamMetadata, { $maxCount: 2, mine: 'yes' });
  });
  await s.test('metadata limits what can be read', async () => {
    await s.append('m', noStream, s.events(5));
    const slice = await c.readStreamEventsForward(s.stream('m'), 0, 10);
    assert.deepEqual(numbers(slice), [3, 4]);
    await c.setStreamMetadataRaw(s.stream('m'), 0, { $tb: 4 });
    assert.deepEqual(numbers(await c.readStreamEventsForward(s.stream('m'), 0, 10)), [4]);
  });
  await s.test('metadata with a wrong version is refused', async () => {
    const error = await tap.rejection(c.setStreamMetadataRaw(s.stream('m'), 0, { a: 1 }));
    assert.equal(error.name, 'WrongExpectedVersionError', error);
  });
  await s.test('metadata shuts others out', async () => {
    const acl = { $acl: { $r: '$admins', $w: '$admins' } };
    await c.setStreamMetadataRaw(s.stream('acl'), noStream, acl);
    const write = await tap.rejection(s.append('acl', noStream, s.events(1)));
    assert.equal(write.name, 'AccessDeniedError', write);
    await s.append('acl', noStream, s.events(1), s.admin);
    const read = await tap.rejection(c.readStreamEventsForward(s.stream('acl'), 0, 1));
    assert.equal(read.name, 'AccessDeniedError', read);
    const event = await tap.rejection(c.readEvent(s.stream('acl'), 0));
    assert.equal(event.name, 'AccessDeniedError', event);
    const slice = await c.readStreamEventsForward(s.stream('acl'), 0, 1, false, s.admin);
    assert.equal(slice.events.length, 1);
  });
}

async function deleting(s) {
  const c = s.connection;
  const { any, noStream } = s.client.expectedVersion;
  await s.test('delete softly, and begin anew', async () => {
    await s.append('soft', noStream, s.events(3));
    const wrong = await tap.rejection(c.deleteStream(s.stream('soft'), 1, false));
    assert.equal(wrong.name, 'WrongExpectedVersionError', wrong);
    await c.deleteStream(s.stream('soft'), 2, false);
    const gone = await c.readStreamEventsForward(s.stream('soft'), 0, 10);
    assert.equal(gone.status, 'streamNotFound');
    assert.equal((await s.append('soft', any, s.events(1))).nextExpectedVersion, 3);
    assert.deepEqual(numbers(await c.readStreamEventsForward(s.stream('soft'), 0, 10)), [3]);
  });
  await s.test('delete for ever', async () => {
    await s.append('hard', noStream, s.events(3));
    await c.deleteStream(s.stream('hard'), any, true);
    const slice = await c.readStreamEventsForward(s.stream('hard'), 0, 10);
    assert.equal(slice.status, 'streamDeleted');
    assert.equal((await c.readEvent(s.stream('hard'), 0)).status, 'streamDeleted');
    assert.equal((await c.getStreamMetadataRaw(s.stream('hard'))).isStreamDeleted, true);
    const error = await tap.rejection(s.append('hard', any, s.events(1)));
    assert.match(String(error), /[Dd]eleted/);
  });
}

async function large(s) {
  await s.test('append and read 1 MB', async () => {
    const bytes = Buffer.alloc(1 << 20, 'x');
    bytes.write('begin');
    bytes.write('end', bytes.length - 3);
    const event = s.client.createEventData(randomUUID(), 'large', false, bytes);
    await s.append('large', s.client.expectedVersion.noStream, [event]);
    const result = await s.connection.readEvent(s.stream('large'), 0);
    assert.ok(bytes.equals(result.event.event.data));
    assert.equal(result.event.event.isJson, false);
  });
}

// ---- Subscriptions --------------------------------------------------------------------------

// Takes what a subscription gives; `drop` is why it ended.
class Taker {
  constructor(s, name) {
    this.s = s;
    this.name = name && s.stream(name);
    this.got = [];
    this.live = 0;
    this.drop = null;
    this.appeared = (_, event) => {
      if (event.originalStreamId === this.name) this.got.push(Number(event.originalEventNumber));
    };
    this.live_now = () => { this.live++; };
    this.dropped = (_, reason) => { this.drop = reason; };
  }

  async has(count) {
    await tap.until(() => this.got.length >= count, `${count} events; ${this.got} came`);
    assert.deepEqual(this.got, Array.from({ length: count }, (_, i) => i + this.got[0]));
  }

  async ended() {
    await tap.until(() => this.drop, 'the end');
    assert.equal(this.drop, 'userInitiated');
  }
}

async function subscriptions(s) {
  const c = s.connection;
  const { any } = s.client.expectedVersion;
  await s.test('subscription to a stream gives what comes from then on', async () => {
    const taker = new Taker(s, 'sub');
    await s.append('sub', any, s.events(2));
    const sub = await c.subscribeToStream(s.stream('sub'), false, taker.appeared, taker.dropped);
    assert.equal(sub.lastEventNumber, 1);
    for (let i = 0; i < 30; i++) await s.append('sub', any, s.events(1 + i % 3));
    await taker.has(60);
    assert.equal(taker.got[0], 2);
    sub.unsubscribe();
    await taker.ended();
    await s.append('sub', any, s.events(1));
    await tap.pause(100);
    assert.equal(taker.got.length, 60);
  });
  await s.test('subscription to a stream that is not there yet', async () => {
    const taker = new Taker(s, 'sub-new');
    const sub = await c.subscribeToStream(taker.name, false, taker.appeared, taker.dropped);
    assert.equal(sub.lastEventNumber, -1);
    await s.append('sub-new', any, s.events(3));
    await taker.has(3);
    sub.close();
    await taker.ended();
  });
  await s.test('subscription to $all', async () => {
    const taker = new Taker(s, 'sub-all');
    const sub = await c.subscribeToAll(false, taker.appeared, taker.dropped, s.admin);
    await s.append('sub-all', any, s.events(5));
    await taker.has(5);
    sub.unsubscribe();
    await taker.ended();
  });
  await s.test('subscription without the right to it is refused', async () => {
    const taker = new Taker(s, 'sub-all');
    const error = await tap.rejection(c.subscribeToAll(false, taker.appeared, taker.dropped));
    assert.match(error.message, /access denied/);
  });
}

async function catching_up(s) {
  const c = s.connection;
  const { any } = s.client.expectedVersion;
  await s.test('catch-up on a stream reads what was and goes on with what comes', async () => {
    const taker = new Taker(s, 'catch');
    await s.append('catch', any, s.events(47));
    const sub = c.subscribeToStreamFrom(taker.name, null, false, taker.appeared, taker.live_now,
      taker.dropped, undefined, 10);
    for (let i = 0; i < 20; i++) await s.append('catch', any, s.events(1));
    await taker.has(67);
    assert.equal(taker.got[0], 0);
    await tap.until(() => taker.live === 1, 'live processing');
    sub.stop();
    await taker.ended();
  });
  await s.test('catch-up on a stream from a number', async () => {
    const taker = new Taker(s, 'catch');
    const sub = c.subscribeToStreamFrom(taker.name, 59, false, taker.appeared, taker.live_now,
      taker.dropped, undefined, 10);
    await taker.has(7);
    assert.equal(taker.got[0], 60);
    sub.stop();
    await taker.ended();
  });
  await s.test('catch-up on $all', async () => {
    const taker = new Taker(s, 'catch-all');
    await s.append('catch-all', any, s.events(12));
    const sub = c.subscribeToAllFrom(null, false, taker.appeared, taker.live_now, taker.dropped,
      s.admin, 50);
    await tap.until(() => taker.live === 1, 'live processing');
    await s.append('catch-all', any, s.events(12));
    await taker.has(24);
    sub.stop();
    await taker.ended();
  });
}

// ---- Groups ---------------------------------------------------------------------------------

// What a consumer of a group got; what to do with an event is asked of `decide`.
class Consumer {
  constructor(decide) {
    this.got = [];
    this.drop = null;
    this.appeared = (sub, event) => {
      this.got.push(Number(event.originalEventNumber));
      decide(sub, event, this.got);
    };
    this.dropped = (_, reason) => { this.drop = reason; };
  }

  async has(...expected) {
    await tap.until(() => this.got.length >= expected.length, `${expected}; ${this.got} came`);
    assert.deepEqual(this.got, expected);
  }
}

async function groups(s) {
  const c = s.connection;
  const { any } = s.client.expectedVersion;
  const settings = Object.assign(s.client.PersistentSubscriptionSettings.create(),
    { startFrom: 0, minCheckPointCount: 1 });
  const create = (name, group, some = {}) => c.createPersistentSubscription(s.stream(name), group,
    Object.assign({}, settings, some), s.admin);
  const consume = (name, group, consumer, size, acks = false, on = c) =>
    on.connectToPersistentSubscription(s.stream(name), group, consumer.appeared, consumer.dropped,
      undefined, size, acks);
  const ack = (sub, event) => sub.acknowledge([event]);

  await s.test('group is created once, by who may', async () => {
    assert.equal((await create('g', 'one')).status, 'success');
    assert.match((await tap.rejection(create('g', 'one'))).message, /already exist/);
    const error = await tap.rejection(
      c.createPersistentSubscription(s.stream('g'), 'two', settings));
    assert.match(error.message, /access denied/);
  });
  await s.test('group that is not there has no consumers, updates and deletions', async () => {
    await tap.rejection(consume('g', 'none', new Consumer(ack), 1));
    await tap.rejection(
      c.updatePersistentSubscription(s.stream('g'), 'none', settings, s.admin));
    await tap.rejection(c.deletePersistentSubscription(s.stream('g'), 'none', s.admin));
  });
  await s.test('group gives what was and what comes, as it is acknowledged', async () => {
    const consumer = new Consumer(ack);
    await s.append('g', any, s.events(3));
    const sub = await consume('g', 'one', consumer, 2);
    await s.append('g', any, s.events(2));
    await consumer.has(0, 1, 2, 3, 4);
    sub.stop();
    await tap.until(() => consumer.drop, 'the end');
    assert.equal(consumer.drop, 'userInitiated');
  });
  await s.test('group gives again what is to be retried, and not what is skipped', async () => {
    const { Retry, Skip } = s.client.PersistentSubscriptionNakEventAction;
    await s.append('g-nak', any, s.events(3));
    await create('g-nak', 'one', { maxRetryCount: 5 });
    const consumer = new Consumer((sub, event, got) => {
      const number = got[got.length - 1];
      if (number === 2) sub.fail(event, Skip, 'not this one');
      else if (got.filter(n => n === number).length < 3) sub.fail(event, Retry, 'not yet');
      else sub.acknowledge(event);
    });
    const sub = await consume('g-nak', 'one', consumer, 1);
    await consumer.has(0, 0, 0, 1, 1, 1, 2);
    sub.stop();
  });
  await s.test('group keeps what is parked, with the reason', async () => {
    const { Park } = s.client.PersistentSubscriptionNakEventAction;
    await s.append('g-park', any, s.events(2));
    await create('g-park', 'one');
    const consumer = new Consumer((sub, event) => sub.fail([event], Park, 'too hard'));
    const sub = await consume('g-park', 'one', consumer, 10);
    await consumer.has(0, 1);
    const parked = `$persistentsubscription-${s.stream('g-park')}::one-parked`;
    const slice = await c.readStreamEventsForward(parked, 0, 10, true, s.admin);
    assert.deepEqual(slice.events.map(e => Number(e.event.eventNumber)), [0, 1]);
    assert.match(JSON.parse(slice.events[0].link.metadata.toString()).reason, /too hard$/);
    sub.stop();
  });
  await s.test('group gives again what runs out of time', async () => {
    await s.append('g-time', any, s.events(1));
    await create('g-time', 'one', { messageTimeout: 300, messageTimeoutMilliseconds: 300 });
    const consumer = new Consumer((sub, event, got) => { if (got.length > 1) ack(sub, event); });
    const sub = await consume('g-time', 'one', consumer, 1);
    await consumer.has(0, 0);
    sub.stop();
  });
  await s.test('group shares among consumers, and takes back from who goes away', async () => {
    const other = await s.open();
    const idle = new Consumer(() => {});
    const busy = new Consumer(ack);
    await create('g-share', 'one');
    const first = await consume('g-share', 'one', busy, 10);
    await consume('g-share', 'one', idle, 2, false, other);
    await s.append('g-share', any, s.events(20));
    await tap.until(() => busy.got.length === 18 && idle.got.length === 2, 'each its share');
    other.close();
    await tap.until(() => busy.got.length === 20, 'the rest');
    assert.deepEqual([...new Set(busy.got)].sort((a, b) => a - b), s.events(20).map((_, i) => i));
    first.stop();
  });
  await s.test('group acknowledges by itself, and goes on where it was', async () => {
    await s.append('g-auto', any, s.events(5));
    await create('g-auto', 'one', { maxSubscriberCount: 1 });
    const consumer = new Consumer(() => {});
    const sub = await consume('g-auto', 'one', consumer, 2, true);
    await consumer.has(0, 1, 2, 3, 4);
    await tap.rejection(consume('g-auto', 'one', new Consumer(ack), 1));
    sub.stop();
    await tap.pause(100);
    await s.append('g-auto', any, s.events(1));
    const next = new Consumer(ack);
    await consume('g-auto', 'one', next, 10);
    await next.has(5);
  });
  await s.test('group that is updated or deleted tells its consumers', async () => {
    await create('g-gone', 'one');
    const consumer = new Consumer(ack);
    await consume('g-gone', 'one', consumer, 10);
    await c.updatePersistentSubscription(s.stream('g-gone'), 'one', settings, s.admin);
    await tap.until(() => consumer.drop, 'the end');
    const next = new Consumer(ack);
    await consume('g-gone', 'one', next, 10);
    await c.deletePersistentSubscription(s.stream('g-gone'), 'one', s.admin);
    await tap.until(() => next.drop, 'the end');
    await tap.rejection(consume('g-gone', 'one', new Consumer(ack), 1));
  });
}

// ---- Time -----------------------------------------------------------------------------------

// A client with a short interval asks, and one with a long interval is asked by the node.
async function idle(s, heartbeatInterval, whose) {
  await s.test(`idle for ${IDLE / 1000} s: the ${whose} heartbeats keep it connected`, async () => {
    const c = await s.open({ heartbeatInterval, heartbeatTimeout: 1000 });
    let answered = 0;
    const trouble = [];
    c.on('heartbeatInfo', () => answered++);
    for (const name of ['disconnected', 'reconnecting', 'closed', 'error'])
      c.on(name, what => trouble.push(`${name}: ${what && (what.message || what)}`));
    await tap.pause(IDLE);
    assert.deepEqual(trouble, []);
    if (heartbeatInterval < IDLE) assert.ok(answered >= 10, `${answered} were answered`);
    assert.equal((await c.readEvent(s.stream('none'), 0)).status, 'noStream');
    c.close();
  });
}

async function run(client, label, port) {
  const s = new Scenario(client, label, port);
  await s.test('connect', async () => { s.connection = await s.open(); });
  if (!s.connection) return;
  const idling = [idle(s, 1000, "client's"), idle(s, 2 * IDLE, "node's")];
  for (const part of [writing, reading, all, transactions, metadata, deleting, large,
    subscriptions, catching_up, groups]) {
    await part(s).catch(error => s.test(part.name, () => { throw error; }));
  }
  await Promise.all(idling);
  s.connection.close();
}

module.exports = { run };
