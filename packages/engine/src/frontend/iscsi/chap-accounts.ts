/**
 * The CHAP accounts of a target, from a folder with the keys of a Secret of the type `kubernetes.io/iscsi-chap`, a file each:
 * secrets have no place on a command line. Files that are replaced count for the logins that follow; files that cannot be used
 * leave the accounts of before in use, so that nobody gets in without CHAP because a Secret was deleted.
 *
 * Source of the keys: `chapSess` in pkg/volume/iscsi/iscsi_util.go of Kubernetes.
 */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { Logger } from 'pino';
import type { ChapAccount, ChapOptions } from './chap.ts';

/** RFC 7143 asks for 96 random bits; initiators of Windows take 12 to 16 bytes. */
const SECRET_BYTES_MIN = 12;

const USER = 'node.session.auth.username';
const SECRET = 'node.session.auth.password';
/** of mutual CHAP: what the target proves to the initiator */
const TARGET_USER = 'node.session.auth.username_in';
const TARGET_SECRET = 'node.session.auth.password_in';

/** Throws what is missing or wrong, naming the file. */
export function readChapAccounts(folder: string): ChapOptions {
  const [user, secret, targetUser, targetSecret] = [USER, SECRET, TARGET_USER, TARGET_SECRET].map((name) =>
    readLine(join(folder, name)),
  );
  const account = (nameKey: string, name = '', secretKey = '', value = ''): ChapAccount => {
    if (name === '') throw new Error(`${folder}: ${nameKey} is missing or empty`);
    if (value === '') throw new Error(`${folder}: ${secretKey} is missing or empty`);
    if (Buffer.byteLength(value) < SECRET_BYTES_MIN)
      throw new Error(`${folder}: ${secretKey} is too short: use at least ${SECRET_BYTES_MIN} bytes`);
    return { user: name, secret: value };
  };
  const initiator = account(USER, user, SECRET, secret);
  if (targetUser === undefined && targetSecret === undefined) return { initiator, target: null };
  const target = account(TARGET_USER, targetUser, TARGET_SECRET, targetSecret);
  if (target.secret === initiator.secret)
    throw new Error(
      `${folder}: ${TARGET_SECRET} must differ from ${SECRET}, or either side could answer for the other`,
    );
  return { initiator, target };
}

/** Without the end of the line that editors leave; undefined: there is no such file. */
function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export class ChapAccounts {
  private readonly folder: string;
  private readonly logger: Logger;
  private latest: ChapOptions;
  private lastProblem = '';

  /** Throws as `readChapAccounts`. */
  constructor(folder: string, logger: Logger) {
    this.folder = folder;
    this.logger = logger;
    this.latest = readChapAccounts(folder);
  }

  /** What the files hold now, or held when they could last be used. */
  current(): ChapOptions {
    try {
      this.latest = readChapAccounts(this.folder);
      this.lastProblem = '';
    } catch (error) {
      const problem = errorText(error);
      if (problem !== this.lastProblem) this.logger.warn({ problem }, 'CHAP goes on with the accounts as they were');
      this.lastProblem = problem;
    }
    return this.latest;
  }
}
