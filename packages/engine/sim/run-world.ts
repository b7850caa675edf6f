/** One random world, from its seed to its end. */
import { breakAtRandom } from './faults.ts';
import { World } from './world.ts';

const ROUNDS = 140;

export async function runWorld(seed: number, prepare: (world: World) => void = () => undefined): Promise<World> {
  const world = new World({ seed, nodes: 3, replicas: 1 + (seed % 3) });
  prepare(world);
  await breakAtRandom(world, ROUNDS);
  await world.end();
  return world;
}
