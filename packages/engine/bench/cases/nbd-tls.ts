/**
 * What TLS costs at the NBD frontend: two volumes over TCP, one served in TLS, the other without. The replicas' connections have no
 * TLS in either.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NBD_TEST_TLS } from '../../src/frontend/nbd/test/tls-test-certificates.ts';
import type { TlsFiles } from '../../testing/volume-arguments.ts';
import { fill, JOBS, measure, type Job } from '../jobs.ts';
import { PLAIN_VOLUME, startOurs, type System } from '../systems.ts';
import type { BenchCase, CaseOptions, Figure } from './bench-case.ts';
import { scaledBytes } from './bench-volume.ts';

const SIZE_BYTES = 2 ** 30;
const DEPTH = 16;

export const nbdTlsCase: BenchCase = {
  name: 'nbd-tls',
  async run(options) {
    const folder = mkdtempSync(join(options.folder, 'nbd-tls-'));
    try {
      return await compare(folder, options);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function compare(folder: string, { scale, seconds, log }: CaseOptions): Promise<Figure[]> {
  const sizeBytes = scaledBytes(SIZE_BYTES, scale);
  const home = join(folder, 'home');
  const tls = writeCertificates(folder, home);
  const made = { ...PLAIN_VOLUME, folder, replicas: 3, sizeBytes };
  const systems: System[] = [];
  try {
    systems.push(await startOurs({ ...made, name: 'plain', served: { over: 'tcp', tls: null } }));
    const inTls = await startOurs({ ...made, name: 'tls', served: { over: 'tcp', tls } });
    systems.push({ ...inTls, nbd: inTls.nbd === null ? null : { ...inTls.nbd, home } });
    log('filling');
    for (const system of systems) await fill(system, sizeBytes);
    const figures: Figure[] = [];
    for (const job of JOBS.filter(({ depth }) => depth === DEPTH)) {
      figures.push(await ratio(systems, job, seconds, sizeBytes));
    }
    return figures;
  } finally {
    for (const system of systems) await system.stop();
  }
}

async function ratio(systems: readonly System[], job: Job, seconds: number, sizeBytes: number): Promise<Figure> {
  const results = [];
  for (const system of systems)
    results.push(await measure(system, job, { seconds, rampSeconds: seconds / 3 }, sizeBytes));
  const [plain, inTls] = results;
  if (plain === undefined || inTls === undefined) throw new Error('two systems are compared');
  const detail =
    `plain ${plain.iops.toFixed(0)} IOPS and ${plain.cpuUsPerIo.toFixed(0)} us of CPU each, ` +
    `in TLS ${inTls.iops.toFixed(0)} and ${inTls.cpuUsPerIo.toFixed(0)}`;
  return { name: `${job.name}, TLS / plain`, value: inTls.iops / plain.iops, unit: '', demand: null, detail };
}

/** The server's files in `folder`; those of clients where libnbd looks for them in `home`. */
function writeCertificates(folder: string, home: string): TlsFiles {
  const { server, authority } = NBD_TEST_TLS;
  const [certificatePath, keyPath] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  writeFileSync(certificatePath, server.certificate);
  writeFileSync(keyPath, server.key, { mode: 0o600 });
  const place = join(home, '.pki', 'libnbd');
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'ca-cert.pem'), authority.certificate);
  // fio goes there without privileges.
  chmodSync(folder, 0o711);
  return { certificatePath, keyPath };
}
