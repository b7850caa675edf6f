/** What tests that play one case each need: a world that serves, and a user who writes by hand. */
import { expect } from 'vitest';
import type { SimEngine } from './sim-engine.ts';
import { World } from './world.ts';

export const SERVED_MS = 60_000;

/** A world that serves, with nobody using the device yet. */
export async function served(replicas: number, seed = 7): Promise<World> {
  const world = new World({ seed, nodes: 3, replicas });
  world.setUser(false);
  expect(await world.until(() => world.isHealthy(), SERVED_MS)).toBe(true);
  return world;
}

export async function settle(world: World, withinMs = 30_000): Promise<void> {
  expect(await world.until(() => world.device.inFlight === 0, withinMs)).toBe(true);
}

/** Writes a few runs and makes them durable. */
export async function writeAndFlush(world: World, ...blocks: number[]): Promise<void> {
  for (const block of blocks) world.device.write(block, 2);
  await settle(world);
  world.device.flush();
  await settle(world);
}

export function engineOf(world: World): SimEngine {
  const { engine } = world.plane;
  if (!engine) throw new Error('no engine');
  return engine;
}

export function ioState(world: World): string {
  return world.plane.engine?.context.io.state ?? '';
}
