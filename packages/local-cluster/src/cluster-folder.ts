/**
 * The folder of a cluster: who has it, and where things are in it.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { tryLock } from './io/system-calls.ts';

/** Unix socket names end at 107 bytes; below a node's run folder they take up to 66. */
const runPathMax = 40;

/** Takes the folder for this process; throws the name of the one that has it. */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const path = join(folder, 'lock');
  const file = openSync(path, 'a+', 0o600);
  if (!tryLock(file)) {
    closeSync(file);
    const pid = readFileSync(path, 'utf8').trim();
    throw new Error(`local-cluster already runs in ${folder} (process ${pid}); stop that one first`);
  }
  ftruncateSync(file);
  writeSync(file, `${process.pid}\n`);
  return () => {
    ftruncateSync(file);
    closeSync(file);
  };
}

/** The id of the cluster in a folder, by which its processes, packet rules and sockets are known. */
export function clusterId(folder: string): string {
  const path = join(folder, 'cluster-id');
  if (!existsSync(path)) writeFileSync(path, `${randomBytes(4).toString('hex')}\n`);
  return readFileSync(path, 'utf8').trim();
}

/**
 * The run folder of a node under a path that leaves room for socket names: itself, or, where the cluster's folder is deep,
 * one in the temporary folder to which `run` is a link.
 */
export function shortRunFolder(run: string, id: string, node: string): string {
  if (run.length <= runPathMax) {
    mkdirSync(run, { recursive: true, mode: 0o700 });
    return run;
  }
  const target = join(tmpdir(), `longhorn-${id}`, node);
  makePrivate(dirname(target));
  makePrivate(target);
  mkdirSync(dirname(run), { recursive: true });
  const present = lstatSync(run, { throwIfNoEntry: false });
  if (present?.isSymbolicLink() === true && readlinkSync(run) === target) return target;
  rmSync(run, { recursive: true, force: true });
  symlinkSync(target, run);
  return target;
}

/** In a folder that everybody may write to, nobody else may have put something under our name. */
function makePrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new Error(`${folder} belongs to somebody else; remove it, or set TMPDIR to another folder`);
}
