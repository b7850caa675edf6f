/** What a process is started with, checked once at the edge. */
import { isAbsolute, normalize, sep } from 'node:path';
import { accessSync, constants, statSync } from 'node:fs';
import { Code, errorText, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { ARGS_BYTES_MAX, ARGS_MAX, IO_HOLD_TIMEOUT_S, PROCESS_NAME_MAX } from '../limits.ts';

/** A process as asked for. */
export interface ProcessSpec {
  readonly name: string;
  readonly binary: string;
  readonly args: readonly string[];
  readonly portCount: number;
  readonly portArgs: readonly string[];
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const ENGINE_NAME = /.+?-e-[^-]*$/;

/** Throws InvalidArgument or PermissionDenied, naming what is wrong. `folders` are where binaries may be. */
export function validateSpec(spec: ProcessSpec, folders: readonly string[]): void {
  if (spec.name === '' || spec.binary === '') throw rpcError(Code.InvalidArgument, 'missing required argument');
  // The name becomes a file name of the log.
  if (!NAME.test(spec.name) || spec.name.length > PROCESS_NAME_MAX) {
    const rule = `letters, digits, ".", "_" and "-", at most ${PROCESS_NAME_MAX}, beginning with a letter or digit`;
    throw rpcError(Code.InvalidArgument, `invalid process name ${JSON.stringify(spec.name)}: use ${rule}`);
  }
  const bytes = spec.args.reduce((sum, arg) => sum + arg.length, 0);
  if (spec.args.length > ARGS_MAX || bytes > ARGS_BYTES_MAX) {
    throw rpcError(Code.InvalidArgument, `too many arguments for process ${spec.name}`);
  }
  if (spec.args.some((arg) => arg.includes('\0'))) {
    throw rpcError(Code.InvalidArgument, `an argument of process ${spec.name} contains a zero byte`);
  }
  if (spec.portCount < 0) throw new Error(`invalid port count ${spec.portCount}`);
  if (spec.portArgs.length > spec.portCount) {
    throw new Error(`too many port args [${spec.portArgs.join(' ')}] for port count ${spec.portCount}`);
  }
  const path = normalize(spec.binary);
  const allowed = folders.some((folder) => path.startsWith(normalize(folder + sep)));
  if (!isAbsolute(spec.binary) || !allowed) {
    const where = folders.join(' or ');
    throw rpcError(Code.PermissionDenied, `binary ${spec.binary} may not be run: only binaries below ${where}`);
  }
}

/** Why a binary cannot be started, or null. */
export function binaryFailure(binary: string): string | null {
  const failure = (reason: string): string => `exec: ${JSON.stringify(binary)}: ${reason}`;
  try {
    const found = statSync(binary, { throwIfNoEntry: false });
    if (!found) return failure(`stat ${binary}: no such file or directory`);
    if (!found.isFile()) return failure('is a directory');
    accessSync(binary, constants.X_OK);
    return null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return failure('permission denied');
    // A disk that fails, for one: the process ends with it, as with any other reason.
    return failure(errorText(error));
  }
}

/** Port argument i + (start + i), cut at every comma: `--listen,:` with 10000 becomes `--listen` `:10000`. */
export function portArguments(portArgs: readonly string[], start: number): string[] {
  return portArgs.flatMap((argument, index) => `${argument}${start + index}`.split(','));
}

/** `engine` or `replica`, by the name, as upstream tells them apart. */
export function kindOfProcess(name: string): 'engine' | 'replica' {
  return ENGINE_NAME.test(name) ? 'engine' : 'replica';
}

/** An engine's volume and how long its device waits for a successor; null for other processes. */
export interface EngineDevice {
  readonly volume: string;
  readonly binary: string;
  /** null = for ever */
  readonly holdMs: number | null;
}

/** Reads volume and hold time from an engine's arguments. */
export function engineDevice(binary: string, args: readonly string[]): EngineDevice | null {
  const command = args.indexOf('controller');
  const volume = command < 0 ? undefined : args[command + 1];
  if (volume === undefined || volume.startsWith('-')) return null;
  let seconds = IO_HOLD_TIMEOUT_S;
  args.forEach((arg, index) => {
    const value = arg.startsWith('--io-hold-timeout=') ? arg.slice(arg.indexOf('=') + 1) : args[index + 1];
    if (!/^--io-hold-timeout(=|$)/.test(arg)) return;
    if (value !== undefined && /^\d{1,9}$/.test(value)) seconds = Number(value);
  });
  return { volume, binary, holdMs: seconds === 0 ? null : seconds * 1_000 };
}
