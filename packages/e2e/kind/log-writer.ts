/** A log that a pod writes and that is known outside: numbers without gaps, each on the disk before it is told. */
import { spawn, type ChildProcess } from 'node:child_process';
import { inPod, until } from './kubectl.ts';
import { DATA } from './workloads.ts';

const FILE = `${DATA}/numbers`;

/**
 * Goes on after the last number of the file; a line that was cut off by a crash is written anew. A loop of before, which
 * outlives the connection that it was started by, ends first. A number that could not be written ends the loop.
 */
const LOOP = `old=$(cat /tmp/writer.pid 2>/dev/null || true); [ -z "$old" ] || { kill -9 $old 2>/dev/null; while [ -e /proc/$old ]; do sleep 0.05; done; }
echo $$ > /tmp/writer.pid; touch ${FILE}; n=$(grep -c '' ${FILE} || true); [ -z "$(tail -c1 ${FILE})" ] || { sed -i '$d' ${FILE}; n=$((n - 1)); }
while :; do n=$((n + 1)); echo $n >> ${FILE} && sync ${FILE} || exit 1; echo $n; sleep 0.05; done`;

export class LogWriter {
  /** the last number that was told to be on the disk */
  acknowledged = 0;
  /** the longest time between two numbers since `calm` was called; ms */
  longestMs = 0;
  private lastMs = performance.now();
  private child: ChildProcess | null = null;
  private readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** Writes in this pod from now on, and waits for its first number. */
  async start(pod: string): Promise<void> {
    this.stop();
    const before = this.acknowledged;
    const child = spawn('kubectl', ['exec', '--namespace', this.namespace, pod, '--', 'bash', '-c', LOOP], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child = child;
    let rest = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      const now = performance.now();
      this.longestMs = Math.max(this.longestMs, now - this.lastMs);
      this.lastMs = now;
      this.acknowledged = Math.max(this.acknowledged, ...lines.map(Number));
    });
    await until('the log grows', 60_000, () => Promise.resolve(this.acknowledged > before || !this.isWriting));
    if (this.acknowledged === before) throw new Error(`nothing can be written in ${pod}`);
    this.calm();
  }

  /** Waits until a number was told that was written after this call. */
  async grows(timeoutMs = 60_000): Promise<void> {
    const before = this.acknowledged;
    await until('the log grows', timeoutMs, () => Promise.resolve(this.acknowledged > before + 1));
  }

  /** Begins to measure waits anew. */
  calm(): void {
    this.longestMs = 0;
    this.lastMs = performance.now();
  }

  /** Whether the pod and the way to it are still there. */
  get isWriting(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null;
  }

  stop(): void {
    this.child?.kill('SIGKILL');
    this.child = null;
  }

  /** Reads the log in a pod: every number that was told is there, in order, and none twice. Throws with the first that is not. */
  async verify(pod: string): Promise<void> {
    const script = `[ -e ${FILE} ] || { echo 0; exit; }; awk '$1 != NR {print "line " NR " is " $1; exit} END {print NR}' ${FILE}`;
    const [wrong, count = wrong] = (await inPod(this.namespace, pod, script)).trim().split('\n');
    if (wrong?.startsWith('line')) throw new Error(`the log in ${pod}: ${wrong}`);
    if (Number(count) < this.acknowledged)
      throw new Error(`the log in ${pod} ends at ${count}, but ${this.acknowledged} was told to be on the disk`);
  }
}
