import { RouterError } from '../errors.ts';
import type { Instance, InstanceId, RawJson } from '../model.ts';
import { replaceMember, resultResponse, type RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { memberString, memberText, scanArray, scanObject, splice } from '../relay/json-scan.ts';
import type { Destination } from './call.ts';
import type { ClientSession } from './client-session.ts';
import type { Scope } from './scope.ts';
import { wrapTaskIds } from './task-ids.ts';
import { hashOf, unwrapText, wrapId } from './wrapped-ids.ts';
import type { Sight } from './sight.ts';

/**
 * Where `tasks/get`, `tasks/result` and `tasks/cancel` go: a task lives at the instance that began it, and its id
 * says which (2025-11-25, tasks).
 * @throws {RouterError} INVALID_PARAMS for a task that is not one of this router's
 */
export function taskDestination(table: Sight, scope: Scope, request: RequestEnvelope): Destination {
  if (scope.kind === 'service') {
    return {
      service: scope.service,
      text: request.text,
      repeatable: request.method !== 'tasks/cancel',
      label: request.method,
      ...ownTaskName(request),
    };
  }
  const id = request.params && memberString(request.text, request.params, 'taskId');
  const wrapped = id === undefined ? undefined : unwrapText(id);
  const instance = wrapped && instanceOf(table, wrapped.instanceHash);
  const edit = wrapped && replaceMember(request.params, 'taskId', wrapped.raw);
  if (!instance || !edit) {
    throw new RouterError('INVALID_PARAMS', 'Failed to retrieve task: Task not found');
  }
  return {
    service: instance.service,
    only: instance.id,
    name: String(JSON.parse(wrapped.raw)),
    text: splice(request.text, [edit]),
    repeatable: request.method !== 'tasks/cancel',
    label: request.method,
    rewrite: (text, backend) => wrapTaskIds(text, backend.instance.id),
  };
}

function ownTaskName({ text, params }: RequestEnvelope): Pick<Destination, 'name'> {
  const name = params && memberString(text, params, 'taskId');
  return name === undefined ? {} : { name };
}

const byHash = new WeakMap<Sight, ReadonlyMap<string, Instance>>();

function instanceOf(table: Sight, hash: string): Instance | undefined {
  let instances = byHash.get(table);
  if (!instances) {
    const all = [...table.services.values()].flatMap((route) => [...route.instances.values()]);
    instances = new Map(all.map((instance) => [hashOf(instance.id), instance]));
    byHash.set(table, instances);
  }
  return instances.get(hash);
}

/** `tasks/list`: those of every backend that this session has used, each under its wrapped id. */
export async function listTasks(
  table: Sight,
  session: ClientSession,
  request: RequestEnvelope,
  answer: Answer,
): Promise<void> {
  const lists = await Promise.all(
    [...session.backends.all()]
      .filter((backend) => table.services.has(backend.instance.service))
      .filter((backend) => backend.capabilities?.includes('"tasks"'))
      .map(async (backend) => {
        const tasks: string[] = [];
        let cursor: string | undefined;
        for (let page = 0; page < MAX_PAGES; page++) {
          const result = await session.backends.query(
            backend,
            'tasks/list',
            cursor === undefined ? {} : { cursor },
          );
          if (result === undefined) break;
          const found = readTasks(result, backend.instance.id);
          tasks.push(...found.tasks);
          cursor = found.nextCursor;
          if (cursor === undefined) break;
        }
        return tasks;
      }),
  );
  answer.send(200, resultResponse(request.id, `{"tasks":[${lists.flat().join(',')}]}`));
}

const MAX_PAGES = 20;
const MAX_TASKS = 10_000;

function readTasks(
  result: RawJson,
  instance: InstanceId,
): { tasks: string[]; nextCursor: string | undefined } {
  const page = scanObject(result, 0);
  const start = page.starts[page.keys.indexOf('tasks')];
  if (start === undefined) return { tasks: [], nextCursor: undefined };
  const tasks = scanArray(result, start, MAX_TASKS).map(([from, to]) => {
    const text = result.slice(from, to);
    const task = scanObject(text, 0);
    const id = memberText(text, task, 'taskId');
    const edit =
      id === undefined ? undefined : replaceMember(task, 'taskId', wrapId(id as RawJson, instance));
    return edit ? splice(text, [edit]) : text;
  });
  return { tasks, nextCursor: memberString(result, page, 'nextCursor') || undefined };
}
