import { Sights } from '../../src/gateway/sight.ts';
import type { RoutingTable } from '../../src/model.ts';
import { CurrentPolicy } from '../../src/policy/current-policy.ts';
import { recordingLog } from './recording-log.ts';

/** What callers see where there are no rules: everything. */
export function allSights(table: () => RoutingTable): Sights {
  const policy = new CurrentPolicy({ required: false, onChange: () => undefined, log: recordingLog() });
  return new Sights(
    () => ({ table: table(), inForce: policy.inForce }),
    () => undefined,
  );
}
