/** How the volume is reached at the moment: one frontend, started when the volume is served. */
import { assertFrontendName, type Frontend } from '../frontend/frontend.ts';
import type { VolumeContext } from './volume-context.ts';

/**
 * Opens a frontend by upstream's name; rejects for a name that this engine does not serve. `onLost` is called when its device
 * ended without the engine.
 */
export type OpenFrontend = (
  name: string,
  context: VolumeContext,
  onLost: (reason: string) => void,
) => Promise<Frontend>;

export class FrontendControl {
  /** "" = none was ever wanted */
  name: string;
  private frontend: Frontend | null = null;
  private readonly context: VolumeContext;
  private readonly open: OpenFrontend;
  private change: Promise<void> = Promise.resolve();

  constructor(context: VolumeContext, open: OpenFrontend, name: string) {
    this.context = context;
    this.open = open;
    this.name = name;
  }

  isUp(): boolean {
    return this.frontend !== null;
  }

  /** `up`, `down`, "" = no frontend was ever wanted. */
  state(): string {
    if (this.name === '') return '';
    return this.frontend ? 'up' : 'down';
  }

  endpoint(): string {
    return this.frontend?.endpoint() ?? '';
  }

  /** VolumeFrontendStart: the same running frontend again is success. */
  async start(name: string): Promise<void> {
    if (this.context.isExpanding) throw new Error('cannot start frontend during the engine expansion');
    if (name === '') throw new Error('cannot start empty frontend');
    assertFrontendName(name);
    if (this.frontend && this.name !== name) {
      throw new Error(`frontend ${this.name} is already started, cannot be set as ${name}`);
    }
    this.name = name;
    if (this.context.replicas.inStage('reading').length > 0) await this.up();
  }

  /** Brings the wanted frontend up, if there is one and it is not. */
  up(): Promise<void> {
    return this.inTurn(async () => {
      if (this.name === '' || this.frontend) return;
      this.frontend = await this.open(this.name, this.context, (reason) => this.lost(reason));
      this.context.log.info('frontend is up', { frontend: this.name, endpoint: this.frontend.endpoint() });
      this.context.changed();
    });
  }

  /** Its device was ended from outside: down, until somebody starts it anew. */
  private lost(reason: string): void {
    this.context.log.error('the frontend ended by itself', { frontend: this.name, reason });
    this.frontend = null;
    this.context.changed();
  }

  /** VolumeFrontendShutdown: keeps the name. */
  down(): Promise<void> {
    return this.inTurn(async () => {
      const { frontend } = this;
      if (!frontend) return;
      await frontend.close();
      this.frontend = null;
      this.context.changed();
    });
  }

  /** Tells the device of a new size; a frontend that is down learns it when it comes up. */
  async expand(sizeBytes: number): Promise<void> {
    await this.frontend?.expand(sizeBytes);
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.change.then(work);
    this.change = result.catch(() => undefined);
    return result;
  }
}
