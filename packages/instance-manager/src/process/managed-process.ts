/**
 * One child process and its state.
 *
 *     starting --probe answers--> running
 *     starting, running --stop--> stopping --exit--> stopped (code 0) or error
 *     any --exit--> stopped (code 0) or error
 *
 * `stopped` and `error` are final. A stop sends the signal once, and SIGKILL after the grace time. One that stands still is
 * killed at any time: I/O may wait for it, and nobody else would end it.
 */
import { randomUUID } from 'node:crypto';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { ProcessLimits } from '../limits.ts';
import { startChild, type Child, type ChildEnd } from './child.ts';
import type { PortRange } from './port-allocator.ts';
import type { ProcessLog } from './process-log.ts';
import { watchForHang, type Liveness } from './hang-watch.ts';
import { binaryFailure, engineDevice, kindOfProcess, type EngineDevice, type ProcessSpec } from './process-spec.ts';

export type ProcessState = 'starting' | 'running' | 'stopping' | 'stopped' | 'error';

/** What a process needs of its surroundings. */
export interface ProcessHost {
  readonly setpriv: string;
  readonly env: NodeJS.ProcessEnv;
  readonly limits: ProcessLimits;
  /** Resolves true once the process answers on its first port, false when it did not in time or `signal` is aborted. */
  probe(port: number, signal: AbortSignal): Promise<boolean>;
  /** One health check of a process that was running. */
  liveness(port: number, signal: AbortSignal): Promise<Liveness>;
  nowMs(): number;
  /** Shows output of a process in this program's own log as well. */
  echo(name: string, chunk: Buffer): void;
}

/** State of a process at one moment. */
export interface ProcessSnapshot {
  readonly spec: ProcessSpec;
  readonly args: readonly string[];
  readonly uuid: string;
  readonly state: ProcessState;
  readonly errorMessage: string;
  readonly ports: PortRange | null;
  readonly conditions: Readonly<Record<string, boolean>>;
}

export class ManagedProcess {
  readonly spec: ProcessSpec;
  /** with the port arguments */
  readonly args: readonly string[];
  readonly ports: PortRange | null;
  readonly uuid: string = randomUUID();
  readonly kind: 'engine' | 'replica';
  /** set for engines */
  readonly device: EngineDevice | null;
  conditions: Readonly<Record<string, boolean>> = {};

  private readonly host: ProcessHost;
  private readonly log: ProcessLog;
  private readonly onUpdate: (process: ManagedProcess) => void;
  private readonly probing = new AbortController();
  private readonly endWaiters: (() => void)[] = [];
  private readonly startWaiters: (() => void)[] = [];
  private hasRun = false;
  private currentState: ProcessState = 'starting';
  private errorMessage = '';
  private child: Child | null = null;
  private stopStartedMs: number | null = null;
  private killTimer: NodeJS.Timeout | null = null;
  private watching = new AbortController();

  constructor(
    host: ProcessHost,
    spec: ProcessSpec,
    args: readonly string[],
    ports: PortRange | null,
    log: ProcessLog,
    onUpdate: (process: ManagedProcess) => void,
  ) {
    this.host = host;
    this.spec = spec;
    this.args = args;
    this.ports = ports;
    this.log = log;
    this.onUpdate = onUpdate;
    this.kind = kindOfProcess(spec.name);
    this.device = engineDevice(spec.binary, args);
  }

  get state(): ProcessState {
    return this.currentState;
  }

  /** stopped or error */
  get hasEnded(): boolean {
    return this.currentState === 'stopped' || this.currentState === 'error';
  }

  /** Whether it ever was running: only then an engine has surely made or taken over its device. */
  get wasRunning(): boolean {
    return this.hasRun;
  }

  /** The child's process id; 0 before it was started. */
  get pid(): number {
    return this.child?.pid ?? 0;
  }

  snapshot(): ProcessSnapshot {
    const { spec, args, uuid, ports, conditions, errorMessage } = this;
    return { spec, args, uuid, ports, conditions, errorMessage, state: this.currentState };
  }

  /** Starts the child; failures end in the state `error`. Nothing happens when it was stopped meanwhile. */
  start(): void {
    if (this.currentState !== 'starting') return;
    const failure = binaryFailure(this.spec.binary);
    if (failure !== null) {
      this.log.append(Buffer.from(`${failure}\n`));
      this.log.close();
      this.end('error', failure);
      return;
    }
    try {
      this.child = startChild(this.host.setpriv, this.spec.binary, this.args, this.host.env, {
        output: (chunk) => {
          this.log.append(chunk);
          this.host.echo(this.spec.name, chunk);
        },
        ended: (end) => this.childEnded(end),
        outputEnded: () => this.log.close(),
      });
    } catch (error) {
      this.log.close();
      this.end('error', errorText(error));
      return;
    }
    if (this.ports === null) this.change('running');
    else void this.waitUntilItAnswers(this.ports.start);
  }

  private async waitUntilItAnswers(port: number): Promise<void> {
    let answers = false;
    try {
      answers = await this.host.probe(port, this.probing.signal);
    } catch (error) {
      this.log.append(Buffer.from(`probe failed: ${errorText(error)}\n`));
    }
    if (this.currentState !== 'starting') return;
    if (!answers) return this.stop('SIGINT');
    this.change('running');
    this.killIfItHangs(port, this.host.limits.hangPauseMs);
  }

  /** From now on; an earlier watch ends. */
  private killIfItHangs(port: number, pauseMs: number): void {
    const { limits } = this.host;
    this.watching.abort();
    this.watching = new AbortController();
    const watch = {
      pauseMs,
      retryMs: limits.hangRetryMs,
      checksMax: limits.hangChecksMax,
      check: (signal: AbortSignal) => this.host.liveness(port, signal),
      hangs: () => {
        this.log.append(Buffer.from(`killed: it stood still, ${limits.hangChecksMax} health checks had no answer\n`));
        this.child?.signal('SIGKILL');
      },
    };
    watchForHang(watch, this.watching.signal).catch((error: unknown) => {
      this.log.append(Buffer.from(`not watched any more: ${errorText(error)}\n`));
    });
  }

  /** Asks the process to end; kills it after the grace time. A second call past the grace time kills at once. */
  stop(signal: NodeJS.Signals): void {
    const { stopGraceMs, hangRetryMs } = this.host.limits;
    switch (this.currentState) {
      case 'starting':
      case 'running':
        this.stopStartedMs = this.host.nowMs();
        this.probing.abort();
        if (!this.child) {
          this.log.close();
          this.end('stopped', '');
          return;
        }
        this.change('stopping');
        this.child.signal(signal);
        this.killTimer = setTimeout(() => this.child?.signal('SIGKILL'), stopGraceMs);
        if (this.hasRun && this.ports !== null) this.killIfItHangs(this.ports.start, hangRetryMs);
        return;
      case 'stopping':
        if (this.host.nowMs() - (this.stopStartedMs ?? 0) > stopGraceMs) this.child?.signal('SIGKILL');
        return;
      case 'stopped':
      case 'error':
        return;
    }
  }

  private childEnded({ clean, text }: ChildEnd): void {
    this.end(clean ? 'stopped' : 'error', text);
  }

  private end(state: 'stopped' | 'error', text: string): void {
    if (this.hasEnded) return;
    this.probing.abort();
    this.watching.abort();
    if (this.killTimer) clearTimeout(this.killTimer);
    this.errorMessage = text;
    this.change(state);
    for (const resolve of this.endWaiters.splice(0)) resolve();
  }

  private change(state: ProcessState): void {
    this.currentState = state;
    if (state === 'running') this.hasRun = true;
    for (const resolve of this.startWaiters.splice(0)) resolve();
    this.onUpdate(this);
  }

  /** Resolves when it is no longer starting. */
  started(): Promise<void> {
    if (this.currentState !== 'starting') return Promise.resolve();
    return new Promise((resolve) => this.startWaiters.push(resolve));
  }

  /** Resolves when the process is stopped or in error. */
  ended(): Promise<void> {
    if (this.hasEnded) return Promise.resolve();
    return new Promise((resolve) => this.endWaiters.push(resolve));
  }

  /** Sets or takes away (null) a condition; tells watchers only of a change. */
  setCondition(name: string, value: boolean | null): void {
    if ((this.conditions[name] ?? null) === value) return;
    const { [name]: _old, ...others } = this.conditions;
    this.conditions = value === null ? others : { ...others, [name]: value };
    this.onUpdate(this);
  }
}
