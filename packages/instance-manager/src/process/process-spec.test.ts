import { expect, it } from 'vitest';
import { engineDevice, kindOfProcess, portArguments } from './process-spec.ts';

it.each([
  [['controller', 'vol', '--size', '1'], { volume: 'vol', holdMs: 300_000 }],
  [
    ['--engine-instance-name', 'vol-e-0', 'controller', 'vol', '--io-hold-timeout', '20'],
    { volume: 'vol', holdMs: 20_000 },
  ],
  [['controller', 'vol', '--io-hold-timeout=5'], { volume: 'vol', holdMs: 5_000 }],
  [['controller', 'vol', '--io-hold-timeout', '0'], { volume: 'vol', holdMs: null }],
  [['controller', 'vol', '--io-hold-timeout', 'soon'], { volume: 'vol', holdMs: 300_000 }],
  [['controller', '--help'], null],
  [['controller'], null],
  [['--volume-name', 'vol', 'replica', '/data'], null],
])('the device of %j is %j', (args, expected) => {
  expect(engineDevice('/b', args)).toEqual(expected && { ...expected, binary: '/b' });
});

it('port arguments are cut at commas, one port each', () => {
  expect(portArguments(['--listen,:', '--data,localhost:'], 10_000)).toEqual([
    '--listen',
    ':10000',
    '--data',
    'localhost:10001',
  ]);
});

it.each([
  ['vol-e-0', 'engine'],
  ['my-vol-e-12', 'engine'],
  ['vol-r-1a2b3c4d', 'replica'],
  ['e-0', 'replica'],
])('%s is of an %s', (name, kind) => expect(kindOfProcess(name)).toBe(kind));
