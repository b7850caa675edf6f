/**
 * One container: a process with its log, its probes and, after its end, its successor.
 *
 *     waiting ──start──▶ running ──exit──▶ terminated ──(restart policy, back-off)──▶ waiting …
 *        ▲ no program, missing secret: tried again with the same back-off
 *
 * `stop` is final. When the main process ends, everything it started and that carries the container's mark is killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { timestamp, type After } from '../api/environment.ts';
import type { JsonObject } from '../api/json.ts';
import { killedMsMax, restartBackoffMsMax, restartBackoffMsMin, restartBackoffResetMs } from '../limits.ts';
import type { ContainerSpec } from './pod.ts';
import { POD_MARK } from './pod-environment.ts';
import type { PodLogFile } from './pod-log.ts';
import { probeFrom, probeOnce, type Probe } from './probe.ts';
import type { Processes } from './processes.ts';

/** What a container runs: a process, or (engine images) something that is simply there until it is taken away. */
export type Program =
  | { program: 'process'; argv: string[]; environment: ReadonlyMap<string, string>; folder: string }
  | { program: 'present'; place: () => Promise<void> };

export type ContainerState =
  | { state: 'waiting'; reason: string; message: string }
  | { state: 'running'; startedAt: Date }
  | { state: 'terminated'; exitCode: number; signal: string; startedAt: Date; finishedAt: Date };

export interface ContainerParts {
  spec: ContainerSpec;
  podUid: string;
  podIp: string;
  log: PodLogFile;
  processes: Processes;
  now: () => Date;
  after: After;
  /** makes the program anew for every start; throws with what is missing */
  program: () => Program;
  restarts: (exitCode: number) => boolean;
  changed: () => void;
}

export class Container {
  readonly #parts: ContainerParts;
  #state: ContainerState = { state: 'waiting', reason: 'ContainerCreating', message: '' };
  #last: ContainerState | null = null;
  #child: ChildProcess | null = null;
  #ready = false;
  #backoffMs = restartBackoffMsMin;
  #ended = false;
  #cancels: (() => void)[] = [];
  #ending: Promise<void> | null = null;
  restartCount: number;

  constructor(parts: ContainerParts, restartCount: number) {
    this.#parts = parts;
    this.restartCount = restartCount;
  }

  get state(): ContainerState {
    return this.#state;
  }

  get ready(): boolean {
    return this.#state.state === 'running' && this.#ready;
  }

  /** It has ended and will not be started again. */
  get finished(): boolean {
    return this.#state.state === 'terminated' && !this.#parts.restarts(this.#state.exitCode);
  }

  /** Starts the program; a program that cannot be started is tried again later. */
  async start(): Promise<void> {
    if (this.#ended) return;
    try {
      const program = this.#parts.program();
      if (program.program === 'present') await program.place();
      else {
        await this.#spawn(program);
        // It has ended again already; what follows is up to #exited.
        if (this.#child === null) return;
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#parts.log.write('stderr', `local-cluster: ${message}`);
      this.#become({ state: 'waiting', reason: 'CreateContainerError', message });
      this.#again();
      return;
    }
    // Stopped while it was starting: the process is known, and stop() deals with it.
    if (this.#isEnded()) return;
    this.#begin();
  }

  #isEnded(): boolean {
    return this.#ended;
  }

  async #spawn(program: Extract<Program, { program: 'process' }>): Promise<void> {
    const [command = '', ...args] = program.argv;
    mkdirSync(program.folder, { recursive: true });
    const child = spawn(command, args, {
      cwd: program.folder,
      env: Object.fromEntries(program.environment),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new Error(`cannot start ${command}: ${error.message}`, { cause: error })));
    });
    this.#child = child;
    this.#parts.log.take('stdout', child.stdout);
    this.#parts.log.take('stderr', child.stderr);
    child.once('exit', (code, signal) => this.#exited(code, signal));
  }

  #begin(): void {
    const { spec } = this.#parts;
    this.#ready = spec.readiness === null && spec.startup === null;
    this.#become({ state: 'running', startedAt: this.#parts.now() });
    if (spec.startup !== null)
      this.#watch(probeFrom(spec.startup, spec), (passed) => {
        if (!passed) void this.#unhealthy('startup');
        else this.#probes();
      });
    else this.#probes();
  }

  #probes(): void {
    const { spec } = this.#parts;
    if (spec.liveness !== null)
      this.#watch(probeFrom(spec.liveness, spec), (passed) => {
        if (!passed) void this.#unhealthy('liveness');
      });
    if (spec.readiness === null) this.#setReady(true);
    else this.#watch(probeFrom(spec.readiness, spec), (passed) => this.#setReady(passed));
  }

  #setReady(ready: boolean): void {
    if (this.#ready === ready) return;
    this.#ready = ready;
    this.#parts.changed();
  }

  /** Probes until the container ends; reports when a threshold is reached. */
  #watch(probe: Probe, verdict: (passed: boolean) => void): void {
    const child = this.#child;
    let passes = 0;
    let failures = 0;
    const round = async (): Promise<void> => {
      const passed = await probeOnce(probe, this.#parts.podIp);
      if (this.#child !== child || this.#ended || this.#state.state !== 'running') return;
      passes = passed ? passes + 1 : 0;
      failures = passed ? 0 : failures + 1;
      if (passes === probe.timing.successThreshold) verdict(true);
      if (failures === probe.timing.failureThreshold) verdict(false);
      if (this.#state.state === 'running') this.#later(probe.timing.periodMs, round);
    };
    // A container that has just started is looked at early, so that it is ready soon after it is.
    this.#later(Math.max(probe.timing.initialDelayMs, 500), round);
  }

  #later(milliseconds: number, run: () => Promise<void>): void {
    this.#cancels.push(this.#parts.after(milliseconds, () => void run()));
    if (this.#cancels.length > 64) this.#cancels = this.#cancels.slice(-32);
  }

  async #unhealthy(probe: string): Promise<void> {
    this.#parts.log.write('stderr', `local-cluster: the ${probe} probe failed, the container is ended`);
    this.#child?.kill('SIGKILL');
    await this.#parts.processes.kill(POD_MARK, this.#mark);
  }

  get #mark(): string {
    return `${this.#parts.podUid}/${this.#parts.spec.name}\0`;
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = null;
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    const finishedAt = this.#parts.now();
    const startedAt = this.#state.state === 'running' ? this.#state.startedAt : finishedAt;
    const exitCode = code ?? 128 + (signal === 'SIGKILL' ? 9 : signal === 'SIGTERM' ? 15 : 6);
    const ended: ContainerState = { state: 'terminated', exitCode, signal: signal ?? '', startedAt, finishedAt };
    this.#last = ended;
    this.#ready = false;
    if (finishedAt.getTime() - startedAt.getTime() > restartBackoffResetMs) this.#backoffMs = restartBackoffMsMin;
    this.#ending = this.#parts.processes.kill(POD_MARK, this.#mark).then((left) => {
      if (left.length > 0) this.#parts.log.write('stderr', `local-cluster: processes ${left.join(', ')} do not end`);
      this.#become(ended);
      if (!this.#ended && this.#parts.restarts(exitCode)) this.#again();
    });
  }

  #again(): void {
    if (this.#ended) return;
    const delay = this.#backoffMs;
    this.#backoffMs = Math.min(restartBackoffMsMax, delay * 2);
    this.#cancels.push(
      this.#parts.after(delay, () => {
        if (this.#state.state === 'terminated') this.restartCount++;
        void this.start();
      }),
    );
  }

  #become(state: ContainerState): void {
    this.#state = state;
    this.#parts.changed();
  }

  /** Ends the container: politely, then, after the grace, by force. */
  async stop(graceMs: number): Promise<void> {
    this.#ended = true;
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    const child = this.#child;
    if (child !== null) {
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      if (this.#parts.spec.hasPreStop)
        this.#parts.log.write(
          'stderr',
          'local-cluster: the preStop hook is left out: it is written for a container image',
        );
      child.kill('SIGTERM');
      await this.#atMost(graceMs, exited);
      child.kill('SIGKILL');
      // A process that hangs in the kernel does not end; the node goes on without it.
      await this.#atMost(killedMsMax, exited);
    }
    await this.#ending;
    await this.#parts.processes.kill(POD_MARK, this.#mark);
  }

  async #atMost(milliseconds: number, promise: Promise<void>): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.after(milliseconds, resolve);
    });
    await Promise.race([promise, late]);
    cancel();
  }

  /** Forgets the container without touching its processes: its node has lost power. */
  abandon(): void {
    this.#ended = true;
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    this.#child?.removeAllListeners('exit');
    this.#child = null;
  }

  /** Its entry in `status.containerStatuses`. */
  status(): JsonObject {
    const { spec, podUid } = this.#parts;
    return {
      name: spec.name,
      image: spec.image,
      imageID: spec.image,
      containerID: `local-cluster://${podUid}/${spec.name}`,
      ready: this.ready,
      started: this.#state.state === 'running',
      restartCount: this.restartCount,
      state: stateStatus(this.#state),
      lastState: this.#last === null || this.#last === this.#state ? {} : stateStatus(this.#last),
    };
  }
}

function stateStatus(state: ContainerState): JsonObject {
  switch (state.state) {
    case 'waiting':
      return { waiting: { reason: state.reason, ...(state.message === '' ? {} : { message: state.message }) } };
    case 'running':
      return { running: { startedAt: timestamp(state.startedAt) } };
    case 'terminated':
      return {
        terminated: {
          exitCode: state.exitCode,
          reason: state.exitCode === 0 ? 'Completed' : 'Error',
          ...(state.signal === '' ? {} : { message: `ended by ${state.signal}` }),
          startedAt: timestamp(state.startedAt),
          finishedAt: timestamp(state.finishedAt),
        },
      };
  }
}
