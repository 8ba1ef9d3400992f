import { parseJsonText, valueOf, writeJson, type JsonNode } from './json-text.ts';
import { shortText, slimSchema, type SlimOptions } from './slim-schema.ts';

export interface SlimToolOptions extends Omit<SlimOptions, 'name'> {
  /** The name to list it under; undefined: its own. */
  readonly as?: string;
}

/** A longer definition stays as it is: it is no use to read a megabyte of schema in order to save a percent. */
const MAX_TEXT = 512 * 1024;

/** What only definitions have that can be slimmed, up to a few false alarms: most need no closer look. */
const slimmable =
  /":\s|[\n\r\t]|"(?:\$comment|\$id|title|\$defs|definitions)":|2020-12\/schema|"required":\[\]|"description":"\s*"/;

/** The definition may get shorter by this. */
export function canSlim(json: string, { maxDescription, withoutExamples = false }: SlimToolOptions): boolean {
  return json.length <= MAX_TEXT && (maxDescription !== undefined || withoutExamples || slimmable.test(json));
}

/**
 * A list entry of a tool without what says nothing (`slimSchema`), and without a title that is the very name. The
 * name, the hints, `_meta`, icons and everything unknown stay byte for byte. What is no JSON object stays as it is.
 */
export function slimTool(json: string, options: SlimToolOptions = {}): string {
  const tool = json.length > MAX_TEXT ? undefined : parseJsonText(json);
  if (tool?.kind !== 'object') return json;
  const name = textOf(json, tool, 'name') ?? '';
  return writeJson(json, tool, (path, node) => {
    if (path.length !== 1) return true;
    switch (path[0]) {
      case 'name':
        return options.as === undefined || JSON.stringify(options.as);
      case 'inputSchema':
      case 'outputSchema':
        return slimSchema(json, node, { ...options, name });
      case 'title':
        return textOf(json, tool, 'title') !== name;
      case 'description':
        return shortened(json, node, options.maxDescription);
      default:
        return true;
    }
  });
}

function shortened(json: string, node: JsonNode, length: number | undefined): boolean | string {
  if (length === undefined || node.kind !== 'string') return true;
  const text = String(valueOf(json, node));
  return text.length <= length || JSON.stringify(shortText(text, length));
}

function textOf(json: string, tool: JsonNode & { kind: 'object' }, key: string): string | undefined {
  const found = tool.members.filter((member) => member.key === key);
  const [only] = found;
  return only?.value.kind === 'string' && found.length === 1 ? String(valueOf(json, only.value)) : undefined;
}
