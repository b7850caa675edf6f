/**
 * Entry of the npm scripts, on any Node >= 20 and with nothing installed: installs what is missing, builds what the
 * command needs and runs it under the project's own Node.
 *
 *     node tools/bootstrap.mjs start|demo|chaos|kills|sim|idle|reset|test|e2e [ARGS…]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'node_modules', '.bin');
const node = join(bin, 'node');
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`, NX_DAEMON: 'false' };

/** command -> what runs under the project's Node, and whether the bundles must be there */
const COMMANDS = {
  start: { program: 'tools/start.ts', build: true },
  demo: { program: 'packages/e2e/src/demo.ts', build: false },
  chaos: { program: 'packages/e2e/src/chaos/main.ts', build: true },
  kills: { program: 'packages/e2e/src/kills/main.ts', build: true },
  sim: { program: 'packages/engine/sim/main.ts', build: false },
  idle: { program: 'packages/e2e/src/idle/main.ts', build: true },
  reset: { program: 'tools/reset.ts', build: false },
  test: { program: 'tools/test.ts', build: true },
  e2e: { program: 'tools/e2e.ts', build: true },
};

/** Runs a program to its end; ends this process with its code when it fails. */
function must(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: root, env, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** node_modules is there and not older than the lock file. */
function installed() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  return (
    existsSync(node) &&
    existsSync(marker) &&
    statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
  );
}

const [name, ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (command === undefined) {
  console.error(`usage: node tools/bootstrap.mjs ${Object.keys(COMMANDS).join('|')}`);
  process.exit(2);
}
if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Node.js 20 or newer is needed to begin with, this is ${process.version}.`);
  process.exit(2);
}
if (!installed()) {
  console.log('Installing…');
  must('npm', ['install', '--no-fund', '--no-audit', '--loglevel=error']);
}
if (command.build) {
  console.log('Building…');
  must(join(bin, 'nx'), ['run-many', '-t', 'build', '--output-style=static', '--parallel=2']);
}
const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(root, command.program), ...args], {
  cwd: root,
  env,
  stdio: 'inherit',
});
// Ctrl-C reaches the child by the terminal; a signal to this process alone is passed on. The child decides when to end.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
