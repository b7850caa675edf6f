/** `longhorn controller VOLUME`: validates the flags and runs the engine. */
import type { EngineOptions } from '../controller/volume-context.ts';
import { parseKnownRecord } from '../membership/record.ts';
import { assertFrontendName } from '../frontend/frontend.ts';
import type { NbdTlsFiles } from '../frontend/nbd/tls-certificates.ts';
import { chooseDriver, frontendOpener, type BlockdevDriver } from './engine-frontends.ts';
import { stderrLog } from './stderr-log.ts';

/** The command's flags, as commander names them. */
export interface ControllerFlags {
  readonly listen: string;
  readonly size?: number;
  readonly currentSize?: number;
  readonly frontend: string;
  readonly enableBackend: readonly string[];
  readonly replica?: readonly string[];
  readonly upgrade: boolean;
  readonly disableRevCounter: boolean;
  readonly salvageRequested: boolean;
  readonly engineReplicaTimeout: number;
  readonly dataServerProtocol: string;
  readonly unmapMarkSnapChainRemoved: boolean;
  readonly fileSyncHttpClientTimeout: number;
  readonly snapshotMaxCount: number;
  readonly snapshotMaxSize?: number;
  readonly epoch: number;
  readonly membership?: string;
  readonly ioHoldTimeout: number;
  readonly blockdevDriver: string;
  readonly nbdListen: string;
  readonly nbdTlsCert: string;
  readonly nbdTlsKey: string;
  readonly nbdTlsCa: string;
  readonly iscsiListen: string;
  readonly iscsiAuthentication: string;
}

const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const VOLUME_NAME_MAX = 64;
const REPLICA_TIMEOUT_SECONDS = { initial: 8, max: 30 };
const BLOCKDEV_DRIVERS: readonly string[] = ['auto', 'fuse', 'nbd'] satisfies BlockdevDriver[];

/** Runs the engine until it ends; resolves with the exit code. */
export async function runControllerCommand(
  volumeName: string | undefined,
  flags: ControllerFlags,
  engineName: string,
): Promise<number> {
  const environment = process.env;
  const runDir = environment['LONGHORN_RUN_DIR'] ?? '/var/run/longhorn';
  const podIp = environment['POD_IP'] ?? '';
  const hostRoot = environment['LONGHORN_HOST_ROOT'] ?? '/host';
  const dataRoot = environment['LONGHORN_DATA_ROOT'] ?? '/var/lib/longhorn';
  const options = await engineOptions(volumeName, flags, engineName, runDir);
  assertFrontendName(flags.frontend);
  if (!BLOCKDEV_DRIVERS.includes(flags.blockdevDriver)) {
    throw new Error(`--blockdev-driver: unknown driver ${flags.blockdevDriver}; use auto, fuse or nbd`);
  }
  if (flags.dataServerProtocol !== 'tcp' && flags.dataServerProtocol !== 'unix') {
    throw new Error(`unsupported protocol: ${flags.dataServerProtocol}`);
  }
  for (const backend of flags.enableBackend) {
    if (backend !== 'tcp') throw new Error(`--enable-backend: unsupported backend ${backend}; only tcp is served`);
  }
  const nbdTls = await nbdTlsFiles(flags);
  const iscsiChapFolder = await chapFolder(flags, environment['ISCSI_CHAP_DIR'] ?? '/iscsi-chap');
  const { runController } = await import('../controller/run-controller.ts');
  return runController({
    engine: options,
    listen: flags.listen,
    replicas: flags.replica ?? [],
    frontend: flags.frontend,
    podIp,
    hostRoot,
    unixDataSocket:
      flags.dataServerProtocol === 'unix'
        ? `${hostRoot}${dataRoot}/unix-domain-socket/${options.volumeName}.sock`
        : null,
    openFrontend: frontendOpener({
      blockdevDriver: driverOf(flags),
      nbdListen: flags.nbdListen,
      nbdTls,
      iscsiListen: flags.iscsiListen,
      iscsiChapFolder,
      podIp,
      runDir,
    }),
    log: stderrLog,
  });
}

async function engineOptions(
  volumeName: string | undefined,
  flags: ControllerFlags,
  engineName: string,
  runDir: string,
): Promise<EngineOptions> {
  if (volumeName === undefined || volumeName === '') throw new Error('volume name is required');
  if (volumeName.length > VOLUME_NAME_MAX || !VOLUME_NAME.test(volumeName)) throw new Error('invalid target name');
  if (flags.size === undefined) throw new Error('size is required');
  if (flags.currentSize === undefined) throw new Error('current-size is required');
  const { initial, max } = REPLICA_TIMEOUT_SECONDS;
  const timeout = flags.engineReplicaTimeout;
  return {
    volumeName,
    engineName,
    epoch: flags.epoch,
    known: flags.membership === undefined || flags.membership === '' ? null : parseKnownRecord(flags.membership),
    sizeBytes: flags.size,
    currentSizeBytes: flags.currentSize,
    replicaTimeoutMs: (timeout >= initial && timeout <= max ? timeout : initial) * 1000,
    ioHoldTimeoutMs: flags.ioHoldTimeout * 1000,
    revisionCounterDisabled: flags.disableRevCounter,
    salvageRequested: flags.salvageRequested,
    unmapMarkSnapChainRemoved: flags.unmapMarkSnapChainRemoved,
    snapshotMaxCount: flags.snapshotMaxCount,
    snapshotMaxSizeBytes: flags.snapshotMaxSize ?? 0,
    fileSyncHttpTimeoutSeconds: flags.fileSyncHttpClientTimeout,
    upgrade: flags.upgrade,
    deviceLive: flags.epoch > 0 && (await isDeviceLive(volumeName, flags, runDir)),
  };
}

/** A device that an engine before left behind is still in use by people: its cache must not get lost unnoticed. */
async function isDeviceLive(volumeName: string, flags: ControllerFlags, runDir: string): Promise<boolean> {
  if (flags.frontend === 'tgt-iscsi' && flags.iscsiListen === '') {
    const { iscsiPortLeft } = await import('../frontend/iscsi/port-claim.ts');
    return iscsiPortLeft(volumeName, runDir) !== null;
  }
  if (flags.frontend !== 'tgt-blockdev') return false;
  if ((await chooseDriver(driverOf(flags))) === 'nbd') {
    const { nbdSessionLeft } = await import('../frontend/nbd/nbd-session.ts');
    return nbdSessionLeft(volumeName, runDir) !== null;
  }
  const { findLiveDevice } = await import('../frontend/fuse/live-device.ts');
  return findLiveDevice(volumeName, runDir) !== null;
}

/** The files are read once here, so that an engine which cannot serve with them does not start. */
async function nbdTlsFiles(flags: ControllerFlags): Promise<NbdTlsFiles | null> {
  const { nbdTlsCert: certificatePath, nbdTlsKey: keyPath, nbdTlsCa } = flags;
  if (certificatePath === '' && keyPath === '' && nbdTlsCa === '') return null;
  if (certificatePath === '' || keyPath === '') {
    throw new Error('--nbd-tls-cert and --nbd-tls-key belong together; --nbd-tls-ca needs both');
  }
  const files = { certificatePath, keyPath, caPath: nbdTlsCa === '' ? null : nbdTlsCa };
  const { readNbdTlsFiles } = await import('../frontend/nbd/tls-certificates.ts');
  await readNbdTlsFiles(files);
  return files;
}

/** "" = no CHAP. Accounts that the volume is to be served with now must be there now. */
async function chapFolder({ iscsiAuthentication, frontend }: ControllerFlags, folder: string): Promise<string> {
  if (iscsiAuthentication === 'none') return '';
  if (iscsiAuthentication !== 'chap')
    throw new Error(`--iscsi-authentication: unknown value ${iscsiAuthentication}; use none or chap`);
  if (frontend === 'tgt-iscsi') {
    const { readChapAccounts } = await import('../frontend/iscsi/chap-accounts.ts');
    readChapAccounts(folder);
  }
  return folder;
}

function driverOf({ blockdevDriver }: ControllerFlags): BlockdevDriver {
  return blockdevDriver === 'fuse' || blockdevDriver === 'nbd' ? blockdevDriver : 'auto';
}
