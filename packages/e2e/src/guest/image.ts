/**
 * Kernel and initial file system of a guest for the tests of kernel initiators: Debian's kernel with the modules that they need,
 * busybox, open-iscsi, nbd-client and Python, from Debian's packages, none of which is installed on this machine. Made once, kept
 * by its kernel's version and this file's content.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../shell.ts';

/** Programs, and the libraries that they are linked with. */
const PACKAGES = [
  ...'busybox-static e2fsprogs kmod nbd-client open-iscsi python3.11-minimal'.split(' '),
  ...'libblkid1 libc6 libcap2 libcom-err2 libexpat1 libext2fs2 libffi8 libgcc-s1 libgcrypt20 libgmp10 libgnutls30'.split(
    ' ',
  ),
  ...'libgpg-error0 libhogweed6 libidn2-0 libisns0 libkmod2 liblz4-1 liblzma5 libmount1 libnettle8'.split(' '),
  ...'libnl-3-200 libnl-genl-3-200 libopeniscsiusr libp11-kit0 libpcre2-8-0 libpython3.11-minimal libselinux1 libss2 libssl3'.split(
    ' ',
  ),
  ...'libsystemd0 libtasn1-6 libunistring2 libuuid1 libzstd1 zlib1g'.split(' '),
];
/** What is loaded in the guest; what these depend on comes along. */
const MODULES = ['virtio_pci', 'virtio_net', 'iscsi_tcp', 'sd_mod', 'nbd', 'ext4', 'crc32c_generic'];
/** Of no use in the guest. */
const LEFT_OUT = ['usr/share', 'usr/lib/python3', 'boot', 'lib/modules', 'lib/systemd', 'usr/lib/systemd', 'lib/udev'];

export interface GuestImage {
  readonly kernel: string;
  readonly initramfs: string;
}

/** The image in `folder`, made if it is not there; takes a minute then. */
export async function guestImage(folder: string): Promise<GuestImage> {
  const kernelPackage = await newestKernel();
  const version = kernelPackage.replace('linux-image-', '');
  const recipe = createHash('sha256')
    .update(readFileSync(import.meta.filename))
    .digest('hex')
    .slice(0, 8);
  const made = join(folder, `${version}-${recipe}`);
  const image = { kernel: join(made, 'vmlinuz'), initramfs: join(made, 'initramfs') };
  if (existsSync(image.initramfs)) return image;
  const work = join(folder, `making-${process.pid}`);
  const root = join(work, 'root');
  mkdirSync(root, { recursive: true });
  await run('apt-get', ['download', kernelPackage, ...PACKAGES], { cwd: work });
  for (const name of readdirSync(work).filter((name) => name.endsWith('.deb')))
    await run('dpkg-deb', ['--extract', join(work, name), root]);
  mkdirSync(made, { recursive: true });
  cpSync(join(root, `boot/vmlinuz-${version}`), image.kernel);
  await keepModules(work, root, version);
  writeInit(root);
  await run('sh', ['-c', 'find . | ./bin/busybox cpio -o -H newc > ../initramfs'], { cwd: root });
  renameSync(join(work, 'initramfs'), image.initramfs);
  rmSync(work, { recursive: true });
  return image;
}

/** The package that `linux-image-amd64` stands for. */
async function newestKernel(): Promise<string> {
  const depends = (): Promise<string> => run('apt-cache', ['depends', 'linux-image-amd64']);
  const known = await depends().catch(() => run('apt-get', ['update', '-qq']).then(depends));
  const name = /Depends: (linux-image-\S+)/.exec(known)?.[1];
  if (name === undefined) throw new Error(`apt-cache names no kernel: ${known}`);
  return name;
}

async function keepModules(work: string, root: string, version: string): Promise<void> {
  const all = join(root, 'lib/modules', version);
  const index = (): Promise<unknown> => run('chroot', [root, '/sbin/depmod', version]);
  await index();
  const paths = new Map<string, string[]>();
  for (const line of readFileSync(join(all, 'modules.dep'), 'utf8').split('\n')) {
    const [path = '', needs = ''] = line.split(':');
    const name = /([^/]+)\.ko/.exec(path)?.[1]?.replaceAll('-', '_');
    if (name !== undefined) paths.set(name, [path, ...needs.split(' ').filter((need) => need !== '')]);
  }
  const soft = ['crct10dif_generic', 'crc32c_intel'];
  const kept = new Set([...MODULES, ...soft].flatMap((name) => paths.get(name) ?? []));
  const modules = join(work, 'modules');
  for (const path of [...kept, 'modules.builtin', 'modules.order']) {
    mkdirSync(dirname(join(modules, path)), { recursive: true });
    cpSync(join(all, path), join(modules, path));
  }
  for (const name of LEFT_OUT) rmSync(join(root, name), { recursive: true, force: true });
  mkdirSync(join(root, 'lib/modules'), { recursive: true });
  renameSync(modules, all);
  await index();
}

/** Commands come by the second serial port, a line each, and are answered there, with the exit code at the end. */
function writeInit(root: string): void {
  for (const name of ['proc', 'sys', 'dev', 'run/lock', 'tmp', 'mnt', 'etc/iscsi'])
    mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, 'etc/iscsi/initiatorname.iscsi'), 'InitiatorName=iqn.1993-08.org.debian:01:guest\n');
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  writeFileSync(
    join(root, 'init'),
    `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs run /run
/bin/busybox --install -s /bin
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
mkdir -p /run/lock/iscsi
for module in ${MODULES.join(' ')}; do /sbin/modprobe "$module"; done
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
stty -F /dev/ttyS1 raw -echo
exec < /dev/ttyS1 > /dev/ttyS1 2>&1
echo guest is up
while read -r line; do eval "$line"; echo "exit code $?"; done
`,
  );
  chmodSync(join(root, 'init'), 0o755);
}
