/** What every controller of this package is given, and how the cluster ends it. */
import type { After } from '../api/environment.ts';
import type { Operations } from '../api/operations.ts';
import type { Registry } from '../api/registry.ts';

export interface ControllerParts {
  operations: Operations;
  registry: Registry;
  after: After;
  note: (text: string, error?: unknown) => void;
}

export interface Controller {
  /** Handles what is there already, then what changes. */
  start(): void;
  /** Resolves when nothing waits at the moment. */
  idle(): Promise<void>;
  close(): Promise<void>;
}
