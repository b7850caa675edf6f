/** What the environment check knows of a node. Read by io/host-facts.ts; judged by node-checks.ts. */
export interface HostFacts {
  node: string;
  /** `6.1.0-18-amd64` */
  kernel: string;
  /** `ID` of os-release; '' = unknown */
  os: string;
  hasFuseDevice: boolean;
  hasLoopControl: boolean;
  /** names from /proc/filesystems */
  filesystems: readonly string[];
  /** loaded or built in */
  modules: readonly string[];
  /** `CONFIG_…` to its value; null: there is no kernel configuration to read */
  kernelConfig: ReadonlyMap<string, string> | null;
  /** of the host's `/`; null: it cannot be seen from here */
  rootIsShared: boolean | null;
  /** programs found in the host's PATH folders, of those that were looked for */
  tools: readonly string[];
  /** names of running programs, of those that were looked for */
  processes: readonly string[];
  disk: DiskFacts | null;
}

/** Of the file system that will hold the default disk. */
export interface DiskFacts {
  path: string;
  type: string;
  totalBytes: number;
  availableBytes: number;
}

export const TOOLS = ['mount.nfs', 'cryptsetup', 'dmsetup', 'fstrim'] as const;
export const PROCESSES = ['multipathd'] as const;
