// Checks that print TAP, for several runs side by side.
'use strict';

const assert = require('assert');
let count = 0;
let failures = 0;

function say(line) {
  process.stdout.write(line + '\n');
}

// One test: what it is called, and an async function that throws where it does not hold, or the
// reason why it is left out.
async function test(name, body) {
  if (typeof body === 'string') {
    say(`ok ${++count} - ${name} # SKIP ${body}`);
    return;
  }
  let error = null;
  try {
    await body();
  } catch (thrown) {
    error = thrown;
  }
  if (error) failures++;
  say(`${error ? 'not ok' : 'ok'} ${++count} - ${name}`);
  if (error) say(String(error.stack || error).replace(/^/gm, '# '));
}

// The plan; what the program's exit status should be.
function done() {
  say(`1..${count}`);
  return failures > 0 ? 1 : 0;
}

// What a promise was rejected with; it must be.
async function rejection(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  return assert.fail(`was not refused but gave ${JSON.stringify(value)}`);
}

// Waits until holds() does, for `patience` milliseconds.
async function until(holds, what, patience = 10000) {
  const end = Date.now() + patience;
  while (!holds()) {
    if (Date.now() > end) assert.fail(`waited in vain for ${what}`);
    await pause(5);
  }
}

function pause(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}

module.exports = { test, done, rejection, until, pause };
