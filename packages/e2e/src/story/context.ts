/** What the story's steps share, and what they ask of the use that is made of the volumes. */
import type { Cluster } from '../cluster.ts';
import type { System } from '../volumes.ts';

export const GIB = 2 ** 30;

export interface StoryContext extends System {
  cluster: Cluster;
  medium: Medium;
  log: (text: string) => void;
  /** figures that the demo prints at the end: name -> text */
  figures: Map<string, string>;
}

/** What the steps need to tell the story on a cluster. */
export function storyOn(cluster: Cluster, medium: Medium, log: (text: string) => void): StoryContext {
  return {
    cluster,
    // A cluster that starts again has other clients.
    get kube() {
      return cluster.kube;
    },
    get rest() {
      return cluster.rest;
    },
    medium,
    log,
    figures: new Map(),
  };
}

export interface Step {
  title: string;
  run: (context: StoryContext) => Promise<void>;
}

/** How the volumes are used: file systems on block devices, or blocks over NBD. */
export interface Medium {
  /** what the titles of steps 2, 5 and 6 promise */
  readonly promises: { readonly fill: string; readonly engineDies: string; readonly revert: string };
  /** The use of a volume; the same one whenever it is asked for. */
  tenant(volume: string): Tenant;
  /** Begins to write to a volume in use, until it is stopped. */
  write(volume: string): StoryWriter;
  /** Ends whatever a failed story left. */
  release(): Promise<void>;
}

/** The use of one volume. All content that its methods write is flushed, but for that of `scribble`. */
export interface Tenant {
  /** Takes a device into use. */
  begin(endpoint: string, isNew: boolean): Promise<void>;
  /** Ends the use in good order. */
  end(): Promise<void>;
  /** The device's node has lost power. */
  lost(): Promise<void>;
  /** Writes the bulk of the content and compares it; says what it wrote. */
  fill(): Promise<string>;
  mark(text: string): Promise<void>;
  readMark(): Promise<string>;
  checksum(): Promise<string>;
  /** Changes, removes and adds content. */
  change(): Promise<void>;
  /** Writes something without a flush; may go on with it until the device is lost. */
  scribble(): Promise<void>;
  /** What became of that in a loss of power; throws when it is neither old nor new. */
  scribbled(): Promise<string>;
  /** Ends the use, then looks at the device as a whole: throws when it is not sound or when two reads differ. */
  inspect(endpoint: string): Promise<void>;
}

/** Writes without an end and notes outside of the volume what was acknowledged. */
export interface StoryWriter {
  /** A point in its work, to measure from. */
  point(): number;
  /** Longest wait of one I/O between two points, in milliseconds; without `to` up to now, one that still waits among them. */
  longestMs(from: number, to?: number): Promise<number>;
  /** Waits for `count` more; throws if the writer saw an error. */
  progress(count: number, timeoutMs: number): Promise<void>;
  /** Ends it; throws if it saw an error, or if anything is missing that it holds for written. Says what is there. */
  stop(): Promise<string>;
}
