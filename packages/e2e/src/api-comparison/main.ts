/**
 * `node packages/e2e/src/api-comparison/main.ts LOCAL REAL [WEBHOOK_ADDRESS]`: compares two API servers by their
 * kubeconfigs; ends with 1 when they differ in what is not accepted.
 */
import { compare } from './compare.ts';
import { reportOf } from './report.ts';

const [local, real, address = '127.0.0.1'] = process.argv.slice(2);
if (local === undefined || real === undefined) {
  console.error('usage: main.ts KUBECONFIG_OF_LOCAL_CLUSTER KUBECONFIG_OF_A_REAL_API_SERVER [WEBHOOK_ADDRESS]');
  process.exit(2);
}
const comparison = await compare(local, real, address);
console.log(reportOf(comparison));
process.exit(comparison.open.length + comparison.outdated.length === 0 ? 0 : 1);
