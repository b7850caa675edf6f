/**
 * Command lines of a volume's processes, as `packages/manager/src/instance-client/process-arguments.ts` makes them for a volume with
 * defaults (no revision counter).
 */
import type { MembershipRecord } from '@longhorn/shared-types/generated/ptypes';

const SNAPSHOTS_MAX = 250;
const SYNC_AGENT_PORTS = 7;
const REPLICA_TIMEOUT_SECONDS = 8;
const IO_HOLD_SECONDS = 120;
export const FILE_SYNC_TIMEOUT_SECONDS = 30;
/** The host that TLS test certificates are made out to; the endpoint tells which port the engine took. */
const NBD_LISTEN = '127.0.0.1:0';

/** PEM files: the `nbd` frontend serves in TLS only. */
export interface TlsFiles {
  readonly certificatePath: string;
  readonly keyPath: string;
}

/**
 * How clients reach the volume: NBD on a unix socket, /dev/longhorn/NAME (by FUSE; wants root, and `endOrderly` at the end), or
 * NBD over TCP.
 */
export type Served =
  { readonly over: 'socket' } | { readonly over: 'device' } | { readonly over: 'tcp'; readonly tls: TlsFiles | null };

export type Known = Pick<MembershipRecord, 'epoch' | 'count' | 'members' | 'decided'>;

export interface EngineStart {
  readonly volume: string;
  /** HOST:PORT */
  readonly listen: string;
  readonly sizeBytes: number;
  readonly currentSizeBytes: number;
  readonly frontend: string;
  readonly served: Served;
  readonly epoch: number;
  readonly known: Known;
  readonly isUpgrade: boolean;
  readonly replicaAddresses: readonly string[];
}

export interface ReplicaStart {
  readonly volume: string;
  readonly name: string;
  readonly folder: string;
  /** HOST:PORT */
  readonly listen: string;
  readonly sizeBytes: number;
  /** "" = none */
  readonly backingFile: string;
}

/** What a volume's engine is called: who calls it must say so. */
export function engineNameOf(volume: string): string {
  return `${volume}-e`;
}

export function engineArguments(start: EngineStart): string[] {
  const args = ['--engine-instance-name', engineNameOf(start.volume), 'controller', start.volume];
  args.push('--listen', start.listen, '--disableRevCounter');
  args.push('--size', String(start.sizeBytes), '--current-size', String(start.currentSizeBytes));
  args.push('--engine-replica-timeout', String(REPLICA_TIMEOUT_SECONDS));
  args.push('--file-sync-http-client-timeout', String(FILE_SYNC_TIMEOUT_SECONDS));
  args.push('--snapshot-max-count', String(SNAPSHOTS_MAX), '--snapshot-max-size', '0');
  args.push('--epoch', String(start.epoch), '--membership', JSON.stringify(start.known));
  args.push('--io-hold-timeout', String(IO_HOLD_SECONDS));
  args.push('--frontend', start.frontend, ...servedArguments(start.served));
  if (start.isUpgrade) args.push('--upgrade');
  for (const address of start.replicaAddresses) args.push('--replica', address);
  return args;
}

function servedArguments(served: Served): string[] {
  if (served.over === 'socket') return ['--blockdev-driver', 'nbd'];
  if (served.over === 'device') return ['--blockdev-driver', 'fuse'];
  const { tls } = served;
  const listen = ['--nbd-listen', NBD_LISTEN];
  return tls === null ? listen : [...listen, '--nbd-tls-cert', tls.certificatePath, '--nbd-tls-key', tls.keyPath];
}

export function replicaArguments({ volume, name, folder, listen, sizeBytes, backingFile }: ReplicaStart): string[] {
  const args = ['--volume-name', volume, 'replica', folder, '--listen', listen, '--size', String(sizeBytes)];
  args.push('--disableRevCounter', '--replica-instance-name', name);
  args.push('--snapshot-max-count', String(SNAPSHOTS_MAX), '--snapshot-max-size', '0');
  args.push('--sync-agent-port-count', String(SYNC_AGENT_PORTS));
  if (backingFile !== '') args.push('--backing-file', backingFile);
  return args;
}
