/**
 * Whether the users of a volume still have the device that it is served by. An engine that dies is followed by one that
 * takes its device over, and nobody notices. The device is another one when what held it ended, too:
 *
 *     instance manager's container dies ─┐
 *     no engine within io-hold-timeout ──┼── users have a device that only fails ── they have to mount the new one
 *     Linux before 6.9, engine dies ─────┘
 *
 * What is served first after an attachment is noted on the volume. Another device later, in the same boot of the node (a
 * boot ends all users), asks for a remount, by its time. The note is stored before the status: a crash in between is made
 * up for by the next pass, as the note tells the time of the request.
 */
import { parseTime, rfc3339 } from '../../clock.ts';
import type { BlockDevice } from '../../io/block-device.ts';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import type { VolumeDraft, VolumeWorld } from './world.ts';

interface Note extends BlockDevice {
  /** When it came in the place of another one, RFC 3339; '' = it is the first. */
  replacedAt: string;
}

/** `NUMBER BOOT-ID` or `NUMBER BOOT-ID TIME`; null for anything else. */
function parseNote(value: string): Note | null {
  const [, number = '', bootId = '', replacedAt = ''] = /^(\d+:\d+) (\S+)(?: (\S+))?$/.exec(value) ?? [];
  return number === '' ? null : { number, bootId, replacedAt };
}

function nextNote(known: Note | null, device: BlockDevice, nowMs: number): Note {
  if (known === null || known.bootId !== device.bootId) return { ...device, replacedAt: '' };
  return known.number === device.number ? known : { ...device, replacedAt: rfc3339(nowMs) };
}

/** Follows the device of an attached volume. Runs once the state of this pass is known. */
export function followDevice({ device, nowMs }: VolumeWorld, { volume, events }: VolumeDraft): void {
  const { annotations, name } = volume.metadata;
  if (volume.status.state !== 'attached') {
    delete annotations[OWN_ANNOTATION.device];
    return;
  }
  const known = parseNote(annotations[OWN_ANNOTATION.device] ?? '');
  const note = device === null ? known : nextNote(known, device, nowMs);
  if (note === null) return;
  const { number, bootId, replacedAt } = note;
  annotations[OWN_ANNOTATION.device] = [number, bootId, replacedAt].join(' ').trimEnd();
  const wantedMs = parseTime(replacedAt);
  if (wantedMs === null || wantedMs <= (parseTime(volume.status.remountRequestedAt) ?? 0)) return;
  volume.status.remountRequestedAt = replacedAt;
  events.push({
    type: 'Normal',
    reason: 'Remount',
    message: `Volume ${name} requested remount at ${replacedAt} after its device was lost and made anew`,
  });
}
