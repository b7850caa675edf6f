/** Which code serves which frontend name; each is loaded when it is used. */
import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { allocationOf } from '../controller/allocation.ts';
import type { OpenFrontend } from '../controller/frontend-control.ts';
import { assertFrontendName, type BlockTarget, type Frontend } from '../frontend/frontend.ts';
import type { NbdTlsFiles } from '../frontend/nbd/tls-certificates.ts';

export type BlockdevDriver = 'auto' | 'fuse' | 'nbd';

export interface FrontendOptions {
  readonly blockdevDriver: BlockdevDriver;
  /** `HOST:PORT` of the `nbd` frontend; "" = a free port of the pod's address */
  readonly nbdListen: string;
  /** of the `nbd` frontend; null = no TLS */
  readonly nbdTls: NbdTlsFiles | null;
  /** `HOST:PORT` of the `tgt-iscsi` frontend; "" = upstream's port of the pod's address, or one of this volume's own */
  readonly iscsiListen: string;
  /** folder with the CHAP accounts of `tgt-iscsi`; "" = initiators are let in without */
  readonly iscsiChapFolder: string;
  readonly podIp: string;
  readonly runDir: string;
}

export function frontendOpener(options: FrontendOptions): OpenFrontend {
  return async (name, context, onLost) => {
    const { core } = context;
    const { volumeName } = context.options;
    const allocation = allocationOf(context);
    assertFrontendName(name);
    if (name === 'socket') {
      const { openSocketFrontend } = await import('../frontend/socket/socket-frontend.ts');
      const { deviceLogger } = await import('./device-log.ts');
      return openSocketFrontend({ target: core, volumeName, runDir: options.runDir, logger: deviceLogger() });
    }
    if (name === 'nbd') {
      const { openNbdFrontend } = await import('../frontend/nbd/nbd-frontend.ts');
      const { bindAddress } = await import('@longhorn/shared-types/grpc/address');
      const { host, port } = bindAddress(options.nbdListen === '' ? ':0' : options.nbdListen, options.podIp);
      const { deviceLogger } = await import('./device-log.ts');
      const tls = options.nbdTls === null ? null : { files: options.nbdTls, logger: deviceLogger() };
      return openNbdFrontend({ target: core, exportName: volumeName, listen: { host, port, tls }, allocation });
    }
    if (name === 'tgt-iscsi') return openIscsi(options, core, volumeName);
    const driver = await chooseDriver(options.blockdevDriver);
    if (driver === 'fuse') {
      const { openBlockdevFrontend } = await import('../frontend/fuse/blockdev-frontend.ts');
      const { deviceLogger } = await import('./device-log.ts');
      const logger = deviceLogger();
      return openBlockdevFrontend({ target: core, volumeName, runDir: options.runDir, logger, onLost });
    }
    const { openNbdFrontend } = await import('../frontend/nbd/nbd-frontend.ts');
    await mkdir(join(options.runDir, 'nbd'), { recursive: true });
    const { nbdSessionLeft, newNbdSession } = await import('../frontend/nbd/nbd-session.ts');
    const unixPath =
      nbdSessionLeft(volumeName, options.runDir) ?? newNbdSession(volumeName, options.runDir, context.options.epoch);
    return openNbdFrontend({ target: core, exportName: volumeName, listen: { unixPath }, allocation });
  };
}

async function openIscsi(options: FrontendOptions, target: BlockTarget, volumeName: string): Promise<Frontend> {
  const { openIscsiFrontend } = await import('../frontend/iscsi/iscsi-frontend.ts');
  const { claimPort, fixedPorts } = await import('../frontend/iscsi/port-claim.ts');
  const { ChapAccounts } = await import('../frontend/iscsi/chap-accounts.ts');
  const { deviceLogger } = await import('./device-log.ts');
  const { bindAddress } = await import('@longhorn/shared-types/grpc/address');
  const { host, port } = bindAddress(options.iscsiListen === '' ? ':0' : options.iscsiListen, options.podIp);
  const logger = deviceLogger();
  const chap = options.iscsiChapFolder === '' ? null : new ChapAccounts(options.iscsiChapFolder, logger);
  const claim = options.iscsiListen === '' ? claimPort(volumeName, options.runDir) : fixedPorts([port]);
  return openIscsiFrontend({ target, volumeName, host, claim, chap, logger });
}

export async function chooseDriver(wanted: BlockdevDriver): Promise<'fuse' | 'nbd'> {
  if (wanted !== 'auto') return wanted;
  const { blockdevDriverAvailable } = await import('../frontend/fuse/blockdev-frontend.ts');
  return blockdevDriverAvailable().ok ? 'fuse' : 'nbd';
}
