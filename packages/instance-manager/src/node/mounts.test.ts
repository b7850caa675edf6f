import { expect, it } from 'vitest';
import { parseMounts, stagingMounts, volumeHash } from './mounts.ts';

const hash = volumeHash('vol-1');
const TABLE = [
  'proc /proc proc rw,nosuid 0 0',
  `/dev/longhorn/vol-1 /var/lib/kubelet/plugins/driver.longhorn.io/${hash}/globalmount ext4 ro,relatime 0 0`,
  '/dev/sdb /mnt/with\\040space xfs rw 0 0',
  'broken',
  '',
].join('\n');

it('reads the mount table, and finds staging mounts by the hash of their volume', () => {
  const mounts = parseMounts(TABLE);
  expect(mounts.map(({ path }) => path)).toEqual([
    '/proc',
    `/var/lib/kubelet/plugins/driver.longhorn.io/${hash}/globalmount`,
    '/mnt/with space',
  ]);
  expect(stagingMounts(mounts).get(hash)?.options).toEqual(['ro', 'relatime']);
  expect(stagingMounts(mounts).size).toBe(1);
});
