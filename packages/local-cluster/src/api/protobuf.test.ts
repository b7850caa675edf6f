import { describe, expect, it } from 'vitest';
import { protobufObject } from './protobuf.ts';
import { ApiError } from './status-error.ts';

/** A length-delimited field. */
const field = (number: number, content: Buffer | string): Buffer => {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
};
const body = (apiVersion: string, kind: string, raw: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([field(1, apiVersion), field(2, kind)])),
    field(2, raw),
    field(3, ''),
    field(4, ''),
  ]);

const configMap = body(
  'v1',
  'ConfigMap',
  Buffer.concat([
    field(1, Buffer.concat([field(1, 'm'), field(3, 'ns'), field(11, Buffer.concat([field(1, 'a'), field(2, 'b')]))])),
    field(2, Buffer.concat([field(1, 'k'), field(2, 'v')])),
    field(2, Buffer.concat([field(1, 'l'), field(2, 'w')])),
    field(3, Buffer.concat([field(1, 'bin'), field(2, Buffer.from([0, 255]))])),
    Buffer.from([4 << 3, 1]),
  ]),
);

describe('protobufObject', () => {
  it('reads maps, bytes, booleans and nested messages', () => {
    expect(protobufObject(configMap)).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'm', namespace: 'ns', labels: { a: 'b' } },
      data: { k: 'v', l: 'w' },
      binaryData: { bin: 'AP8=' },
      immutable: true,
    });
  });

  it('reads times and numbers', () => {
    const spec = Buffer.concat([
      field(1, 'me'),
      Buffer.from([2 << 3, 15]),
      field(4, Buffer.from([8, 0x80, 0x92, 0xb8, 0xc3, 0x06, 16, 0xe8, 0x07])),
    ]);
    expect(protobufObject(body('coordination.k8s.io/v1', 'Lease', field(2, spec)))).toMatchObject({
      spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2025-07-09T06:15:28.000001Z' },
    });
  });

  it('refuses every truncation and does not choke on noise', () => {
    const failures: unknown[] = [];
    for (let length = 0; length < configMap.length; length++) {
      const noisy = Buffer.from(configMap);
      noisy[length] = (noisy[length] ?? 0) ^ 0xff;
      for (const given of [configMap.subarray(0, length), noisy]) {
        try {
          protobufObject(given);
        } catch (error) {
          if (!(error instanceof ApiError)) failures.push(error);
        }
      }
    }
    expect(failures).toEqual([]);
  });

  it('names the way out for kinds that it does not read', () => {
    expect(() => protobufObject(body('apps/v1', 'Deployment', Buffer.alloc(0)))).toThrow(
      /send it as application\/json/,
    );
  });
});
