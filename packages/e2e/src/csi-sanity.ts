/** The conformance suite `csi-sanity` as a program: its run, and its findings spec by spec. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const RUN_MS = 20 * 60_000;

/** Its path; null when it is not on the PATH. */
export function findCsiSanity(): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'csi-sanity')).find(existsSync) ?? null;
}

export interface Finding {
  name: string;
  result: 'passed' | 'failed' | 'skipped';
  /** why it failed or was skipped, as the suite says it */
  text: string;
}

function plain(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#34;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll(/&#x?[0-9A-Fa-f]+;/g, ' ')
    .replaceAll('&amp;', '&');
}

/** The specs of a JUnit report. */
export function readReport(xml: string): Finding[] {
  return [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].flatMap(([, head = '', body = '']) => {
    const name = plain(/name="([^"]*)"/.exec(head)?.[1] ?? '');
    if (!name.startsWith('[It]')) return [];
    const status = /status="([^"]*)"/.exec(head)?.[1] ?? '';
    const text = plain(/<(?:skipped|failure|error)[^>]*message="([^"]*)"/.exec(body)?.[1] ?? '');
    const result = status === 'passed' ? 'passed' : ['skipped', 'pending'].includes(status) ? 'skipped' : 'failed';
    return [{ name: name.replace('[It] ', ''), result, text }];
  });
}

export interface SanityRun {
  program: string;
  socket: string;
  /** for mount points, parameters and the report */
  folder: string;
  accessType: 'mount' | 'block';
  /** specs that are run: a pattern of their names; '' = all */
  focus: string;
  /** specs that are left out: a pattern of their names */
  skip: string;
}

/** Runs the suite, or a part of it, against a plugin; only the specs of that part are in the findings. */
export function runCsiSanity({ program, socket, folder, accessType, focus, skip }: SanityRun): Promise<Finding[]> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'volume.yaml'), 'numberOfReplicas: "2"\n');
  writeFileSync(join(folder, 'snapshot.yaml'), 'type: snap\n');
  const args = [
    `--csi.endpoint=${socket}`,
    `--csi.mountdir=${join(folder, 'mount')}`,
    `--csi.stagingdir=${join(folder, 'stage')}`,
    '--csi.testvolumesize=67108864',
    '--csi.testvolumeexpandsize=134217728',
    `--csi.testvolumeparameters=${join(folder, 'volume.yaml')}`,
    `--csi.testsnapshotparameters=${join(folder, 'snapshot.yaml')}`,
    `--csi.testvolumeaccesstype=${accessType}`,
    `--csi.junitfile=${join(folder, 'report.xml')}`,
    `--ginkgo.skip=${skip}`,
    `--ginkgo.focus=${focus}`,
    '--ginkgo.no-color',
  ];
  return new Promise((done, reject) => {
    execFile(program, args, { timeout: RUN_MS, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      writeFileSync(join(folder, 'output.txt'), stdout + stderr);
      const report = join(folder, 'report.xml');
      // A failed spec ends the program with an error too: the report tells which.
      if (existsSync(report)) {
        const isMeant = ({ name }: Finding): boolean =>
          new RegExp(focus).test(name) && (skip === '' || !new RegExp(skip).test(name));
        done(readReport(readFileSync(report, 'utf8')).filter(isMeant));
      } else
        reject(
          new Error(
            `csi-sanity left no report: ${error?.message ?? 'it ended well'}\n${(stdout + stderr).slice(-2000)}`,
          ),
        );
    });
  });
}
