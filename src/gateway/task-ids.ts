import type { InstanceId, RawJson } from '../model.ts';
import { readEnvelope, replaceMember } from '../relay/envelope.ts';
import { memberObject, memberText, splice, type Edit, type ScannedObject } from '../relay/json-scan.ts';
import { wrapId } from './wrapped-ids.ts';

/** What belongs to a task says so in its `_meta` (2025-11-25, tasks: related task metadata). */
export const RELATED_TASK = 'io.modelcontextprotocol/related-task';

/** The edit that makes a related task's id one of the router's; undefined where there is none. */
export function relatedTaskEdit(
  text: string,
  meta: ScannedObject | undefined,
  instance: InstanceId,
): Edit | undefined {
  const related = meta && memberObject(text, meta, RELATED_TASK);
  const id = related && memberText(text, related, 'taskId');
  return id === undefined ? undefined : replaceMember(related, 'taskId', wrapId(id as RawJson, instance));
}

/**
 * An answer with its task ids as clients know them: `result.task.taskId` of a request that became a task,
 * `result.taskId` of tasks/get and tasks/cancel, and related tasks in `_meta`.
 */
export function wrapTaskIds(text: string, instance: InstanceId): string {
  const { members } = readEnvelope(text);
  const result = memberObject(text, members, 'result');
  if (!result) return text;
  const edits: Edit[] = [];
  for (const holder of [result, memberObject(text, result, 'task')]) {
    const id = holder && memberText(text, holder, 'taskId');
    const edit =
      id === undefined ? undefined : replaceMember(holder, 'taskId', wrapId(id as RawJson, instance));
    if (edit) edits.push(edit);
  }
  const related = relatedTaskEdit(text, memberObject(text, result, '_meta'), instance);
  if (related) edits.push(related);
  return splice(text, edits);
}
