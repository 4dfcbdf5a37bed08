// Drives every client that package.json names against one `pumpsh serve`, all at the same time.
'use strict';

const { spawn } = require('child_process');
const assert = require('assert');
const path = require('path');
const tap = require('./tap.js');
const scenario = require('./scenario.js');

const START = 20000;
const STOP = 20000;

// The node, and the port it listens at.
function serve(program) {
  const node = spawn(program, ['serve', 'memory:', '--listen', '127.0.0.1:0']);
  const port = new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`it says no address: ${said}`)), START);
    const listen = chunk => {
      said += chunk;
      const found = /tcp:\/\/127\.0\.0\.1:(\d+)/.exec(said);
      if (!found) return;
      clearTimeout(timer);
      resolve(Number(found[1]));
    };
    node.stdout.on('data', listen);
    node.stderr.on('data', listen);
    node.on('error', reject);
    node.on('exit', code => reject(new Error(`it ended with ${code}: ${said}`)));
  });
  node.stderr.pipe(process.stderr);
  return { node, port };
}

async function stop(node) {
  const ended = new Promise(resolve => node.on('exit', (code, signal) => resolve(signal || code)));
  const timer = setTimeout(() => node.kill('SIGKILL'), STOP);
  node.kill('SIGTERM');
  const how = await ended;
  clearTimeout(timer);
  return how;
}

async function main() {
  const { node, port } = serve(process.argv[2]);
  process.on('exit', () => node.kill('SIGKILL'));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(2));
  let number;
  await tap.test('the node starts', async () => { number = await port; });
  if (number) {
    const names = Object.keys(require('./package.json').dependencies);
    await Promise.all(names.map(name => {
      const version = require(path.join(name, 'package.json')).version;
      return scenario.run(require(name), `node-eventstore-client ${version}`, number);
    }));
    await tap.test('the node ends in order', async () => assert.strictEqual(await stop(node), 0));
  }
  process.exit(tap.done());
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
