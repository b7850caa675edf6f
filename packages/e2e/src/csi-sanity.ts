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

/** These count what is listed: nothing else may come and go meanwhile. */
const LISTS = 'ListVolumes|ListSnapshots';
const PASSED_MIN = 70;

/** Why a spec may be skipped, by the words of the suite or of the spec. */
const SKIP_REASONS: readonly [pattern: RegExp, reason: string][] = [
  [/Group/, 'no group snapshots, as upstream'],
  [/readonly/i, 'reading only is a matter of the node'],
  [/Modify/i, 'not in the list of capabilities, as upstream'],
  [/attach ?limit|volume limit/i, 'would attach 256 volumes'],
  [/Health/, 'RPCs of a later version of CSI'],
  [/GetSnapshot/, 'alpha; not in the list of capabilities'],
  [/SNAPSHOT_ACCESSIBILITY_CONSTRAINTS/, 'snapshots are bound to no topology, as upstream'],
  [/accessible topology/i, 'only a strict-local volume is bound to a node'],
  [/pagination should detect volumes added between pages/, 'switched off in the suite itself'],
];

function skipReason({ name, text }: Finding): string | null {
  return SKIP_REASONS.find(([pattern]) => pattern.test(name) || pattern.test(text))?.[1] ?? null;
}

/** What is wrong with the outcome of a suite, and lines that tell it: its counts, and each spec that did not pass. */
export function judge(findings: readonly Finding[]): { faults: string[]; report: string[] } {
  const of = (result: Finding['result']): Finding[] => findings.filter((one) => one.result === result);
  const [passed, failed, skipped] = [of('passed'), of('failed'), of('skipped')];
  const failures = failed.map(({ name, text }) => `FAILED ${name}: ${text.slice(0, 400)}`);
  const unexplained = skipped
    .filter((one) => skipReason(one) === null)
    .map(({ name }) => `skipped for no reason: ${name}`);
  const few = passed.length < PASSED_MIN ? [`only ${passed.length} of at least ${PASSED_MIN} passed`] : [];
  return {
    faults: [...failures, ...unexplained, ...few],
    report: [
      `${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`,
      ...failures,
      ...skipped.map((one) => `skipped ${one.name}: ${skipReason(one) ?? one.text}`),
    ],
  };
}

export type AccessType = 'mount' | 'block';

/** Runs the suite for both access types at once; how volumes are used does not matter to the specs on lists, which run alone before. */
export async function runWholeSuite(
  part: (accessType: AccessType, focus: string, skip: string) => Promise<Finding[]>,
): Promise<Record<AccessType, Finding[]>> {
  const lists = await part('mount', LISTS, '');
  const [mounted, raw] = await Promise.all([part('mount', '', LISTS), part('block', '', LISTS)]);
  return { mount: [...lists, ...mounted], block: [...lists, ...raw] };
}

/** The volumes that the suite makes. */
const PARAMETERS = { 'volume.yaml': 'numberOfReplicas: "2"\n', 'snapshot.yaml': 'type: snap\n' };

/** Flags of the suite; `folder` is for mount points, parameters and the report. */
function flags({ socket, folder, accessType, focus, skip }: Omit<SanityRun, 'program'>): string[] {
  return [
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
}

/** The specs of a report that were meant to run. */
function meant(xml: string, { focus, skip }: Pick<SanityRun, 'focus' | 'skip'>): Finding[] {
  return readReport(xml).filter(
    ({ name }) => new RegExp(focus).test(name) && (skip === '' || !new RegExp(skip).test(name)),
  );
}

/**
 * The same as a shell script, for a machine where nothing but the program is: it ends well when there is a report, and
 * prints it.
 */
export function sanityScript(run: SanityRun): { script: string; read: (output: string) => Finding[] } {
  const { program, folder } = run;
  const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const files = Object.entries(PARAMETERS).map(([name, text]) => `printf %s ${quoted(text)} > ${join(folder, name)}`);
  const lines = [
    `mkdir -p ${folder}`,
    ...files,
    `${[program, ...flags(run)].map(quoted).join(' ')} > ${folder}/output.txt 2>&1 || true`,
    `cat ${folder}/report.xml || { tail -c 2000 ${folder}/output.txt >&2; exit 1; }`,
  ];
  return { script: lines.join('\n'), read: (output) => meant(output, run) };
}

export interface SanityRun {
  program: string;
  socket: string;
  /** for mount points, parameters and the report */
  folder: string;
  accessType: AccessType;
  /** specs that are run: a pattern of their names; '' = all */
  focus: string;
  /** specs that are left out: a pattern of their names */
  skip: string;
}

/** Runs the suite, or a part of it, against a plugin; only the specs of that part are in the findings. */
export function runCsiSanity(run: SanityRun): Promise<Finding[]> {
  const { program, folder } = run;
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(PARAMETERS)) writeFileSync(join(folder, name), text);
  return new Promise((done, reject) => {
    execFile(program, flags(run), { timeout: RUN_MS, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      writeFileSync(join(folder, 'output.txt'), stdout + stderr);
      const report = join(folder, 'report.xml');
      // A failed spec ends the program with an error too: the report tells which.
      if (existsSync(report)) done(meant(readFileSync(report, 'utf8'), run));
      else
        reject(
          new Error(
            `csi-sanity left no report: ${error?.message ?? 'it ended well'}\n${(stdout + stderr).slice(-2000)}`,
          ),
        );
    });
  });
}
