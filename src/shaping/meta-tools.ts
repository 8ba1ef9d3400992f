import { z } from 'zod';

/**
 * The tools of the router's own, for clients that are not shown the whole list. Their names have no namespace, so no
 * service's tool can have them under its public names; `isMetaTool` is what a service's own names are held against.
 */
export const metaToolNames = ['find_tools', 'call_tool', 'call_read_tool', 'read_result'] as const;
export type MetaToolName = (typeof metaToolNames)[number];

export function isMetaTool(name: string): name is MetaToolName {
  return (metaToolNames as readonly string[]).includes(name);
}

export const FIND_LIMIT = { default: 5, max: 20 } as const;

/** Arguments of `find_tools`. What a model writes a little wrong (a limit of 50, or "3") is mended, not refused. */
export const findToolsArguments = z.object({
  query: z.string().max(1000),
  server: z.string().max(256).optional(),
  limit: z.coerce
    .number()
    .transform((limit) => Math.min(FIND_LIMIT.max, Math.max(1, Math.floor(limit))))
    .catch(FIND_LIMIT.default)
    .default(FIND_LIMIT.default),
});
export type FindToolsArguments = z.output<typeof findToolsArguments>;

/** Arguments of `read_result`: `offset` counts UTF-8 bytes of the original. */
export const readResultArguments = z.object({
  id: z.string().min(1).max(128),
  offset: z.coerce.number().int().min(0).default(0),
});

interface ToolDefinition {
  readonly name: MetaToolName;
  readonly description: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, boolean>>;
}

const text = { type: 'string' };
const reading = { readOnlyHint: true, openWorldHint: false };
const target = {
  type: 'object',
  properties: { name: text, arguments: { type: 'object' } },
  required: ['name'],
};

/**
 * Short on purpose: they are in every list (`npm run bench:tokens`). `call_tool` has no annotations, so a client takes
 * it for the worst that may stand behind it.
 */
const definitions: Readonly<Record<MetaToolName, ToolDefinition>> = {
  find_tools: {
    name: 'find_tools',
    description:
      'Search the available tools. Say what you want to do, and on which server if known. Returns names and input schemas for call_tool.',
    inputSchema: {
      type: 'object',
      properties: {
        query: text,
        server: text,
        limit: { type: 'integer', default: FIND_LIMIT.default, maximum: FIND_LIMIT.max },
      },
      required: ['query'],
    },
    annotations: reading,
  },
  call_tool: {
    name: 'call_tool',
    description: 'Call a tool found by find_tools, with arguments by its input schema.',
    inputSchema: target,
  },
  call_read_tool: {
    name: 'call_read_tool',
    description: 'Like call_tool, for read-only tools only.',
    inputSchema: target,
    annotations: { readOnlyHint: true },
  },
  read_result: {
    name: 'read_result',
    description: 'Read on in a result that was cut.',
    inputSchema: {
      type: 'object',
      properties: { id: text, offset: { type: 'integer' } },
      required: ['id'],
    },
    annotations: reading,
  },
};

/** A list entry, as text ready for the wire; good for both eras. */
export function metaToolJson(name: MetaToolName): string {
  return JSON.stringify(definitions[name]);
}
