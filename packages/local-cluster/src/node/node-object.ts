/**
 * The Node object of a node of local-cluster.
 */
import type { JsonObject } from '../api/json.ts';
import type { KubeObject } from '../api/object.ts';
import type { NodeAddresses } from './paths.ts';

export interface NodeFacts {
  bootId: string;
  cpus: number;
  memoryBytes: number;
  kernel: string;
  version: string;
}

const PODS_MAX = '110';

function condition(type: string, status: 'True' | 'False', reason: string, message: string, now: string): JsonObject {
  return { type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime: now };
}

/** The object of a node that is up. */
export function nodeObject(addresses: NodeAddresses, facts: NodeFacts, now: string): KubeObject {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const resources = { cpu: String(facts.cpus), memory: `${Math.floor(facts.memoryBytes / 1024)}Ki`, pods: PODS_MAX };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: addresses.name,
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
      labels: {
        'kubernetes.io/hostname': addresses.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'node-role.kubernetes.io/worker': '',
      },
    },
    spec: {},
    status: {
      addresses: [
        { type: 'InternalIP', address: addresses.address },
        { type: 'Hostname', address: addresses.name },
      ],
      capacity: resources,
      allocatable: resources,
      conditions: [
        condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'memory is sufficient', now),
        condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'disk is sufficient', now),
        condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'process ids are sufficient', now),
        condition('Ready', 'True', 'KubeletReady', 'the node is up', now),
      ],
      nodeInfo: {
        machineID: addresses.name,
        systemUUID: addresses.name,
        bootID: facts.bootId,
        kernelVersion: facts.kernel,
        osImage: 'local-cluster',
        containerRuntimeVersion: `processes://${process.versions.node}`,
        kubeletVersion: facts.version,
        kubeProxyVersion: facts.version,
        operatingSystem: 'linux',
        architecture,
      },
    },
  };
}
