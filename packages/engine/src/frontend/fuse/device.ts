/**
 * The life of one volume's block device on this node: made, taken over, grown, left, removed.
 *
 *     volume ── FuseSession ── FUSE connection ── regular file ── loop device (direct I/O) ── /dev/longhorn/<volume>
 *                                 └────────────── holder ────────────────┘
 *
 * Making: each step leaves, if it is the last one before a kill, only what the kernel drops by itself (descriptors,
 * the connection, the self-clearing loop device) or what `removeLeftovers` finds (mount by path, holder by
 * environment, the rest by record). The mount is detached as soon as the loop device has the file: no path leads
 * to the file any more, so that no `df` on the node waits for a volume, and no mount outlives anything.
 */
import { constants, openSync, rmSync, writeFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { BlockTarget } from '../frontend.ts';
import { makeDeviceNode, isDeviceNode } from './device-node.ts';
import type { DevicePaths } from './device-paths.ts';
import { type DeviceRecord, kernelBootId, nodeBootId, writeRecord } from './device-record.ts';
import { fuseMountsBelow, mountSession } from './fuse-connection.ts';
import type { InitOffer } from './fuse-protocol.ts';
import { FuseSession } from './fuse-session.ts';
import { type HeldDescriptors, connectionIdOf, copyHeldDescriptors, startHolder } from './holder.ts';
import { UMOUNT_DETACH, askSizeWaiting, unmount } from './linux.ts';
import { INIT_TIMEOUT_MS, SIZE_ATTEMPTS_MAX } from './limits.ts';
import { type LoopDevice, attachLoop, closeWaiting, growLoop, openWaiting, passesZeroingOn } from './loop-device.ts';
import { withTimeout } from './with-timeout.ts';

/** The steps of making a device, in order; a hook after each lets tests end the process there. */
export type DeviceStep =
  'mounted' | 'initialized' | 'attached' | 'held' | 'recorded' | 'detached' | 'node-made' | 'complete';

export interface DeviceContext {
  target: BlockTarget;
  volumeName: string;
  paths: DevicePaths;
  nodeMark: string | null;
  logicalBlockSize: number;
  logger: Logger;
  /** The connection has ended without us. */
  onLost: (reason: string) => void;
  onStep: (step: DeviceStep) => void;
}

/** A device that this process serves. */
export interface Device {
  session: FuseSession;
  descriptors: HeldDescriptors;
  record: DeviceRecord;
}

const FUSE_DEVICE = '/dev/fuse';

const connectionIdOfMount = (paths: DevicePaths): number => {
  const mount = fuseMountsBelow(paths.directory).findLast(({ path }) => path === paths.backing);
  if (mount === undefined) throw new Error(`the FUSE mount on ${paths.backing} is not in the mount table`);
  return mount.connectionId;
};

const startSession = (
  context: DeviceContext,
  fuseFd: number,
): { session: FuseSession; initialized: Promise<InitOffer> } => {
  const initialized = Promise.withResolvers<InitOffer>();
  const session = new FuseSession({
    fd: fuseFd,
    target: context.target,
    sizeBytes: context.target.sizeBytes(),
    policy: 'probing',
    logger: context.logger,
    onInit: initialized.resolve,
    onEnd: (reason) => {
      initialized.reject(new Error(`the FUSE session ended: ${reason}`));
      context.onLost(reason);
    },
  });
  session.start();
  return { session, initialized: initialized.promise };
};

/** Takes the path to the file away; the loop device keeps the file. */
const detachMount = (paths: DevicePaths): void => {
  if (fuseMountsBelow(paths.directory).some(({ path }) => path === paths.backing))
    unmount(paths.backing, UMOUNT_DETACH);
  rmSync(paths.backing, { force: true });
};

/** Gives back what was opened before something failed; the session answers until the last descriptor of the file is closed. */
const giveUp = async (session: FuseSession | null, opened: Partial<HeldDescriptors>): Promise<void> => {
  const { fuseFd, loopFd, backingFd } = opened;
  if (loopFd !== undefined) await closeWaiting(loopFd);
  if (backingFd !== undefined) await closeWaiting(backingFd);
  void session?.stop();
  if (fuseFd !== undefined) await closeWaiting(fuseFd);
};

/** Makes the device. The volume's lock is held, and nothing of an earlier device is left. On failure the caller removes leftovers. */
export const makeDevice = async (context: DeviceContext): Promise<Device> => {
  const { paths, onStep } = context;
  const opened: Partial<HeldDescriptors> = {};
  let session: FuseSession | null = null;
  try {
    writeFileSync(paths.backing, '');
    const fuseFd = openSync(FUSE_DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
    opened.fuseFd = fuseFd;
    mountSession(fuseFd, paths.backing);
    const connectionId = connectionIdOfMount(paths);
    onStep('mounted');
    const started = startSession(context, fuseFd);
    session = started.session;
    const { canResend } = await withTimeout(
      started.initialized,
      INIT_TIMEOUT_MS,
      'the kernel did not begin the FUSE session',
    );
    onStep('initialized');
    // Kernels before 5.16 do not know FOPEN_NOFLUSH; they stop asking once a FLUSH was refused, which this brings about.
    await closeWaiting(await openWaiting(paths.backing, constants.O_RDONLY));
    const backingFd = await openWaiting(paths.backing, constants.O_RDWR);
    opened.backingFd = backingFd;
    await askSizeWaiting(backingFd);
    const name = `longhorn:${context.volumeName}`;
    const { loop, fd: loopFd } = await attachLoop(backingFd, { logicalBlockSize: context.logicalBlockSize, name });
    opened.loopFd = loopFd;
    const canDiscard = endProbing(session, loop, context.logger);
    onStep('attached');
    const descriptors = { fuseFd, loopFd, backingFd };
    const holder = await startHolder(paths.record, descriptors, context.nodeMark, context.logger);
    onStep('held');
    const record = makeRecord(context, { connectionId, canResend, canDiscard, holder, loop });
    writeRecord(paths.record, record);
    onStep('recorded');
    detachMount(paths);
    onStep('detached');
    record.node = makeDeviceNode(paths.node, loop);
    onStep('node-made');
    writeRecord(paths.record, record);
    onStep('complete');
    return { session, descriptors, record };
  } catch (error) {
    await giveUp(session, opened);
    throw error;
  }
};

const endProbing = (session: FuseSession, loop: LoopDevice, logger: Logger): boolean => {
  const canDiscard = !passesZeroingOn(loop.number);
  session.setPolicy(canDiscard ? 'discard' : 'refuse');
  if (!canDiscard) logger.warn('discards are refused: this kernel does not tell them from zeroing (needs Linux 6.11)');
  return canDiscard;
};

const makeRecord = (
  context: DeviceContext,
  made: Pick<DeviceRecord, 'connectionId' | 'canResend' | 'canDiscard' | 'holder' | 'loop'>,
): DeviceRecord => ({
  version: 1,
  volumeName: context.volumeName,
  sizeBytes: context.target.sizeBytes(),
  kernelBootId: kernelBootId(),
  nodeBootId: nodeBootId(),
  ...made,
  backingPath: context.paths.backing,
  node: null,
});

/** Goes on with a live device: its descriptors come from the holder, unanswered requests from the kernel. */
export const takeOverDevice = async (context: DeviceContext, record: DeviceRecord): Promise<Device> => {
  const { paths, target } = context;
  if (target.sizeBytes() < record.sizeBytes) {
    throw new Error(
      `the live device of volume ${context.volumeName} has ${record.sizeBytes} bytes, the volume only ${target.sizeBytes()}: detach the volume and attach it again`,
    );
  }
  const descriptors = copyHeldDescriptors(record.holder);
  const session = new FuseSession({
    fd: descriptors.fuseFd,
    target,
    sizeBytes: target.sizeBytes(),
    policy: record.canDiscard ? 'discard' : 'refuse',
    logger: context.logger,
    onInit: () => context.onLost('the kernel began a session that was begun before'),
    onEnd: context.onLost,
  });
  try {
    const held = connectionIdOf(descriptors.fuseFd);
    if (held !== 0 && held !== record.connectionId) {
      throw new Error(
        `the holder of volume ${context.volumeName} keeps FUSE connection ${held}, not ${record.connectionId}`,
      );
    }
    session.start();
    session.resend();
    detachMount(paths);
    const device = { session, descriptors, record };
    if (record.node === null || !isDeviceNode(record.node)) record.node = makeDeviceNode(paths.node, record.loop);
    if (target.sizeBytes() > record.sizeBytes) await growDevice(device, target.sizeBytes());
    record.sizeBytes = target.sizeBytes();
    writeRecord(paths.record, record);
    return device;
  } catch (error) {
    await giveUp(session, descriptors);
    throw error;
  }
};

/** Makes file and loop device larger. */
export const growDevice = async (device: Device, sizeBytes: number): Promise<void> => {
  device.session.setSize(sizeBytes);
  await makeSizeKnown(device);
  await growLoop(device.descriptors.loopFd);
};

/**
 * Until the kernel has the file's new size: it has it when it answers without asking us. The loop driver would take the
 * size from an answer that the kernel itself then drops, because a write ended while it was under way; every read
 * beyond the old size would fail from then on.
 */
const makeSizeKnown = async ({ session, descriptors }: Device): Promise<void> => {
  for (let attempt = 0; attempt < SIZE_ATTEMPTS_MAX; attempt++) {
    const { attributesAsked } = session.counters;
    await askSizeWaiting(descriptors.backingFd);
    if (session.counters.attributesAsked === attributesAsked) return;
  }
  throw new Error(
    `the kernel did not take the device's new size in ${SIZE_ATTEMPTS_MAX} attempts, since it is written: expand it again with less load`,
  );
};
