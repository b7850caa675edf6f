/** The real kubectl against the API server. */
import { strict as assert } from 'node:assert';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtinType, STORAGE } from '../src/api/builtin-kinds.ts';
import { objectAt } from '../src/api/json.ts';
import { findProgram } from '../src/io/commands.ts';
import { servedFixture, type ServedFixture } from './fixture.ts';

const kubectl = findProgram('kubectl', process.env['PATH'] ?? '');
if (kubectl === null) console.warn('kubectl is not installed: its tests are left out');

describe.skipIf(kubectl === null)('kubectl', () => {
  let f: ServedFixture;
  let home = '';
  beforeAll(async () => {
    f = await servedFixture();
    home = mkdtempSync(join(tmpdir(), 'kubectl-home-'));
  });
  afterAll(async () => {
    assert.deepEqual(f.failures, []);
    await f.close();
    rmSync(home, { recursive: true, force: true });
  });

  const environment = (): NodeJS.ProcessEnv => ({ ...process.env, KUBECONFIG: f.kubeconfig, HOME: home });

  function run(
    args: string[],
    input = '',
    extra: NodeJS.ProcessEnv = {},
  ): Promise<{ out: string; err: string; code: number }> {
    return new Promise((resolve) => {
      const child = execFile(
        kubectl ?? '',
        ['-n', 'test', ...args],
        { env: { ...environment(), ...extra } },
        (error, out, err) => resolve({ out, err, code: error === null ? 0 : Number(error.code ?? 1) }),
      );
      child.stdin?.end(input);
    });
  }
  const ok = async (args: string[], input = '', extra: NodeJS.ProcessEnv = {}): Promise<string> => {
    const { out, err, code } = await run(args, input, extra);
    expect([code, err]).toEqual([0, '']);
    return out;
  };
  const manifest = (spec: object, name = 'w'): string =>
    JSON.stringify({ apiVersion: 'example.io/v1', kind: 'Widget', metadata: { name }, spec });

  it('applies, applies again, edits, patches, labels and deletes', async () => {
    expect(await ok(['apply', '-f', '-'], manifest({ size: '1', tags: ['a'] }))).toBe('widget.example.io/w created\n');
    expect(await ok(['apply', '-f', '-'], manifest({ size: '2' }))).toBe('widget.example.io/w configured\n');
    expect(await ok(['apply', '-f', '-'], manifest({ size: '2' }))).toBe('widget.example.io/w unchanged\n');
    expect(await ok(['get', 'wg', 'w', '-o', 'jsonpath={.spec}'])).toBe('{"engine":"v1","size":"2"}');
    expect(await ok(['edit', 'wg', 'w'], '', { EDITOR: `sed -i 's/size: "2"/size: "3"/'` })).toBe(
      'widget.example.io/w edited\n',
    );
    expect(
      await ok(['patch', 'wg', 'w', '--type', 'json', '-p', '[{"op":"replace","path":"/spec/size","value":"4"}]']),
    ).toContain('patched');
    expect(
      await ok(['patch', 'wg', 'w', '--type', 'merge', '--subresource', 'status', '-p', '{"status":{"state":"on"}}']),
    ).toContain('patched');
    expect(await ok(['label', 'wg', 'w', 'a=b'])).toContain('labeled');
    expect((await ok(['get', 'wg', '-l', 'a=b'])).split('\n').map((line) => line.split(/\s+/).slice(0, 3))).toEqual([
      ['NAME', 'STATE', 'SIZE'],
      ['w', 'on', '4'],
      [''],
    ]);
    expect(await ok(['describe', 'widget', 'w'])).toMatch(/Name:\s+w\n[\s\S]*Size:\s+4[\s\S]*Events:\s+<none>/);
    expect(await ok(['delete', 'wg', 'w'])).toContain('"w" deleted');
    expect((await run(['get', 'wg', 'w'])).err).toContain(
      'Error from server (NotFound): widgets.example.io "w" not found',
    );
  });

  it('refuses unknown fields and wrong values with the field', async () => {
    expect((await run(['apply', '-f', '-'], manifest({ nope: 1 }))).err).toContain(
      'strict decoding error: unknown field "spec.nope"',
    );
    const warned = await run(['apply', '--validate=warn', '-f', '-'], manifest({ nope: 1 }, 'warned'));
    expect([warned.code, warned.err]).toEqual([0, 'Warning: unknown field "spec.nope"\n']);
    expect((await run(['apply', '-f', '-'], manifest({ count: -1 }))).err).toContain('spec.count: Invalid value: -1');
  });

  it('explains fields', async () => {
    expect(await ok(['explain', 'widget.spec'])).toMatch(
      /KIND:\s+Widget\nVERSION:\s+v1[\s\S]*size\s+<string>\n\s+How large it is\./,
    );
  });

  it('watches with the columns of the definition', async () => {
    const child = spawn(kubectl ?? '', ['-n', 'test', 'get', 'wg', '-w', '--field-selector', 'metadata.name=seen'], {
      env: environment(),
    });
    let out = '';
    const last = new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
        if (/seen\s+on\s+8\s/.test(out)) resolve();
      });
    });
    await ok(['apply', '-f', '-'], manifest({ size: '7' }, 'seen'));
    await ok(['patch', 'wg', 'seen', '--type', 'merge', '--subresource', 'status', '-p', '{"status":{"state":"on"}}']);
    await ok(['patch', 'wg', 'seen', '--type', 'merge', '-p', '{"spec":{"size":"8"}}']);
    await last;
    child.kill();
    expect(out.split('\n')[0]).toMatch(/^NAME\s+STATE\s+SIZE\s+AGE$/);
  });

  it('takes what kubectl sends as protobuf', async () => {
    expect(await ok(['create', 'namespace', 'made'])).toBe('namespace/made created\n');
    expect(await ok(['create', 'configmap', 'm', '--from-literal=a=1', '--from-literal=b=2'])).toBe(
      'configmap/m created\n',
    );
    expect(await ok(['get', 'cm', 'm', '-o', 'jsonpath={.data}'])).toBe('{"a":"1","b":"2"}');
    expect(await ok(['create', 'secret', 'generic', 's', '--from-literal=k=value'])).toBe('secret/s created\n');
    expect(await ok(['get', 'secret', 's', '-o', 'jsonpath={.data.k} {.type}'])).toBe('dmFsdWU= Opaque');
    expect(await ok(['auth', 'can-i', 'create', 'pods'])).toBe('yes\n');
    expect(await ok(['create', 'serviceaccount', 'sa'])).toContain('created');
  });

  it('applies on the server', async () => {
    const args = ['apply', '--server-side', '--field-manager=one', '-f', '-'];
    expect(await ok(args, manifest({ size: '1' }, 'ssa'))).toBe('widget.example.io/ssa serverside-applied\n');
    const other = await run(
      ['apply', '--server-side', '--field-manager=two', '-f', '-'],
      manifest({ size: '2' }, 'ssa'),
    );
    expect(other.err).toContain('conflict with "one": .spec.size');
    expect(await ok(['diff', '-f', '-'], manifest({ size: '1' }, 'ssa'))).toBe('');
  });

  it('works with built-in kinds, files, logs and drain', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    const path = join(home, 'pod.json');
    writeFileSync(path, JSON.stringify(pod));
    expect(await ok(['apply', '-f', path])).toBe('pod/p created\n');
    expect(await ok(['apply', '-f', path])).toBe('pod/p unchanged\n');
    expect(await ok(['logs', 'p'])).toBe('log of p\n');
    expect(await ok(['describe', 'pod', 'p'])).toContain('Image:');
    expect(await ok(['get', 'pods'])).toMatch(/p\s+0\/1\s+Pending/);
    await f.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } });
    expect(await ok(['cordon', 'n'])).toBe('node/n cordoned\n');
    expect(await ok(['get', 'node', 'n', '-o', 'jsonpath={.spec.unschedulable}'])).toBe('true');
    expect(await ok(['uncordon', 'n'])).toBe('node/n uncordoned\n');
    await f.operations.update(builtinType(STORAGE.pods), 'test', 'p', '', (object) => ({
      ...object,
      spec: { ...objectAt(object['spec']), nodeName: 'n' },
    }));
    await f.operations.update(builtinType(STORAGE.pods), 'test', 'p', 'status', (object) => ({
      ...object,
      status: { phase: 'Succeeded' },
    }));
    expect((await run(['drain', 'n', '--force', '--timeout=10s'])).out).toContain('node/n drained');
    expect(await ok(['api-resources', '--api-group=example.io'])).toMatch(
      /widgets\s+wg\s+example.io\/v1\s+true\s+Widget/,
    );
  });
});
