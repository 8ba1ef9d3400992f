import { valueOf, type JsonNode } from './json-text.ts';

/** What of a schema no reference leads to. */
export interface Unused {
  /** Values of the root's `$defs` and `definitions`. */
  readonly definitions: ReadonlySet<JsonNode>;
  /** The root's `$id`: true where every reference is a pointer within this text. */
  readonly rootId: boolean;
}

const referring: ReadonlySet<string> = new Set(['$ref', '$dynamicRef', '$recursiveRef']);
const naming: ReadonlySet<string> = new Set(['$id', 'id', '$anchor', '$dynamicAnchor', '$recursiveAnchor']);

/**
 * Follows the references from outside the definitions through those that they reach. Where anything names places
 * other than by pointers within the text, nothing is called unused.
 */
export function unusedParts(text: string, root: JsonNode): Unused {
  const definitions = rootDefinitions(root);
  if (!definitions || namesPlaces(text, root, true)) return { definitions: new Set(), rootId: false };
  const inside = new Set(definitions.values());
  const open = pointers(text, root, inside);
  const reached = new Set<JsonNode>();
  for (let pointer = open.pop(); pointer !== undefined; pointer = open.pop()) {
    if (pointer === '$defs' || pointer === 'definitions') return { definitions: new Set(), rootId: true };
    const target = definitions.get(pointer);
    if (!target || reached.has(target)) continue;
    reached.add(target);
    open.push(...pointers(text, target, new Set()));
  }
  return { definitions: new Set([...inside].filter((node) => !reached.has(node))), rootId: true };
}

/** By pointer, as `$defs/Pet`; undefined where one name stands twice, or the schema is no object. */
function rootDefinitions(root: JsonNode): Map<string, JsonNode> | undefined {
  if (root.kind !== 'object') return undefined;
  const found = new Map<string, JsonNode>();
  for (const { key, value } of root.members) {
    if ((key !== '$defs' && key !== 'definitions') || value.kind !== 'object') continue;
    for (const member of value.members) {
      if (found.has(`${key}/${member.key}`)) return undefined;
      found.set(`${key}/${member.key}`, member.value);
    }
  }
  return found;
}

/** Whether a part has a name of its own, or refers to something by other means than a pointer. */
function namesPlaces(text: string, node: JsonNode, isRoot: boolean): boolean {
  if (node.kind === 'array') return node.items.some((item) => namesPlaces(text, item, false));
  if (node.kind !== 'object') return false;
  return node.members.some(({ key, value }) => {
    if (value.kind !== 'string') return namesPlaces(text, value, false);
    if (referring.has(key)) return !/^#(?:\/|$)/.test(String(valueOf(text, value)));
    return naming.has(key) && !(isRoot && (key === '$id' || key === 'id'));
  });
}

/** The first two steps of every reference below a node: `#/$defs/Pet/properties/name` → `$defs/Pet`. */
function pointers(text: string, node: JsonNode, except: ReadonlySet<JsonNode>): string[] {
  if (except.has(node)) return [];
  if (node.kind === 'array') return node.items.flatMap((item) => pointers(text, item, except));
  if (node.kind !== 'object') return [];
  return node.members.flatMap(({ key, value }) => {
    if (value.kind !== 'string') return pointers(text, value, except);
    return referring.has(key) ? [steps(String(valueOf(text, value)))] : [];
  });
}

/** With the escapes of a URI, and those of JSON Pointer in it, undone. */
function steps(reference: string): string {
  const raw = reference.slice(2).split('/').slice(0, 2);
  return raw.map((step) => decode(step).replaceAll('~1', '/').replaceAll('~0', '~')).join('/');
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
